"""A month, a partner, a document and serials over real schemas: drift, explained won, custody."""

from collections.abc import AsyncIterator

import httpx
import pytest

from console.app import routes
from console.doors import Demo
from console.people import Person
from console.reading import Reader
from tests.support.console_app import KEY, browser
from tests.support.tabletop import Tabletop, buy, refund_and_issue, refund_id_of
from tests.support.terminal import Terminal

NUMBER, MONTH = "1168200276", "2026-10"
BUSINESS = f"/business?month={MONTH}&number={NUMBER}"
STRANGE_NAME = "<script>alert(1)</script> \u202eتوبيخ 👩‍💻"


@pytest.fixture
async def everything(terminal: Terminal, reader: Reader) -> AsyncIterator[httpx.AsyncClient]:
    """An admin before the console, whose token is that of the terminal."""

    def sign(person: Person, scope: str) -> str:
        return terminal.environment["PAWL_TOKEN"]

    async with browser(routes(reader, sign, Demo()), "admin") as client:
        yield client


async def do(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={"form_key": KEY, **form})


async def test_what_drifted_since_the_approval_is_named_with_the_event_that_moved_it(
    table: Tabletop, everything: httpx.AsyncClient
) -> None:
    await buy(table, "A-1", issue_policy="on_request")
    await buy(table, "A-2", issue_policy="on_request")
    said = {"month": MONTH, "action": "approve", "business": NUMBER, "reason": "checked"}
    assert (await do(everything, "/month/step", **said)).headers["location"] == f"{BUSINESS}&done=approve"
    assert "Changed since it was approved" not in (await everything.get(BUSINESS)).text

    await refund_and_issue(table, "A-1")

    page = (await everything.get(BUSINESS)).text
    assert "Changed since it was approved" in page
    assert "refund.completed.v1" in page
    assert 'href="/order?id=A-1"' in page
    board = (await everything.get(f"/month?month={MONTH}")).text
    assert "in review" in board
    assert "₩281,600 · 2 documents" in board
    again = await do(everything, "/month/step", **said)
    assert again.status_code == 303
    assert "Changed since it was approved" not in (await everything.get(BUSINESS)).text


async def test_a_document_is_explained_to_the_won_and_its_steps_are_named(
    history: Tabletop, everything: httpx.AsyncClient
) -> None:
    rows = await history.pools["invoices"].fetch(
        "SELECT document_key, kind FROM documents WHERE state = 'issued' ORDER BY issued_at"
    )
    keys = {row["kind"]: row["document_key"] for row in rows}

    modified = (await everything.get("/document", params={"id": keys["modified"]})).text
    original = (await everything.get("/document", params={"id": keys["payment"]})).text

    assert "all explained by 1 payment" in modified
    assert "Modified tax invoice" in modified
    assert "the original" in modified
    assert "all explained by" in original
    listed = (await everything.get(f"/documents?month={MONTH}&format=json")).json()["rows"]
    assert {row["name"] for row in listed} >= {keys["payment"]}


async def test_a_proof_puts_a_held_refund_into_review_and_leaves_a_row_in_the_audit_log(
    table: Tabletop, everything: httpx.AsyncClient
) -> None:
    await buy(table, "A-1")
    account = {"method": "bank_account", "bank_code": "088", "account_number": "110234567890"}
    table.say("refund.requested.v1", "A-1", destination={**account, "holder": "홍길동"})
    await table.drain()
    refund_id = await refund_id_of(table, "A-1")
    form = {"id": refund_id, "kind": "bankbook_copy", "reference": "proofs/77", "key": "k-1"}
    assert 'action="/refund/proof"' in (await everything.get(f"/refund?id={refund_id}")).text

    for _ in range(2):
        sent = await do(everything, "/refund/proof", **form, reason="it came by mail")
        assert sent.headers["location"] == f"/refund?id={refund_id}&done=proof"

    page = (await everything.get(f"/refund?id={refund_id}")).text
    assert "in review" in page
    assert page.count("proofs/77") == 2
    rows = await table.pools["refunds"].fetch("SELECT action, reason FROM audit_log")
    assert [tuple(row) for row in rows] == [("refund.proof", "it came by mail")]


async def test_the_files_of_a_month_and_of_a_document_come_through(
    history: Tabletop, everything: httpx.AsyncClient
) -> None:
    book = await everything.get(f"/month/file?month={MONTH}&kind=xlsx")

    assert book.content.startswith(b"PK")
    assert book.headers["x-content-type-options"] == "nosniff"
    assert book.headers["content-disposition"] == f'attachment; filename="invoices-{MONTH}.xlsx"'


async def test_a_partner_with_a_strange_name_is_shown_as_it_is_and_leads_on(
    table: Tabletop, everything: httpx.AsyncClient
) -> None:
    partner = {
        "partner_id": "P-17",
        "business_number": NUMBER,
        "name": STRANGE_NAME,
        "invoice_email": "tax@ganada.example",
    }
    await buy(table, "A-1", partner=partner, issue_policy="automatic")

    page = await everything.get("/partner?id=P-17")

    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "tax@ganada" not in page.text
    assert 'href="/order?id=A-1"' in page.text
    assert (await everything.get("/partner?id=P-99")).status_code == 404
    found = (await everything.get("/find?word=P-17")).text
    assert 'href="/partner?id=P-17"' in found


async def test_serials_are_taken_with_a_reason_and_the_issuance_says_by_whom(
    table: Tabletop, everything: httpx.AsyncClient
) -> None:
    await buy(table, "A-1", issue_policy="automatic")
    (row,) = (await everything.get("/issuances?order=A-1&format=json")).json()["rows"]
    grant_id = row["grant_id"]
    assert (row["issued"], row["quantity"], row["percent"]) == (100, 100, 0)

    refused = await do(everything, "/issuance/export", id=grant_id, kind="csv", state="active")
    assert refused.status_code == 422
    file = await do(everything, "/issuance/export", id=grant_id, kind="csv", to="10", reason="they asked")

    assert file.headers["content-type"].startswith("text/csv")
    assert len(file.text.splitlines()) == 12
    page = (await everything.get("/issuance", params={"id": grant_id})).text
    assert "they asked" in page
    watermark = file.text.splitlines()[0].removeprefix("\ufeff# watermark ").rstrip(",")
    assert watermark in page
    serial = file.text.splitlines()[2].split(",")[0]
    assert serial not in page
    leak = (await everything.get("/leak", params={"watermark": file.text.splitlines()[0]})).text
    assert "they asked" in leak
    found = await do(everything, "/issuance/find", order="A-1", last_four=serial[-4:])
    there = (await everything.get(found.headers["location"])).text
    assert "/serial/try" in there
    assert serial not in there


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "x" * 200, "\u202eتوبيخ", "👩‍💻", "a/b?c=d&e#f"]
)
async def test_names_that_are_nothing_are_pages_that_say_so(everything: httpx.AsyncClient, name: str) -> None:
    for path, key in (("/partner", "id"), ("/document", "id"), ("/issuance", "id"), ("/leak", "watermark")):
        answer = await everything.get(path, params={key: name})
        assert answer.status_code in (303, 404, 422)
        assert "<script>alert" not in answer.text
    for path, key in (("/business", "number"), ("/documents", "business")):
        answer = await everything.get(path, params={"month": MONTH, key: name})
        assert answer.status_code in (200, 404, 422)
        assert "<script>alert" not in answer.text
