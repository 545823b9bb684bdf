"""A month closed by sets: whole partners that need no second thought are merged, numbered and issued in SQL.

A set does what the decisions do (a property test over random months holds both together), for partners whose
month is plain: every document is a draft of its own, under a number that is right, without a refund in
progress, a wish for some payments only, or an approval. All others are left to the decisions. Each set is one
short transaction; what is done is no draft any more, so a close that is killed goes on behind it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from services.invoices.calendar import cut_off, is_late, late_percent
from services.invoices.closes import MonthClose
from services.invoices.state import Policy
from services.invoices.store import SQL
from shared.business_number import is_valid
from shared.crash_points import CrashPoint
from shared.ids import uuid7_batch
from shared.kst import kst_date, month_end, wire_time
from shared.partitioner import partition_for
from shared.postgres import Connection
from shared.runtime.surroundings import Surroundings
from shared.tax_documents import due_on

TOPIC: Final = "invoices.events"


class Made(NamedTuple):
    """What a set has made: so many documents approved or issued, and so many merged for that."""

    documents: int
    merged: int = 0


Make = Callable[[Connection, list[str]], Awaitable[Made]]
Next = Callable[[str], tuple[Any, ...]]
"""The statement that reads the partners behind one, with its arguments."""


async def close_sets(surroundings: Surroundings, policy: Policy, close: MonthClose, partners: int) -> None:
    """Merges and issues what is plain of a month, so many partners at a time; the rest stays as it is."""
    await _in_sets(surroundings, close, *_plain(policy, close, partners, is_approval=False))


async def approve_sets(surroundings: Surroundings, policy: Policy, close: MonthClose, partners: int) -> None:
    """The same, where documents are only approved."""
    await _in_sets(surroundings, close, *_plain(policy, close, partners, is_approval=True))


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

    async def make(connection: Connection, partner_ids: list[str]) -> Made:
        said = (close.month, partner_ids, numbers, close.at, is_late(close.month, close.at))
        done = await connection.fetchval(SQL.issue_frozen, *said, policy.four_eyes, close.actor)
        return Made(done)

    await _in_sets(surroundings, close, following, make)


def _plain(policy: Policy, close: MonthClose, partners: int, *, is_approval: bool) -> tuple[Next, Make]:
    month = close.month

    def following(after: str) -> tuple[Any, ...]:
        return SQL.partners_with_drafts, month, after, partners

    async def make(connection: Connection, partner_ids: list[str]) -> Made:
        scopes = await connection.fetch(SQL.scopes_to_issue, month, partner_ids)
        row: Any = await connection.fetchrow(
            SQL.close_plain,
            month,
            partner_ids,
            sorted(filter(is_valid, {row["business_number"] for row in scopes})),
            close.at,
            month_end(month),
            is_late(month, close.at),
            cut_off(month, policy.cut_off_day, policy.cut_off_hour),
            uuid7_batch(len(scopes)),
            is_approval,
            close.actor,
            close.reason,
        )
        return Made(row["done"], row["merged"])

    return following, make


async def _in_sets(surroundings: Surroundings, close: MonthClose, following: Next, make: Make) -> None:
    last: str | None = ""
    while last is not None:
        last = await _one_set(surroundings, close, following(last), make)


async def _one_set(
    surroundings: Surroundings, close: MonthClose, following: tuple[Any, ...], make: Make
) -> str | None:
    """Makes the next set; returns the last partner that it looked at, or None when there are no more."""
    rows = await surroundings.pool.fetch(*following)
    if not rows:
        return None
    partner_ids = [row["partner_id"] for row in rows]
    async with surroundings.outbox.transaction(
        surroundings.pool, CrashPoint.BEFORE_CLOSE_COMMIT, CrashPoint.AFTER_CLOSE_COMMIT, silent_too=True
    ) as (connection, _):
        await connection.execute(SQL.spread_out)
        await connection.fetchval(SQL.lock_partners, partner_ids)
        await connection.fetchval(SQL.hold_payments, close.month, partner_ids)
        await connection.fetchval(SQL.hold_documents, close.month, partner_ids)
        made = await make(connection, partner_ids)
        if made.documents:
            await connection.execute(SQL.note_unreported, close.month)
            topics = surroundings.outbox.partitions[TOPIC]
            places = [partition_for(partner_id, topics) for partner_id in partner_ids]
            told = _told(close, partner_ids, places, made)
            await surroundings.outbox.append_by(connection, SQL.tell_set, *told)
    return str(partner_ids[-1])


def _told(close: MonthClose, partner_ids: list[str], places: list[int], made: Made) -> tuple[Any, ...]:
    percent = late_percent(close.month, kst_date(close.at))
    ids = uuid7_batch(made.documents + made.merged)
    time, due = wire_time(close.at), due_on(close.month)
    return close.month, partner_ids, places, time, str(close.id), due, percent, ids, made.merged > 0
