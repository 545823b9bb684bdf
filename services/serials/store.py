"""Grants in Postgres: read for a batch or a chunk, written set-based with the serials of their units."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from services.serials.state import Custody, Grant, Order, Part, Policy, World
from services.serials.writer import SerialWriter
from shared.ids import RUN_LIMIT, uuid7_run
from shared.postgres import Connection, packed
from shared.queries import load
from shared.rows import Table, pairs
from shared.runtime.decisions import Event

SQL = load(__file__)
ORDERS = Table(Order, "orders", key=("order_id",))
GRANTS = Table(Grant, "grants", key=("grant_id",))
CUSTODY = Table(Custody, "custody", key=("custody_id",))
TABLES = (ORDERS, GRANTS, CUSTODY)


class Store:
    """Reads and writes for one service. `large_granted` wakes the issuing worker of this process."""

    def __init__(self, writer: SerialWriter, policy: Policy) -> None:
        self.writer = writer
        self.policy = policy
        self.large_granted = asyncio.Event()

    async def load(self, connection: Connection, events: Sequence[Event[Any]]) -> World:
        """Locks the orders of these events, and learns which of their grants are recorded."""
        world = World(self.policy, _new_batch_id)
        if events:
            orders = await self.lock_orders(connection, {event.key for event in events})
            world.orders, world.stored_orders = dict(orders), orders
            grant_ids = {UUID(grant.grant_id) for event in events for grant in event.data.grants}
            rows = await connection.fetch(SQL.recorded_grants, sorted(grant_ids))
            world.recorded.update(row["grant_id"] for row in rows)
        return world

    async def save(self, connection: Connection, world: World) -> None:
        """Writes orders, the new grants, and the serials of those that were issued at once.

        Raises UniqueViolationError for what another consumer has just recorded: the batch repeats.
        """
        if not world.new:
            return
        await self.save_orders(connection, world.orders, world.stored_orders)
        grants = sorted(world.new, key=attrgetter("grant_id"))
        await GRANTS.save(connection, [(grant, None) for grant in grants])
        parts = [Part(grant.grant_id, grant.batch_id, 1, grant.issued) for grant in world.new if grant.issued]
        if parts:
            kept = await self.writer.make(sum(part.units for part in parts))
            await self.writer.write(connection, parts, kept)
        if len(parts) < len(world.new):
            self.large_granted.set()

    async def lock_orders(self, connection: Connection, order_ids: Iterable[str]) -> dict[str, Order]:
        """Those of these orders of which something was said, or that have grants; locked until the commit."""
        rows = await connection.fetch(SQL.lock_orders, packed(sorted(order_ids)))
        return {row["order_id"]: ORDERS.read(row) for row in rows}

    async def save_orders(
        self, connection: Connection, now: Mapping[str, Order], before: Mapping[str, Order]
    ) -> None:
        """Writes the orders that are new or changed, in key order.

        Raises UniqueViolationError for one that another transaction has just made.
        """
        await ORDERS.save(connection, pairs(dict(sorted(now.items())), before))

    async def lock_grants(self, connection: Connection, most: int) -> list[Grant]:
        """Up to `most` grants that a chunk can finish, else one that takes more; locked until the commit."""
        rows = await connection.fetch(SQL.lock_small_grants, self.policy.chunk, most)
        if not rows:
            rows = await connection.fetch(SQL.lock_large_grant, self.policy.chunk)
        return [GRANTS.read(row) for row in rows]


def _new_batch_id() -> UUID:
    """A run of ids of its own for each grant: its units, and room for what is reissued."""
    return uuid7_run(RUN_LIMIT)
