"""What an operator does to a month over HTTP: merge a business, correct a document, look at it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from services.invoices.app import build
from services.invoices.settings import InvoicesSettings
from shared.crash_points import ignore_crash_point
from tests.integration.invoices.conftest import StoredBooks
from tests.support.desk import Crash
from tests.support.web import operator_of
from tests.unit.invoices.books import GANADA, OTHER, PARTNER

AFTER = "2026-11-20T09:00:00+09:00"


@pytest.fixture
async def client(books: StoredBooks) -> AsyncIterator[httpx.AsyncClient]:
    settings = InvoicesSettings(
        kafka_bootstrap_servers="localhost:1",
        database_url="postgresql://nobody@localhost/x",
        data_key=b"k" * 32,
        invoices_four_eyes=False,
    )
    routes = build(settings).http_routes(books.surroundings)
    async with operator_of(routes, "invoices") as client:
        yield client


async def ask(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/v1/months/2026-10/{path}", json=body)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def two_accounts(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", at="2026-10-05T10:00:00+09:00")
    await books.paid_and_issued("B-1", partner="P-18", at="2026-10-06T10:00:00+09:00")


async def test_a_request_names_the_payments_of_the_other_partner(books: StoredBooks) -> None:
    await two_accounts(books)
    await books.take(books.events.merge("mr-1", ["A-1", "B-1"]))
    await books.take(books.events.merge("mr-2"), books.events.merge("mr-2"))
    answers = await books.published("merge.answered")
    assert [answer["subject"] for answer in answers] == [f"{PARTNER}/mr-1", f"{PARTNER}/mr-2"]
    for answer in answers:
        reasons = {each["payment_id"]: each["reason"] for each in answer["data"]["excluded"]}
        assert reasons == {"pay-A-1": "only_one_payment", "pay-B-1": "other_partner"}


async def test_a_business_is_merged_over_its_partners_once_it_is_applied(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await two_accounts(books)
    shown = await ask(client, "merge", business_number="116-82-00276")
    assert (shown["applied"], [each["partner_id"] for each in shown["merged"]]) == (False, [PARTNER, "P-18"])
    assert await books.published("invoice.merged") == []

    done = await ask(client, "merge", business_number="116-82-00276", apply=True)
    assert (done["applied"], done["total"], done["partners"]) == (True, 352_000, [PARTNER, "P-18"])
    await books.take(books.events.completed("B-1", "r-1", 10, 16_000, 1_600))
    summary = await books.close(chunk=1)
    assert (summary.documents, summary.payments, summary.merged, summary.total) == (1, 2, 1, 334_400)


async def test_a_merge_of_a_partner_becomes_that_of_its_business(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await two_accounts(books)
    await books.paid_and_issued("A-2")
    await books.take(books.events.merge())
    own = await books.row("documents", "kind = 'merged'")

    await ask(client, "merge", business_number=GANADA, apply=True)

    merged = {"supply": 480_000, "vat": 48_000, "total": 528_000, "sequence": 2, "also": ["P-18"]}
    assert await books.row("documents", "kind = 'merged'") == own | merged


async def test_a_merge_of_a_business_is_taken_apart(books: StoredBooks, client: httpx.AsyncClient) -> None:
    await two_accounts(books)
    await ask(client, "merge", business_number=GANADA, apply=True)
    await ask(client, "merge", business_number=GANADA, undo=True)
    assert await books.published("invoice.unmerged") == []
    await ask(client, "merge", business_number=GANADA, undo=True, apply=True)
    assert (await books.close()).documents == 2


async def issued(books: StoredBooks) -> str:
    await books.paid_and_issued("A-1")
    await books.take(books.events.completed("A-1", "r-1", 10, 16_000, 1_600))
    await books.close()
    await books.take(books.events.completed("A-1", "r-2", 20, 32_000, 3_200, at=AFTER))
    await books.take(books.events.partner(number=OTHER, at=AFTER))
    (event,) = await books.published("invoice.issued")
    key: str = event["data"]["document_key"]
    return key


async def test_a_proposed_correction_is_shown_until_it_is_made(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    key = await issued(books)
    (proposed,) = (await client.get("/v1/months/2026-10")).json()["corrections"]
    assert (proposed["state"], proposed["document_key"], proposed["right_number"]) == ("proposed", key, OTHER)

    why = {"document": key, "reason": "another company"}
    shown = await ask(client, "correct", **why)
    assert (shown["applied"], len(shown["documents"])) == (False, 4)
    assert len(await books.published("invoice.modified")) == 1

    made = await ask(client, "correct", **why, apply=True)
    assert [each["total"] for each in made["documents"]] == [-158_400, 158_400, 35_200, -35_200]
    (decided,) = (await client.get("/v1/months/2026-10")).json()["corrections"]
    assert (decided["state"], decided["reason"], decided["actor"]) == ("corrected", "another company", "kim")
    again = await client.post("/v1/months/2026-10/correct", json={**why, "apply": True})
    assert again.status_code == 409
    summary = (await client.get("/v1/months/2026-10")).json()
    assert (summary["documents"], summary["total"]) == (1, 158_400)

    await books.take(
        books.events.completed("A-1", "r-3", 70, 112_000, 11_200, at="2026-12-20T09:00:00+09:00")
    )
    last = (await books.published("invoice.modified"))[-1]["data"]
    assert last["original_document_key"] == made["documents"][1]["document_key"]
    assert last["business_number"] == OTHER


async def test_each_document_is_shown_line_by_line(books: StoredBooks, client: httpx.AsyncClient) -> None:
    key = await issued(books)
    made = await ask(client, "correct", document=key, reason="wrong", apply=True)
    units = {}
    keys = [key, *(each["document_key"] for each in made["documents"])]
    keys.append((await books.published("invoice.modified"))[0]["data"]["document_key"])
    for name in keys:
        shown = (await client.get(f"/v1/months/{name[:7]}/documents/{name}")).json()
        assert sum(each["supply"] + each["vat"] for each in shown["lines"]) == shown["total"], name
        units[name] = [each["quantity"] for each in shown["lines"]]
    assert list(units.values()) == [[90], [-90], [90], [20], [-20], [-20]]


async def test_a_duplicate_is_taken_back(books: StoredBooks, client: httpx.AsyncClient) -> None:
    key = await issued(books)
    made = await ask(client, "correct", document=key, reason="told twice", twice=True, apply=True)
    assert [each["total"] for each in made["documents"]] == [-158_400, 35_200]
    await books.take(
        books.events.completed("A-1", "r-3", 70, 112_000, 11_200, at="2026-12-20T09:00:00+09:00")
    )
    assert len(await books.published("invoice.modified")) == 3


async def test_a_correction_and_a_refund_at_once_both_count(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    key = await issued(books)
    refund = books.events.completed("A-1", "r-3", 70, 112_000, 11_200, at="2026-12-20T09:00:00+09:00")
    await asyncio.gather(
        books.take(refund),
        ask(client, "correct", document=key, reason="wrong", apply=True),
    )
    rows = await books.pool.fetch(
        "SELECT business_number, sum(total)::bigint AS won FROM documents WHERE state = 'issued' GROUP BY 1"
    )
    assert {row["business_number"]: row["won"] for row in rows} == {GANADA: 0, OTHER: 0}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("merge", {"business_number": "1234567890"}, 422),
        ("merge", {}, 422),
        ("correct", {"document": "x"}, 422),
        ("correct", {"document": "x", "reason": "wrong"}, 404),
    ],
)
async def test_a_wrong_command_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    answer = await client.post(f"/v1/months/2026-10/{path}", json=body)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)


async def test_what_a_person_did_stands_in_the_audit_log_and_a_look_does_not(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await two_accounts(books)
    await ask(client, "merge", business_number=GANADA, reason="one company")
    await ask(client, "merge", business_number=GANADA, reason="one company", apply=True)
    await ask(client, "close", at=AFTER, reason="the month is over")

    rows = await books.pool.fetch("SELECT * FROM audit_log ORDER BY id DESC LIMIT 2")
    assert [(row["actor"], row["action"], row["target"], row["reason"]) for row in rows] == [
        ("kim", "month.close", "2026-10", "the month is over"),
        ("kim", "business.merge", f"2026-10 {GANADA}", "one company"),
    ]
    (merged,) = await books.published("invoice.merged")
    assert merged["causation"] == str(rows[1]["id"])


async def test_a_repeat_with_the_same_key_is_answered_the_same_and_does_nothing(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    key = await issued(books)
    body = {"document": key, "reason": "another company", "apply": True}
    path, header = "/v1/months/2026-10/correct", {"Idempotency-Key": "c-1"}

    answers = [await client.post(path, json=body, headers=header) for _ in range(2)]
    other = await client.post(path, json={**body, "reason": "changed"}, headers=header)
    without = await client.post(path, json=body)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (without.status_code, without.json()["code"]) == (409, "cannot_correct")
    assert len(await books.published("invoice.modified")) == 5


async def test_a_look_uses_no_key_up(books: StoredBooks, client: httpx.AsyncClient) -> None:
    body = {"document": await issued(books), "reason": "another company"}
    path, header = "/v1/months/2026-10/correct", {"Idempotency-Key": "c-1"}

    shown = await client.post(path, json=body, headers=header)
    made = await client.post(path, json={**body, "apply": True}, headers=header)

    assert [shown.json()["applied"], made.json()["applied"]] == [False, True]


@pytest.mark.parametrize("point", ["after_claim", "before_commit", "after_commit"])
async def test_a_crash_in_a_correction_makes_all_of_it_or_nothing_and_a_repeat_tells_which(
    books: StoredBooks, client: httpx.AsyncClient, point: str
) -> None:
    body = {"document": await issued(books), "reason": "another company", "apply": True}
    path, header = "/v1/months/2026-10/correct", {"Idempotency-Key": "c-1"}

    def die(reached: str) -> None:
        if reached == point:
            raise Crash(point)

    books.outbox.on_crash_point = die
    with pytest.raises(Crash):
        await client.post(path, json=body, headers=header)
    after_crash = len(await books.published("invoice.modified"))
    books.outbox.on_crash_point = ignore_crash_point
    again = await client.post(path, json=body, headers=header)

    assert after_crash == (5 if point == "after_commit" else 1)
    assert again.status_code == 200
    assert len(again.json()["documents"]) == 4
    assert len(await books.published("invoice.modified")) == 5


async def test_an_unknown_document_is_not_shown(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/months/2026-10/documents/2026-10-1168200276-000009")).status_code == 404


async def test_a_document_is_corrected_once(books: StoredBooks, owner: asyncpg.Connection) -> None:
    """The schema refuses a second document that takes the same one back."""
    await issued(books)
    columns = "kind, state, partner_id, business_number, month, supply, vat, sequence, late, payments"
    copy = (
        f"INSERT INTO documents (invoice_id, {columns}, document_key, written_date, issued_at, original_id,"
        " modification) SELECT gen_random_uuid(), 'modified', 'issued', partner_id, business_number, month,"
        " -supply, -vat, 1, late, payments, left(document_key, 19) || $1, written_date, issued_at,"
        " invoice_id, 'correction' FROM documents WHERE kind = 'payment' AND state = 'issued'"
    )
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(copy, "900001")
    with pytest.raises(asyncpg.UniqueViolationError, match="documents_corrected_once"):
        await owner.execute(copy, "900002")
    await transaction.rollback()
