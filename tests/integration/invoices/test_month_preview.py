"""A month before it is issued, on Postgres: the preview is the close, and refunds in progress stop it."""

import asyncio
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from services.invoices.app import build
from services.invoices.closing import OpenRefunds
from services.invoices.previewing import preview_month
from services.invoices.settings import InvoicesSettings
from services.invoices.state import World
from services.invoices.store import SQL, Store
from services.invoices.todo import TODO
from shared.operators.reading import read_todo
from shared.operators.todo import Moment
from tests.integration.invoices.conftest import PausingStore, StoredBooks
from tests.support.patience import PATIENCE
from tests.support.web import operator_of
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, PAID_AT, PARTNER, WRONG, instant

PREVIEW, CLOSE = "/v1/months/2026-10/preview", "/v1/months/2026-10/close"
LATE = "2026-11-20T10:00:00+09:00"


@pytest.fixture
def client(books: StoredBooks) -> httpx.AsyncClient:
    settings = InvoicesSettings(
        kafka_bootstrap_servers="localhost:1",
        database_url="postgresql://nobody@localhost/x",
        data_key=b"k" * 32,
        invoices_four_eyes=False,
    )
    return operator_of(build(settings).http_routes(books.surroundings), "invoices")


async def preview(books: StoredBooks, at: str = CLOSED_AT, chunk: int = 1, most: int = 20) -> dict[str, Any]:
    return await preview_month(books.pool, books.store, "2026-10", instant(at), most=most, chunk=chunk)


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [each["code"] for each in found]


async def refund_opens(books: StoredBooks, order_id: str = "A-1", refund_id: str = "r-1") -> None:
    await books.take(books.events.accepted(order_id, refund_id, 40))


async def refund_ends(books: StoredBooks, order_id: str = "A-1", refund_id: str = "r-1") -> None:
    await books.take(books.events.completed(order_id, refund_id, 40, 64_000, 6_400))


# The preview is the close


async def a_month_of_everything(books: StoredBooks) -> None:
    """Two merges, one of them an operator's over three partners; a wrong number; refunds, slips, receipts."""
    await books.paid_and_issued("A-1", "A-2")
    await books.paid_and_issued("A-3", number=WRONG)
    await books.take(books.events.paid("A-4"), books.events.paid("A-9", evidence="card_slip"))
    await books.take(books.events.partner())
    for number in (1, 2, 3):
        await books.paid_and_issued(f"B-{number}", partner=f"Q-{number}", number=OTHER)
    await books.paid_and_issued("C-1", partner="P-19", number=WRONG)
    await books.take(books.events.completed("A-2", "r-2", 10, 16_000, 1_600))


@pytest.mark.parametrize("chunk", [1, 2, 200])
async def test_a_close_issues_what_its_preview_said(
    books: StoredBooks, client: httpx.AsyncClient, chunk: int
) -> None:
    await a_month_of_everything(books)
    said = {"business_number": OTHER, "apply": True}
    assert (await client.post("/v1/months/2026-10/merge", json=said)).status_code == 200

    before = await preview(books, chunk=chunk)
    summary = await books.close(chunk=chunk)
    after = await preview(books, chunk=chunk)

    to_be = before["to_be"]
    assert to_be["failed"] == 1
    assert {name: to_be[name] for name in ("documents", "payments", "supply", "vat", "total", "merged")} == {
        name: getattr(summary, name) for name in ("documents", "payments", "supply", "vat", "total", "merged")
    }
    issued = [event["data"] for event in await books.published("invoice.issued")]
    assert sorted(merge["payment_ids"] for merge in before["merges"]) == sorted(
        data["payment_ids"] for data in issued if len(data["payment_ids"]) > 1
    )
    explained = await books.pool.fetch(
        "SELECT payment_id, reason FROM merge_explanations WHERE request_id LIKE 'always_merge:%'"
    )
    assert {(p["payment_id"], each["reason"]) for each in before["left_out"] for p in each["payments"]} == {
        tuple(row) for row in explained if row["reason"] != "merged"
    }
    assert (before["state"], after["state"], after["to_be"]["documents"]) == ("open", "closed", 0)
    assert after["issued"]["total"] == summary.total


async def test_a_preview_changes_nothing_and_waits_for_nobody(books: StoredBooks) -> None:
    await a_month_of_everything(books)
    tables = ("documents", "payments", "merge_explanations", "document_counters", "months", "outbox")
    before = [await books.pool.fetch(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables]
    async with books.pool.acquire() as other, other.transaction():
        await other.fetch(SQL.claim_month, "2026-10")
        await books.store.load_month(other, "2026-10", [PARTNER])
        async with asyncio.timeout(PATIENCE):
            await preview(books)
    assert [await books.pool.fetch(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables] == before


async def test_a_preview_holds_nobody_up(books: StoredBooks) -> None:
    """It is stopped while it decides: for an undo its partner is not added up as it is."""
    await books.paid_and_issued("A-1")
    await books.take(books.events.merge("un-1", undo=True))
    pausing = PausingStore(books.store)
    looking = asyncio.create_task(
        preview_month(books.pool, pausing, "2026-10", instant(CLOSED_AT), most=1, chunk=1)
    )
    await pausing.loaded.wait()
    async with asyncio.timeout(PATIENCE):
        await refund_ends(books)
        await books.close()
    pausing.go_on.set()
    told = await looking
    assert (told["state"], told["issued"]["total"], told["to_be"]["total"]) == ("closed", 105_600, 0)


# Refunds in progress


async def test_a_refund_in_progress_stops_the_close_before_it_begins(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    await refund_opens(books)

    assert codes((await preview(books))["blockers"]) == ["open_refund"]
    with pytest.raises(OpenRefunds) as refused:
        await books.close(actor="kim", reason="all is well")

    assert [row["refund_id"] for row in refused.value.refunds] == ["r-1"]
    assert await books.published("invoice.issued") == []
    assert await books.pool.fetch("SELECT FROM months") == []
    row = await books.noted()
    assert (row["actor"], row["action"], row["result"]) == ("kim", "month.close", "open_refund")


async def test_once_it_has_ended_the_close_issues_what_is_left(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await refund_opens(books)
    await refund_ends(books)
    assert (await preview(books))["blockers"] == []
    assert (await books.close()).total == 105_600


async def test_a_refund_of_what_is_issued_or_of_another_month_stops_nothing(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    await books.paid_and_issued("A-2", at="2026-11-03T10:00:00+09:00")
    await refund_opens(books, "A-1", "r-1")
    await refund_opens(books, "A-2", "r-2")
    assert (await preview(books))["blockers"] == []
    await books.close()


async def test_despite_it_the_payment_is_issued_whole_and_that_is_noted(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await refund_opens(books)
    assert (await preview(books))["to_be"]["total"] == 176_000

    summary = await books.close(actor="kim", reason="the tenth is near", despite_open_refunds=True)
    await refund_ends(books)

    assert (summary.total, summary.drafts) == (176_000, 0)
    (modified,) = await books.published("invoice.modified")
    assert modified["data"]["total"] == -70_400
    row = await books.noted()
    assert (row["result"], row["reason"]) == ("begun", "the tenth is near")
    assert orjson.loads(row["before"]) == {"open_refunds": 1}


class RacedStore(Store):
    """Lets a refund open after the close has begun, and before it reads its partner."""

    def __init__(self, books: StoredBooks) -> None:
        super().__init__(books.store._policy)
        self._books, self._is_open = books, False

    async def load_month(self, connection: Any, month: str, partner_ids: Any) -> World:
        if not self._is_open:
            self._is_open = True
            await refund_opens(self._books)
        return await super().load_month(connection, month, partner_ids)


async def test_a_refund_that_opens_during_the_close_keeps_its_document_back_and_the_month_open(
    books: StoredBooks,
) -> None:
    await books.paid_and_issued("A-1")
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    books.store, store = RacedStore(books), books.store

    summary = await books.close(chunk=1, in_a_set=0)

    books.store = store
    assert (summary.documents, summary.drafts) == (1, 1)
    assert await books.published("month.closed") == []
    look = await preview(books)
    assert (look["state"], codes(look["blockers"])) == ("interrupted", ["open_refund"])
    assert codes(look["warnings"]) == ["month_close_interrupted"]
    async with books.pool.acquire() as connection:
        groups = await read_todo(connection, SQL, TODO, Moment(instant(CLOSED_AT)))
    assert [(g.code, g.command) for g in groups if g.reason == "2026-10"] == [
        ("month_close_interrupted", "pawl month 2026-10")
    ]
    with pytest.raises(OpenRefunds):
        await books.close()

    await refund_ends(books)
    again = await books.close(actor="kim", reason="the refund was paid")

    assert (again.documents, again.already_issued, again.drafts) == (2, 1, 0)
    (closed,) = await books.published("month.closed")
    assert (closed["data"]["actor"], closed["data"]["reason"]) == ("kim", "the refund was paid")
    assert (await preview(books))["state"] == "closed"


async def test_a_month_that_a_race_left_without_any_document_is_interrupted_too(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    books.store = RacedStore(books)
    assert (await books.close(in_a_set=0)).documents == 0
    assert (await preview(books))["state"] == "interrupted"


# Over HTTP


async def test_over_http_a_close_with_refunds_in_progress_is_refused_and_names_them(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.paid_and_issued("A-1")
    await refund_opens(books)

    refused = await client.post(CLOSE, json={"at": CLOSED_AT, "reason": "all is well"})
    done = await client.post(
        CLOSE, json={"at": CLOSED_AT, "reason": "all is well", "despite_open_refunds": True}
    )

    assert (refused.status_code, refused.json()["code"]) == (409, "open_refund")
    assert refused.json()["refunds"] == [
        {
            "refund_id": "r-1",
            "payment_id": "pay-A-1",
            "order_id": "A-1",
            "partner_id": PARTNER,
            "won": 176_000,
        }
    ]
    assert (done.status_code, done.json()["total"]) == (200, 176_000)


async def test_over_http_a_month_tells_who_closed_it_and_why(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.paid_and_issued("A-1")
    await client.post(CLOSE, json={"at": LATE, "reason": "all have confirmed"})

    month = (await client.get(PREVIEW, params={"at": LATE})).json()

    assert (month["state"], month["closed_at"]) == ("closed", LATE)
    (*_, close) = month["closes"]
    assert (close["step"], close["actor"], close["reason"]) == ("close", "kim", "all have confirmed")
    assert (month["issued"]["late"], month["issued"]["penalty"]) == (1, 1_600)
    assert (month["due_on"], month["days_left"]) == ("2026-11-10", -10)
    (closed,) = await books.published("month.closed")
    assert (closed["data"]["actor"], closed["data"]["reason"]) == ("kim", "all have confirmed")


async def test_over_http_a_month_that_is_not_over_is_shown_as_of_its_end(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.paid_and_issued("A-1")
    month = (await client.get(PREVIEW, params={"at": PAID_AT})).json()
    assert (month["state"], codes(month["blockers"])) == ("running", ["month_not_over"])
    assert (month["to_be"]["documents"], month["to_be"]["late"]) == (1, 0)


async def test_over_http_lists_are_limited_and_counts_are_not(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    for number in range(3):
        await books.paid_and_issued(f"A-{number}", partner=f"P-{number}", number=WRONG)
    month = (await client.get(PREVIEW, params={"at": CLOSED_AT, "limit": 2})).json()
    (failed,) = month["warnings"]
    assert (failed["code"], failed["count"], failed["won"]) == ("document_not_issued", 3, 528_000)
    assert len(failed["members"]) == 2


async def test_over_http_an_empty_month_is_empty_and_a_wrong_one_is_told(client: httpx.AsyncClient) -> None:
    empty = (await client.get("/v1/months/2011-03/preview")).json()
    assert (empty["state"], empty["to_be"]["documents"], empty["issued"]["documents"]) == ("open", 0, 0)
    assert (await client.get("/v1/months/2011-13/preview")).status_code == 400
    assert (await client.get(PREVIEW, params={"at": "yesterday"})).status_code == 400


async def test_events_that_wait_here_may_be_about_the_month(
    books: StoredBooks, owner: asyncpg.Connection
) -> None:
    """Those about a payment of another month are not."""
    await books.paid_and_issued("A-1")
    await books.paid_and_issued("A-2", at="2026-11-03T10:00:00+09:00")
    await owner.executemany(
        """INSERT INTO parked (topic, partition, "offset", key, kind, reason, type, source, event_id, subject,
                               event_time, record, overdue_at)
           VALUES ('orders.events', 0, $1, $2, $3, 'why', 'order.paid.v1', '/pawl/orders', 'evt', 'A', now(),
                   '', now())""",
        [(1, "A-1", "blocked"), (2, "A-2", "blocked"), (3, "nobody", "waiting"), (4, "A-1", "behind")],
    )
    try:
        found = (await preview(books))["warnings"]
    finally:
        await owner.execute("DELETE FROM parked")
    assert [(each["code"], each["count"]) for each in found] == [("event_blocked", 1), ("event_waiting", 1)]


async def test_a_proposed_correction_is_told(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", number=GANADA)
    await books.close()
    await books.take(books.events.partner(number=OTHER, at=LATE))
    (proposed,) = (await preview(books))["warnings"]
    assert (proposed["code"], proposed["members"][0]["right_number"]) == ("document_of_wrong_business", OTHER)
