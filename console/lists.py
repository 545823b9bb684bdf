"""Lists of refused records that are ended one after the other, kept in the schema of the console.

A list is frozen when it is made: what is refused later is not in it. Its first member is ended alone. A
member is begun before its service is asked and ended after it answered, so that what happened in between is
never taken for undone: one that was begun and has no outcome stops the list.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct

from shared.clock import now
from shared.ids import uuid7
from shared.queries import load

SQL = load(__file__)
MOST: Final = 1_000
"""So many records may a list have."""
KEPT: Final = timedelta(days=90)
PATIENCE: Final = timedelta(seconds=90)
"""A service answers earlier than that, or nobody hears it."""
BY_ITSELF: Final = "pawl"

Action = Literal["replay", "resolve"]
Outcome = Literal["done", "failed", "unknown"]


class Member(Struct, frozen=True):
    """One record of a list, and what became of it."""

    position: int
    name: str
    key: str | None
    hindrance: str
    would: str | None
    is_hopeless: bool
    begun_at: datetime | None
    ended_at: datetime | None
    outcome: Outcome | None
    detail: str | None

    @property
    def is_left_out(self) -> bool:
        """Whether nobody tries it: it could not be ended, or would be refused again."""
        return bool(self.hindrance) or self.is_hopeless


class Frozen(Struct, frozen=True):
    """A list as it stands: what is done to each member, why, and how far that is."""

    list_id: UUID
    person: str
    action: Action
    cause: str
    reason: str | None
    made_at: datetime
    stopped_at: datetime | None
    stopped_by: str | None
    stop_why: str | None
    members: Sequence[Member] = ()

    def outcomes(self, outcome: Outcome) -> int:
        """How many members went so."""
        return sum(each.outcome == outcome for each in self.members)

    @property
    def left(self) -> int:
        """How many members are still to be ended."""
        return sum(each.begun_at is None and not each.is_left_out for each in self.members)

    @property
    def untried(self) -> int:
        """Of how many no dry run has said anything."""
        return sum(
            not each.hindrance and each.would is None and each.begun_at is None for each in self.members
        )

    @property
    def stage(self) -> str:
        """`stopped`, `finished`, `frozen` before its first member, `begun` after that."""
        if self.stopped_at is not None:
            return "stopped"
        begun = any(each.begun_at is not None for each in self.members)
        if not self.left and begun and all(each.outcome or each.begun_at is None for each in self.members):
            return "finished"
        return "begun" if begun else "frozen"


class Lists:
    """The lists, in the schema `console`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def freeze(
        self, person: str, action: Action, cause: str, rows: Sequence[Mapping[str, Any]]
    ) -> UUID:
        """Makes a list of these rows of `pawl dead`; what is older than `KEPT` is forgotten."""
        at, list_id = now(), uuid7()
        columns = [[row[name] for row in rows] for name in ("name", "key", "hindrance")]
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(SQL.forget_lists, at - KEPT)
            await connection.execute(SQL.make_list, list_id, person, action, cause, at)
            await connection.execute(SQL.add_members, list_id, list(range(1, len(rows) + 1)), *columns)
        return list_id

    async def read(self, list_id: UUID) -> Frozen | None:
        """A list with its members; None where there is none. One that stands still is stopped."""
        row = await self._pool.fetchrow(SQL.read_list, list_id)
        if row is None:
            return None
        members = [_member(each) for each in await self._pool.fetch(SQL.members_of_list, list_id)]
        lost = next((each for each in members if _is_lost(each)), None)
        if lost is not None:
            await self.end(list_id, lost, "unknown", "")
            return await self.read(list_id)
        return Frozen(**dict(row), members=members)

    async def newest(self, most: int) -> list[dict[str, Any]]:
        """The newest lists, and how far each is."""
        return [dict(row) for row in await self._pool.fetch(SQL.newest_lists, most)]

    async def untried(self, list_id: UUID, most: int) -> list[Member]:
        """Members of which no dry run has said anything."""
        return [_member(row) for row in await self._pool.fetch(SQL.next_untried, list_id, most)]

    async def note_would(self, list_id: UUID, member: Member, would: str, *, is_hopeless: bool) -> None:
        """Keeps what a dry run said."""
        await self._pool.execute(SQL.note_would, list_id, member.position, would, is_hopeless)

    async def begin_next(self, list_id: UUID, reason: str) -> tuple[Member, str] | None:
        """The next member, which is begun now, and the reason of the list, which its first member gives.

        None: it is stopped, somebody is ending a member at this moment, or nothing is left.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(SQL.lock_list, list_id)
            if row is None or row["stopped_at"] is not None:
                return None
            if await connection.fetchrow(SQL.begun_of_list, list_id) is not None:
                return None
            member = await connection.fetchrow(SQL.begin_next, list_id, now())
            if member is None:
                return None
            why: str = await connection.fetchval(SQL.give_reason, list_id, reason)
            return _member(member), why

    async def end(self, list_id: UUID, member: Member, outcome: Outcome, detail: str) -> None:
        """Keeps what became of a member; anything but `done` stops the list."""
        at = now()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.fetchrow(SQL.lock_list, list_id)
            await connection.execute(SQL.end_member, list_id, member.position, at, outcome, detail)
            if outcome != "done":
                await connection.execute(SQL.stop_list, list_id, at, BY_ITSELF, f"{member.name} {outcome}")

    async def stop(self, list_id: UUID, person: str, why: str) -> None:
        """Nothing more is begun; a member that is being ended comes to its end."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.fetchrow(SQL.lock_list, list_id)
            await connection.execute(SQL.stop_list, list_id, now(), person, why)


def _is_lost(member: Member) -> bool:
    begun = member.begun_at
    return begun is not None and member.outcome is None and now() - begun > PATIENCE


def _member(row: Mapping[str, Any]) -> Member:
    return Member(**{name: row[name] for name in Member.__struct_fields__})
