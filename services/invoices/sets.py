"""A month closed by sets: whole partners that need no second thought are merged, numbered and issued in SQL.

A set does what the decisions do (a property test over real months holds both together), for partners whose
month is plain: every document is a draft of its own, under a number that is right, without a refund in
progress, a wish for some payments only, or an approval. All others are left to the decisions. Each chunk is
one short transaction; what is issued is no draft any more, so a close that is killed goes on behind it.
"""

from typing import Any, Final

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

PARTNERS_IN_A_SET: Final = 1_000
"""Partners in one transaction. More take no less time each; fewer do, below some hundreds."""
TOPIC: Final = "invoices.events"


async def close_sets(
    surroundings: Surroundings, policy: Policy, close: MonthClose, partners: int = PARTNERS_IN_A_SET
) -> None:
    """Issues what is plain of a month, so many partners in one transaction, and leaves the rest as it is."""
    last: str | None = ""
    while last is not None:
        last = await _close_set(surroundings, policy, close, last, partners)


async def _close_set(
    surroundings: Surroundings, policy: Policy, close: MonthClose, after: str, partners: int
) -> str | None:
    """Issues the next set; returns the last partner that it looked at, or None when there are no more."""
    month = close.month
    rows = await surroundings.pool.fetch(SQL.partners_with_drafts, month, after, partners)
    if not rows:
        return None
    partner_ids = [row["partner_id"] for row in rows]
    async with surroundings.outbox.transaction(
        surroundings.pool, CrashPoint.BEFORE_CLOSE_COMMIT, CrashPoint.AFTER_CLOSE_COMMIT, silent_too=True
    ) as (connection, _):
        await connection.fetchval(SQL.lock_partners, partner_ids)
        await connection.fetchval(SQL.hold_payments, month, partner_ids)
        await connection.fetchval(SQL.hold_documents, month, partner_ids)
        issued, merged = await _issue(connection, policy, close, partner_ids)
        if issued:
            await connection.execute(SQL.note_unreported, month)
            topics = surroundings.outbox.partitions[TOPIC]
            places = [partition_for(partner_id, topics) for partner_id in partner_ids]
            told = _told(close, partner_ids, places, issued + merged)
            await surroundings.outbox.append_by(connection, SQL.tell_plain, *told)
    return str(partner_ids[-1])


async def _issue(
    connection: Connection, policy: Policy, close: MonthClose, partner_ids: list[str]
) -> tuple[int, int]:
    """How many documents were issued for these partners, and how many of them are merged ones."""
    month = close.month
    scopes = await connection.fetch(SQL.scopes_to_issue, month, partner_ids)
    numbers = sorted({row["business_number"] for row in scopes})
    row: Any = await connection.fetchrow(
        SQL.issue_plain,
        month,
        partner_ids,
        [number for number in numbers if is_valid(number)],
        close.at,
        month_end(month),
        is_late(month, close.at),
        cut_off(month, policy.cut_off_day, policy.cut_off_hour),
        uuid7_batch(len(scopes)),
    )
    return row["issued"], row["merged"]


def _told(close: MonthClose, partner_ids: list[str], places: list[int], events: int) -> tuple[Any, ...]:
    percent = late_percent(close.month, kst_date(close.at))
    time, due, ids = wire_time(close.at), due_on(close.month), uuid7_batch(events)
    return close.month, partner_ids, places, time, str(close.id), due, percent, ids
