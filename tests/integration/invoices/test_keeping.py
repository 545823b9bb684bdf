"""What is kept of a month is what it comes to, or does not count: SQL and decisions add up the same."""

import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from services.invoices import keeping
from services.invoices.approving import FourEyes, Step, WithoutAgent, approve, issue
from services.invoices.closes import MonthClose, Sizes
from services.invoices.decisions.preview import MonthPreview
from services.invoices.keeping import decide, keep_month
from services.invoices.previewing import preview_month
from services.invoices.store import SQL
from shared.ids import uuid7
from tests.integration.invoices.conftest import TABLES, StoredBooks
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, instant
from tests.unit.invoices.months import a_month

MONTH, LATE = "2026-10", "2026-11-20T10:00:00+09:00"
MOST = 1_000
STANDS = "SELECT * FROM {} WHERE month = '2026-10' ORDER BY business_number, partner_id"
BUSINESSES = "SELECT * FROM {} WHERE month = '2026-10' ORDER BY business_number"
REFUNDABLE = (
    "SELECT order_id FROM payments WHERE supply > 4_800 AND refunded_supply = 0 AND serial_units = 0"
    " AND draft_id IS NOT NULL AND open_refunds = 0 ORDER BY order_id LIMIT 1"
)
CHANGED = "SELECT DISTINCT partner_id FROM changed_months ORDER BY partner_id"


async def decided(books: StoredBooks, at: str) -> MonthPreview:
    """What a close would make of each partner, by decisions alone."""
    seen = MonthPreview(MOST)
    async with books.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        rows = await connection.fetch(SQL.partners_to_close, MONTH, "", MOST)
        for row in rows:
            seen.add(await decide(connection, books.store, MONTH, instant(at), [row["partner_id"]]))
    return seen


async def told(books: StoredBooks, at: str) -> dict[str, Any]:
    return await preview_month(books.pool, books.store, MONTH, instant(at), most=MOST, chunk=2)


def left_out(of: Mapping[str, Any]) -> dict[str, Any]:
    return {
        each["reason"]: (each["count"], each["won"], sorted(p["payment_id"] for p in each["payments"]))
        for each in of["left_out"]
    }


async def require_the_same(books: StoredBooks, at: str) -> None:
    """What is told of the month, kept or not, is what decisions and documents say of it."""
    seen = await decided(books, at)
    as_it_is = await books.pool.fetch(BUSINESSES.format("business_months"))
    assert await books.pool.fetch(BUSINESSES.format("standing_businesses")) == as_it_is
    shown = await told(books, at)
    assert shown["to_be"] == seen.to_be(MONTH, instant(at))
    assert left_out(shown) == {
        reason: (
            count,
            seen.won_of[reason],
            sorted(each.payment_id for each in seen.left_out if each.reason == reason),
        )
        for reason, count in seen.reasons.items()
    }
    assert sorted(each["payment_ids"] for each in shown["merges"]) == sorted(
        [payment.payment_id for payment in each.payments] for each in seen.merges
    )
    assert await books.pool.fetch(CHANGED) == []
    kept = await books.pool.fetch(STANDS.format("kept_stands"))
    assert kept == await books.pool.fetch(STANDS.format("partner_stands"))
    assert await books.pool.fetch(BUSINESSES.format("standing_businesses")) == as_it_is


async def in_steps(books: StoredBooks, at: str) -> None:
    """Approved by two and issued by two, with what is kept looked at between."""
    surroundings, store, sizes = books.surroundings, books.store, Sizes(in_a_set=3)
    for who, despite in (("kim", False), ("park", True)):
        close = MonthClose(MONTH, instant(at), uuid7(), who, "a test", despite)
        await approve(surroundings, store, Step(close, None), sizes=sizes)
        await require_the_same(books, at)
        order_id = await books.pool.fetchval(REFUNDABLE)
        if order_id is not None:
            await books.take(books.events.completed(order_id, f"between-{who}", 3, 4_800, 436))
    for who, despite in (("kim", False), ("lee", True)):
        close = MonthClose(MONTH, instant(at), uuid7(), who, "a test", despite)
        with suppress(FourEyes):
            await issue(surroundings, store, Step(close, None), WithoutAgent(surroundings, store, sizes))
        await require_the_same(books, at)


@pytest.mark.parametrize("seed", range(25))
async def test_what_is_kept_of_a_month_is_what_decisions_say(books: StoredBooks, seed: int) -> None:
    at, events = random.Random(-seed).choice([CLOSED_AT, LATE]), a_month(seed)
    half = len(events) // 2
    for event in events[:half]:
        await books.take(event)
    await require_the_same(books, at)
    for event in events[half:]:
        await books.take(event)
    await require_the_same(books, at)
    if seed % 2:
        await in_steps(books, at)
    await books.close(at=at, in_a_set=3, despite_open_refunds=True)
    await require_the_same(books, at)


async def test_most_of_these_months_is_added_up_in_sql(books: StoredBooks, owner: asyncpg.Connection) -> None:
    """Else the test above would hold decisions together with themselves."""
    left = partners = wished = 0
    for seed in range(20):
        for event in a_month(seed):
            await books.take(event)
        rows = await books.pool.fetch(SQL.partners_to_close, MONTH, "", MOST)
        ids = [row["partner_id"] for row in rows]
        last_moment = keeping.last_moment_of(books.store.policy, MONTH)
        left += len(await books.pool.fetchval(SQL.keep_plain, MONTH, ids, last_moment))
        partners += len(ids)
        wished += await books.pool.fetchval("SELECT count(*) FROM kept_left_out")
        await owner.execute(f"TRUNCATE {TABLES}")
    assert left / partners < 0.7, (left, partners)
    assert wished


async def test_what_has_changed_since_it_was_kept_does_not_count_as_it_is_kept(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    await keep_month(books.pool, books.store, MONTH)

    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400))

    assert [row["partner_id"] for row in await books.pool.fetch(CHANGED)] == ["P-17"]
    states = {
        row["business_number"]: row
        for row in await books.pool.fetch(SQL.page_of_businesses, MONTH, "", None, 10)
    }
    assert {number: row["to_issue"] for number, row in states.items()} == {GANADA: 105_600, OTHER: 176_000}
    assert (await told(books, CLOSED_AT))["to_be"]["total"] == 281_600


async def test_another_cut_off_keeps_a_month_anew(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await keep_month(books.pool, books.store, MONTH)
    await books.pool.execute(SQL.drop_kept_previews, MONTH, ["P-17"])
    await books.pool.execute(
        SQL.put_kept_preview, MONTH, "P-17", instant("2026-11-06T18:00:00+09:00"), *[9] * 9
    )

    assert (await told(books, CLOSED_AT))["to_be"]["total"] == 176_000


async def test_a_wish_of_a_partner_changes_all_of_its_months(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.paid_and_issued("N-1", "N-2", at="2026-09-03T12:00:00+09:00")
    await keep_month(books.pool, books.store, "2026-09")
    await keep_month(books.pool, books.store, MONTH)

    await books.take(books.events.partner(at="2026-09-01T10:00:00+09:00"))

    for month in (MONTH, "2026-09"):
        shown = await preview_month(books.pool, books.store, month, instant(CLOSED_AT), most=10, chunk=10)
        assert shown["to_be"]["merged"] == 1, month
