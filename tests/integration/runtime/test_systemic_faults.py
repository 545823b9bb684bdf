"""A real Postgres that refuses everything, or takes too long: nothing is blocked, all goes on afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ops.setup.provision import Database
from shared.clock import monotonic
from shared.runtime.fold import Fold
from shared.runtime.signals import Metrics
from shared.runtime.troubles import PATIENCE_SECONDS, Troubles
from tests.support.desk import Desk, open_desk_pool, payment
from tests.support.patience import PATIENCE

BREAKS = {
    "right": (
        "REVOKE INSERT ON orders.order_lines FROM pawl_orders",
        "GRANT INSERT ON orders.order_lines TO pawl_orders",
    ),
    "column": (
        "ALTER TABLE orders.order_lines RENAME COLUMN product_name TO product_title",
        "ALTER TABLE orders.order_lines RENAME COLUMN product_title TO product_name",
    ),
    "column that is not filled": (
        """ALTER TABLE orders.order_lines ADD tax_code text NOT NULL DEFAULT 'x';
           ALTER TABLE orders.order_lines ALTER tax_code DROP DEFAULT""",
        "ALTER TABLE orders.order_lines DROP tax_code",
    ),
    "shorter type": (
        "ALTER TABLE orders.order_lines ALTER product_name TYPE varchar(1) USING left(product_name, 1)",
        "ALTER TABLE orders.order_lines ALTER product_name TYPE text",
    ),
    "trigger that recurs": (
        """CREATE FUNCTION orders.boom() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN RAISE 'stack depth limit exceeded' USING ERRCODE = '54001'; END $$;
           CREATE TRIGGER boom BEFORE INSERT ON orders.orders
               FOR EACH ROW EXECUTE FUNCTION orders.boom()""",
        "DROP FUNCTION orders.boom CASCADE",
    ),
    "trigger that refuses": (
        """CREATE FUNCTION orders.boom() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN RAISE 'order % is not liked', NEW.order_id; END $$;
           CREATE TRIGGER boom BEFORE INSERT ON orders.orders
               FOR EACH ROW EXECUTE FUNCTION orders.boom()""",
        "DROP FUNCTION orders.boom CASCADE",
    ),
    "constraint": (
        "ALTER TABLE orders.orders ADD CONSTRAINT c_new CHECK (partner_id = 'nobody') NOT VALID",
        "ALTER TABLE orders.orders DROP CONSTRAINT c_new",
    ),
}


@asynccontextmanager
async def broken(admin: Any, kind: str) -> AsyncIterator[None]:
    """The database as it is while somebody has forgotten something."""
    breaks, mends = BREAKS[kind]
    await admin.execute(breaks)
    try:
        yield
    finally:
        await admin.execute(mends)


def with_troubles(desk: Desk) -> Troubles:
    troubles = Troubles()
    desk.fold = Fold(
        desk.service, desk.pool, desk.outbox, desk.sealer, Metrics(), timedelta(hours=1), troubles
    )
    return troubles


@pytest.mark.parametrize("kind", BREAKS)
async def test_a_fault_of_the_whole_database_blocks_nothing(desk: Desk, admin: Any, kind: str) -> None:
    troubles = with_troubles(desk)
    async with broken(admin, kind):
        taking = asyncio.create_task(desk.take(*(payment(f"A-{n}") for n in range(30))))
        async with asyncio.timeout(PATIENCE):
            while not (lasting := troubles.lasting(monotonic() + PATIENCE_SECONDS)):
                await asyncio.sleep(0.05)
        assert not taking.done()
        assert lasting[0].todo
    await asyncio.wait_for(taking, PATIENCE)

    assert await desk.waiting() == []
    assert [await desk.line(f"A-{n}") for n in range(30)] == [(100, 0, 0, 0, 0)] * 30
    assert troubles.lasting(monotonic() + PATIENCE_SECONDS) == []


@pytest.mark.parametrize("limit", ["statement_timeout", "transaction_timeout"])
async def test_a_limit_that_a_whole_batch_does_not_keep_makes_it_smaller(
    database: Database, clean_schemas: None, admin: Any, limit: str
) -> None:
    await admin.execute(f"ALTER ROLE pawl_orders SET {limit} = '150ms'")
    try:
        pool = await open_desk_pool(database)
        desk = Desk(pool)
        await asyncio.wait_for(desk.take(*(payment(f"B-{n}") for n in range(1_500))), PATIENCE * 3)
        assert await desk.waiting() == []
        assert await pool.fetchval("SELECT count(*) FROM orders WHERE order_id LIKE 'B-%'") == 1_500
        await pool.close()
    finally:
        await admin.execute(f"ALTER ROLE pawl_orders RESET {limit}")


async def test_what_is_locked_by_somebody_holds_up_nobody_else(
    desk: Desk, pool: asyncpg.Pool, admin: Any
) -> None:
    await desk.take(payment("A-1"), payment("A-2"))
    await pool.execute("SELECT 1")
    async with admin.transaction():
        await admin.execute("SELECT FROM orders.orders WHERE order_id = 'A-1' FOR UPDATE")
        taking = asyncio.create_task(desk.take(payment("A-3")))
        await asyncio.wait_for(taking, PATIENCE)
    assert await desk.waiting() == []
