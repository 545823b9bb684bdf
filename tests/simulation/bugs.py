"""Bugs on purpose: each is a piece of the real code with one mistake in it, put in its place for a while.

No switch in the production code knows of any of them. `PLANTED` is the list; the matrix test runs seeds with
each until a check notices.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import msgspec
from msgspec import structs

import services.invoices.decisions.businesses as businesses
import services.invoices.decisions.corrections as corrections
import services.invoices.decisions.eligibility as eligibility
import services.invoices.decisions.merging as merging
import services.invoices.decisions.payments as invoices
import services.invoices.handlers as invoices_handlers
import services.orders.decisions.cancellations as cancellations
import services.orders.decisions.issuance as orders_issuance
import services.orders.decisions.partners as orders_partners
import services.orders.decisions.payments as payments
import services.orders.decisions.quarantine as quarantine
import services.orders.decisions.refunds as orders_refunds
import services.orders.store as orders_store
import services.refunds.decisions.claims as refund_claims
import services.refunds.decisions.judging as judging
import services.refunds.decisions.payouts as refund_payouts
import services.refunds.decisions.requests as refund_requests
import services.refunds.decisions.reviews as refund_reviews
import services.refunds.decisions.usage as usage
import services.refunds.events as refund_events
import services.refunds.policies.goods as goods
import services.refunds.policies.metered as metered
import services.refunds.policies.prepaid as prepaid
import services.serials.decisions as serials_decisions
import services.serials.issuing as issuing
import shared.runtime.batch as batch_module
import shared.runtime.relay as relay_module
from services.invoices.state import Change, Payment, World
from services.orders.decisions.claims import worth
from services.orders.events import UnnumberedEvent, order_cancelled
from services.orders.state import Line, Order, OrderState
from services.refunds.decisions.units import move, void, with_lines
from services.refunds.events import refund_accepted
from services.refunds.policies.balance import paid_spent
from services.refunds.policies.holds import REVIEWED
from services.refunds.policies.usage import uses
from services.serials.decisions import Replaced, Ruling, issue_units
from services.serials.events import serial_registered
from services.serials.state import Grant, GrantState, Serial, SerialState, state_at
from services.serials.store import Store as SerialsStore
from shared.kst import kst_date, next_month, window_end
from shared.money import NOTHING, Money, payment_money, refund_money
from shared.runtime.batch import Batch, Parked, PriorState
from shared.runtime.decisions import Decided, Event, Wait
from shared.runtime.fold import Fold
from shared.runtime.intake import InboundMessage
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import Cause
from shared.units import LineUnits
from tests.simulation.bug import Bug
from tests.simulation.bugs_of_closing import OF_CLOSING
from tests.simulation.bugs_of_tampering import OF_TAMPERING
from tests.simulation.system import Leader

# The runtime


_read_prior = Fold._read_prior


async def _inbox_insert_dropped(fold: Fold, connection: Any, *arguments: Any, **options: Any) -> PriorState:
    prior = await _read_prior(fold, connection, *arguments, **options)
    for identity in prior.fresh:
        connection._transaction.staged.pop(("inbox", identity), None)
    return prior


_is_new = Batch._is_new


def _content_not_compared(batch: Batch, message: InboundMessage) -> bool:
    refusals = list(batch.refusals)
    new = _is_new(batch, message)
    batch.refusals[:] = refusals
    return new


def _cursor_not_moved(batch: Batch) -> list[Any]:
    return []


_wait = Batch._wait


def _cursor_moved_on_wait(
    batch: Batch, message: InboundMessage, parked: Parked | None, kind: str, reason: str
) -> None:
    if message.event is not None and message.event.sequence is not None and kind == batch_module.WAITING:
        batch.cursors[message.event.source, message.event.subject] = message.event.sequence
    _wait(batch, message, parked, kind, reason)


def _gap_out_of_order(batch: Batch, event: Event) -> bool:
    return event.sequence > batch.cursors.get((event.source, event.subject), 0)  # type: ignore[operator]


def _parked_forgotten(batch: Batch) -> list[Parked]:
    return []


_park = Batch._park


def _feedback_repeated(batch: Batch, message: InboundMessage, kind: str, reason: str) -> None:
    _park(batch, message, kind, reason)
    if message.upstream and message.event is not None:
        batch._accept(message, Cause.of(message.event))


_rows_append = Outbox.append


async def _outbox_without_commit(outbox: Any, connection: Any, rows: Any) -> None:
    transaction, database = connection._transaction, connection._database
    staged = dict(transaction.staged)
    await _rows_append(outbox, connection, rows)
    for key in [key for key in transaction.staged if key not in staged]:
        database.tables[key[0]][key[1]] = transaction.staged[key]


async def _mark_without_epoch(relay: Any, connection: Any) -> None:
    relay._epoch = connection._database.tables["relay"].get("epoch", 0)
    tables = connection._database.tables["relay"]
    tables["published"] = relay._published


_send = Leader.send


def _mark_first(leader: Leader, rows: Sequence[Any]) -> None:
    """The mark moves before the broker has said yes."""
    leader.acknowledged(rows)
    leader.mark()
    _send(leader, rows)


# Orders


def _refund_ignores_issuing(order: Order | None, *arguments: Any) -> Any:
    with patch.object(Line, "open", property(lambda li: li.paid - li.issued - li.refunding - li.refunded)):
        return _claim_refund(order, *arguments)


def _issue_ignores_refunding(order: Order, *arguments: Any) -> Any:
    with patch.object(Line, "open", property(lambda li: li.paid - li.issuing - li.issued - li.refunded)):
        return _claim_to_issue(order, *arguments)


_claim_refund, _claim_to_issue = orders_refunds.claim_refund, orders_issuance.claim_to_issue
_release_refund = orders_refunds.release_refund
_changed = msgspec.structs.replace


def _release_keeps_units(order: Order | None, *arguments: Any) -> Any:
    decision = _release_refund(order, *arguments)
    if isinstance(decision, Decided) and order is not None:
        return decision._replace(state=_changed(decision.state, lines=order.lines))
    return decision


def _release_keeps_won(order: Order | None, *arguments: Any) -> Any:
    decision = _release_refund(order, *arguments)
    if isinstance(decision, Decided) and order is not None:
        return decision._replace(state=_changed(decision.state, remaining=order.remaining))
    return decision


def _vat_of_the_refund_alone(order: Order, units: Sequence[LineUnits], consumed: int) -> Money:
    money = worth(order, units, consumed)
    return payment_money(order.vat_mode, money.supply if order.vat_mode == "exclusive" else money.total)


def _worth_without_discount(order: Order, units: Sequence[LineUnits], consumed: int) -> Money:
    price = sum(order.lines[line_id].unit_price * quantity for line_id, quantity in units) - consumed
    left = order.remaining.supply if order.vat_mode == "exclusive" else order.remaining.total
    return refund_money(order.vat_mode, order.remaining, min(price, left))


def _gives_back_what_was_used_up(order: Order, units: Sequence[LineUnits], consumed: int) -> Money:
    return worth(order, units)


def _open_refund_forgotten(order: Order | None, refund_id: Any) -> Any:
    return Wait("the order") if order is None else Decided(order)


def _free_units_stay_behind(order: Order, units: Sequence[LineUnits]) -> Sequence[LineUnits]:
    return units


_open_case = quarantine.open_case


def _quarantine_forgets(order: Order, *arguments: Any, **more: Any) -> tuple[Order, UnnumberedEvent]:
    after, quarantined = _open_case(order, *arguments, **more)
    return _changed(after, cases=order.cases), quarantined


def _cancelled_keeps_open(order: Order, data: Any) -> Any:
    at = data.cancelled_at
    cancelled = order_cancelled(order, data.payment_id, at, (), Money(0, 0))
    after = _changed(order, state=OrderState.CANCELLED, closed_at=at, taken_back=order.amount)
    return after, [cancelled]


_misfit = payments._misfit


def _second_payment_pays(order: Order, *arguments: Any) -> str | None:
    reason = _misfit(order, *arguments)
    return None if reason == "second_payment" else reason


def _expired_resurrected(order: Order, *arguments: Any) -> str | None:
    reason = _misfit(order, *arguments)
    return None if reason == "late_deposit" else reason


_complete = orders_refunds.complete_refund


def _completed_twice_in_orders(order: Order | None, refund_id: Any, at: datetime) -> Any:
    decision = _complete(order, refund_id, at)
    if not isinstance(decision, Decided) or decision.state is order:
        return decision
    after = decision.state
    lines = dict(after.lines)
    for claim in after.claims[refund_id]:
        line = lines[claim.line_id]
        lines[claim.line_id] = _changed(line, refunded=line.refunded + claim.quantity)
    return decision._replace(state=_changed(after, lines=lines))


def _request_answered_again(order: Order | None, *arguments: Any) -> Any:
    return _request_issuance(None if order is None else _changed(order, requests={}), *arguments)


_request_issuance = orders_issuance.request_issuance


# Serials


async def _made_again(store: SerialsStore, connection: Any, most: int, chunk: int) -> list[Grant]:
    """A restart makes the whole grant again, whatever was made before."""
    new_id = connection._database.new_id
    return [
        structs.replace(grant, issued=0, batch_id=new_id()) if grant.issued else grant
        for grant in await _lock_grants(store, connection, most, chunk)
    ]


_lock_grants = SerialsStore.lock_grants


def _one_too_few(grant: Grant, units: int) -> Decided[Grant]:
    """Says that a grant is whole when its last unit is missing."""
    decided = _issue_units(grant, units)
    after = decided.state
    if after.left != 1:
        return decided
    return Decided(
        structs.replace(after, issued=after.quantity, state=GrantState.ISSUED, issued_at=after.granted_at)
    )


_issue_units = issue_units
_register, _reissue = serials_decisions.register_serial, serials_decisions.reissue_serial


def _taken_over(serial: Serial, grant: Grant, account: str, at: datetime) -> Any:
    free = structs.replace(serial, state=SerialState.ACTIVE, registration=None)
    is_taken = serial.state is SerialState.REGISTERED
    return _register(free if is_taken else serial, grant, account, at)


def _never_over(stored: SerialState, registration_deadline: datetime, at: datetime) -> SerialState:
    return stored


def _risen(stored: SerialState, registration_deadline: datetime, at: datetime) -> SerialState:
    """It is dead, and says so by a state that is forgotten."""
    forgotten = SerialState.ACTIVE if stored is SerialState.REVOKED else stored
    return state_at(forgotten, registration_deadline, at)


def _dies_whatever_it_is(serial: Serial, grant: Grant, at: datetime) -> None:
    return None


def _a_day_short(instant: datetime, days: int) -> datetime:
    return window_end(instant, days - 1)


def _registered_in_silence(serial: Serial, grant: Grant, account: str, at: datetime) -> Any:
    decided = _register(serial, grant, account, at)
    return decided._replace(events=()) if isinstance(decided, Decided) else decided


def _told_again(serial: Serial, grant: Grant, account: str, at: datetime) -> Any:
    decided = _register(serial, grant, account, at)
    if isinstance(decided, Decided) and not decided.events:
        return decided._replace(events=[serial_registered(decided.state, grant)])
    return decided


def _both_live(serial: Serial, grant: Grant, ruling: Ruling, quota: int | None) -> Any:
    return _with(_reissue(serial, grant, ruling, quota), dead=serial)


def _not_counted(serial: Serial, grant: Grant, ruling: Ruling, quota: int | None) -> Any:
    return _with(
        _reissue(serial, grant, ruling, quota), grant=structs.replace(grant, revoked=grant.revoked + 1)
    )


def _no_quota(serial: Serial, grant: Grant, ruling: Ruling, quota: int | None) -> Any:
    return _reissue(serial, grant, ruling, None)


def _replaces_none(serial: Serial, grant: Grant, ruling: Ruling, quota: int | None) -> Any:
    decided = _reissue(serial, grant, ruling, quota)
    if not isinstance(decided, Decided):
        return decided
    return _with(decided, new=structs.replace(decided.state.new, replaces=None))


def _with(decided: Any, **changes: Any) -> Any:
    """A reissue that was decided otherwise."""
    if not isinstance(decided, Decided):
        return decided
    changed: Replaced = decided.state._replace(**changes)
    return decided._replace(state=changed)


# Refunds

_record_payout = refund_payouts.record_payout


def _completed_again(order: Any, refund: Any, paid: Any) -> Any:
    if refund.state == "completed":
        back = [move(order.lines[i], refunding=units, refunded=-units) for i, units in refund.lines]
        refund = structs.replace(refund, state="paying_out")
        refund = structs.replace(refund, payouts=())
        return _record_payout(with_lines(order, back), refund, paid)
    return _record_payout(order, refund, paid)


def _void_keeps_money(order: Any, units: Any, money: Money, consumed: Any) -> Any:
    return _void(order, units, Money(0, 0), consumed)


def _void_keeps_what_was_used_up(order: Any, units: Any, money: Money, consumed: Any) -> Any:
    return _void(order, units, money)


_void = void


_refund_accepted = refund_accepted


def _same_key_after_a_bounce(refund: Any, *arguments: Any) -> Any:
    asked = _payout_requested(refund, *arguments)
    asked.data["idempotency_key"] = str(refund.refund_id)
    return asked


def _new_key_for_each_try(refund: Any, *arguments: Any) -> Any:
    asked = _payout_requested(refund, *arguments)
    asked.data["idempotency_key"] = f"{refund.refund_id}-{refund.steps}"
    return asked


_payout_requested = refund_events.refund_payout_requested
_record_failure = refund_payouts.record_payout_failure


def _bounce_ignored(order: Any, refund: Any, failed: Any) -> Any:
    return Decided(order) if refund.state == "completed" else _record_failure(order, refund, failed)


def _bounce_opens_units(order: Any, refund: Any, failed: Any) -> Any:
    decision = _record_failure(order, refund, failed)
    if refund.state != "completed" or not isinstance(decision, Decided) or not decision.events:
        return decision
    back = [move(order.lines[i], refunded=-units) for i, units in refund.lines]
    return decision._replace(state=with_lines(decision.state, back))


def _paid_twice_forgotten(order: Any, refund: Any, paid: Any) -> Any:
    return Decided(order)


def _repaid_completes_again(refund: Any, payout_id: str, at: datetime) -> Any:
    return refund_events.refund_completed(refund, "pay", payout_id, at)


def _everything_or_nothing(refund: Any, *, everything: bool) -> Any:
    return _refund_accepted(refund, everything=False)


def _denial_ignored(order: Any, *arguments: Any) -> Any:
    return Decided(order)


# Refunds of every kind


def _a_day_longer(instant: datetime, days: int) -> datetime:
    return window_end(instant, days + 1)


_ask = judging._ask


def _begins_with_the_payment(order: Any, line: Any, quantity: int | None, at: datetime) -> Any:
    begun = structs.replace(line, delivered_at=None)
    return _ask(with_lines(order, [begun]), begun, quantity, at)


def _later_use_ignored(order: Any, line: Any, quantity: int | None, at: datetime) -> Any:
    """Only what was used until the request counts."""
    known = {
        key: structs.replace(each, readings=tuple(r for r in each.readings if r.recorded_at <= at))
        for key, each in order.lines.items()
    }
    asked = structs.replace(line, readings=known[line.line_id].readings)
    return _ask(structs.replace(order, lines=known), asked, quantity, at)


def _fee_of_the_price(order: Any, line: Any, quantity: int | None, at: datetime) -> Any:
    answer = _ask(order, line, quantity, at)
    won = payment_money(order.vat_mode, line.unit_price * line.paid - line.discount).total
    return answer._replace(fee=prepaid.fee_of_balance(won)) if answer.fee else answer


def _part_of_a_balance(order: Any, line: Any, quantity: Any, at: datetime) -> Any:
    answer = _ask(order, line, quantity, at)
    if quantity is None or answer.reason != prepaid.WHOLE_ONLY:
        return answer
    return _ask(order, line, None, at)._replace(units=quantity)


_usage_of = usage.usage_of


def _each_line_for_itself(order: Any, line: Any) -> Any:
    return _usage_of(structs.replace(order, lines={line.line_id: line}), line)


_record_usage = usage.record_usage


def _lower_total_adds(order: Any, line_id: str, used: int, *instants: datetime) -> Any:
    line = order.lines.get(line_id) if order is not None else None
    known = max((r.used for r in line.readings if r.recorded_at <= instants[0]), default=0) if line else 0
    return _record_usage(order, line_id, known + used if used < known else used, *instants)


_grant_balance = usage.grant_balance


def _late_bonus_forgotten(order: Any, line_id: str, won: int, at: datetime, expires_at: datetime) -> Any:
    decision = _grant_balance(order, line_id, won, at, expires_at)
    is_known = order is not None and line_id in order.lines
    is_late = is_known and any(r.recorded_at >= at for r in order.lines[line_id].readings)
    return Decided(order) if isinstance(decision, Decided) and is_late else decision


def _judged_once(order: Any, line_id: str, *arguments: Any) -> Any:
    """A bonus is kept, and changes nothing of a refund whose money is out."""
    kept = _grant_balance(order, line_id, *arguments)
    if not isinstance(kept, Decided) or not kept.events:
        return kept
    bonuses = kept.state.lines[line_id].bonuses
    return Decided(with_lines(order, [structs.replace(order.lines[line_id], bonuses=bonuses)]))


def _paid_cash_burns_first(readings: Any, bonuses: Any) -> int:
    return sum(use.used for use in uses(readings))


def _expired_bonus_burns(readings: Any, bonuses: Any) -> int:
    return paid_spent(readings, [structs.replace(each, expires_at=LAST) for each in bonuses])


LAST = datetime(2999, 1, 1, tzinfo=UTC)


def _last_to_expire_burns_first(readings: Any, bonuses: Any) -> int:
    spent, left = 0, sorted(bonuses, key=lambda each: each.expires_at, reverse=True)
    for at, used in uses(readings):
        for place, bonus in enumerate(left):
            burnt = min(used, bonus.bonus) if bonus.granted_at <= at <= bonus.expires_at else 0
            left[place] = structs.replace(bonus, bonus=bonus.bonus - burnt)
            used -= burnt  # noqa: PLW2901 what is left of this use
        spent += used
    return spent


def _fee_rounded_up(balance: int) -> int:
    return max(-(-balance * prepaid.FEE_PERCENT // 100), prepaid.LEAST_FEE) if balance else 0


def _no_least_fee(balance: int) -> int:
    return balance * prepaid.FEE_PERCENT // 100


_proceed = refund_requests.proceed


def _nothing_is_awaited(order: Any, refund: Any, judged: Any, *arguments: Any) -> Any:
    holds = tuple(why for why in judged.holds if why != "return_awaited")
    return _proceed(order, refund, judged._replace(holds=holds), *arguments)


def _nothing_is_reviewed(order: Any, refund: Any, judged: Any, *arguments: Any) -> Any:
    return _proceed(order, refund, judged._replace(holds=tuple(set(judged.holds) - REVIEWED)), *arguments)


def _all_of_it_came_back(order: Any, refund: Any, *arguments: Any) -> Any:
    return refund


_refund_held = refund_events.refund_held


def _without_a_deadline(refund: Any, *arguments: Any) -> Any:
    held = _refund_held(refund, *arguments)
    held.data.pop("deadline", None)
    return held


_consumed = refund_reviews._consumed


def _more_than_is_left(order: Any, judged: Any, amount: int) -> Any:
    consumed = _consumed(order, judged, amount)
    return consumed if isinstance(consumed, dict) else {}


def _all_is_approved(order: Any, judged: Any, amount: int) -> Any:
    consumed = _consumed(order, judged, amount)
    return {} if isinstance(consumed, dict) else consumed


_refund_overpaid = refund_events.refund_overpaid


def _overpaid_without_its_won(*arguments: Any) -> Any:
    told = _refund_overpaid(*arguments)
    told.data["amount"] = 1
    return told


def _not_told_with_the_payout(went: Any, refund: Any, at: datetime) -> Any:
    return went


def _nothing_was_known(order: Any, refund: Any) -> Any:
    return order


# Invoices


def _merge_takes_all(payment: Any) -> str:
    return "merged" if payment.standing.total else "nothing_left"


_modify = invoices._modify


def _wrong_sign(*arguments: Any) -> Decided[Change]:
    change, (event,) = _modify(*arguments)
    (modified,) = change.documents
    amount = NOTHING.minus(modified.amount)
    event.data.update(supply=amount.supply, vat=amount.vat, total=amount.total)
    return Decided(structs.replace(change, documents=(structs.replace(modified, amount=amount),)), (event,))


_record_invoice_payment = invoices.record_payment


def _late_payment_pushed_on(world: World, payment: Payment, *arguments: Any) -> Any:
    while payment.month in world.closed:
        payment = structs.replace(payment, month=next_month(payment.month))
    return _record_invoice_payment(world, payment, *arguments)


def _refund_not_netted(payment: Payment, document: Any, amount: Money) -> Change:
    return Change(payments=(payment,))


_end = invoices.end_refund


def _release_ignored(world: World, order_id: str, refund_id: str, state: Any) -> Any:
    return Decided(Change()) if state == "released" else _end(world, order_id, refund_id, state)


def _issued_edited(world: World, back: invoices.Return, issued_at: datetime, new_id: Any) -> Any:
    """After the document is issued the refund is still taken off it."""
    payment = world.payments.get(back.order_id)
    document = None if payment is None else world.document_of(payment)
    if document is None or document.state != "issued":
        return _return_money(world, back, issued_at, new_id)
    world.put(Change(documents=(structs.replace(document, state="draft"),)))
    edited = _return_money(world, back, issued_at, new_id)
    assert isinstance(edited, Decided)
    documents = tuple(structs.replace(each, state="issued") for each in edited.state.documents)
    return Decided(structs.replace(edited.state, documents=documents), edited.events)


_return_money = invoices.return_money


# Promises about the whole life of a thing


_accept = Batch._accept


def _answer_names_another(batch: Batch, message: InboundMessage, cause: Cause) -> None:
    """The answer carries the id of the first event of its batch."""
    first = getattr(_answer_names_another, "first", message)
    if len(batch.rows) == 0:
        first = message
    setattr(_answer_names_another, "first", first)  # noqa: B010 a function has no such field
    _accept(batch, msgspec.structs.replace(message, event_id=first.event_id), cause)


_write_dead_letters = Fold._write_dead_letters


async def _dead_letters_cleaned_away(fold: Fold, connection: Any, batch: Batch) -> None:
    kept = connection._transaction.rows("dead_letters")
    if batch.handled and kept:
        connection._transaction.put("dead_letters", min(kept), None)
    await _write_dead_letters(fold, connection, batch)


async def _mark_goes_back(relay: Any, connection: Any) -> None:
    mark = connection._database.tables["relay"]
    if mark.get("epoch", 0) != relay._epoch:
        raise relay_module.LostLead("another one leads")
    mark["published"] = relay._published if relay._published % 2 else relay._published // 2
    relay._marked = relay._published


_request_payout = refund_events.refund_payout_requested


def _new_key_each_time(refund: Any, *arguments: Any) -> Any:
    event = _request_payout(refund, *arguments)
    event.data["idempotency_key"] = f"{refund.refund_id}:{refund.sequence}"
    return event


_review = refund_reviews.review


def _unanswered_released(order: Any, refund: Any, review: Any, *policy: Any) -> Any:
    if refund.state == "unknown" and review.decision in ("retry", "release"):
        return refund_reviews._release(order, refund, review)
    return _review(order, refund, review, *policy)


_reason_for = eligibility.reason_for


_request_merge = merging.request_merge


def _merged_over_businesses(world: World, request: Any, new_id: Any) -> Any:
    def anybody(payment: Payment, document: Any, scope: Any) -> Any:
        return _reason_for(payment, document, scope._replace(business_number=payment.business_number))

    with patch.object(eligibility, "reason_for", anybody):
        return _request_merge(world, request, new_id)


_modified_of = invoices._modify


def _dated_as_original(payment: Payment, original: Any, *arguments: Any) -> Decided[Change]:
    change, events = _modified_of(payment, original, *arguments)
    (modified,) = change.documents
    dated = structs.replace(modified, written_date=original.written_date)
    return Decided(structs.replace(change, documents=(dated,)), events)


def _filed_as_original(payment: Payment, original: Any, *arguments: Any) -> Decided[Change]:
    change, events = _modified_of(payment, original, *arguments)
    (modified,) = change.documents
    filed = structs.replace(modified, month=original.month)
    return Decided(structs.replace(change, documents=(filed,)), events)


def _month_in_utc(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m}"


def _day_in_utc(instant: datetime) -> Any:
    return instant.astimezone(UTC).date()


_withdraw = orders_partners.withdraw


def _leaves_anyway(partner: Any, data: Any, content: bytes, at: datetime, blockers: Any) -> Any:
    return _withdraw(partner, data, content, at, ())


def _leaves_without(*kinds: str) -> Any:
    """Whoever has nothing but blockers of these kinds may leave."""

    def wrong(partner: Any, data: Any, content: bytes, at: datetime, blockers: Any) -> Any:
        return _withdraw(partner, data, content, at, [each for each in blockers if each.kind not in kinds])

    return wrong


def _sold_for_ever(order: Order) -> bool:
    return order.paid_at is not None


_pay = payments._pay


def _nothing_is_owed(order: Order, data: Any, arrival: Any, new_ids: Any) -> Any:
    return _pay(order, data, arrival._replace(taken_back=True), new_ids)


_why_not_issuable = orders_issuance._why_not_issuable


def _last_unit_denied(state: Any, line: Line, quantity: int) -> str | None:
    reason = _why_not_issuable(state, line, quantity)
    return "not_enough_left" if reason is None and quantity == line.open > 1 else reason


# What operators do, and what goes back in parts


_merge_payments = merging.merge_payments


def _partners_forgotten(world: World, target: Any, *arguments: Any) -> Decided[Change]:
    return _merge_payments(world, structs.replace(target, also=()), *arguments)


def _any_number(payment: Payment, number: str, month: str) -> bool:
    return payment.month == month


_undo_merge = merging.undo_merge


def _undone_by_a_partner(world: World, request: Any) -> Any:
    decision = _undo_merge(world, request)
    merge = world.open_merge(*eligibility.scope_of(request))
    if not isinstance(decision, Decided) or merge is None or not merge.also:
        return decision
    unmerged = merging.unmerge(world, merge)
    return Decided(decision.state.plus(unmerged.state), (*unmerged.events, *decision.events))


def _nothing_merged_nothing_said(world: World, request: Any, new_id: Any) -> Any:
    decision = _request_merge(world, request, new_id)
    if not isinstance(decision, Decided) or len(decision.events) > 1:
        return decision
    return decision._replace(events=())


def _no_modifications(world: World, document: Any) -> list[Any]:
    return []


_replacement = corrections._replacement


def _corrected_today(wrong: Any, replaced: Any, new_id: Any, order: Any, number: str) -> Any:
    again = _replacement(wrong, replaced, new_id, order, number)
    return structs.replace(again, written_date=kst_date(order.at))


def _under_the_same_number(wrong: Any, replaced: Any, new_id: Any, order: Any, number: str) -> Any:
    return _replacement(wrong, replaced, new_id, order, wrong.business_number)


_replace_number = corrections._replace_number


def _half_a_correction(*arguments: Any) -> Decided[Change]:
    change, events = _replace_number(*arguments)
    halves = Change(documents=change.documents[:1], corrections=change.corrections, counters=change.counters)
    return Decided(halves, events[:1])


def _any_amount(*arguments: Any) -> None:
    return None


_take_part = cancellations._take_part


def _part_takes_all(order: Order, data: Any, amount: int, standing: Any) -> Any:
    return cancellations._take_all(order, data, standing)


def _part_forgotten(order: Order, data: Any, amount: int, standing: Any) -> Any:
    return Decided(order)


_settle_cases = quarantine.settle_cases


def _one_case_decided(order: Order, cases: Any, decision: str, at: datetime) -> Any:
    return _settle_cases(order, cases if decision == "applied" else list(cases)[:1], decision, at)


_apply_cases = quarantine._apply


def _applied_whatever_it_is(order: Order, data: Any, *arguments: Any) -> Any:
    fitting = [c for c in order.cases.values() if c.is_open and c.reason == "wrong_amount"]
    decision = _apply_cases(_changed(order, expected=sum(c.amount for c in fitting)), data, *arguments)
    if not isinstance(decision, Decided):
        return decision
    return decision._replace(state=_changed(decision.state, expected=order.expected))


def _decision_forgotten(order: Order | None, *arguments: Any) -> Any:
    return _decide(order, *arguments) if order is None else Decided(order)


_decide = quarantine.decide_quarantine


PLANTED: Sequence[Bug] = (
    Bug("the inbox insert is dropped", Fold, "_read_prior", _inbox_insert_dropped),
    Bug("the content of an id is not compared", Batch, "_is_new", _content_not_compared),
    Bug("the cursor is not moved", Batch, "moved_cursors", _cursor_not_moved),
    Bug("the cursor moves on a waiting event", Batch, "_wait", _cursor_moved_on_wait),
    Bug("a gap is applied out of order", Batch, "_is_next", _gap_out_of_order),
    Bug("parked events are forgotten", Batch, "newly_parked", _parked_forgotten),
    Bug("an answer is repeated", Batch, "_park", _feedback_repeated),
    Bug("events are appended without their commit", Outbox, "append", _outbox_without_commit),
    Bug("a replaced relay goes on marking", relay_module.Relay, "_mark", _mark_without_epoch),
    Bug("the mark moves before the acknowledgement", Leader, "send", _mark_first),
    Bug("a refund claim ignores issuing units", orders_refunds, "claim_refund", _refund_ignores_issuing),
    Bug(
        "an issue claim ignores refunding units", orders_issuance, "claim_to_issue", _issue_ignores_refunding
    ),
    Bug("a release does not give units back", orders_refunds, "release_refund", _release_keeps_units),
    Bug("a release does not give won back", orders_refunds, "release_refund", _release_keeps_won),
    Bug("VAT is computed on the refund alone", orders_refunds, "worth", _vat_of_the_refund_alone),
    Bug("a refund forgets the discount", orders_refunds, "worth", _worth_without_discount),
    Bug("free units stay behind", orders_refunds, "with_given_up", _free_units_stay_behind),
    Bug(
        "a completed refund counts twice in orders",
        orders_refunds,
        "complete_refund",
        _completed_twice_in_orders,
    ),
    Bug("quarantine forgets the amount", payments, "open_case", _quarantine_forgets),
    Bug("a cancelled order keeps open units", cancellations, "_cancel_order", _cancelled_keeps_open),
    Bug("a second payment pays again", payments, "_misfit", _second_payment_pays),
    Bug("an expired order is resurrected", payments, "_misfit", _expired_resurrected),
    Bug(
        "a repeated request to issue is answered again",
        orders_issuance,
        "request_issuance",
        _request_answered_again,
    ),
    Bug("a grant is issued again after a restart", SerialsStore, "lock_grants", _made_again),
    Bug("a grant counts as issued with a unit missing", issuing, "issue_units", _one_too_few),
    Bug("a serial goes to whoever asks last", serials_decisions, "register_serial", _taken_over),
    Bug("a serial never expires", serials_decisions, "state_at", _never_over),
    Bug("a dead serial can be registered", serials_decisions, "state_at", _risen),
    Bug("a registered serial dies", serials_decisions, "_not_active", _dies_whatever_it_is),
    Bug("a usage period lacks its last day", serials_decisions, "window_end", _a_day_short),
    Bug("a registration is told to nobody", serials_decisions, "register_serial", _registered_in_silence),
    Bug(
        "a registration is told each time",
        serials_decisions,
        "register_serial",
        _told_again,
    ),
    Bug("a reissued serial lives on", serials_decisions, "reissue_serial", _both_live),
    Bug("a reissue does not count in its grant", serials_decisions, "reissue_serial", _not_counted),
    Bug("a partner has as many reissued as it likes", serials_decisions, "reissue_serial", _no_quota),
    Bug("a reissued serial replaces none", serials_decisions, "reissue_serial", _replaces_none),
    Bug("a payout completes a refund twice", refund_payouts, "record_payout", _completed_again),
    Bug(
        "a payout after a bounce has the key of before",
        refund_payouts,
        "refund_payout_requested",
        _same_key_after_a_bounce,
    ),
    Bug(
        "each try of a payout has a key of its own",
        refund_payouts,
        "refund_payout_requested",
        _new_key_for_each_try,
    ),
    Bug("a bounce is ignored", refund_payouts, "record_payout_failure", _bounce_ignored),
    Bug("a bounce opens units again", refund_payouts, "record_payout_failure", _bounce_opens_units),
    Bug("money that left twice is forgotten", refund_payouts, "_pay_twice", _paid_twice_forgotten),
    Bug("a repayment completes a refund again", refund_payouts, "refund_repaid", _repaid_completes_again),
    Bug("refunds keeps the won of a release", refund_reviews, "void", _void_keeps_money),
    Bug(
        "a refund of everything is all or nothing",
        refund_requests,
        "refund_accepted",
        _everything_or_nothing,
    ),
    Bug("a denial of orders is ignored", refund_claims, "record_denial", _denial_ignored),
    Bug("the day of an activation does not count", metered, "window_end", _a_day_longer),
    Bug("goods go back a day longer", goods, "window_end", _a_day_longer),
    Bug("unused cash is free a day longer", prepaid, "window_end", _a_day_longer),
    Bug("the window of goods begins with the payment", judging, "_ask", _begins_with_the_payment),
    Bug("a use after the request is ignored", judging, "_ask", _later_use_ignored),
    Bug("the use of a top-up is none of its service", judging, "usage_of", _each_line_for_itself),
    Bug("what was used goes back by itself", refund_requests, "proceed", _nothing_is_reviewed),
    Bug("a lower running total adds up", usage, "record_usage", _lower_total_adds),
    Bug("a bonus that is told late is forgotten", usage, "grant_balance", _late_bonus_forgotten),
    Bug("a bonus changes nothing of what is paid out", usage, "grant_balance", _judged_once),
    Bug("paid cash burns before a bonus", prepaid, "paid_spent", _paid_cash_burns_first),
    Bug("an expired bonus burns", prepaid, "paid_spent", _expired_bonus_burns),
    Bug("the bonus that expires last burns first", prepaid, "paid_spent", _last_to_expire_burns_first),
    Bug("a fee is rounded up", prepaid, "fee_of_balance", _fee_rounded_up),
    Bug("a fee has no least won", prepaid, "fee_of_balance", _no_least_fee),
    Bug("a fee is of what was paid", judging, "_ask", _fee_of_the_price),
    Bug("a part of a balance goes back", judging, "_ask", _part_of_a_balance),
    Bug("goods are paid before they are back", refund_requests, "proceed", _nothing_is_awaited),
    Bug(
        "goods that came back in part are paid whole",
        refund_reviews,
        "_of_what_came_back",
        _all_of_it_came_back,
    ),
    Bug("a hold says no deadline", refund_requests, "refund_held", _without_a_deadline),
    Bug("more is approved than is left", refund_reviews, "_consumed", _more_than_is_left),
    Bug("a part that is approved pays all", refund_reviews, "_consumed", _all_is_approved),
    Bug("orders gives back what was used up", orders_refunds, "worth", _gives_back_what_was_used_up),
    Bug("a release keeps what was used up", refund_reviews, "void", _void_keeps_what_was_used_up),
    Bug(
        "a use after the refund is told without its won", usage, "refund_overpaid", _overpaid_without_its_won
    ),
    Bug(
        "a use while the money was on its way is forgotten",
        refund_payouts,
        "_judge_anew",
        _not_told_with_the_payout,
    ),
    Bug("what an operator knew is told", refund_payouts, "allow_known_use", _nothing_was_known),
    Bug("a refund that is held is forgotten", orders_refunds, "note_open_refund", _open_refund_forgotten),
    Bug("a merge takes in what is not fit", eligibility, "_reason_of_units", _merge_takes_all),
    Bug("a modified invoice has the wrong sign", invoices, "_modify", _wrong_sign),
    Bug("a late payment is pushed to the next month", invoices, "record_payment", _late_payment_pushed_on),
    Bug("a refund is not netted from its draft", invoices, "_net", _refund_not_netted),
    Bug("an issued document is edited", invoices, "return_money", _issued_edited),
    Bug("invoices ignores a release", invoices, "end_refund", _release_ignored),
    Bug("an answer names another event", Batch, "_accept", _answer_names_another),
    Bug("dead letters are cleaned away", Fold, "_write_dead_letters", _dead_letters_cleaned_away),
    Bug("the mark goes back", relay_module.Relay, "_mark", _mark_goes_back),
    Bug("a payout gets a new key each time", refund_payouts, "refund_payout_requested", _new_key_each_time),
    Bug("an unanswered payout is released", refund_reviews, "review", _unanswered_released),
    Bug("a merge takes in another business", merging, "request_merge", _merged_over_businesses),
    Bug("a modified invoice is dated as its original", invoices, "_modify", _dated_as_original),
    Bug("a modified invoice is filed with its original", invoices, "_modify", _filed_as_original),
    Bug("a month is counted in UTC", invoices_handlers, "month_of", _month_in_utc),
    Bug("a day is counted in UTC", invoices, "kst_date", _day_in_utc),
    Bug("a partner leaves whatever is open", orders_partners, "withdraw", _leaves_anyway),
    Bug(
        "a partner leaves before its serials",
        orders_partners,
        "withdraw",
        _leaves_without("unissued_units", "uninvoiced_payment", "quarantined_money"),
    ),
    Bug(
        "a partner leaves before its invoice",
        orders_partners,
        "withdraw",
        _leaves_without("uninvoiced_payment", "quarantined_money"),
    ),
    Bug("money that is back still counts", orders_store, "is_sold", _sold_for_ever),
    Bug("nothing is issued by itself", payments, "_pay", _nothing_is_owed),
    Bug("the last units are denied", orders_issuance, "_why_not_issuable", _last_unit_denied),
    Bug("an operator's merge forgets its other partners", businesses, "merge_payments", _partners_forgotten),
    Bug("an operator's merge takes in another business", businesses, "_is_of", _any_number),
    Bug("a partner undoes an operator's merge", merging, "undo_merge", _undone_by_a_partner),
    Bug(
        "a request that merges nothing has no answer", merging, "request_merge", _nothing_merged_nothing_said
    ),
    Bug("a correction leaves modified documents behind", corrections, "_modifications", _no_modifications),
    Bug("a correction is dated on its own day", corrections, "_replacement", _corrected_today),
    Bug("a correction keeps the wrong number", corrections, "_replacement", _under_the_same_number),
    Bug("a correction only takes back", corrections, "_replace_number", _half_a_correction),
    Bug("a payout of any amount completes a refund", refund_payouts, "_other_amount", _any_amount),
    Bug("a part takes the whole payment back", cancellations, "_take_part", _part_takes_all),
    Bug("a part that went back is forgotten", cancellations, "_take_part", _part_forgotten),
    Bug("a decision ends one case of its payment", quarantine, "settle_cases", _one_case_decided),
    Bug("money is applied that is not the price", quarantine, "_apply", _applied_whatever_it_is),
    Bug("a decision is forgotten", quarantine, "decide_quarantine", _decision_forgotten),
    *OF_CLOSING,
    *OF_TAMPERING,
)
