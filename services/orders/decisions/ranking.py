"""Which products sell most: what counts as a sale, and since when (domain.md section 6)."""

from datetime import datetime, timedelta
from typing import Final

from services.orders.state import Order, OrderState, Sale
from shared.kst import kst_date, months_before, start_of_day

NIGHT: Final = timedelta(hours=4)
"""The hour in Seoul at which the list is rebuilt: after midnight, and before anybody works."""


def is_sold(order: Order) -> bool:
    """Whether the order counts: it is paid, and its money is not back as a whole."""
    return order.state is OrderState.PAID


def sales_of(order: Order) -> tuple[Sale, ...]:
    """A sale for each product of an order that counts, on however many of its lines."""
    if not is_sold(order):
        return ()
    assert order.paid_at is not None
    products = sorted({line.product_id for line in order.lines.values()})
    return tuple(Sale(order.order_id, product, order.paid_at) for product in products)


def window_start(at: datetime, months: int) -> datetime:
    """00:00 in Seoul of the same day so many months before, clipped to the end of that month."""
    return start_of_day(months_before(kst_date(at), months))


def next_night(at: datetime) -> datetime:
    """The next instant after this one at which the list is rebuilt."""
    night = start_of_day(kst_date(at)) + NIGHT
    return night if night > at else night + timedelta(days=1)
