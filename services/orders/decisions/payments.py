"""Money of an order: a deposit is awaited, money arrives, and fits or goes to quarantine."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from msgspec.structs import replace

from services.orders.decisions.cancellations import (
    note_reversal,
    take_back_now,
    taken_back_at,
    taken_back_before,
    went_in_parts,
    without_waiting,
)
from services.orders.decisions.claims import order_cost, pay_lines
from services.orders.decisions.issuance import claim_by_policy
from services.orders.decisions.quarantine import (
    MISSING,
    OF_REFUNDS,
    holds_money,
    open_case,
    open_cases,
    settle_cases,
)
from services.orders.events import (
    UnnumberedEvent,
    decided,
    order_expired,
    order_paid,
    order_registered,
    snapshot,
)
from services.orders.state import Case, Line, Order, OrderState, Payment, Repeat, Reversal
from shared.events.checkout import PaymentCompleted, PaymentPending
from shared.runtime.decisions import Decided, Decision, Reject

LARGEST_AMOUNT = 10**15
_NEEDS_NO_MONEY = {
    OrderState.PAID: "second_payment",
    OrderState.CANCELLED: "order_closed",
    OrderState.REFUNDED: "order_closed",
}
"""Why money for an order in one of these states goes to quarantine."""


class Arrival(NamedTuple):
    """How a payment came: by which event and when, and what is known about it already.

    `refused`: its partner has withdrawn. `taken_back`: upstream said that all of it was taken back before it
    came. `content` is what it says (see `payment_content`), `known` what was heard of its id before.
    """

    event_id: str
    at: datetime
    refused: bool = False
    taken_back: bool = False
    content: bytes = b""
    known: Payment | None = None


def payment_content(data: PaymentCompleted) -> bytes:
    """A hash (16 bytes) of what a payment pays: its amount, its buyer and the goods with their prices."""
    # A discount of nothing is the same as none.
    goods = [
        line.model_dump(exclude={"product_name"}) | {"discount": line.discount or 0} for line in data.lines
    ]
    said = (data.amount, data.partner.partner_id, data.vat_mode, goods)
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def register_order(
    order: Order | None, data: PaymentPending, event_id: str, at: datetime, refused: bool
) -> Decision[Order]:
    """A deposit is awaited; meanwhile the newest snapshot and deadline count. A paid order stays what it is.

    `refused` says that the partner has withdrawn: it cannot order any more.
    """
    reject = _why_not_registered(order, data, refused)
    if reject is not None:
        return reject
    if order is not None and not order.needs_money:
        return Decided(order)
    new = replace(
        _unpaid_order(data, event_id, at, order),
        state=OrderState.PENDING_DEPOSIT,
        deposit_deadline=data.deposit_deadline,
    )
    if order is None or order.state in (OrderState.UNKNOWN, OrderState.UNPAID):
        return decided(new, order_registered(new))
    if (at, event_id) <= (order.registered_at, order.registered_by):
        return Decided(order)
    if snapshot(new) == snapshot(order) and new.deposit_deadline == order.deposit_deadline:
        return Decided(replace(order, registered_at=at, registered_by=event_id))
    return decided(new, order_registered(new))


def record_payment(
    order: Order | None, data: PaymentCompleted, arrival: Arrival, new_ids: Iterable[UUID]
) -> Decision[Order]:
    """Money arrived: it pays the order, or goes to quarantine with the reason. It is never merely refused.

    The order is then as this payment says: its snapshot replaces that of the pending order as a whole. With
    the policy `automatic` all units are claimed to issue, unless the payment is known to be taken back.
    """
    if order is not None and _is_known(order, data, arrival):
        return Decided(_with_repeat(order, data))
    before = taken_back_before(order, data.payment_id) if order is not None else {}
    gone_at = _gone_at(before, data)
    if order is not None and gone_at is not None:
        order = without_waiting(order, data.payment_id, until=gone_at)
        return Decided(note_reversal(order, data.payment_id, Reversal(gone_at)))
    recorded = _record(order, data, arrival, new_ids)
    if not before or not isinstance(recorded, Decided):
        return recorded
    taken = take_back_now(recorded.state, data.payment_id, before)
    return Decided(taken.state, (*recorded.events, *taken.events))


def _gone_at(before: Mapping[datetime, int], data: PaymentCompleted) -> datetime | None:
    """Since when nothing is left of a payment that comes after its cancellations; None where something is."""
    gone = 0
    for at, amount in sorted(before.items()):
        gone += amount if at >= data.paid_at else 0
        if gone >= data.amount > 0:
            return at
    return None


def _record(
    order: Order | None, data: PaymentCompleted, arrival: Arrival, new_ids: Iterable[UUID]
) -> Decision[Order]:
    cost = order_cost(data.vat_mode, data.lines).total
    missing = _won_back(order, data) if order is not None else []
    if order is not None and missing:
        return _reinstate(order, missing, data)
    if order is None or order.state is OrderState.UNKNOWN:
        order = _unpaid_order(data, arrival.event_id, arrival.at, order)
    reason = _misfit(order, data, arrival, cost)
    if reason is not None:
        return _set_aside(order, data, arrival, reason)
    return _pay(order, data, arrival, new_ids)


def payment_after(
    before: Order | None, after: Order, data: PaymentCompleted, arrival: Arrival
) -> Payment | None:
    """What is known of the payment once its order has taken it; None where the order did not."""
    known = arrival.known
    if known is not None and known.order_id != after.order_id:
        return None
    cases = len(before.cases) if before else 0
    if len(after.cases) > cases:
        is_taken = after.cases[cases].reason != "payment_conflict"
    else:
        is_taken = after.state is OrderState.PAID and (before is None or before.state is not OrderState.PAID)
    return Payment(data.payment_id, after.order_id, data.amount, arrival.content) if is_taken else None


def expire_deposit(order: Order, now: datetime) -> Decided[Order]:
    """The deposit did not come in time; nothing changes while it still may."""
    if (
        order.state is not OrderState.PENDING_DEPOSIT
        or order.deposit_deadline is None
        or now <= order.deposit_deadline
    ):
        return Decided(order)
    order, expired = _expire(order)
    return decided(order, expired)


def expired_at(deadline: datetime) -> datetime:
    """The first whole second after the deadline."""
    return deadline.replace(microsecond=0) + timedelta(seconds=1)


def _why_not_registered(order: Order | None, data: PaymentPending, refused: bool) -> Reject | None:
    partner = data.partner.partner_id
    if order is not None and order.state in (OrderState.EXPIRED, OrderState.CANCELLED):
        detail = f"order {order.order_id} is {order.state}: use a new order id"
        return Reject("inconsistent", "/order_id", detail)
    if order is not None and not order.needs_money:
        if partner == order.partner_id:
            return None
        detail = f"order {order.order_id} was paid by partner {order.partner_id}: use a new order id"
        return Reject("inconsistent", "/partner/partner_id", detail)
    if refused:
        return Reject("inconsistent", "/partner/partner_id", f"partner {partner} has withdrawn")
    cost = order_cost(data.vat_mode, data.lines).total
    if cost > LARGEST_AMOUNT:
        detail = f"the order comes to {cost} won; the most is {LARGEST_AMOUNT}"
        return Reject("out_of_range", "/lines", detail)
    return None


def _unpaid_order(
    data: PaymentPending | PaymentCompleted, event_id: str, at: datetime, known: Order | None
) -> Order:
    """The order of this snapshot, without money; with what is kept of the order that it replaces."""
    lines = _lines(data)
    order = Order(
        order_id=data.order_id,
        partner_id=data.partner.partner_id,
        state=OrderState.UNPAID,
        payment_method=data.payment_method,
        evidence=data.evidence,
        issue_policy=data.issue_policy,
        vat_mode=data.vat_mode,
        partner=data.partner.model_dump(exclude_none=True),
        expected=order_cost(data.vat_mode, lines.values()).total,
        registered_by=event_id,
        registered_at=at,
        lines=lines,
    )
    if known is None:
        return order
    return replace(
        order,
        sequence=known.sequence,
        reversals=known.reversals,
        repeats=known.repeats,
        # The same lines stay the same object, so that nothing has to be compared or written for them.
        lines=known.lines if known.lines == order.lines else order.lines,
        requests=known.requests,
        cases=known.cases,
    )


def _lines(data: PaymentPending | PaymentCompleted) -> dict[str, Line]:
    return {
        line.line_id: Line(
            data.order_id,
            line.line_id,
            position,
            line.kind,
            line.product_id,
            line.product_name,
            line.unit_price,
            line.usage_days,
            line.quantity,
            line.discount or 0,
        )
        for position, line in enumerate(data.lines)
    }


def _is_known(order: Order, data: PaymentCompleted, arrival: Arrival) -> bool:
    """Whether this money was heard of, or is what upstream took back before it came."""
    is_gone = taken_back_at(order, data.payment_id) is not None and not went_in_parts(order, data.payment_id)
    if is_gone and not _is_new_money(order, data):
        return True
    return _was_told(order, data, arrival) or _came_again(order, data)


def _with_repeat(order: Order, data: PaymentCompleted) -> Order:
    """A known payment that is said to be paid later may be new money: the news that it was taken back in
    between may be on its way.
    """
    payment_id, repeated = data.payment_id, order.repeats.get(data.payment_id)
    instants = list(_instants(order, payment_id))
    if taken_back_at(order, payment_id) is not None or not instants:
        return order
    if data.paid_at <= max([*instants, repeated.at] if repeated else instants):
        return order
    return replace(order, repeats={**order.repeats, payment_id: Repeat(data.paid_at, data.amount)})


def _is_new_money(order: Order, data: PaymentCompleted) -> bool:
    """Paid after its payment was taken back as a whole."""
    gone = taken_back_at(order, data.payment_id)
    if gone is None or gone.at is None:
        return False
    if data.paid_at != gone.at:
        return data.paid_at > gone.at
    return any(instant < data.paid_at for instant in _instants(order, data.payment_id))


def _instants(order: Order, payment_id: str) -> Iterator[datetime]:
    """When money of this payment was paid, as far as it is here or was."""
    if order.payment_id == payment_id and order.paid_at is not None:
        yield order.paid_at
    for case in order.cases.values():
        if case.payment_id == payment_id and holds_money(case):
            yield case.opened_at


def _was_told(order: Order, data: PaymentCompleted, arrival: Arrival) -> bool:
    """Whether the order or a case holds the money of this payment, with this content; or held it."""
    again = _is_new_money(order, data)
    pays = order.payment_id == data.payment_id and not (again and order.paid_at != data.paid_at)
    if pays and not order.payment_ids and _is_same(order, data, arrival):
        return True
    return any(
        case.payment_id == data.payment_id
        and holds_money(case)
        and (case.content == arrival.content if case.content is not None else case.amount == data.amount)
        and not (again and case.opened_at != data.paid_at)
        for case in order.cases.values()
    )


def _is_same(order: Order, data: PaymentCompleted, arrival: Arrival) -> bool:
    """Whether the payment that pays the order says the same as this one."""
    known = arrival.known
    if known is None or known.order_id != order.order_id:
        return data.amount == order.amount
    return known.amount == data.amount if known.content is None else known.content == arrival.content


def _came_again(order: Order, data: PaymentCompleted) -> bool:
    return any(
        case.payment_id == data.payment_id
        and case.decision == "reinstated"
        and case.settled_at == data.paid_at
        for case in order.cases.values()
    )


def _won_back(order: Order, data: PaymentCompleted) -> list[Case]:
    """The open cases of missing money of this payment that end with it: it was paid after the money went, and
    is as much.
    """
    missing = [
        case
        for case in open_cases(order, data.payment_id)
        if case.reason in MISSING and case.reason not in OF_REFUNDS and case.opened_at < data.paid_at
    ]
    if missing and -sum(case.amount for case in missing) == data.amount:
        return missing
    return [case for case in missing if -case.amount == data.amount][:1]


def _reinstate(order: Order, cases: list[Case], data: PaymentCompleted) -> Decided[Order]:
    order, settled = settle_cases(order, cases, "reinstated", data.paid_at)
    return decided(replace(order, taken_back=order.taken_back - data.amount), *settled)


def _misfit(order: Order, data: PaymentCompleted, arrival: Arrival, cost: int) -> str | None:
    known = arrival.known
    is_own = order.payment_id == data.payment_id or (known is not None and known.order_id == order.order_id)
    if known is not None and not is_own:
        return "payment_used"
    if is_own and not _is_new_money(order, data):
        return "payment_conflict"
    if order.state in _NEEDS_NO_MONEY:
        return _NEEDS_NO_MONEY[order.state]
    is_late = order.deposit_deadline is not None and data.paid_at > order.deposit_deadline
    if order.state is OrderState.EXPIRED:
        return "late_deposit" if is_late else "told_late"
    if arrival.refused:
        return "order_closed"
    if is_late:
        return "late_deposit"
    return "wrong_amount" if data.amount != cost else None


def _pay(order: Order, data: PaymentCompleted, arrival: Arrival, new_ids: Iterable[UUID]) -> Decided[Order]:
    paid = replace(
        _unpaid_order(data, order.registered_by, order.registered_at, order),
        state=OrderState.PAID,
        deposit_deadline=order.deposit_deadline,
        payment_id=data.payment_id,
        paid_at=data.paid_at,
    )
    is_pending = order.state is OrderState.PENDING_DEPOSIT
    differs = tuple(_differences(snapshot(order), snapshot(paid))) if is_pending else ()
    order = pay_lines(paid)
    events = [order_paid(order, differs)]
    if not arrival.taken_back:
        order, granted = claim_by_policy(order, arrival.at, new_ids)
        events += granted
    return decided(order, *events)


def _differences(one: Any, other: Any, pointer: str = "") -> Iterator[str]:
    """The JSON Pointers at which two documents differ; a member that is null is as good as absent."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            step = name.replace("~", "~0").replace("/", "~1")
            yield from _differences(one.get(name), other.get(name), f"{pointer}/{step}")
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            first, second = (each[index] if index < len(each) else None for each in (one, other))
            yield from _differences(first, second, f"{pointer}/{index}")
    elif one != other:
        yield pointer


def _set_aside(order: Order, data: PaymentCompleted, arrival: Arrival, reason: str) -> Decided[Order]:
    """The money is kept apart; where there is none, nothing is."""
    events: list[UnnumberedEvent] = []
    if reason == "wrong_amount" and order.state is OrderState.UNPAID and arrival.at > order.registered_at:
        order = _unpaid_order(data, arrival.event_id, arrival.at, order)
    if reason == "late_deposit" and order.state is OrderState.PENDING_DEPOSIT:
        order, expired = _expire(order)
        events.append(expired)
    if data.amount:
        order, quarantined = open_case(
            order,
            data.payment_id,
            reason,
            data.amount,
            data.paid_at,
            method=data.payment_method,
            partner_id=data.partner.partner_id,
            content=arrival.content,
        )
        events.append(quarantined)
    return decided(order, *events)


def _expire(order: Order) -> tuple[Order, UnnumberedEvent]:
    assert order.deposit_deadline is not None
    at = expired_at(order.deposit_deadline)
    return replace(order, state=OrderState.EXPIRED, closed_at=at), order_expired(order, at)
