"""What a month comes to, kept by partner: how its documents stand, and what a close would make of it.

Whoever writes leaves a mark of each partner's month that it changed, in the same transaction (the triggers of
the schema do it). What is kept of a marked month does not count: it is read, or decided, as it is. So what is
kept may be old, and what is told never is. Keeping takes the marks away and adds those months up again, set
by set: what is plain in SQL, all else by the decisions of the close.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from services.invoices.calendar import cut_off, ends_at
from services.invoices.decisions.preview import MonthPreview, Tried, try_close
from services.invoices.state import UNISSUED, Policy, World
from services.invoices.store import SQL, Store
from shared.ids import uuid7
from shared.postgres import Connection
from shared.runtime.retry import TRANSIENT, note_fault
from shared.runtime.surroundings import Surroundings

PARTNERS: Final = 500
"""So many are kept in one transaction."""
SECONDS: Final = 2.0
"""So long after it has kept everything the service looks for what has changed since."""
PART: Final = "keeping months"

log = structlog.get_logger("pawl.invoices.keeping")


async def keep_months(surroundings: Surroundings, store: Store) -> None:
    """Keeps every month, again and again."""
    while True:
        try:
            await surroundings.pool.execute(SQL.spread_changes)
            for row in await surroundings.pool.fetch(SQL.months_to_keep):
                await keep_month(surroundings.pool, store, row["month"])
            surroundings.troubles.over(PART)
        except TRANSIENT as trouble:
            more = note_fault(surroundings.troubles, PART, trouble)
            log.info(
                "months are kept again later", trouble=f"{type(trouble).__name__}: {trouble}"[:200], **more
            )
        await asyncio.sleep(SECONDS)


async def keep_month(pool: asyncpg.Pool, store: Store, month: str, most: int = PARTNERS) -> None:
    """Keeps what has changed of a month until now, so many partners in each transaction."""
    is_done = False
    while not is_done:
        try:
            async with (
                pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read"),
            ):
                is_done = await _keep_some(connection, store, month, most)
        except asyncpg.SerializationError:
            continue  # somebody else has kept some of it meanwhile


async def _keep_some(connection: Connection, store: Store, month: str, most: int) -> bool:
    """Keeps the next partners' month; whether that were all.

    What is kept is as of the snapshot, and so are the marks that are taken away.
    """
    await connection.execute(SQL.claim_keeping)
    await connection.execute(SQL.spread_changes)
    await connection.execute(SQL.spread_out)
    last_moment = last_moment_of(store.policy, month)
    rows = await connection.fetch(SQL.changed_partners, month, last_moment, most)
    if not rows:
        return True
    partner_ids = [row["partner_id"] for row in rows]
    await connection.execute(SQL.take_changes, month, partner_ids)
    for drop in (SQL.drop_kept_stands, SQL.drop_kept_previews, SQL.drop_kept_left_out):
        await connection.execute(drop, month, partner_ids)
    await connection.execute(SQL.keep_stands, month, partner_ids)
    left = await connection.fetchval(SQL.keep_plain, month, partner_ids, last_moment)
    if left:
        tried = await decide(connection, store, month, ends_at(month), left)
        await _put(connection, month, last_moment, tried)
    return len(rows) < most


def last_moment_of(policy: Policy, month: str) -> datetime:
    """The cut-off of a month."""
    return cut_off(month, policy.cut_off_day, policy.cut_off_hour)


async def decide(
    connection: Connection, store: Store, month: str, at: datetime, partner_ids: Sequence[str]
) -> Tried:
    """What a close at the instant `at` would make of these partners' month. Call it inside a snapshot."""
    world = await store.look_at_month(connection, month, partner_ids)
    return try_close(world, month, at, uuid7, _with_something_to_do(world, month, partner_ids))


def _with_something_to_do(world: World, month: str, partner_ids: Sequence[str]) -> set[str]:
    """Those of these partners that a close would come to."""
    owners = {d.partner_id for d in world.documents.values() if d.month == month and d.state in UNISSUED}
    return owners & set(partner_ids)


async def _put(connection: Connection, month: str, last_moment: datetime, tried: Tried) -> None:
    parts = dict(_by_partner(tried))
    sums = [(month, partner_id, last_moment, *_sums_of(seen)) for partner_id, seen in parts.items()]
    await connection.executemany(SQL.put_kept_preview, sums)
    left_out = [
        (month, reason, partner_id, count, seen.won_of[reason])
        for partner_id, seen in parts.items()
        for reason, count in seen.reasons.items()
    ]
    await connection.executemany(SQL.put_kept_left_out, left_out)


def _by_partner(tried: Tried) -> Iterator[tuple[str, MonthPreview]]:
    owners = {each.document.partner_id for each in tried.documents}
    for partner_id in sorted(owners | {each.partner_id for each in tried.left_out}):
        seen = MonthPreview(most=0)
        seen.add(
            Tried(
                [each for each in tried.documents if each.document.partner_id == partner_id],
                [each for each in tried.left_out if each.partner_id == partner_id],
            )
        )
        yield partner_id, seen


def _sums_of(seen: MonthPreview) -> tuple[int, ...]:
    """As the columns of `put_kept_preview` have them."""
    single, merged, failed = seen.single, seen.merged, seen.failed
    amount = single.amount.plus(merged.amount)
    return (
        single.documents,
        merged.documents,
        failed.documents,
        failed.amount.total,
        single.payments + merged.payments,
        amount.supply,
        amount.vat,
        single.one_percent + merged.one_percent,
        single.two_percent + merged.two_percent,
    )
