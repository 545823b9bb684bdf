"""A partner is purged: who paid is kept where a document says it, and nowhere else."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import httpx
import pytest
from lxml import etree
from msgspec.structs import replace
from openpyxl import load_workbook

from shared.runtime.decisions import Event
from tests.integration.invoices.conftest import StoredBooks
from tests.integration.invoices.test_documents import SUPPLIER, client_of
from tests.unit.invoices.books import OTHER, PARTNER, line

PURGED = "2032-01-05T09:00:00+09:00"
KEY = "2026-10-1168200276-000001"


@pytest.fixture
async def client(books: StoredBooks) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(books, **SUPPLIER) as client:
        yield client


def paid(books: StoredBooks, order_id: str, name: str, **more: Any) -> Event:
    """A payment whose buyer has a representative and an address of its own."""
    event = books.events.paid(order_id, lines=[line(kind="goods")], **more)
    told = {"name": name, "representative": f"{name} 대표", "address": f"{name} 주소"}
    partner = event.data.partner.model_copy(update=told)
    return replace(event, data=event.data.model_copy(update={"partner": partner}))


async def buyers(books: StoredBooks) -> dict[str, str | None]:
    """Whom each payment names, as of the payment."""
    rows = await books.pool.fetch("SELECT order_id, buyer ->> 1 AS name FROM payment_lines ORDER BY order_id")
    return {row["order_id"]: row["name"] for row in rows}


async def purge(books: StoredBooks, partner: str = PARTNER) -> None:
    await books.take(books.events.purged(partner, at=PURGED))


async def files(client: httpx.AsyncClient, *keys: str) -> list[bytes]:
    """The PDF of each document."""
    answers = [await client.get(f"/v1/documents/{key}.pdf") for key in keys]
    assert [answer.status_code for answer in answers] == [200] * len(keys)
    return [answer.content for answer in answers]


async def test_only_payments_on_documents_say_who_paid(books: StoredBooks, client: httpx.AsyncClient) -> None:
    await books.take(paid(books, "A-1", "가나다"))
    await books.take(paid(books, "C-1", "가나다", evidence="cash_receipt"))
    await books.take(paid(books, "C-2", "가나다", method="card"))
    await books.take(paid(books, "V-1", "가나다"))
    await books.take(books.events.completed("V-1", "r-1", 100, 160_000, 16_000))
    await books.take(paid(books, "B-1", "라마바", partner="P-18", number=OTHER, evidence="cash_receipt"))
    await books.close()
    before = await files(client, KEY)

    await purge(books)

    names = {"A-1": "가나다", "B-1": "라마바", "C-1": None, "C-2": None, "V-1": None}
    assert await buyers(books) == names
    assert await files(client, KEY) == before
    xml = etree.fromstring((await client.get(f"/v1/documents/{KEY}.xml")).content)
    assert "가나다 대표" in "".join(xml.itertext())


async def test_of_a_merge_whom_the_document_names_stays(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    """The latest payment names the buyer; what a refund modified names the one of its own payment."""
    for day, (order_id, name) in enumerate([("A-1", "처음"), ("A-2", "둘째"), ("A-3", "셋째")], start=21):
        await books.take(paid(books, order_id, name, at=f"2026-10-{day}T09:00:00+09:00"))
    await books.take(books.events.merge())
    await books.close()
    await books.take(books.events.completed("A-2", "r-1", 40, 64_000, 6_400, at="2026-11-12T10:00:00+09:00"))
    keys = [row["document_key"] for row in await books.pool.fetch(
        "SELECT document_key FROM documents WHERE state = 'issued' ORDER BY document_key"
    )]  # fmt: skip
    before = await files(client, *keys)

    await purge(books)

    assert await buyers(books) == {"A-1": None, "A-2": "둘째", "A-3": "셋째"}
    assert await files(client, *keys) == before
    await books.take(books.events.completed("A-1", "r-2", 40, 64_000, 6_400, at=PURGED))
    listed = (await client.get("/v1/documents?month=2032-01")).json()["items"]
    xml = etree.fromstring((await client.get(listed[0]["xml"])).content)
    assert "셋째 대표" in "".join(xml.itertext()), "who has no name of its own has that of the original"


async def test_a_document_that_is_still_to_be_issued_keeps_its_buyer(books: StoredBooks) -> None:
    await books.take(paid(books, "A-1", "가나다"))
    await purge(books)
    assert await buyers(books) == {"A-1": "가나다"}


async def test_what_was_paid_before_buyers_were_kept_goes_on_to_name_the_partner(
    books: StoredBooks, client: httpx.AsyncClient, owner: Any
) -> None:
    await books.take(books.events.partner())
    await books.take(books.events.paid("A-1", lines=[line(kind="goods")]))
    await books.take(books.events.paid("C-1", lines=[line(kind="goods")], evidence="cash_receipt"))
    await books.close()
    await owner.execute("UPDATE payment_lines SET buyer = NULL")
    before = await files(client, KEY)

    await purge(books)

    assert await files(client, KEY) == before
    assert await buyers(books) == {"A-1": "가나다 주식회사", "C-1": None}


async def test_the_workbook_of_a_month_names_whom_its_documents_name(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.take(paid(books, "A-1", "가나다"))
    await books.close()
    await purge(books)
    book = load_workbook(BytesIO((await client.get("/v1/months/2026-10.xlsx")).content))
    (row,) = book.worksheets[0].iter_rows(min_row=2, values_only=True)
    assert (row[0], row[8]) == (KEY, "가나다")


async def test_a_corrected_document_keeps_its_buyer_too(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.take(paid(books, "A-1", "가나다"))
    await books.close()
    said = {"document": KEY, "business_number": OTHER, "reason": "wrong company", "apply": True}
    answer = await client.post("/v1/months/2026-10/amend", json=said)
    keys = [KEY, *(each["document_key"] for each in answer.json()["documents"])]
    before = await files(client, *keys)

    await purge(books)

    assert await buyers(books) == {"A-1": "가나다"}
    assert await files(client, *keys) == before


async def test_what_is_heard_of_a_purged_partner_later_names_it_on_documents_only(books: StoredBooks) -> None:
    await purge(books)
    await books.take(paid(books, "C-1", "가나다", evidence="cash_receipt"))
    await books.take(paid(books, "A-1", "가나다"))
    assert await buyers(books) == {"A-1": "가나다", "C-1": None}
