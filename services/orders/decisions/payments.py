"""Money of an order: a deposit is awaited, money arrives, fits or goes to quarantine, or is taken back."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from services.orders.decisions.claims import change_lines, worth
from services.orders.decisions.issuance import SERIALS, claim_to_issue
from services.orders.events import (
    UnnumberedEvent,
    decided,
    order_cancelled,
    order_expired,
    order_paid,
    order_registered,
    payment_quarantined,
)
from services.orders.state import Case, Line, Order, OrderState
from shared.events.checkout import PaymentCancelled, PaymentCompleted, PaymentPending
from shared.money import NOTHING, Money, payment_money, price_sum
from shared.runtime.decisions import Decided, Decision, Reject, Wait
from shared.units import LineUnits

AUTOMATIC = "automatic"
LARGEST_AMOUNT = 10**15
_NEEDS_NO_MONEY = {
    OrderState.PAID: "second_payment",
    OrderState.CANCELLED: "order_closed",
    OrderState.REFUNDED: "order_closed",
    OrderState.EXPIRED: "late_deposit",
}
"""Why money for an order in one of these states goes to quarantine; the other states wait for money."""


class Arrival(NamedTuple):
    """How a payment came: by which event and when, and what is known about it already.

    `refused`: its partner has withdrawn. `taken_back`: upstream said that it was taken back before it came.
    """

    event_id: str
    at: datetime
    refused: bool = False
    taken_back: bool = False


def register_order(
    order: Order | None, data: PaymentPending, event_id: str, at: datetime, refused: bool
) -> Decision[Order]:
    """A deposit is awaited. A known order is not registered twice, and stays what it is.

    `refused` says that the partner has withdrawn: it cannot order any more.
    """
    if order is not None and order.state is not OrderState.UNPAID:
        if _same_goods(order, data):
            return Decided(order)
        return Reject("inconsistent", "/lines", f"order {order.order_id} is already known with other lines")
    if refused:
        return Reject(
            "inconsistent", "/partner/partner_id", f"partner {data.partner.partner_id} has withdrawn"
        )
    new = _unpaid_order(data, event_id, at, order)
    if new.expected > LARGEST_AMOUNT:
        return Reject(
            "out_of_range", "/lines", f"the order comes to {new.expected} won; the most is {LARGEST_AMOUNT}"
        )
    new = replace(new, state=OrderState.PENDING_DEPOSIT, deposit_deadline=data.deposit_deadline)
    return decided(new, order_registered(new))


def record_payment(
    order: Order | None, data: PaymentCompleted, arrival: Arrival, new_ids: Iterable[UUID]
) -> Decision[Order]:
    """Money arrived: it pays the order, or goes to quarantine with the reason. It is never merely refused.

    With the policy `automatic` all units are claimed to issue, unless the payment is known to be taken back.
    """
    if order is not None and _knows_payment(order, data.payment_id):
        return Decided(order)
    if order is None or order.state is OrderState.UNPAID:
        order = _unpaid_order(data, arrival.event_id, arrival.at, order)
    reason = _misfit(order, data, arrival.refused)
    if reason is not None:
        return _set_aside(order, data, reason)
    return _pay(order, data, arrival, new_ids)


def cancel_payment(order: Order | None, data: PaymentCancelled) -> Decision[Order]:
    """Upstream took a payment back.

    Open units of a paid order count as refunded, without a payout. For units issued, being issued or being
    refunded the money is missing: a case holds the negative amount. A payment that never arrived is
    remembered, so that it changes nothing when it comes late.
    """
    if order is None:
        return Wait(f"order {data.order_id} to be known")
    if data.payment_id in order.cancelled_payments:
        return Decided(order)
    case = _case_of(order, data.payment_id)
    if order.payment_id not in (None, data.payment_id) and case is None:
        return Wait(f"payment {data.payment_id} of order {order.order_id} to arrive")
    order = replace(order, cancelled_payments=order.cancelled_payments | {data.payment_id})
    if case is not None:
        return Decided(replace(order, cases={**order.cases, case.number: replace(case, taken_back=True)}))
    if order.state in (OrderState.PENDING_DEPOSIT, OrderState.UNPAID):
        cancelled = order_cancelled(order, data.payment_id, data.cancelled_at, (), NOTHING)
        return decided(_cancel(order, data.cancelled_at), cancelled)
    if order.payment_id != data.payment_id:
        return Decided(order)
    return _take_back(order, data.payment_id, data.cancelled_at)


def take_back_released(order: Order, units: Sequence[LineUnits], at: datetime) -> Decided[Order]:
    """The units of a released refund follow the payment that was taken back; less is missing then."""
    payment_id = order.payment_id
    assert payment_id is not None
    order, money = _refund_open(order, units, at)
    events = [order_cancelled(order, payment_id, at, units, money)]
    if money.total:
        order, quarantined = _quarantine(order, payment_id, "cancelled_after_issue", money.total, at)
        events.append(quarantined)
    return decided(order, *events)


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


def _unpaid_order(
    data: PaymentPending | PaymentCompleted, event_id: str, at: datetime, known: Order | None
) -> Order:
    """The order of this snapshot, without money; with what is kept of an unpaid order that it replaces."""
    lines = _lines(data)
    order = Order(
        order_id=data.order_id,
        partner_id=data.partner.partner_id,
        state=OrderState.UNPAID,
        payment_method=data.payment_method,
        evidence=data.evidence,
        issue_policy=data.issue_policy,
        vat_mode=data.vat_mode,
        partner=data.partner.model_dump(),
        expected=payment_money(data.vat_mode, price_sum(lines.values())).total,
        registered_by=event_id,
        registered_at=at,
        lines=lines,
    )
    if known is None:
        return order
    return replace(
        order,
        sequence=known.sequence,
        cancelled_payments=known.cancelled_payments,
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


def _same_goods(order: Order, data: PaymentPending) -> bool:
    new = [
        (line.line_id, line.product_id, line.unit_price, line.quantity, line.discount or 0)
        for line in data.lines
    ]
    known = [
        (line.line_id, line.product_id, line.unit_price, line.quantity, line.discount)
        for line in order.lines.values()
    ]
    return (order.partner_id, order.vat_mode, known) == (data.partner.partner_id, data.vat_mode, new)


def _knows_payment(order: Order, payment_id: str) -> bool:
    return (
        payment_id == order.payment_id
        or payment_id in order.cancelled_payments
        or any(case.payment_id == payment_id for case in order.cases.values())
    )


def _case_of(order: Order, payment_id: str) -> Case | None:
    cases = (case for case in order.cases.values() if case.payment_id == payment_id and not case.taken_back)
    return next(cases, None)


def _misfit(order: Order, data: PaymentCompleted, refused: bool) -> str | None:
    if order.state in _NEEDS_NO_MONEY:
        return _NEEDS_NO_MONEY[order.state]
    if refused:
        return "order_closed"
    if order.deposit_deadline is not None and data.paid_at > order.deposit_deadline:
        return "late_deposit"
    return "wrong_amount" if data.amount != order.expected else None


def _pay(order: Order, data: PaymentCompleted, arrival: Arrival, new_ids: Iterable[UUID]) -> Decided[Order]:
    money = payment_money(order.vat_mode, price_sum(order.lines.values()))
    order = replace(
        order,
        state=OrderState.PAID,
        payment_id=data.payment_id,
        paid_at=data.paid_at,
        amount=money.total,
        paid=money,
        remaining=money,
        lines={line_id: replace(line, paid=line.quantity) for line_id, line in order.lines.items()},
    )
    events = [order_paid(order)]
    if order.issue_policy == AUTOMATIC and not arrival.taken_back:
        everything = [
            LineUnits(line_id, li.open) for line_id, li in order.lines.items() if li.kind == SERIALS
        ]
        order, granted = claim_to_issue(order, everything, AUTOMATIC, arrival.at, new_ids)
        events += granted
    return decided(order, *events)


def _set_aside(order: Order, data: PaymentCompleted, reason: str) -> Decided[Order]:
    events = []
    if reason == "late_deposit" and order.state is OrderState.PENDING_DEPOSIT:
        order, expired = _expire(order)
        events.append(expired)
    order, quarantined = _quarantine(order, data.payment_id, reason, data.amount, data.paid_at)
    return decided(order, *events, quarantined)


def _quarantine(
    order: Order, payment_id: str, reason: str, amount: int, at: datetime
) -> tuple[Order, UnnumberedEvent]:
    case = Case(order.order_id, len(order.cases), payment_id, reason, amount, at)
    return replace(order, cases={**order.cases, case.number: case}), payment_quarantined(order, case)


def _expire(order: Order) -> tuple[Order, UnnumberedEvent]:
    assert order.deposit_deadline is not None
    at = expired_at(order.deposit_deadline)
    return replace(order, state=OrderState.EXPIRED, closed_at=at), order_expired(order, at)


def _cancel(order: Order, at: datetime) -> Order:
    return replace(order, state=OrderState.CANCELLED, closed_at=at)


def _take_back(order: Order, payment_id: str, at: datetime) -> Decided[Order]:
    """Open units go back with the payment; what it paid for the others is missing from now on."""
    units = tuple(LineUnits(line.line_id, line.open) for line in order.lines.values() if line.open)
    order, money = _refund_open(_cancel(order, at), units, at)
    events = [order_cancelled(order, payment_id, at, units, money)]
    missing = order.amount - money.total
    if missing:
        order, quarantined = _quarantine(order, payment_id, "cancelled_after_issue", -missing, at)
        events.append(quarantined)
    return decided(order, *events)


def _refund_open(order: Order, units: Sequence[LineUnits], at: datetime) -> tuple[Order, Money]:
    def refund(line: Line, quantity: int) -> Line:
        return replace(line, refunded=line.refunded + quantity, refund_claimed_at=at)

    money = worth(order, units)
    lines = change_lines(order, units, refund)
    return replace(order, lines=lines, remaining=order.remaining.minus(money)), money
