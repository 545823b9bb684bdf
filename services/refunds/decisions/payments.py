"""The money of an order: a deposit is awaited, arrives, does not come in time, or is taken back.

And since when what was paid for can be used, as far as checkout says so.
"""

from datetime import datetime

from msgspec.structs import replace

from services.refunds.decisions.judging import Refusal
from services.refunds.decisions.requests import reject
from services.refunds.decisions.steps import ORDERS, before_payment
from services.refunds.decisions.units import move, with_lines
from services.refunds.state import Line, Order
from shared.events.orders import OrderPaid, OrderRegistered
from shared.money import Money
from shared.runtime.decisions import Decided, Decision, NewEvent, Reject, Wait


def register_order(order: Order | None, data: OrderRegistered) -> Decided[Order]:
    """An order waits for its deposit; requests about it wait with it. A known order stays what it is."""
    return Decided(order or _registered(data))


def record_payment(order: Order | None, data: OrderPaid) -> Decided[Order]:
    """The order is paid: from now on its units can be refunded. A terminal state wins over a late payment.

    The order is what the payment says, whatever was registered before it (events.md, contract 2, point 1).
    """
    if order is not None and order.state != "registered":
        return Decided(order)
    paid = Money(data.supply, data.vat)
    return Decided(
        replace(
            _registered(data),
            state="paid",
            payment_id=data.payment_id,
            paid=paid,
            remaining=paid,
            paid_at=data.paid_at,
        )
    )


def expire_order(order: Order, at: datetime) -> Decided[Order]:
    """The deposit never came."""
    return Decided(replace(order, state="expired", ended_at=at))


def cancel_order(order: Order, at: datetime) -> Decided[Order]:
    """Upstream took the payment back: open units are gone, and requests that hold no claim end here.

    A refund that orders has granted goes on to its end: orders counts only open units as taken back, so the
    money of a granted refund is still owed. One that was asked and not answered waits for orders' answer.
    Orders publishes `order.cancelled` again for units released later; here they went with the release itself.
    """
    if order.state == "cancelled":
        return Decided(order)
    if order.state == "paid":
        order = replace(order, lines={line_id: _taken_back(line) for line_id, line in order.lines.items()})
    order = replace(order, state="cancelled", ended_at=at)
    events: list[NewEvent] = []
    for refund in order.refunds.values():
        if refund.state in ("held", "in_review"):
            order, rejected = reject(order, refund, Refusal("order_cancelled", at), at, ORDERS)
            events.extend(rejected)
    return Decided(order, events)


def record_activation(order: Order | None, line_id: str, at: datetime | None) -> Decision[Order]:
    """A line can be used since `at`, else since its payment. Waits for the payment."""
    found = _line_of_paid_order(order, line_id, at, "activated_at")
    if not isinstance(found, Line):
        return found
    assert order is not None
    return _with_instant(order, found, activated_at=_earliest(order, found.activated_at, at))


def record_delivery(order: Order | None, line_id: str, at: datetime | None) -> Decision[Order]:
    """The goods of a line arrived at `at`, else count from its payment."""
    found = _line_of_paid_order(order, line_id, at, "delivered_at")
    if not isinstance(found, Line):
        return found
    assert order is not None
    return _with_instant(order, found, delivered_at=_earliest(order, found.delivered_at, at))


def _registered(data: OrderRegistered | OrderPaid) -> Order:
    """The order of this snapshot, without money."""
    return Order(
        data.order_id,
        "registered",
        data.payment_method,
        data.vat_mode,
        data.partner.partner_id,
        data.partner.name,
        data.partner.business_number,
        evidence=data.evidence,
        lines={
            line.line_id: Line(
                data.order_id,
                line.line_id,
                position,
                line.kind,
                line.unit_price,
                line.quantity,
                line.discount or 0,
            )
            for position, line in enumerate(data.lines)
        },
    )


def _taken_back(line: Line) -> Line:
    return move(line, taken_back=line.open) if line.open else line


def _line_of_paid_order(
    order: Order | None, line_id: str, at: datetime | None, field: str
) -> Line | Decision[Order]:
    """The line that an instant is said of; or what becomes of that before the payment, or without it."""
    if order is None or order.state == "registered":
        return Wait(f"the order of line {line_id} to be paid")
    line = order.lines.get(line_id)
    if line is None:
        return Reject("inconsistent", "/line_id", f"order {order.order_id} has no line {line_id}")
    if order.paid_at is None:
        return Decided(order)
    return line if at is None else before_payment(order, at, field) or line


def _earliest(order: Order, known: datetime | None, at: datetime | None) -> datetime:
    """A window opens once: at the earliest instant, in whatever order they were told."""
    said = order.paid_at if at is None else at
    assert said is not None
    return said if known is None else min(known, said)


def _with_instant(order: Order, line: Line, **instant: datetime) -> Decided[Order]:
    changed = replace(line, **instant)
    return Decided(order if changed == line else with_lines(order, [changed]))
