"""The month close: merges what partners want merged, then issues every document of a month.

It works through the partners of the month in chunks, one transaction each, so it can be interrupted
anywhere and repeated at any time: what is issued stays issued, and a repeat without anything new changes and
publishes nothing.

A refund in progress of a payment that is still to be issued stops it before it begins, unless somebody has
said that such documents are to be issued whole. One that opens meanwhile is seen under the locks of its
chunk: its document stays a draft, and the month stays as if interrupted, to be closed again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from services.invoices.calendar import ends_at
from services.invoices.closes import MonthClose, Sizes
from services.invoices.decisions.closing import drafts_of, issue_month
from services.invoices.events import month_closed
from services.invoices.sets import close_sets
from services.invoices.state import MonthSummary, NewId
from services.invoices.store import SQL, Store
from shared.crash_points import CrashPoint
from shared.ids import uuid7
from shared.kst import wire_time
from shared.runtime.audit_log import write_audit
from shared.runtime.batch_size import by_halves
from shared.runtime.decisions import NewEvent
from shared.runtime.outgoing import Cause, OutboxRows
from shared.runtime.surroundings import Surroundings

SIZES = Sizes()


class MonthNotOver(Exception):
    """The month has not ended yet in Seoul; `ends_at` is the first instant at which it can be closed."""

    def __init__(self, month: str, ends: datetime) -> None:
        super().__init__(f"{month} is not over: it can be closed from {wire_time(ends)} on")
        self.month = month
        self.ends_at = ends


class OpenRefunds(Exception):
    """Payments of a month that is to be closed have refunds in progress.

    `refunds` are the rows of `open_refunds_of_month`.
    """

    def __init__(self, month: str, refunds: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(f"{len(refunds)} refunds of payments of {month} are in progress")
        self.month = month
        self.refunds = refunds


async def close_month(
    surroundings: Surroundings,
    store: Store,
    month: str,
    at: datetime,
    *,
    sizes: Sizes = SIZES,
    new_id: NewId = uuid7,
    actor: str = "",
    reason: str = "",
    despite_open_refunds: bool = False,
) -> MonthSummary:
    """Closes `month` (`2026-10`) at the logical instant `at`. Safe to repeat and to interrupt.

    What is plain is issued by sets, all else by decisions, so many partners in one transaction (`sizes`). An
    `actor` is noted in the audit log before anything is issued, and when nothing is. Raises MonthNotOver when
    `at` is before the first instant of the next month in Seoul, OpenRefunds unless documents are to be issued
    whole (`despite_open_refunds`), and ValueError for a month that is not written `YYYY-MM`.
    """
    close = MonthClose(month, at, new_id(), actor, reason, despite_open_refunds)
    if at < ends_at(month):
        async with surroundings.pool.acquire() as connection:
            await write_audit(connection, close.noted("month_not_over"))
        raise MonthNotOver(month, ends_at(month))
    await _open(surroundings.pool, close)
    before, is_told = await _before(surroundings.pool, month)
    if is_told and not before.drafts and not before.issue_failed:
        return before

    async def close_some(partner_ids: Sequence[str]) -> None:
        await _close_chunk(surroundings, store, close, partner_ids, new_id)

    async def decide(partner_ids: Sequence[str]) -> None:
        for start in range(0, len(partner_ids), sizes.chunk):
            await by_halves(close_some, partner_ids[start : start + sizes.chunk])

    if sizes.in_a_set and not is_told and not await store.wants_draft_rows(surroundings.pool):
        await close_sets(surroundings, store.policy, close, sizes.in_a_set, decide)
    else:
        last = ""
        while rows := await surroundings.pool.fetch(SQL.partners_to_close, month, last, sizes.chunk):
            partner_ids = [row["partner_id"] for row in rows]
            await decide(partner_ids)
            last = partner_ids[-1]
    return await report(surroundings, close, before.already_issued)


async def _open(pool: asyncpg.Pool, close: MonthClose) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL.claim_month, close.month)
        refunds = await connection.fetch(SQL.open_refunds_of_month, close.month)
        is_refused = bool(refunds) and not close.despite_open_refunds
        if not is_refused:
            await connection.execute(SQL.open_month_close, close.month, close.at)
        await write_audit(connection, close.noted("open_refund" if is_refused else "begun", len(refunds)))
    if is_refused:
        raise OpenRefunds(close.month, refunds)


async def _before(pool: asyncpg.Pool, month: str) -> tuple[MonthSummary, bool]:
    """The month as it is before the close, and whether it was told as closed, and all of that.

    Once it was told each of its documents that is still to be issued has a row, and is counted.
    """
    async with pool.acquire() as connection:
        state = await connection.fetchrow(SQL.state_of_month, month)
        row = await connection.fetchrow(SQL.summarise_month, month)
    is_told = state["sequence"] > 0 and not state["unreported"]
    return MonthSummary(month, **row, already_issued=row["documents"]), is_told


async def _close_chunk(
    surroundings: Surroundings, store: Store, close: MonthClose, partner_ids: Sequence[str], new_id: NewId
) -> None:
    """Closes the month of these partners by decisions, in one transaction."""
    async with surroundings.outbox.transaction(
        surroundings.pool, CrashPoint.BEFORE_CLOSE_COMMIT, CrashPoint.AFTER_CLOSE_COMMIT
    ) as (connection, events):
        world = await store.load_month(connection, close.month, partner_ids)
        new_events = issue_month(
            world,
            close.month,
            close.at,
            new_id,
            partner_ids,
            despite_open_refunds=close.despite_open_refunds,
        )
        await store.save(connection, world)
        if new_events or drafts_of(world, close.month, partner_ids):
            await connection.execute(SQL.note_unreported, close.month)
        add_events(events, close, new_events)


async def report(surroundings: Surroundings, close: MonthClose, before: int) -> MonthSummary:
    """Sums the month up, and publishes it when documents were issued or failed since the last time.

    Not before it is closed, and not while drafts are left: then the month is not invoiced yet, and waits to
    be closed again.
    """
    async with surroundings.outbox.transaction(surroundings.pool) as (connection, events):
        state = await connection.fetchrow(SQL.lock_month, close.month)
        row = await connection.fetchrow(SQL.summarise_month, close.month)
        summary = MonthSummary(close.month, **row, already_issued=before)
        if state is not None and state["unreported"] and not summary.drafts:
            sequence = await connection.fetchval(SQL.mark_reported, close.month)
            closed = month_closed(summary, close.at, sequence, close.actor, close.reason)
            add_events(events, close, [closed])
    return summary


def add_events(events: OutboxRows, close: MonthClose, new_events: Sequence[NewEvent]) -> None:
    """Has what a close says published: caused by it, at its time."""
    for event in new_events:
        key = event.key or close.month
        events.add(event, Cause(str(close.id), key, close.at, key))
