"""Grants and serials in Postgres: read for a batch, written set-based.

Here, at the edge, random bytes become serials. They are readable in memory only, between two lines of
`SerialWriter.make`; what leaves it is hashed and encrypted.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from services.serials.codes import RANDOM_BYTES, make_serials
from services.serials.domain import Grant, Part, Product
from services.serials.rows import COLUMNS, copy_bytes
from services.serials.vault import KeptSerials, Vault
from shared.ids import RUN_LIMIT, random_bytes, uuid7_run
from shared.postgres import Connection, copy_rows
from shared.queries import load
from shared.runtime.decisions import Event

SQL = load(__file__)
GRANT_COLUMNS = (
    "grant_id", "batch_id", "order_id", "line_id", "partner_id", "product_id", "product_name", "unit_price",
    "usage_days", "quantity", "issued", "state", "sequence", "granted_at", "issued_at",
    "registration_deadline", "correlation", "causation",
)  # fmt: skip

INLINE_UNITS = 2_000
"""More serials than this are made in a thread, so that the event loop goes on."""


@dataclass(slots=True, frozen=True)
class Policy:
    """What may be changed without a new version: sizes in units, the registration window in KST days.

    Grants of up to `small_grant` units are issued with their event, as long as a batch has not issued
    `at_once` units yet; all others are left to the issuing worker, `chunk` units a transaction.
    """

    window_days: int = 91
    small_grant: int = 2_000
    at_once: int = 50_000
    chunk: int = 50_000


@dataclass(slots=True)
class World:
    """What a batch decides over: the grants that are known, the new ones, and room to issue at once."""

    policy: Policy
    new_batch_id: Callable[[], UUID]
    known: set[UUID] = field(default_factory=set)
    new: list[Grant] = field(default_factory=list)
    issued_at_once: int = 0

    def fits(self, units: int) -> bool:
        """Whether so many units can be issued together with their event."""
        policy = self.policy
        return units <= policy.small_grant and self.issued_at_once + units <= policy.at_once

    def add(self, grant: Grant) -> None:
        """Take a grant that was not known."""
        self.known.add(grant.grant_id)
        self.new.append(grant)
        self.issued_at_once += grant.issued


@dataclass(slots=True)
class SerialWriter:
    """Makes serials and writes them. `random` is where their secrecy comes from."""

    vault: Vault
    random: Callable[[int], bytes] = field(default=random_bytes, repr=False)

    async def make(self, units: int) -> KeptSerials:
        """So many new serials, hashed and encrypted, in the order of their tags."""
        if units <= INLINE_UNITS:
            return self._make(units)
        return await asyncio.to_thread(self._make, units)

    async def write(self, connection: Connection, parts: Sequence[Part], kept: KeptSerials) -> None:
        """Inserts one serial for each unit of these parts.

        Raises UniqueViolationError when a unit has its serial already, or when chance has repeated 75 bits.
        """
        blocks = _Blocks(copy_bytes(parts, kept))
        status = await connection.copy_to_table("serials", source=blocks, columns=COLUMNS, format="binary")
        assert status == f"COPY {len(kept)}", f"{status} instead of {len(kept)} serials"

    def _make(self, units: int) -> KeptSerials:
        return self.vault.keep(make_serials(self.random(units * RANDOM_BYTES)))


class Store:
    """Reads and writes for one service. `large_granted` wakes the issuing worker of this process."""

    def __init__(self, writer: SerialWriter, policy: Policy, large_granted: asyncio.Event) -> None:
        self._writer = writer
        self._policy = policy
        self._large_granted = large_granted

    async def load(self, connection: Connection, events: Sequence[Event]) -> World:
        """Learn which of the grants that these events tell of are known."""
        grant_ids = {UUID(event.data.grant_id) for event in events if event.type == "issuance.granted.v1"}
        world = World(self._policy, _new_batch_id)
        if grant_ids:
            rows = await connection.fetch(SQL.known_grants, sorted(grant_ids))
            world.known.update(row["grant_id"] for row in rows)
        return world

    async def save(self, connection: Connection, world: World) -> None:
        """Write the new grants, and the serials of those that were issued at once."""
        if not world.new:
            return
        await insert_grants(connection, world.new)
        parts = [Part(grant.grant_id, grant.batch_id, 1, grant.issued) for grant in world.new if grant.issued]
        if parts:
            kept = await self._writer.make(sum(part.units for part in parts))
            await self._writer.write(connection, parts, kept)
        if len(parts) < len(world.new):
            self._large_granted.set()


async def insert_grants(connection: Connection, grants: Iterable[Grant]) -> None:
    """Records new grants, in the order of their ids.

    Raises UniqueViolationError for a grant that another consumer has just recorded: the batch repeats.
    """
    rows = [
        (
            *(grant.grant_id, grant.batch_id, grant.order_id, grant.line_id, grant.partner_id),
            *grant.product,
            *(grant.quantity, grant.issued, grant.state.value, grant.sequence),
            *(grant.granted_at, grant.issued_at, grant.registration_deadline),
            *(grant.correlation, grant.causation),
        )
        for grant in sorted(grants, key=lambda grant: grant.grant_id)
    ]
    await copy_rows(connection, "grants", GRANT_COLUMNS, rows)


async def lock_grants(connection: Connection, chunk: int, most: int) -> list[Grant]:
    """Up to `most` grants that a chunk can finish, else one that takes more; locked until the commit."""
    rows = await connection.fetch(SQL.lock_small_grants, chunk, most)
    if not rows:
        rows = await connection.fetch(SQL.lock_large_grant, chunk)
    return [_grant(row) for row in rows]


async def advance_grants(connection: Connection, grants: Sequence[Grant]) -> None:
    """Writes how far these locked grants are."""
    rows = [(g.grant_id, g.issued, g.state.value, g.sequence, g.issued_at) for g in grants]
    await connection.execute(SQL.advance_grants, *zip(*rows, strict=True))


def _grant(row: asyncpg.Record) -> Grant:
    return Grant(
        grant_id=row["grant_id"],
        batch_id=row["batch_id"],
        order_id=row["order_id"],
        line_id=row["line_id"],
        partner_id=row["partner_id"],
        product=Product(row["product_id"], row["product_name"], row["unit_price"], row["usage_days"]),
        quantity=row["quantity"],
        granted_at=row["granted_at"],
        registration_deadline=row["registration_deadline"],
        correlation=row["correlation"],
        causation=row["causation"],
        issued=row["issued"],
        sequence=row["sequence"],
    )


def _new_batch_id() -> UUID:
    """A run of ids of its own for each grant: its units, and room for what is reissued."""
    return uuid7_run(RUN_LIMIT)


class _Blocks:
    """Hands a COPY to the driver in blocks, so that a large one does not hold up the event loop."""

    SIZE = 1 << 20

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def __aiter__(self) -> "_Blocks":
        return self

    async def __anext__(self) -> memoryview:
        if self._at >= len(self._data):
            raise StopAsyncIteration
        block = self._data[self._at : self._at + self.SIZE]
        self._at += self.SIZE
        return block
