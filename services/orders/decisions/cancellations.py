"""A payment that upstream takes back: all of it or a part (domain.md section 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from services.orders.decisions.claims import change_lines, worth
from services.orders.decisions.quarantine import (
    GATEWAY,
    MISSING,
    holds_money,
    open_case,
    open_cases,
    settle_cases,
)
from services.orders.events import UnnumberedEvent, decided, order_cancelled
from services.orders.state import Case, ClaimState, Line, Order, OrderState, Purpose, Reversal
from shared.events.checkout import PaymentCancelled
from shared.money import Money
from shared.runtime.decisions import Decided, Decision, Reject, Wait
from shared.units import LineUnits

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_FAR_OFF = datetime.max.replace(tzinfo=UTC)


def cancel_payment(order: Order | None, data: PaymentCancelled) -> Decision[Order]:
    """Upstream took a payment back, or a part of it.

    Open units of a paid order count as refunded, without a payout. For units issued, being issued or being
    refunded the money is missing: a case holds the negative amount. A part that is less than what is left of
    the payment leaves the order as it is and opens a case. A payment that never arrived is remembered, so
    that it changes nothing when it comes late. The echo of a refund of ours is no news, and not asked here.
    """
    if order is None:
        return Wait(f"order {data.order_id} to be known")
    if _is_known(order, data):
        return Decided(order)
    standing = _standing(order, data.payment_id, data.cancelled_at)
    is_over = standing.since is None or data.cancelled_at < standing.since
    if went_in_parts(order, data.payment_id) and (is_over or (data.amount is None and not standing.is_own)):
        more = _take_more(order, data)
        return more if is_over else _and_then(more, _take_all(more.state, data, standing))
    if standing.since is None:
        return _remember(order, data)
    if data.cancelled_at < standing.since:
        detail = f"payment {data.payment_id} was paid at {standing.since.isoformat()}, after its cancellation"
        return Reject("out_of_range", "/cancelled_at", detail)
    if standing.is_own and order.state is OrderState.REFUNDED:
        return _after_refund(order, data, standing)
    amount = _part(order, data)
    if amount is not None and amount < _left(order, standing) + sum(case.amount for case in standing.cases):
        return _take_part(order, data, amount, standing)
    if standing.is_own and not _left(order, standing) and amount is not None and amount < order.amount:
        return _take_part(order, data, amount, standing)
    if amount is not None and amount < -sum(case.amount for case in standing.won_back):
        return _take_won_back(order, data, amount, standing.won_back)
    return _take_all(order, data, standing)


def taken_back_at(order: Order, payment_id: str) -> Reversal | None:
    """The latest word of upstream that nothing is left of a payment."""
    whole = [each for each in order.reversals.get(payment_id, ()) if each.amount is None]
    return max(whole, key=lambda each: each.at or _LONG_AGO, default=None)


def taken_back_before(order: Order, payment_id: str) -> dict[datetime, int]:
    """What upstream took back of money of this payment that has not come yet: won by instant."""
    said = order.reversals.get(payment_id, ())
    return {each.at: each.amount for each in said if each.waits and each.at and each.amount}


def without_waiting(order: Order, payment_id: str, until: datetime = _FAR_OFF) -> Order:
    """The order that does not wait for money any more of which a part went until this instant."""
    known = order.reversals.get(payment_id, ())
    others = tuple(each for each in known if not (each.waits and each.at and each.at <= until))
    return replace(order, reversals={**order.reversals, payment_id: others})


def take_back_now(order: Order, payment_id: str, before: Mapping[datetime, int]) -> Decided[Order]:
    """Money has come of which upstream took parts back before: they go from it now."""
    result = Decided(without_waiting(order, payment_id))
    for at, amount in sorted(before.items()):
        part = PaymentCancelled.model_construct(
            order_id=order.order_id, payment_id=payment_id, cancelled_at=at, amount=amount
        )
        taken = cancel_payment(result.state, part)
        # What was taken back before this money was paid is none of it.
        if isinstance(taken, Decided):
            result = _and_then(result, taken)
    return result


def went_in_parts(order: Order, payment_id: str) -> bool:
    """Whether it was a part that left nothing of a payment. Any other part of it may be told later."""
    whole = taken_back_at(order, payment_id)
    return whole is not None and any(
        each.at == whole.at and each.amount is not None and not each.waits
        for each in order.reversals[payment_id]
    )


def take_back_released(order: Order, units: Sequence[LineUnits], at: datetime) -> Decided[Order]:
    """The units of a released refund follow the payment that was taken back; less is missing then.

    When nothing is missing any more, the cases about it end with the payment.
    """
    payment_id = order.payment_id
    assert payment_id is not None
    order, money = _refund_open(order, units, at)
    events = [order_cancelled(order, payment_id, at, units, money)]
    if money.total:
        order, quarantined = open_case(order, payment_id, "cancelled_after_issue", money.total, at)
        events.append(quarantined)
    missing = [case for case in open_cases(order, payment_id) if case.reason == "cancelled_after_issue"]
    if missing and not sum(case.amount for case in missing):
        order, settled = settle_cases(order, missing, "taken_back", at)
        events += settled
    return decided(order, *events)


@dataclass(slots=True, frozen=True)
class _Standing:
    """What upstream could take back of a payment at an instant: what was paid later is none of it.

    `is_own`: it pays the order. `cases` hold money of it in quarantine. `won_back` are cases that its money
    ended by coming again. `since`: the first instant at which any of its money was paid, also later than the
    instant; None where nothing is.
    """

    is_own: bool
    cases: tuple[Case, ...]
    won_back: tuple[Case, ...]
    since: datetime | None


def _standing(order: Order, payment_id: str, at: datetime) -> _Standing:
    whole = taken_back_at(order, payment_id)
    of_payment = [case for case in order.cases.values() if case.payment_id == payment_id]
    own_since = _own_since(order, payment_id, whole)
    cases = [case for case in of_payment if case.is_open and holds_money(case)]
    won_back = {
        case: case.settled_at
        for case in of_payment
        if case.decision == "reinstated"
        and case.settled_at is not None
        and whole is not None
        and whole.at is not None
        and case.settled_at >= whole.at
    }
    instants = [*(case.opened_at for case in cases), *won_back.values()]
    if own_since is not None:
        instants.append(own_since)
    return _Standing(
        own_since is not None and own_since <= at,
        tuple(case for case in cases if case.opened_at <= at),
        tuple(case for case, since in won_back.items() if since <= at),
        min(instants, default=None),
    )


def _own_since(order: Order, payment_id: str, whole: Reversal | None) -> datetime | None:
    """Since when money of this payment pays the order; None where it does not, or was taken back since.

    Money that was paid again under an id whose payment was taken back before is new.
    """
    if not _pays(order, payment_id) or order.state not in (OrderState.PAID, OrderState.REFUNDED):
        return None
    ended = (case for case in order.cases.values() if case.payment_id == payment_id)
    applied = [case.opened_at for case in ended if case.decision == "applied"]
    since = min(applied, default=order.paid_at)
    if since is None or whole is None:
        return since
    is_new = whole.at is not None and (whole.at < since or (whole.at == since and not applied))
    return since if is_new else None


def _pays(order: Order, payment_id: str) -> bool:
    return payment_id == order.payment_id or payment_id in order.payment_ids


def _is_known(order: Order, data: PaymentCancelled) -> bool:
    said = order.reversals.get(data.payment_id, ())
    if any((each.at, each.amount) == (data.cancelled_at, data.amount) for each in said):
        return True
    whole = taken_back_at(order, data.payment_id)
    if whole is None or went_in_parts(order, data.payment_id):
        return False
    return whole.at is None or data.cancelled_at <= whole.at


def _remember(order: Order, data: PaymentCancelled) -> Decision[Order]:
    """Nothing of the payment is here: it is yet to come, or it is gone already.

    Of money that is yet to come nobody knows whether it is more than what went back of it.
    """
    payment_id, amount = data.payment_id, data.amount
    is_heard_of = _pays(order, payment_id) or any(c.payment_id == payment_id for c in order.cases.values())
    is_heard_of = is_heard_of or payment_id in order.reversals
    if not is_heard_of and amount is not None and amount < order.expected:
        return Wait(f"payment {payment_id} of order {order.order_id} to arrive")
    if amount is not None:
        return Decided(note_reversal(order, payment_id, Reversal(data.cancelled_at, amount, waits=True)))
    order, paid_again = _paid_again(order, payment_id, data.cancelled_at)
    return decided(note_reversal(order, payment_id, Reversal(data.cancelled_at)), *paid_again)


def note_reversal(order: Order, payment_id: str, reversal: Reversal) -> Order:
    """The order that knows of this reversal of a payment."""
    known = order.reversals.get(payment_id, ())
    if reversal in known:
        return order
    return replace(order, reversals={**order.reversals, payment_id: (*known, reversal)})


def _part(order: Order, data: PaymentCancelled) -> int | None:
    """What went back in won, None for all that is left. One of several payments is a part of their sum."""
    if data.amount is not None or data.payment_id not in order.payment_ids:
        return data.amount
    applied = [case for case in order.cases.values() if case.decision == "applied"]
    return sum(case.amount for case in applied if case.payment_id == data.payment_id)


def _left(order: Order, standing: _Standing) -> int:
    """What is left of the order's payment after refunds and earlier parts, in won."""
    return max(order.remaining.total - order.taken_back, 0) if standing.is_own else 0


def _take_part(order: Order, data: PaymentCancelled, amount: int, standing: _Standing) -> Decided[Order]:
    """A part went back: of money in quarantine what is left of its case, else a case of the missing part."""
    at, payment_id = data.cancelled_at, data.payment_id
    order = note_reversal(order, payment_id, Reversal(at, data.amount))
    amount = min(amount, order.amount - order.taken_back) if standing.is_own else amount
    exact = [case for case in standing.cases if case.amount == amount]
    if standing.is_own and not exact:
        if not amount:
            return Decided(order)
        order = replace(order, taken_back=order.taken_back + amount)
        order, quarantined = open_case(order, payment_id, "partly_cancelled", -amount, at)
        return decided(order, quarantined)
    chosen = exact[:1] or standing.cases
    order, events = settle_cases(order, chosen, "taken_back", at)
    rest = sum(case.amount for case in chosen) - amount
    if rest > 0:
        first = chosen[0]
        order, quarantined = open_case(
            order,
            payment_id,
            first.reason,
            rest,
            first.opened_at,
            partner_id=first.partner_id,
            content=first.content,
        )
        events.append(quarantined)
    return decided(order, *events)


def _take_more(order: Order, data: PaymentCancelled) -> Decided[Order]:
    """More goes back of a payment of which a part had left nothing: what refunds had of it is missing now."""
    at, payment_id = data.cancelled_at, data.payment_id
    if not _pays(order, payment_id) or order.state is not OrderState.CANCELLED:
        return Decided(order)
    order = note_reversal(order, payment_id, Reversal(at, data.amount))
    left = _still_there(order) - _came_later(order, payment_id, at)
    gone = max(left if data.amount is None else min(data.amount, left), 0)
    if not gone:
        return Decided(order)
    order = replace(order, taken_back=order.taken_back + gone)
    order, quarantined = open_case(order, payment_id, "cancelled_after_issue", -gone, at)
    return decided(order, quarantined)


def _and_then(first: Decided[Order], second: Decided[Order]) -> Decided[Order]:
    """Both, one after the other."""
    return Decided(second.state, (*first.events, *second.events))


def _came_later(order: Order, payment_id: str, at: datetime) -> int:
    """Won of a payment that was taken back and that came again after this instant."""
    return -sum(
        case.amount
        for case in order.cases.values()
        if case.payment_id == payment_id
        and case.decision == "reinstated"
        and case.settled_at is not None
        and case.settled_at > at
    )


def _take_all(order: Order, data: PaymentCancelled, standing: _Standing) -> Decided[Order]:
    """Nothing is left of the payment: neither on the order nor in quarantine."""
    at, payment_id = data.cancelled_at, data.payment_id
    if data.amount is not None and data.amount < _came(order, payment_id):
        order = note_reversal(order, payment_id, Reversal(at, data.amount))
    order = note_reversal(order, payment_id, Reversal(at))
    events: list[UnnumberedEvent] = []
    if standing.is_own:
        order, events = _cancel_order(order, data)
    order, settled = settle_cases(order, standing.cases, "taken_back", at)
    events += settled
    for case in standing.won_back:
        order, missing = _miss_again(order, case, -case.amount, at)
        events += missing
    order, paid_again = _paid_again(_with_later_parts_waiting(order, payment_id, at), payment_id, at)
    gone = decided(order, *events, *paid_again)
    if not paid_again:
        return gone
    return _and_then(gone, take_back_now(gone.state, payment_id, taken_back_before(gone.state, payment_id)))


def _take_won_back(
    order: Order, data: PaymentCancelled, amount: int, won_back: Sequence[Case]
) -> Decided[Order]:
    """A part went of money whose coming again had ended cases of missing money: it is missing again."""
    order = note_reversal(order, data.payment_id, Reversal(data.cancelled_at, amount))
    order, events = _miss_again(order, won_back[0], amount, data.cancelled_at)
    return decided(order, *events)


def _miss_again(order: Order, case: Case, won: int, at: datetime) -> tuple[Order, list[UnnumberedEvent]]:
    gone = min(won, _still_there(order))
    if gone <= 0:
        return order, []
    order = replace(order, taken_back=order.taken_back + gone)
    order, quarantined = open_case(order, case.payment_id, case.reason, -gone, at)
    return order, [quarantined]


def _with_later_parts_waiting(order: Order, payment_id: str, at: datetime) -> Order:
    """All that came until an instant is gone: parts that went later are of money that came later."""
    known = tuple(
        replace(each, waits=True)
        if each.amount is not None and each.at is not None and each.at > at
        else each
        for each in order.reversals.get(payment_id, ())
    )
    return replace(order, reversals={**order.reversals, payment_id: known})


def _paid_again(order: Order, payment_id: str, gone_at: datetime) -> tuple[Order, list[UnnumberedEvent]]:
    """A payment that was made anew after it was taken back, where that was said first: missing money is back,
    or there is new money.
    """
    repeat = order.repeats.get(payment_id)
    if repeat is None or repeat.at <= gone_at or not repeat.amount:
        return order, []
    at, amount = repeat.at, repeat.amount
    missing = [case for case in open_cases(order, payment_id) if case.reason in MISSING]
    if missing and -sum(case.amount for case in missing) == amount:
        order = replace(order, taken_back=order.taken_back - amount)
        return settle_cases(order, missing, "reinstated", at)
    order, quarantined = open_case(order, payment_id, "order_closed", amount, at)
    return order, [quarantined]


def _came(order: Order, payment_id: str) -> int:
    """Won of the payment as it came, before any part of it went back."""
    if order.payment_id == payment_id and not order.payment_ids:
        return order.amount
    came: dict[tuple[datetime, bytes | None], int] = {}
    for case in order.cases.values():
        if case.payment_id == payment_id and holds_money(case):
            came.setdefault((case.opened_at, case.content), case.amount)
    return sum(came.values())


def _cancel_order(order: Order, data: PaymentCancelled) -> tuple[Order, list[UnnumberedEvent]]:
    """Open units go back with the payment; what it paid for the others is missing from now on."""
    at, before = data.cancelled_at, order.taken_back
    gone = before + _gone(order, data.amount)
    units = tuple(LineUnits(line.line_id, line.open) for line in order.lines.values() if line.open)
    order = replace(order, state=OrderState.CANCELLED, closed_at=at, taken_back=gone)
    order, money = _refund_open(order, units, at)
    events = [order_cancelled(order, data.payment_id, at, units, money)]
    parts = [case for case in order.cases.values() if case.reason == "partly_cancelled"]
    made_good = sum(case.amount for case in parts if case.decision in ("returned", "kept"))
    order, settled = settle_cases(order, (case for case in parts if case.is_open), "taken_back", at)
    events += settled
    missing = gone + made_good - money.total
    if missing:
        order, quarantined = open_case(order, data.payment_id, "cancelled_after_issue", -missing, at)
        events.append(quarantined)
    return order, events


def _gone(order: Order, amount: int | None) -> int:
    """What goes back now, in won: where upstream does not say, all that the payment gateway still has of the
    payment. What we refunded through the gateway went back before.
    """
    if amount is not None:
        return min(amount, order.amount - order.taken_back)
    return max(_still_there(order), 0)


def _still_there(order: Order) -> int:
    """Won of the payment that upstream can still take back: neither taken back nor refunded through it."""
    left = order.amount - order.taken_back
    return left - _refunded(order) if order.payment_method in GATEWAY else left


def _refunded(order: Order) -> int:
    """What was paid out as refunds, in won."""
    return sum(
        claims[0].money.total
        for claims in order.claims.values()
        if claims[0].purpose is Purpose.REFUND and claims[0].state is ClaimState.CONFIRMED
    )


def _after_refund(order: Order, data: PaymentCancelled, standing: _Standing) -> Decided[Order]:
    """Of a refunded order the gateway only repeats what we refunded through it; a bank payout left twice.

    Other money under the same id goes with the whole of it.
    """
    if order.payment_method in GATEWAY:
        return Decided(order)
    left = order.amount - order.taken_back
    gone = left if data.amount is None else min(data.amount, left)
    order = note_reversal(
        order, data.payment_id, Reversal(data.cancelled_at, data.amount if gone < left else None)
    )
    events: list[UnnumberedEvent] = []
    if data.amount is None:
        order, events = settle_cases(order, standing.cases, "taken_back", data.cancelled_at)
    if gone:
        order = replace(order, taken_back=order.taken_back + gone)
        order, quarantined = open_case(
            order, data.payment_id, "cancelled_after_refund", -gone, data.cancelled_at
        )
        events.append(quarantined)
    if data.amount is None:
        order, paid_again = _paid_again(order, data.payment_id, data.cancelled_at)
        events += paid_again
    return decided(order, *events)


def _refund_open(order: Order, units: Sequence[LineUnits], at: datetime) -> tuple[Order, Money]:
    def refund(line: Line, quantity: int) -> Line:
        return replace(line, refunded=line.refunded + quantity, refund_claimed_at=at)

    money = worth(order, units)
    lines = change_lines(order, units, refund)
    return replace(order, lines=lines, remaining=order.remaining.minus(money)), money
