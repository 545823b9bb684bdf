"""The deposit expirer: ends orders whose deposit did not come in time, by the wall clock.

The payment of the last second arrives a little later, so an order is left alone for a grace period after its
deadline and after the moment it was recorded. What comes later goes to quarantine, never lost.
"""

import asyncio
from datetime import timedelta

import asyncpg
import structlog

from services.orders.decisions.payments import expire_deposit
from services.orders.settings import OrdersSettings
from services.orders.store import SQL, Store
from shared.clock import now
from shared.crash_points import CrashPoint
from shared.runtime.batch_size import WorkSize
from shared.runtime.outgoing import Cause
from shared.runtime.retry import TRANSIENT, note_fault
from shared.runtime.surroundings import Surroundings

ORDERS_AT_ONCE = 500
PART = "the expiry of deposits"

log = structlog.get_logger("pawl.orders.expiry")


async def expire_deposits(surroundings: Surroundings, store: Store, settings: OrdersSettings) -> None:
    """Looks for overdue deposits again and again."""
    grace = timedelta(seconds=settings.orders_expiry_grace_seconds)
    size = WorkSize(ORDERS_AT_ONCE)
    while True:
        try:
            most = size.most
            while await expire_some(surroundings, store, grace, size) == most:
                most = size.most
            surroundings.troubles.over(PART)
        except (*TRANSIENT, asyncpg.UniqueViolationError) as trouble:
            size.note(trouble)
            more = note_fault(surroundings.troubles, PART, trouble)
            log.info("expiry repeated", trouble=f"{type(trouble).__name__}: {trouble}"[:200], **more)
        await asyncio.sleep(settings.orders_expiry_poll_seconds)


async def expire_some(
    surroundings: Surroundings, store: Store, grace: timedelta, size: WorkSize | None = None
) -> int:
    """Expires one set of overdue orders in one transaction; returns how many were looked at."""
    size = size or WorkSize(ORDERS_AT_ONCE)
    async with surroundings.outbox.transaction(surroundings.pool, CrashPoint.BEFORE_EXPIRY_COMMIT) as (
        connection,
        events,
    ):
        size.begin()
        due = [row["order_id"] for row in await connection.fetch(SQL.overdue_deposits, grace, size.most)]
        world = await store.load_orders(connection, due)
        for order in list(world.orders.values()):
            expired, new_events = expire_deposit(order, now())
            if not new_events:
                continue
            world.put(expired)
            assert expired.closed_at is not None
            cause = Cause(order.registered_by, order.order_id, expired.closed_at, order.order_id)
            events.add_all(new_events, cause)
        await store.save(connection, world)
    size.grow(len(due))
    return len(due)
