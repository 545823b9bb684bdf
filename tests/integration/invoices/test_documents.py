"""Documents over HTTP: a list, the files of one, the workbook of a month; a partner sees its own."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import httpx
import pytest
from lxml import etree
from msgspec.structs import replace
from openpyxl import load_workbook
from pypdf import PdfReader

from services.invoices.app import build
from services.invoices.documents.tax_document import Party
from services.invoices.settings import InvoicesSettings
from services.invoices.showing import show_document
from shared.web.callers import Caller
from tests.integration.invoices.conftest import StoredBooks
from tests.support.web import operator_of
from tests.unit.invoices.books import OTHER, PARTNER, THIRD

SUPPLIER = {
    "invoices_supplier_number": "118-81-20586",
    "invoices_supplier_name": "주식회사 스터디웍스",
    "invoices_supplier_representative": "김하늘",
}
REFUNDED_AT = "2026-11-12T10:00:00+09:00"
SELLER = Party("1188120586", "주식회사 스터디웍스", "김하늘")
ANYBODY = Caller("kim", frozenset())
KEY = "2026-10-1168200276-000001"


def client_of(books: StoredBooks, partner: str | None = None, **more: Any) -> httpx.AsyncClient:
    settings = InvoicesSettings(
        kafka_bootstrap_servers="localhost:1",
        database_url="postgresql://nobody@localhost/x",
        data_key=b"k" * 32,
        **more,
    )
    claims = {} if partner is None else {"partner_id": partner}
    return operator_of(build(settings).http_routes(books.surroundings), "invoices", **claims)


@pytest.fixture
async def client(books: StoredBooks) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(books, **SUPPLIER) as client:
        yield client


async def closed(books: StoredBooks) -> None:
    """October is closed with a document of P-17 and one of P-18; units of the first go back in November."""
    await books.paid_and_issued("A-1")
    await books.take(books.events.paid("B-1", partner="P-18", number=OTHER, evidence="tax_invoice"))
    await books.take(books.events.paid("C-1", evidence="cash_receipt"))
    await books.close()
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400, at=REFUNDED_AT))


async def test_a_month_is_listed_page_by_page(books: StoredBooks, client: httpx.AsyncClient) -> None:
    await closed(books)

    first = (await client.get("/v1/documents?month=2026-10&limit=1")).json()
    second = (await client.get(f"/v1/documents?month=2026-10&limit=1&cursor={first['next']}")).json()

    (one,), (other,) = first["items"], second["items"]
    assert (one["document_key"], one["partner_id"], one["state"]) == (KEY, PARTNER, "issued")
    assert (one["pdf"], one["total"]) == (f"/v1/documents/{KEY}.pdf", 176_000)
    assert (other["partner_id"], second["next"]) == ("P-18", None)
    of_business = await client.get(f"/v1/documents?month=2026-10&business={OTHER}&state=issued")
    assert [each["partner_id"] for each in of_business.json()["items"]] == ["P-18"]
    (back,) = (await client.get("/v1/documents?month=2026-11")).json()["items"]
    assert (back["modification"], back["original_key"]) == ("supply_value_changed", KEY)


async def test_a_document_comes_as_pdf_the_same_each_time(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await closed(books)
    one, again = [await client.get(f"/v1/documents/{KEY}.pdf") for _ in range(2)]
    assert (one.status_code, one.headers["content-type"]) == (200, "application/pdf")
    assert one.content == again.content
    text = "".join(PdfReader(BytesIO(one.content)).pages[0].extract_text().split())
    assert "176,000" in text
    assert "가나다주식회사" in text


async def test_the_xml_needs_the_representative_of_the_buyer(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    event = books.events.paid("A-1")
    partner = event.data.partner.model_copy(update={"representative": "이도윤"})
    told = replace(event, data=event.data.model_copy(update={"partner": partner}))
    await books.take(told, books.events.paid("B-1", partner="P-18", number=OTHER))
    await books.close()

    whole = await client.get(f"/v1/documents/{KEY}.xml")
    lacking = await client.get(f"/v1/documents/2026-10-{OTHER}-000001.xml")

    assert etree.fromstring(whole.content).tag.endswith("TaxInvoice")
    assert (lacking.status_code, lacking.json()["code"]) == (409, "document_incomplete")
    way = f"pawl partner correct P-18 --representative NAME --of {OTHER} --reason WHY --yes"
    assert way in lacking.json()["detail"]

    await books.take(books.events.partner(partner="P-18", number=OTHER, representative="박하루"))
    known = await client.get(f"/v1/documents/2026-10-{OTHER}-000001.xml")
    assert known.status_code == 200
    assert "박하루" in known.text


async def test_a_document_without_a_representative_is_amended_and_what_modifies_it_follows(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    """A pair takes it back and says it again; a refund before and one after name the right buyer too."""
    await closed(books)
    right = {"name": "가나다라 주식회사", "representative": "이도윤", "address": "서울특별시 중구 1"}
    body = {"document": KEY, "reason": "renamed", "apply": True, **right}
    made = await client.post("/v1/months/2026-10/amend", json=body, headers={"Idempotency-Key": "a-1"})
    assert made.status_code == 200
    keys = [each["document_key"] for each in made.json()["documents"]]
    await books.take(books.events.completed("A-1", "r-2", 60, 96_000, 9_600, at="2026-11-13T10:00:00+09:00"))
    (last,) = await books.pool.fetch("SELECT document_key FROM documents WHERE refund_id = 'r-2'")

    assert [each["total"] for each in made.json()["documents"]] == [-176_000, 176_000, 70_400, -70_400]
    named = {key: (await client.get(f"/v1/documents/{key}.xml")).status_code for key in [KEY, *keys]}
    assert list(named.values()) == [200, 200, 200, 200, 200]
    for key in (keys[1], keys[3], last["document_key"]):
        text = (await client.get(f"/v1/documents/{key}.xml")).text
        assert all(value in text for value in right.values())


async def test_the_workbook_of_a_month_has_its_documents_and_sums(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await closed(books)
    answer = await client.get("/v1/months/2026-10.xlsx")
    documents, sums = load_workbook(BytesIO(answer.content)).worksheets
    assert answer.headers["content-disposition"] == 'attachment; filename="invoices-2026-10.xlsx"'
    rows = list(documents.iter_rows(min_row=2, values_only=True))
    assert rows[0][0] == KEY
    assert [row[8] for row in rows] == ["가나다 주식회사"] * 2
    shown = {row[0]: row[4] for row in sums.iter_rows(min_row=2, values_only=True)}
    assert shown == {"세금계산서 (원본)": 352_000, "현금영수증": 176_000, "합계": 528_000}


async def test_the_workbook_names_whom_each_document_names(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    """One is amended, with a refund before and after; a partner is renamed after the issue; one is merged."""
    await books.take(books.events.partner(partner="P-20", number=THIRD))
    await books.paid_and_issued("D-1", "D-2", partner="P-20", number=THIRD)
    await closed(books)
    body = {"document": KEY, "reason": "renamed", "apply": True, "name": "가나다라 주식회사"}
    made = await client.post("/v1/months/2026-10/amend", json=body, headers={"Idempotency-Key": "a-1"})
    assert made.status_code == 200
    await books.take(books.events.completed("A-1", "r-2", 60, 96_000, 9_600, at="2026-10-31T10:00:00+09:00"))
    await books.take(books.events.partner(partner="P-18", number=OTHER, name="새 이름"))
    await books.take(books.events.completed("B-1", "r-3", 1, 1_600, 160, at="2026-10-31T10:00:00+09:00"))

    named: dict[str, str] = {}
    for month in ("2026-10", "2026-11"):
        book = load_workbook(BytesIO((await client.get(f"/v1/months/{month}.xlsx")).content))
        rows = book.worksheets[0].iter_rows(min_row=2, values_only=True)
        named |= {str(row[0]): str(row[8]) for row in rows}

    documents = {key: await show_document(books.pool, key, SELLER, ANYBODY) for key in named}
    assert named == {key: document.buyer.name for key, document in documents.items()}
    assert set(named.values()) == {"가나다 주식회사", "가나다라 주식회사"}
    assert sum(name == "가나다라 주식회사" for name in named.values()) == 3


async def test_a_partner_sees_its_own(books: StoredBooks) -> None:
    await closed(books)
    async with client_of(books, "P-18", **SUPPLIER) as partner:
        listed = (await partner.get("/v1/documents?month=2026-10")).json()["items"]
        assert [each["partner_id"] for each in listed] == ["P-18"]
        assert (await partner.get(listed[0]["pdf"])).status_code == 200
        assert (await partner.get(f"/v1/documents/{KEY}.pdf")).status_code == 404
        book = load_workbook(BytesIO((await partner.get("/v1/months/2026-10.xlsx")).content))
        rows = book.worksheets[0].iter_rows(min_row=2, values_only=True)
        assert [row[6] for row in rows] == ["P-18"]


async def test_without_a_supplier_no_document_is_shown(books: StoredBooks) -> None:
    await closed(books)
    async with client_of(books) as client:
        answer = await client.get(f"/v1/documents/{KEY}.pdf")
    assert (answer.status_code, answer.json()["code"]) == (503, "supplier_not_configured")
