"""Documents and payments are explained over HTTP: to the won, page by page; a partner sees its own."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.postgres import connect
from tests.integration.invoices.conftest import StoredBooks
from tests.integration.invoices.test_documents import KEY, REFUNDED_AT, client_of
from tests.unit.invoices.books import OTHER


@pytest.fixture
async def client(books: StoredBooks) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(books) as client:
        yield client


async def merged(books: StoredBooks) -> None:
    """Two payments on one document; 40 units of the first go back before the issue, 20 after it."""
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400))
    await books.take(books.events.merge())
    await books.close()
    await books.take(books.events.completed("A-1", "r-2", 20, 32_000, 3_200, at=REFUNDED_AT))


async def amend(client: httpx.AsyncClient, **said: Any) -> None:
    """An operator has the first document corrected, or taken back."""
    body = {"document": KEY, "reason": "a test", "apply": True, **said}
    answer = await client.post("/v1/months/2026-10/amend", json=body)
    assert answer.status_code == 200, answer.text


async def test_an_event_of_a_single_document_is_told_once(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    key = await books.pool.fetchval("SELECT document_key FROM documents")

    told = (await client.get(f"/v1/documents/{key}/explain")).json()

    assert [event["type"] for event in told["events"]] == ["invoice.issued.v1"]
    assert [event["type"] for event in told["payments"][0]["events"]] == ["invoice.drafted.v1"]


async def test_a_document_is_traced_to_payments_lines_units_refunds_and_events(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await merged(books)

    told = (await client.get(f"/v1/documents/{KEY}/explain")).json()

    assert (told["total"], told["explained"]["total"], told["is_whole"]) == (281_600, 281_600, True)
    assert [(contribution["payment_id"], contribution["total"]) for contribution in told["payments"]] == [
        ("pay-A-1", 105_600),
        ("pay-A-2", 176_000),
    ]
    parts = [(p["what"], p["line_id"], p["units"], p["refund_id"]) for p in told["payments"][0]["parts"]]
    assert parts == [("sold", "1", 100, None), ("refunded", "1", 40, "r-1")]
    assert [event["type"] for event in told["events"]] == ["invoice.merged.v1", "invoice.issued.v1"]
    assert [event["type"] for event in told["payments"][0]["events"]] == ["invoice.drafted.v1"]
    assert told["payments"][0]["events"][0]["cause"] == "evt-1"
    (modified,) = told["related"]
    assert (modified["relation"], modified["total"]) == ("modified_by", -35_200)
    back = (await client.get(f"/v1/documents/{modified['document_key']}/explain")).json()
    assert (back["total"], back["is_whole"]) == (-35_200, True)
    assert [part["refund_id"] for part in back["payments"][0]["parts"]] == ["r-2"]
    by_id = (await client.get(f"/v1/documents/{told['invoice_id']}/explain")).json()
    assert by_id == told


async def test_payments_come_page_by_page_and_the_sum_is_of_all(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await merged(books)

    first = (await client.get(f"/v1/documents/{KEY}/explain?limit=1")).json()
    second = (await client.get(f"/v1/documents/{KEY}/explain?limit=1&cursor={first['next']}")).json()

    assert [contribution["order_id"] for page in (first, second) for contribution in page["payments"]] == [
        "A-1",
        "A-2",
    ]
    assert (second["next"], first["count"]) == (None, 2)
    assert first["explained"] == second["explained"]
    assert first["is_whole"]


async def test_a_payment_says_where_its_won_stand(books: StoredBooks, client: httpx.AsyncClient) -> None:
    await merged(books)
    await books.take(books.events.paid("C-1", evidence="cash_receipt"))

    told = (await client.get("/v1/orders/A-1/explain")).json()
    receipt = (await client.get("/v1/orders/C-1/explain")).json()

    assert (told["total"], told["is_whole"]) == (70_400, True)
    assert [each["total"] for each in told["stands"]] == [105_600, -35_200]
    assert [(each["document_key"], each["total"]) for each in receipt["stands"]] == [(None, 176_000)]


async def test_every_document_of_a_correction_is_explained(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await merged(books)
    await amend(client, business_number=OTHER)

    documents = await books.pool.fetch(
        "SELECT * FROM all_documents WHERE state = 'issued' OR state = 'in_merge'"
    )
    for document in documents:
        told = (await client.get(f"/v1/documents/{document['invoice_id']}/explain")).json()
        assert told["is_whole"], told
        assert told["explained"]["total"] == told["total"]
        if document["state"] == "issued":
            assert told["total"] == document["total"]
    assert sorted(each["total"] for each in documents if each["refund_id"]) == [-35_200, -35_200, 35_200]
    payment = (await client.get("/v1/orders/A-1/explain")).json()
    assert payment["is_whole"]
    assert sum(each["total"] for each in payment["stands"]) == 70_400


async def test_a_duplicate_says_that_its_won_stand_elsewhere(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    await amend(client, twice=True)

    payment = (await client.get("/v1/orders/A-1/explain")).json()
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400, at=REFUNDED_AT))
    document = (await client.get(f"/v1/documents/{KEY}/explain")).json()

    assert [(each["cause"], each["total"]) for each in payment["missing"]] == [
        ("on_another_document", 176_000)
    ]
    (missing,) = document["missing"]
    assert (missing["cause"], missing["total"], missing["names"]) == ("after_taken_back", 70_400, ["r-1"])


async def test_won_that_are_lost_in_the_tables_are_named(
    books: StoredBooks, client: httpx.AsyncClient, database: Any
) -> None:
    """Somebody has deleted a refund: the document does not say that all is well."""
    await merged(books)
    owner = await connect(database.owner_url, "invoices")
    await owner.execute("DELETE FROM refunds WHERE refund_id = 'r-1'")
    await owner.close()

    told = (await client.get(f"/v1/documents/{KEY}/explain")).json()

    assert [(each["cause"], each["total"]) for each in told["missing"]] == [("not_explained", -70_400)]
    assert not told["is_whole"]


async def test_a_partner_explains_its_own(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    await books.close()
    async with client_of(books, "P-18") as partner:
        own = await partner.get(f"/v1/documents/2026-10-{OTHER}-000001/explain")
        assert (own.status_code, own.json()["is_whole"]) == (200, True)
        assert (await partner.get("/v1/orders/B-1/explain")).status_code == 200
        for other in (f"/v1/documents/{KEY}/explain", "/v1/orders/A-1/explain"):
            assert (await partner.get(other)).status_code == 404


async def test_nothing_of_that_name_is_404(books: StoredBooks, client: httpx.AsyncClient) -> None:
    for name in ("nothing", str(UUID(int=1))):
        assert (await client.get(f"/v1/documents/{name}/explain")).status_code == 404
        assert (await client.get(f"/v1/orders/{name}/explain")).status_code == 404
