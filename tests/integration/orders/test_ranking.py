"""The products that sell most, on a real database: kept with each order, and rebuilt to the same."""

from datetime import timedelta
from typing import Any

import asyncpg

from shared.events.fields import Data
from tests.integration.orders.conftest import StoredDesk
from tests.unit.orders.builders import AT, cancelled, line, payment

HOUR = timedelta(hours=1)


def bought(order_id: str, *products: str, at: Any = AT) -> Data:
    """An order of one unit of each product, paid at an instant."""
    lines = [line(str(number), 1, 1_000, product_id=each) for number, each in enumerate(products, start=1)]
    paid = payment(*lines, payment_id=f"pay-{order_id}", amount=1_100 * len(products), at=at)
    return paid.model_copy(update={"order_id": order_id})


def taken_back(order_id: str) -> Data:
    gone = cancelled(f"pay-{order_id}", AT + 9 * HOUR)
    return gone.model_copy(update={"order_id": order_id})


async def test_products_are_ranked_by_orders_then_by_the_latest_sale_then_by_id(desk: StoredDesk) -> None:
    await desk.take(bought("A-1", "b", "c"), bought("A-2", "b", "b", "d"))
    await desk.take(bought("A-3", "e", at=AT + HOUR), bought("A-4", "f", at=AT - HOUR))

    assert await desk.rank() == [("b", 2), ("e", 1), ("c", 1), ("d", 1)]
    assert await desk.rank(limit=2) == [("b", 2), ("e", 1)]
    assert await desk.rank(since=AT - HOUR) == [("b", 2), ("e", 1), ("c", 1), ("d", 1), ("f", 1)]


async def test_an_order_whose_money_is_back_counts_no_more(desk: StoredDesk) -> None:
    await desk.take(bought("A-1", "b"), bought("A-2", "b"), bought("A-3", "c"))

    await desk.take(taken_back("A-1"), taken_back("A-3"))

    assert await desk.rank() == [("b", 1)]


async def test_what_is_rebuilt_is_what_was_kept_and_whatever_differs_is_mended(
    desk: StoredDesk, owner: asyncpg.Connection
) -> None:
    await desk.take(bought("A-1", "b", "c"), bought("A-2", "b"), bought("A-3", "c"))
    await desk.take(taken_back("A-3"))
    kept = await desk.rows()

    assert await desk.rebuild_ranking() == 0

    await owner.execute("DELETE FROM sales WHERE order_id = 'A-1' AND product_id = 'b'")
    await owner.execute("UPDATE sales SET sold_at = now() WHERE order_id = 'A-2'")
    await owner.execute("INSERT INTO sales VALUES ('A-3', 'c', now()), ('A-9', 'z', now())")
    assert await desk.rebuild_ranking() == 4
    assert await desk.rows() == kept
