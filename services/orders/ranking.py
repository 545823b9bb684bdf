"""The rebuilder of the ranking: every night the sales that it counts are compared with the orders.

A sale is written and taken away in the transaction that changes its order, so the two differ only where a
version of before the ranking has changed an order, or a hand has changed a row.
"""

import asyncio

import structlog

from services.orders.decisions.ranking import next_night
from services.orders.store import SQL, Store
from shared.clock import now
from shared.runtime.retry import TRANSIENT
from shared.runtime.surroundings import Surroundings

ORDERS_AT_ONCE = 500

log = structlog.get_logger("pawl.orders.ranking")


async def rebuild_nightly(surroundings: Surroundings, store: Store) -> None:
    """Rebuilds every night, until it is cancelled."""
    while True:
        at = now()
        await asyncio.sleep((next_night(at) - at).total_seconds())
        try:
            await rebuild(surroundings, store)
        except TRANSIENT as trouble:
            log.warning("ranking not rebuilt", trouble=f"{type(trouble).__name__}: {trouble}"[:200])


async def rebuild(surroundings: Surroundings, store: Store) -> int:
    """Counts again the orders whose sales are not those of their lines; returns how many there were."""
    total = 0
    while mended := await _rebuild_some(surroundings, store):
        total += mended
    tell = log.warning if total else log.info
    tell("ranking rebuilt", orders=total)
    return total


async def _rebuild_some(surroundings: Surroundings, store: Store) -> int:
    """One set of orders, judged again under their locks."""
    async with surroundings.pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(SQL.orders_ranked_wrongly, ORDERS_AT_ONCE)
        order_ids = sorted(row["order_id"] for row in rows)
        world = await store.load_orders(connection, order_ids)
        await store.count_again(connection, order_ids, world.orders.values())
    return len(order_ids)
