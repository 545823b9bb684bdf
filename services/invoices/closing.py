"""The month close: merges what partners want merged, then issues every document of a month.

It works through the partners of the month in chunks, one transaction each, so it can be interrupted
anywhere and repeated at any time: what is issued stays issued, and a repeat without anything new changes and
publishes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.invoices.calendar import ends_at
from services.invoices.decisions.closing import issue_month
from services.invoices.events import month_closed
from services.invoices.state import MonthSummary, NewId
from services.invoices.store import SQL, Store
from shared.crash_points import CrashPoint
from shared.ids import uuid7
from shared.kst import wire_time
from shared.runtime.audit_log import AuditEntry, write_audit
from shared.runtime.decisions import NewEvent
from shared.runtime.outgoing import Cause, OutboxRows
from shared.runtime.surroundings import Surroundings

CHUNK = 200
"""Partners in one transaction."""


class MonthNotOver(Exception):
    """The month has not ended yet in Seoul; `ends_at` is the first instant at which it can be closed."""

    def __init__(self, month: str, ends: datetime) -> None:
        super().__init__(f"{month} is not over: it can be closed from {wire_time(ends)} on")
        self.month = month
        self.ends_at = ends


class MonthClose(NamedTuple):
    """One close command. `id` causes its events and `at` is their time."""

    month: str
    at: datetime
    id: UUID


async def close_month(
    surroundings: Surroundings,
    store: Store,
    month: str,
    at: datetime,
    *,
    chunk: int = CHUNK,
    new_id: NewId = uuid7,
    actor: str = "",
    reason: str = "",
) -> MonthSummary:
    """Closes `month` (`2026-10`) at the logical instant `at`. Safe to repeat and to interrupt.

    An `actor` is noted in the audit log before anything is issued. Raises MonthNotOver when `at` is before
    the first instant of the next month in Seoul, and ValueError for a month that is not written `YYYY-MM`.
    """
    if at < ends_at(month):
        raise MonthNotOver(month, ends_at(month))
    close = MonthClose(month, at, new_id())
    entries = [AuditEntry(close.id, actor, "month.close", month, reason, result="begun")] if actor else []
    await _open(surroundings.pool, close, entries)
    before = await _documents(surroundings.pool, month)
    last: str | None = ""
    while last is not None:
        last = await _close_chunk(surroundings, store, close, last, chunk, new_id)
    return await _report(surroundings, close, before)


async def _open(pool: asyncpg.Pool, close: MonthClose, entries: Sequence[AuditEntry]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL.claim_month, close.month)
        await connection.execute(SQL.open_month_close, close.month, close.at)
        await write_audit(connection, entries)


async def _documents(pool: asyncpg.Pool, month: str) -> int:
    async with pool.acquire() as connection:
        row = await connection.fetchrow(SQL.summarise_month, month)
        return int(row["documents"])


async def _close_chunk(
    surroundings: Surroundings, store: Store, close: MonthClose, after: str, chunk: int, new_id: NewId
) -> str | None:
    """Closes the next partners; returns the last of them, or None when there are no more."""
    async with surroundings.outbox.transaction(
        surroundings.pool, CrashPoint.BEFORE_CLOSE_COMMIT, CrashPoint.AFTER_CLOSE_COMMIT
    ) as (connection, events):
        rows = await connection.fetch(SQL.partners_to_close, close.month, after, chunk)
        if not rows:
            return None
        partner_ids = [row["partner_id"] for row in rows]
        world = await store.load_month(connection, close.month, partner_ids)
        new_events = issue_month(world, close.month, close.at, new_id, partner_ids)
        await store.save(connection, world)
        if new_events:
            await connection.execute(SQL.note_unreported, close.month)
        _add(events, close, new_events)
        return str(partner_ids[-1])


async def _report(surroundings: Surroundings, close: MonthClose, before: int) -> MonthSummary:
    """Sums the month up, and publishes it when documents were issued or failed since the last time."""
    async with surroundings.outbox.transaction(surroundings.pool) as (connection, events):
        state = await connection.fetchrow(SQL.lock_month, close.month)
        row = await connection.fetchrow(SQL.summarise_month, close.month)
        summary = MonthSummary(close.month, **row, already_issued=before)
        if state["unreported"]:
            sequence = await connection.fetchval(SQL.mark_reported, close.month)
            _add(events, close, [month_closed(summary, close.at, sequence)])
    return summary


def _add(events: OutboxRows, close: MonthClose, new_events: Sequence[NewEvent]) -> None:
    for event in new_events:
        key = event.key or close.month
        events.add(event, Cause(str(close.id), key, close.at, key))
