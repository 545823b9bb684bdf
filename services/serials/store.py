"""Grants and serials in Postgres: read for a batch or a chunk, written set-based.

The account of a registered serial is sealed: it may say who a person is.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from services.serials.state import (
    Custody,
    Grant,
    Order,
    Part,
    Policy,
    Registration,
    Revocation,
    Serial,
    SerialState,
    WithdrawnPartner,
    World,
)
from services.serials.writer import SerialWriter
from shared.events.orders import IssuanceGrantedTogether
from shared.ids import RUN_LIMIT, uuid7_run
from shared.postgres import Connection, packed
from shared.queries import load
from shared.rows import Table, pairs
from shared.runtime.commands import Command
from shared.runtime.decisions import Event
from shared.sealing import Sealer

SQL = load(__file__)
ORDERS = Table(Order, "orders", key=("order_id",))
GRANTS = Table(Grant, "grants", key=("grant_id",))
CUSTODY = Table(Custody, "custody", key=("custody_id",))
WITHDRAWN_PARTNERS = Table(WithdrawnPartner, "withdrawn_partners", key=("partner_id",))
TABLES = (ORDERS, GRANTS, CUSTODY, WITHDRAWN_PARTNERS)


class Store:
    """Reads and writes for one service. `large_granted` wakes the issuing worker of this process."""

    def __init__(self, writer: SerialWriter, policy: Policy, sealer: Sealer) -> None:
        self.writer = writer
        self.policy = policy
        self._sealer = sealer
        self.large_granted = asyncio.Event()

    async def load(self, connection: Connection, events: Sequence[Event[Any]]) -> World:
        """Locks what is decided over: the orders of events, the serials of commands.

        It also learns which of the grants of these events are recorded.
        """
        world = World(self.policy, _new_batch_id)
        granted, commands = _apart(events)
        if granted:
            keys = packed(sorted({event.key for event in granted}))
            grant_ids = {UUID(grant.grant_id) for event in granted for grant in event.data.grants}
            row: Any = await connection.fetchrow(SQL.lock_granted, keys, sorted(grant_ids))
            orders = {order.order_id: order for order in map(ORDERS.read, row["orders"])}
            world.orders, world.stored_orders = dict(orders), orders
            world.recorded.update(row["recorded"])
        if commands:
            await self._load_serials(connection, world, commands)
        return world

    async def save(self, connection: Connection, world: World) -> None:
        """Writes orders, the new grants, and the serials of those that were issued at once; then serials that
        changed.

        Raises UniqueViolationError for what another consumer has just recorded: the batch repeats.
        """
        if world.new:
            await self._save_new_grants(connection, world)
        if world.stored_serials:
            await self._save_serials(connection, world)
        await WITHDRAWN_PARTNERS.put(connection, world.withdrawn)
        for partner_id in world.purged:
            await connection.execute(SQL.erase_custody, partner_id)

    async def _load_serials(
        self, connection: Connection, world: World, commands: Sequence[Command[Any]]
    ) -> None:
        """Locks the serials that these commands are about, and reads their grants.

        What is asked about a serial of an order counts in its grant, so that is locked too, and first. A
        registration counts nowhere, so that those of a grant never wait for each other.
        """
        counted = {UUID(command.subject) for command in commands if command.subject != command.key}
        grants = await connection.fetch(SQL.lock_grants_of, sorted(counted)) if counted else []
        world.stored_grants = {row["grant_id"]: GRANTS.read(row) for row in grants}
        wanted = {UUID(command.subject) for command in commands}
        rows = await connection.fetch(SQL.lock_serials, sorted(wanted))
        world.stored_serials = {row["serial_id"]: self._serial(row) for row in rows}
        world.serials = dict(world.stored_serials)
        others = {row["grant_id"] for row in rows}.difference(world.stored_grants)
        read = await connection.fetch(SQL.grants_by_id, sorted(others)) if others else []
        world.grants = {**world.stored_grants, **{row["grant_id"]: GRANTS.read(row) for row in read}}

    async def _save_serials(self, connection: Connection, world: World) -> None:
        """Writes the serials that changed, those that are new, and the grants that count them."""
        stored = world.stored_serials
        changed = [each for key, each in sorted(world.serials.items()) if each is not stored.get(key)]
        await _update(connection, SQL.register_serials, list(self._registrations(changed)))
        await _update(connection, SQL.revoke_serials, list(_revocations(changed)))
        await self._reissue(connection, [each for each in changed if each.serial_id not in stored])
        counted = {key: world.grants[key] for key in world.stored_grants}
        await GRANTS.save(connection, pairs(counted, world.stored_grants))

    async def _reissue(self, connection: Connection, serials: Sequence[Serial]) -> None:
        """Makes new serials in the place of those that died."""
        if not serials:
            return
        kept = await self.writer.make(len(serials))
        ids, grants, replaced = zip(*((s.serial_id, s.grant_id, s.replaces) for s in serials), strict=True)
        await connection.execute(SQL.note_key, kept.key_id)
        made = [list(map(bytes, rows)) for rows in (kept.tags, kept.texts, kept.last_four)]
        await connection.execute(SQL.add_reissued, ids, grants, replaced, *made, kept.key_id)

    def _registrations(self, serials: Iterable[Serial]) -> Iterator[tuple[Any, ...]]:
        for serial in serials:
            if serial.registration is not None:
                account, registered_at, usage_ends_at = serial.registration
                sealed = self._sealer.seal(account.encode(), serial.serial_id.bytes)
                yield serial.serial_id, sealed, registered_at, usage_ends_at

    def _serial(self, row: Mapping[str, Any]) -> Serial:
        serial_id, registration, revocation = row["serial_id"], None, None
        if row["account"] is not None:
            account = self.open_account(serial_id, row["account"])
            registration = Registration(account, row["registered_at"], row["usage_ends_at"])
        if row["revoked_at"] is not None:
            revocation = Revocation(row["revoked_at"], row["revoke_reason"])
        state = SerialState(row["state"])
        return Serial(serial_id, row["grant_id"], row["replaces"], state, registration, revocation)

    async def _save_new_grants(self, connection: Connection, world: World) -> None:
        await self.save_orders(connection, world.orders, world.stored_orders)
        grants = sorted(world.new, key=attrgetter("grant_id"))
        await GRANTS.save(connection, [(grant, None) for grant in grants])
        parts = [Part(grant.grant_id, grant.batch_id, 1, grant.issued) for grant in world.new if grant.issued]
        if parts:
            kept = await self.writer.make(sum(part.units for part in parts))
            await self.writer.write(connection, parts, kept)
        if len(parts) < len(world.new):
            self.large_granted.set()

    def open_account(self, serial_id: UUID, sealed: bytes) -> str:
        """Whose a registered serial is. Raises BrokenSealError."""
        return self._sealer.open(sealed, serial_id.bytes).decode()

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

    async def lock_grants(self, connection: Connection, most: int, chunk: int) -> list[Grant]:
        """Up to `most` grants that a chunk of so many units can finish, else one that takes more.

        Locked until the commit.
        """
        rows = await connection.fetch(SQL.lock_small_grants, chunk, most)
        if not rows:
            rows = await connection.fetch(SQL.lock_large_grant, chunk)
        return [GRANTS.read(row) for row in rows]


def _apart(events: Sequence[Event[Any]]) -> tuple[list[Event[Any]], list[Command[Any]]]:
    """Events about grants, and commands."""
    commands = [event for event in events if isinstance(event, Command)]
    return [event for event in events if isinstance(event.data, IssuanceGrantedTogether)], commands


def _revocations(serials: Iterable[Serial]) -> Iterator[tuple[Any, ...]]:
    for serial in serials:
        if serial.revocation is not None:
            yield serial.serial_id, *serial.revocation


async def _update(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Changes one row for each of these; their locks are held, so that none has changed meanwhile."""
    if rows:
        status = await connection.execute(statement, *(list(column) for column in zip(*rows, strict=True)))
        assert status == f"UPDATE {len(rows)}", f"{status} instead of {len(rows)} serials"


def _new_batch_id() -> UUID:
    """A run of ids of its own for each grant: its units, and room for what is reissued."""
    return uuid7_run(RUN_LIMIT)
