"""A month closed by sets is the month that the decisions close: one rule, and SQL keeps to it."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import asyncpg
import pytest

from services.invoices import sets
from services.invoices.approving import FourEyes, Step, WithoutAgent, approve, issue
from services.invoices.closes import MonthClose, Sizes
from services.invoices.store import SQL
from shared.crash_points import CrashPoint
from shared.ids import uuid7
from shared.runtime.decisions import Event
from tests.integration.invoices.conftest import TABLES, StoredBooks
from tests.unit.invoices.books import CLOSED_AT, instant
from tests.unit.invoices.months import a_month

SOMEBODY_WAITS = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = current_user)
"""
LATE = "2026-11-20T10:00:00+09:00"
_KEY = re.compile(r"(2026-10-[0-9]{10}-)[0-9]{6,}")
"""Which document of a business has which of its numbers is nobody's rule; the counters are compared."""
READ = {
    "documents": "SELECT * FROM all_documents",
    "payments": "SELECT * FROM placed_payments ORDER BY order_id",
    "explanations": "SELECT * FROM all_explanations ORDER BY partner_id, request_id, payment_id",
    "counters": "SELECT * FROM document_counters WHERE last_number > 0 ORDER BY business_number",
    "months": "SELECT * FROM months",
    "approvals": "SELECT * FROM approvals",
}


async def at_once(books: StoredBooks, at: str, in_a_set: int) -> None:
    await books.close(at=at, in_a_set=in_a_set, despite_open_refunds=True)


async def in_steps(books: StoredBooks, at: str, in_a_set: int) -> None:
    """Approved by two, so that four eyes leave some for the end; with a refund that comes between."""
    surroundings, store, sizes = books.surroundings, books.store, Sizes(in_a_set=in_a_set)
    for who, despite in (("kim", False), ("park", True)):
        close = MonthClose("2026-10", instant(at), uuid7(), who, "a test", despite)
        await approve(surroundings, store, Step(close, None), sizes=sizes)
        order = await books.pool.fetchrow(
            "SELECT order_id FROM payments WHERE supply > 4_800 AND refunded_supply = 0 AND serial_units = 0"
            " AND draft_id IS NOT NULL AND open_refunds = 0 ORDER BY order_id LIMIT 1"
        )
        if order is not None:
            name = f"between-{who}"
            await books.take(books.events.completed(order["order_id"], name, 3, 4_800, 436))
    for who, despite in (("kim", False), ("lee", True)):
        close = MonthClose("2026-10", instant(at), uuid7(), who, "a test", despite)
        issuer = WithoutAgent(surroundings, store, sizes)
        with suppress(FourEyes):
            await issue(surroundings, store, Step(close, None), issuer)


async def closed(
    books: StoredBooks, events: list[Event], close: Callable[[], Awaitable[None]]
) -> Mapping[str, Any]:
    """What a close makes of these events, with names in the place of ids."""
    for event in events:
        await books.take(event)
    before = await books.pool.fetchval("SELECT coalesce(max(id), 0) FROM outbox")
    await close()
    names = await _names(books)
    tables = {name: [_named(row, names) for row in await books.pool.fetch(sql)] for name, sql in READ.items()}
    for name in ("documents", "approvals"):
        tables[name].sort(key=lambda row: row["invoice_id"])
    outbox = await books.pool.fetch(
        "SELECT topic, partition, key, type, subject, sequence, time, correlation, traceparent,"
        " convert_from(data, 'UTF8')::jsonb::text AS data FROM outbox WHERE id > $1 ORDER BY id",
        before,
    )
    said: dict[str, list[Any]] = {}
    for row in outbox:
        said.setdefault(_replaced(row["subject"], names), []).append(_named(row, names))
    return {**tables, "said": said}


async def _names(books: StoredBooks) -> Mapping[str, str]:
    """A name for each document: that of the payments that it was made for."""
    rows = await books.pool.fetch(
        "SELECT draft_id::text AS id, 'own ' || order_id AS name FROM payments WHERE draft_id IS NOT NULL"
        " UNION ALL SELECT invoice_id::text, 'merge of ' || string_agg(order_id, ' ' ORDER BY order_id)"
        " FROM placed_payments WHERE invoice_id <> draft_id GROUP BY invoice_id"
        " UNION ALL SELECT invoice_id::text, 'undone ' || partner_id || business_number || sequence"
        " FROM documents WHERE state = 'undone'"
    )
    return {row["id"]: row["name"] for row in rows}


def _named(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {column: _replaced(value, names) for column, value in row.items()}


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    text = _KEY.sub(r"\1", str(value))
    for each, name in names.items():
        text = text.replace(each, name)
    return text


@pytest.mark.parametrize(
    ("how", "seed"), [*((at_once, seed) for seed in range(30)), *((in_steps, seed) for seed in range(20))]
)
async def test_a_set_closes_a_month_as_the_decisions_do(
    books: StoredBooks, owner: asyncpg.Connection, how: Any, seed: int
) -> None:
    at, events = random.Random(-seed).choice([CLOSED_AT, LATE]), a_month(seed)
    decided = await closed(books, events, partial(how, books, at, 0))
    await books.check()
    await owner.execute(f"TRUNCATE {TABLES}")
    by_set = await closed(books, events, partial(how, books, at, 3))
    for name, rows in decided.items():
        assert by_set[name] == rows, name


@pytest.mark.parametrize("in_a_set", [0, 3])
@pytest.mark.parametrize("seed", range(6))
async def test_a_month_that_is_approved_again_and_again_stays_as_it_is(
    books: StoredBooks, seed: int, in_a_set: int
) -> None:
    """The second time may let join what took its right number the first time; after that nothing is new."""
    for event in a_month(seed):
        await books.take(event)
    approved = []
    for who in ("kim", "park", "choi"):
        close = MonthClose("2026-10", instant(CLOSED_AT), uuid7(), who, "a test", despite_open_refunds=True)
        await approve(books.surroundings, books.store, Step(close, None), sizes=Sizes(in_a_set=in_a_set))
        await books.check()
        approved.append(await books.pool.fetch(f"{READ['documents']} ORDER BY invoice_id"))

    assert approved[1] == approved[2]


async def test_most_of_these_months_is_plain(books: StoredBooks, owner: asyncpg.Connection) -> None:
    """Else the test above would hold decisions together with themselves."""
    issued = in_all = merged = 0
    for seed in range(20):
        for event in a_month(seed):
            await books.take(event)
        await _close_sets_alone(books)
        rows = await books.pool.fetch(
            "SELECT state, kind FROM all_documents WHERE state IN ('draft', 'issued')"
        )
        in_all += len(rows)
        issued += sum(row["state"] == "issued" for row in rows)
        merged += sum(row["kind"] == "merged" and row["state"] == "issued" for row in rows)
        await owner.execute(f"TRUNCATE {TABLES}")
    assert issued / in_all > 0.3, (issued, in_all)
    assert merged > 3, merged


async def nobody(partner_ids: Sequence[str]) -> None:
    """What a set leaves is left."""


async def _close_sets_alone(books: StoredBooks) -> None:
    close = MonthClose("2026-10", instant(CLOSED_AT), uuid7(), "kim", "a test")
    await sets.close_sets(books.surroundings, books.store.policy, close, 3, nobody)


async def a_plain_month(books: StoredBooks) -> None:
    for number in range(6):
        partner = f"P-{number}"
        await books.take(books.events.partner(partner=partner, always_merge=number % 2 == 0))
        await books.paid_and_issued(f"A-{number}", f"B-{number}", partner=partner)


class Killed(Exception):
    """The process ends here."""


def killed_at(point: CrashPoint, times: int) -> Callable[[CrashPoint], None]:
    left = times

    def passed(reached: CrashPoint) -> None:
        nonlocal left
        left -= reached is point
        if left == 0 and reached is point:
            raise Killed

    return passed


TIME_FOR_ONE_PARTNER = """
    CREATE FUNCTION invoices.takes_its_time() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(DISTINCT key) > 1 FROM made) THEN
            RAISE 'canceling statement due to statement timeout' USING ERRCODE = '57014';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER takes_its_time AFTER INSERT ON invoices.outbox
        REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION invoices.takes_its_time();
"""


@pytest.mark.parametrize("how", ["close", "approve and issue"])
@pytest.mark.parametrize("in_a_set", [0, 1_000])
async def test_a_close_for_which_time_is_short_does_less_at_once(
    books: StoredBooks, owner: asyncpg.Connection, how: str, in_a_set: int
) -> None:
    """The database ends what is about more than one partner."""
    await a_plain_month(books)
    await owner.execute(TIME_FOR_ONE_PARTNER)
    try:
        if how == "close":
            await books.close(in_a_set=in_a_set)
        else:
            sizes = Sizes(in_a_set=in_a_set)
            close = MonthClose("2026-10", instant(CLOSED_AT), uuid7(), "kim", "a test", False)
            await approve(books.surroundings, books.store, Step(close, None), sizes=sizes)
            issuer = WithoutAgent(books.surroundings, books.store, sizes)
            close = close._replace(id=uuid7(), actor="lee")
            await issue(books.surroundings, books.store, Step(close, None), issuer)
    finally:
        await owner.execute("DROP FUNCTION invoices.takes_its_time CASCADE")

    issued = await books.published("invoice.issued")
    assert len({event["subject"] for event in issued}) == len(issued) == 9
    assert [event["data"]["documents"] for event in await books.published("month.closed")] == [9]


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_CLOSE_COMMIT, CrashPoint.AFTER_CLOSE_COMMIT])
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_close_that_is_killed_goes_on_behind_its_last_set(
    books: StoredBooks, point: CrashPoint, times: int
) -> None:
    await a_plain_month(books)
    books.outbox.on_crash_point = killed_at(point, times)
    with pytest.raises(Killed):
        await books.close(in_a_set=2)
    books.outbox.on_crash_point = lambda _: None

    summary = await books.close(in_a_set=2)

    assert (summary.documents, summary.merged) == (9, 3)
    issued = await books.published("invoice.issued")
    assert len({event["subject"] for event in issued}) == len(issued) == 9
    assert [event["data"]["documents"] for event in await books.published("month.closed")] == [9]


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_CLOSE_COMMIT, CrashPoint.AFTER_CLOSE_COMMIT])
@pytest.mark.parametrize("step", ["approve", "issue"])
@pytest.mark.parametrize("in_a_set", [0, 2])
async def test_a_step_that_is_killed_goes_on_behind_what_it_did(
    books: StoredBooks, point: CrashPoint, step: str, in_a_set: int
) -> None:
    await a_plain_month(books)
    surroundings, sizes = books.surroundings, Sizes(2, in_a_set)

    async def take(name: str) -> None:
        close = MonthClose("2026-10", instant(CLOSED_AT), uuid7(), name, "a test", action=f"month.{name}")
        if name == "approve":
            await approve(surroundings, books.store, Step(close, None), sizes=sizes)
        else:
            issuer = WithoutAgent(surroundings, books.store, sizes)
            await issue(surroundings, books.store, Step(close, None), issuer)

    for name in ("approve", "issue"):
        if name == step:
            books.outbox.on_crash_point = killed_at(point, 2)
            with pytest.raises(Killed):
                await take(name)
            books.outbox.on_crash_point = lambda _: None
        await take(name)

    for type_name in ("invoice.approved", "invoice.issued"):
        told = await books.published(type_name)
        assert len({event["subject"] for event in told}) == len(told) == 9
    assert [event["data"]["documents"] for event in await books.published("month.closed")] == [9]


async def test_a_set_that_is_closed_again_writes_and_says_nothing(books: StoredBooks) -> None:
    await a_plain_month(books)
    await books.close()
    before = await books.pool.fetch("SELECT xmin::text, t.* FROM documents t ORDER BY invoice_id")
    events = await books.pool.fetchval("SELECT count(*) FROM outbox")
    await books.close()
    assert await books.pool.fetch("SELECT xmin::text, t.* FROM documents t ORDER BY invoice_id") == before
    assert await books.pool.fetchval("SELECT count(*) FROM outbox") == events


async def test_a_set_waits_for_a_refund_that_is_being_booked_and_nets_it(books: StoredBooks) -> None:
    """A batch holds the payment; the set locks in the same order, sees what it wrote, and both go on."""
    await a_plain_month(books)
    refund = books.events.completed("A-0", "r-1", 40, 64_000, 6_400)
    async with books.pool.acquire() as connection, connection.transaction():
        world = await books.store.load(connection, [refund])
        closing = asyncio.create_task(books.close())
        while not await books.pool.fetchval(SOMEBODY_WAITS):
            await asyncio.sleep(0.01)
        await books.write(connection, world, [refund])
    assert (await closing).total == 12 * 176_000 - 70_400
    assert await books.published("invoice.modified") == []


async def test_a_plain_month_needs_no_decision(books: StoredBooks) -> None:
    await a_plain_month(books)
    await _close_sets_alone(books)
    assert await books.pool.fetch(SQL.partners_to_close, "2026-10", "", 1) == []
