"""The money of an order: a deposit is awaited, arrives, does not come in time, or is taken back."""

from datetime import datetime

from msgspec.structs import replace

from services.refunds.decisions.judging import Refusal
from services.refunds.decisions.requests import reject
from services.refunds.decisions.steps import ORDERS
from services.refunds.decisions.units import move
from services.refunds.state import Line, Order
from shared.events.orders import OrderPaid, OrderRegistered
from shared.money import Money
from shared.runtime.decisions import Decided, NewEvent


def register_order(order: Order | None, data: OrderRegistered) -> Decided[Order]:
    """An order waits for its deposit; requests about it wait with it. A known order stays what it is."""
    return Decided(order or _registered(data))


def record_payment(order: Order | None, data: OrderPaid) -> Decided[Order]:
    """The order is paid: from now on its units can be refunded. A terminal state wins over a late payment."""
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


def _registered(data: OrderRegistered | OrderPaid) -> Order:
    """The order of this snapshot, without money."""
    return Order(
        data.order_id,
        "registered",
        data.payment_method,
        data.vat_mode,
        data.partner.partner_id,
        data.partner.name,
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
