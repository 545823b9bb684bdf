"""The month close on Postgres: repeated, interrupted, and together with everything else that happens."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest

from services.invoices.app import build
from services.invoices.closing import MonthNotOver
from services.invoices.settings import InvoicesSettings
from services.invoices.state import World
from services.invoices.store import SQL, Store
from tests.integration.invoices.conftest import PausingStore, StoredBooks
from tests.support.web import operator_of
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, PAID_AT, PARTNER, WRONG, line

NOVEMBER = "2026-11-12T10:00:00+09:00"
SOMEBODY_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"

WAIT_FOR_A_ROW = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple') AND usename = current_user
"""


async def test_a_close_sums_the_month_up_and_says_so_once(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    await books.paid_and_issued("C-1", partner="P-19", number=WRONG)
    await books.take(books.events.partner(), books.events.paid("A-9", evidence="card_slip"))

    first = await books.close(chunk=1)
    again = await books.close(chunk=1, at="2026-11-06T09:00:00+09:00")

    assert (first.documents, first.payments, first.merged, first.issue_failed) == (2, 3, 1, 1)
    assert (first.supply, first.vat, first.total) == (480_000, 48_000, 528_000)
    assert (first.already_issued, again.already_issued) == (0, 2)
    assert again.total == first.total
    (closed,) = await books.published("month.closed")
    assert (closed["key"], closed["subject"], closed["sequence"]) == ("2026-10", "2026-10", 1)
    assert closed["data"] == {
        "month": "2026-10",
        "documents": 2,
        "payments": 3,
        "supply": 480_000,
        "vat": 48_000,
        "total": 528_000,
        "issue_failed": 1,
        "closed_at": CLOSED_AT,
    }


async def test_everything_a_close_says_is_caused_by_it_at_its_time(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    (issued,), (closed,) = await books.published("invoice.issued"), await books.published("month.closed")
    assert issued["causation"] == closed["causation"]
    assert issued["time"] == closed["time"] == CLOSED_AT
    assert (issued["key"], issued["correlation"]) == ("P-17", "P-17")


async def test_a_month_that_is_not_over_is_refused(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    with pytest.raises(MonthNotOver, match=r"can be closed from 2026-11-01T00:00:00\+09:00 on"):
        await books.close(at="2026-10-31T23:59:59.999999+09:00", actor="kim", reason="too early")
    assert await books.published("invoice.issued") == []
    row = await books.noted()
    assert (row["actor"], row["reason"], row["result"]) == ("kim", "too early", "month_not_over")


async def test_an_interrupted_close_goes_on_where_it_was(books: StoredBooks) -> None:
    for number in range(5):
        await books.paid_and_issued(f"A-{number}", partner=f"P-{number}")
    books.store = FailingStore(books.store, after=2)
    with pytest.raises(ConnectionResetError):
        await books.close(chunk=1, in_a_set=0)
    assert len(await books.published("invoice.issued")) == 2
    assert await books.published("month.closed") == []

    summary = await books.close(chunk=1)

    assert (summary.documents, summary.already_issued) == (5, 2)
    assert [event["data"]["documents"] for event in await books.published("month.closed")] == [5]


class FailingStore(Store):
    """Loses its connection once, after some chunks."""

    def __init__(self, store: Store, after: int) -> None:
        super().__init__(store._policy)
        self._left: int | None = after

    async def save(self, connection: Any, world: World) -> None:
        if self._left == 0:
            self._left = None
            raise ConnectionResetError
        if self._left is not None:
            self._left -= 1
        await super().save(connection, world)


async def test_an_interruption_before_the_report_does_not_swallow_it(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    await books.pool.execute("UPDATE months SET unreported = true")
    await books.close()
    assert [event["sequence"] for event in await books.published("month.closed")] == [1, 2]


async def test_two_closes_at_once_issue_every_document_once(books: StoredBooks) -> None:
    for number in range(30):
        await books.paid_and_issued(f"A-{number}", partner=f"P-{number % 7}")
    await asyncio.gather(*(books.close(chunk=2) for _ in range(3)))
    assert len(await books.published("invoice.issued")) == 30
    assert await books.pool.fetchval("SELECT last_number FROM document_counters") == 30


async def test_two_closes_that_report_at_once_say_it_once(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    await books.pool.execute("UPDATE months SET unreported = true")
    async with books.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM months FOR UPDATE")
        closes = [asyncio.create_task(books.close()) for _ in range(2)]
        while await books.pool.fetchval(WAIT_FOR_A_ROW) < 2:
            await asyncio.sleep(0.01)
    await asyncio.gather(*closes)
    assert [event["sequence"] for event in await books.published("month.closed")] == [1, 2]


async def test_a_payment_that_arrives_during_the_close_is_either_in_it_or_late(books: StoredBooks) -> None:
    async def pay(number: int) -> None:
        await books.paid_and_issued(f"B-{number:02}", partner=f"P-{number % 5}")

    await books.paid_and_issued("A-1")
    await asyncio.gather(books.close(chunk=1), *(pay(number) for number in range(20)))
    assert await books.pool.fetchval("SELECT count(*) FROM all_documents WHERE state <> 'issued'") == 0
    assert await books.pool.fetchval("SELECT count(*) FROM all_documents") == 21


async def test_the_close_waits_for_a_payment_that_is_being_drafted(books: StoredBooks) -> None:
    paid = books.events.paid("A-1")
    async with books.pool.acquire() as connection, connection.transaction():
        world = await books.store.load(connection, [paid])
        close = asyncio.create_task(books.close())
        await somebody_waits_beside(books, close)
        await books.write(connection, world, [paid])
    assert (await close).documents == 1


async def test_a_correction_that_is_being_made_is_used_by_the_close(books: StoredBooks) -> None:
    """The close waits for the partner: else it would fail the document, and the correction never see that."""
    await books.paid_and_issued("A-1", number=WRONG)
    corrected = books.events.partner()
    async with books.pool.acquire() as connection, connection.transaction():
        world = await books.store.load(connection, [corrected])
        close = asyncio.create_task(books.close())
        await somebody_waits_beside(books, close)
        await books.write(connection, world, [corrected])
    summary = await close
    assert (summary.documents, summary.issue_failed) == (1, 0)
    await issued_once(books)


async def test_a_correction_during_the_close_issues_what_the_close_could_not(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", number=WRONG)
    pausing = books.store = PausingStore(books.store)
    close = asyncio.create_task(books.close())
    await pausing.loaded.wait()
    correction = asyncio.create_task(books.take(books.events.partner(at=NOVEMBER)))
    await somebody_waits_beside(books, correction)
    pausing.go_on.set()
    assert (await close).issue_failed == 1
    await correction
    await issued_once(books)


async def test_a_correction_and_a_late_payment_at_once_issue_it_once(books: StoredBooks) -> None:
    await books.close()
    paid = books.events.paid("A-1", number=WRONG, lines=[line(kind="goods")], published_at=NOVEMBER)
    async with books.pool.acquire() as connection, connection.transaction():
        world = await books.store.load(connection, [paid])
        correction = asyncio.create_task(books.take(books.events.partner(at=NOVEMBER)))
        await somebody_waits_beside(books, correction)
        await books.write(connection, world, [paid])
    await correction
    await issued_once(books)


LOADS: Mapping[str, Callable[[StoredBooks, asyncpg.Connection], Awaitable[Any]]] = {
    "a late payment": lambda books, session: books.store.load(session, [books.events.paid("A-2")]),
    "a wish to merge": lambda books, session: books.store.load(session, [books.events.merge()]),
    "a change": lambda books, session: books.store.load(session, [books.events.partner()]),
    "the close": lambda books, session: books.store.load_month(session, "2026-10", [PARTNER]),
    "a merge of its business": lambda books, session: books.store.load_business(session, "2026-10", GANADA),
    "a correction": lambda books, session: books.store.load_document(
        session, "2026-10", f"2026-10-{GANADA}-000001", None
    ),
}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
async def test_whoever_may_issue_merge_or_correct_documents_of_a_partner_holds_it(
    books: StoredBooks, load: Callable[[StoredBooks, asyncpg.Connection], Awaitable[Any]]
) -> None:
    """Rows that are locked are read anew; which months are closed and what it has told is read once."""
    await books.paid_and_issued("A-1")
    await books.close()
    async with books.pool.acquire() as one, one.transaction(), books.pool.acquire() as other:
        await load(books, one)
        await other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.fetch(SQL.lock_partners, [PARTNER])
        await other.execute("RESET lock_timeout")


async def somebody_waits_beside(books: StoredBooks, task: asyncio.Task[Any]) -> None:
    """Until the task waits for an advisory lock, or has ended without waiting for one."""
    while not task.done() and not await books.pool.fetchval(SOMEBODY_WAITS):
        await asyncio.sleep(0)


async def issued_once(books: StoredBooks) -> None:
    assert [event["data"]["business_number"] for event in await books.published("invoice.issued")] == [GANADA]
    states = await books.pool.fetch("SELECT state FROM documents")
    assert [row["state"] for row in states] == ["issued"]


async def test_refunds_merges_and_the_close_never_wait_for_each_other_in_a_circle(books: StoredBooks) -> None:
    orders = [f"A-{number:02}" for number in range(24)]
    for number, order_id in enumerate(orders):
        await books.paid_and_issued(order_id, partner=f"P-{number % 3}")
    events = books.events
    refunds = [events.completed(o, f"r-{o}", 10, 16_000, 1_600, at=PAID_AT) for o in reversed(orders)]
    later = [events.completed(o, f"s-{o}", 10, 16_000, 1_600, at=NOVEMBER) for o in orders]
    merges = [events.merge(f"mr-{n}", partner=f"P-{n % 3}", undo=n % 4 == 3) for n in range(12)]
    batches = (
        [refunds[n::4] for n in range(4)] + [later[n::4] for n in range(4)] + [[merge] for merge in merges]
    )
    await asyncio.gather(*(books.take(*batch) for batch in batches), books.close(chunk=1))
    won = await books.won()
    assert won["invoiced"] == 24 * (176_000 - 2 * 17_600)
    assert won["uninvoiced"] == 0


async def test_refunds_of_two_payments_of_one_merge_at_once_both_count(books: StoredBooks) -> None:
    orders = [f"A-{number}" for number in range(8)]
    await books.paid_and_issued(*orders)
    await books.take(books.events.merge())
    events = [books.events.completed(o, f"r-{o}", 10, 16_000, 1_600) for o in orders]
    await asyncio.gather(*(books.take(event) for event in events))
    total = await books.pool.fetchval("SELECT total FROM documents WHERE kind = 'merged'")
    assert total == 8 * (176_000 - 17_600)


async def test_documents_of_one_business_are_numbered_without_a_gap_by_whoever_issues(
    books: StoredBooks,
) -> None:
    orders = [f"A-{number}" for number in range(8)]
    await books.paid_and_issued(*orders)
    await books.close()
    late = [books.events.paid(f"B-{number}", lines=[line(kind="goods")]) for number in range(4)]
    refunds = [books.events.completed(o, f"r-{o}", 10, 16_000, 1_600, at=NOVEMBER) for o in orders]
    await asyncio.gather(*(books.take(event) for event in [*late, *refunds]))
    keys = await books.pool.fetch(
        "SELECT right(document_key, 6)::int AS number FROM documents ORDER BY number"
    )
    assert [row["number"] for row in keys] == list(range(1, 21))


@pytest.fixture
def client(books: StoredBooks) -> httpx.AsyncClient:
    settings = InvoicesSettings(
        kafka_bootstrap_servers="localhost:1",
        database_url="postgresql://nobody@localhost/x",
        data_key=b"k" * 32,
        invoices_four_eyes=False,
    )
    return operator_of(build(settings).http_routes(books.surroundings), "invoices")


async def test_an_operator_closes_a_month_over_http(books: StoredBooks, client: httpx.AsyncClient) -> None:
    await books.paid_and_issued("A-1")
    answer = await client.post("/v1/months/2026-10/close", json={"at": CLOSED_AT})
    assert answer.status_code == 200
    assert answer.json() == {
        "month": "2026-10",
        "documents": 1,
        "payments": 1,
        "supply": 160_000,
        "vat": 16_000,
        "total": 176_000,
        "merged": 0,
        "issue_failed": 0,
        "already_issued": 0,
        "drafts": 0,
        "corrections": [],
    }


async def test_without_an_instant_the_month_is_closed_now(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.paid_and_issued("A-1", at="2011-03-01T10:00:00+09:00")
    assert (await client.post("/v1/months/2011-03/close", json={"at": None})).json()["documents"] == 1
    (issued,) = await books.published("invoice.issued")
    assert datetime.fromisoformat(issued["data"]["issued_at"]).year >= 2026


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/months/2026-13/close", "{}", 400),
        ("/v1/months/2026-10/close", '{"at": "2026-11-05T18:00:00"}', 422),
        ("/v1/months/2026-10/close", "[]", 400),
        ("/v1/months/2026-10/close", "not json", 400),
        ("/v1/months/2026-10/close", '{"at": "2026-10-31T18:00:00+09:00"}', 409),
    ],
)
async def test_a_wrong_command_gets_problem_details(
    client: httpx.AsyncClient, path: str, body: str, status: int
) -> None:
    answer = await client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
