"""The deposit expirer: ends orders whose deposit did not come in time, by the wall clock.

A deposit made in the last second is heard of a little later, so an order is left alone for a grace period
after its deadline and after the moment we learnt of it. What comes later goes to quarantine, never lost.
"""

import asyncio
from datetime import timedelta

import asyncpg
import structlog

from services.orders import domain
from services.orders.settings import OrdersSettings
from services.orders.store import SQL, World, load_orders, save
from shared.clock import now
from shared.crash_points import CrashPoint
from shared.runtime.outbox import Cause
from shared.runtime.retry import TRANSIENT
from shared.runtime.surroundings import Surroundings

ORDERS_AT_ONCE = 500

log = structlog.get_logger("pawl.orders.expiry")


async def expire_deposits(surroundings: Surroundings, settings: OrdersSettings) -> None:
    """Looks for overdue deposits again and again."""
    grace = timedelta(seconds=settings.orders_expiry_grace_seconds)
    while True:
        try:
            while await expire_some(surroundings, grace) == ORDERS_AT_ONCE:
                pass
        except (*TRANSIENT, asyncpg.UniqueViolationError) as trouble:
            log.info("expiry repeated", trouble=f"{type(trouble).__name__}: {trouble}"[:200])
        await asyncio.sleep(settings.orders_expiry_poll_seconds)


async def expire_some(surroundings: Surroundings, grace: timedelta) -> int:
    """Expires one set of overdue orders in one transaction; returns how many were looked at."""
    async with surroundings.outbox.transaction(surroundings.pool, CrashPoint.BEFORE_EXPIRY_COMMIT) as (
        connection,
        events,
    ):
        due = [row["order_id"] for row in await connection.fetch(SQL.overdue_deposits, grace, ORDERS_AT_ONCE)]
        world = World()
        await load_orders(connection, world, due)
        for order in list(world.orders.values()):
            decided = domain.expire_deposit(order, now())
            if decided is None:
                continue
            world.put(decided.order)
            assert decided.order.closed_at is not None
            cause = Cause(order.registered_by, order.order_id, decided.order.closed_at, order.order_id)
            events.add_all(decided.outcome.events, cause)
        await save(connection, world)
    return len(due)
