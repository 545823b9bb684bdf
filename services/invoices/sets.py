"""A month closed by sets: whole partners that need no second thought are merged, numbered and issued in SQL.

A set does what the decisions do (a property test over random months holds both together), for partners whose
month is plain: every document is a draft that is what its payment says, under a number that is right,
without a refund in progress or a wish for some payments only. All others are decided, set by set. Each set is
one short transaction; what is done is no draft any more, so a close that is killed goes on behind it. Two
sets are closed side by side, each in a slot of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from services.invoices.calendar import cut_off, is_late, late_percent
from services.invoices.closes import MonthClose
from services.invoices.state import Policy
from services.invoices.store import SQL
from shared.crash_points import CrashPoint
from shared.kst import kst_date, month_end, wire_time
from shared.partitioner import partition_for
from shared.postgres import Connection
from shared.runtime.batch_size import by_halves
from shared.runtime.surroundings import Surroundings
from shared.tax_documents import due_on

TOPIC: Final = "invoices.events"
SLOTS: Final = (1, 2)
"""As `share_sets` counts them."""

Make = Callable[[Connection, list[str]], Awaitable[Sequence[str]]]
"""Makes what is plain of these partners; answers with those that it leaves with something to do."""
Decide = Callable[[Sequence[str]], Awaitable[None]]
"""Decides about partners that a set has left."""
Next = Callable[[str], tuple[Any, ...]]
"""The statement that reads the partners behind one, with its arguments."""


async def close_sets(
    surroundings: Surroundings, policy: Policy, close: MonthClose, partners: int, decide: Decide
) -> None:
    """Merges and issues a month, so many partners at a time: what is plain by set, the rest by decisions."""
    made = _plain(surroundings, policy, close, partners, is_approval=False)
    await _in_sets(surroundings, *made, decide)


async def approve_sets(
    surroundings: Surroundings, policy: Policy, close: MonthClose, partners: int, decide: Decide
) -> None:
    """The same, where documents are only approved."""
    made = _plain(surroundings, policy, close, partners, is_approval=True)
    await _in_sets(surroundings, *made, decide)


async def issue_sets(
    surroundings: Surroundings,
    policy: Policy,
    close: MonthClose,
    numbers: Sequence[str] | None,
    partners: int,
) -> None:
    """Issues what is as it was approved, of these numbers (None: all), so many partners at a time."""

    def following(after: str) -> tuple[Any, ...]:
        return SQL.partners_to_issue, close.month, after, partners, numbers

    async def make(connection: Connection, partner_ids: list[str]) -> Sequence[str]:
        said = (close.month, partner_ids, numbers, close.at, is_late(close.month, close.at))
        done = await connection.fetchval(SQL.issue_frozen, *said, policy.four_eyes, close.actor)
        if done:
            await connection.execute(SQL.note_unreported, close.month)
            percent = late_percent(close.month, kst_date(close.at))
            places = _places(surroundings, partner_ids)
            told = (close.month, partner_ids, places, wire_time(close.at), str(close.id), percent)
            await surroundings.outbox.append_by(connection, SQL.tell_issued, *told)
        return ()

    async def nobody(partner_ids: Sequence[str]) -> None:
        """What is left is decided later, behind all sets."""

    await _in_sets(surroundings, following, make, nobody)


def _plain(
    surroundings: Surroundings, policy: Policy, close: MonthClose, partners: int, *, is_approval: bool
) -> tuple[Next, Make]:
    month = close.month

    def following(after: str) -> tuple[Any, ...]:
        return SQL.partners_of_month, month, after, partners

    async def make(connection: Connection, partner_ids: list[str]) -> Sequence[str]:
        left: Sequence[str] = await connection.fetchval(
            SQL.close_plain,
            month,
            partner_ids,
            close.at,
            wire_time(close.at),
            month_end(month),
            due_on(month),
            is_late(month, close.at),
            late_percent(month, kst_date(close.at)),
            cut_off(month, policy.cut_off_day, policy.cut_off_hour),
            is_approval,
            close.actor,
            close.reason,
            str(close.id),
            _places(surroundings, partner_ids),
        )
        return left

    return following, make


def _places(surroundings: Surroundings, partner_ids: Sequence[str]) -> list[int]:
    """The partitions of what is said with the keys of these partners."""
    partitions = surroundings.outbox.partitions[TOPIC]
    return [partition_for(partner_id, partitions) for partner_id in partner_ids]


async def _in_sets(surroundings: Surroundings, following: Next, make: Make, decide: Decide) -> None:
    """Makes one set after the other, in every slot; what one of them raises ends the others."""
    pages = _Pages(surroundings, following)
    try:
        async with asyncio.TaskGroup() as slots:
            for slot in SLOTS:
                slots.create_task(_one_slot(surroundings, pages, slot, make, decide))
    except BaseExceptionGroup as problems:
        raise problems.exceptions[0] from None


class _Pages:
    """Hands out the partners of a month, each once."""

    def __init__(self, surroundings: Surroundings, following: Next) -> None:
        self._pool, self._following = surroundings.pool, following
        self._last, self._turn = "", asyncio.Lock()

    async def next(self) -> list[str]:
        """The next partners; none when there are no more."""
        async with self._turn:
            rows = await self._pool.fetch(*self._following(self._last))
            partner_ids = [row["partner_id"] for row in rows]
            self._last = partner_ids[-1] if partner_ids else self._last
        return partner_ids


async def _one_slot(surroundings: Surroundings, pages: _Pages, slot: int, make: Make, decide: Decide) -> None:
    left: list[str] = []

    async def make_set(partner_ids: Sequence[str]) -> None:
        async with surroundings.outbox.transaction(
            surroundings.pool,
            CrashPoint.BEFORE_CLOSE_COMMIT,
            CrashPoint.AFTER_CLOSE_COMMIT,
            silent_too=True,
        ) as (connection, _):
            await connection.execute(SQL.spread_out)
            await connection.execute(SQL.claim_set, slot)
            behind = await make(connection, list(partner_ids))
        left.extend(behind)

    while partner_ids := await pages.next():
        left.clear()
        await by_halves(make_set, partner_ids)
        if left:
            await decide(left)
