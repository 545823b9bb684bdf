"""A month without a tax agent: bulk sheets for Hometax go out, and its list brings approval numbers back."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from msgspec.structs import replace
from openpyxl import load_workbook

from tests.integration.invoices.conftest import StoredBooks
from tests.integration.invoices.test_documents import SUPPLIER, client_of
from tests.unit.invoices.books import GANADA, OTHER, line

SHEETS, LIST = "/v1/months/2026-10/hometax.zip", "/v1/months/2026-10/hometax"
FIRST = f"2026-10-{GANADA}-000001"


@pytest.fixture
async def client(books: StoredBooks) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(books, **SUPPLIER) as client:
        yield client


async def paid(books: StoredBooks, order_id: str, units: int, **more: Any) -> None:
    """A payment whose buyer has all that Hometax asks for."""
    event = books.events.paid(order_id, lines=[line(kind="goods", quantity=units)], **more)
    partner = event.data.partner.model_copy(update={"representative": "이도윤"})
    await books.take(replace(event, data=event.data.model_copy(update={"partner": partner})))


async def sheets_of(client: httpx.AsyncClient) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Rows of each sheet by file, and how much there is."""
    answer = await client.get(SHEETS)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    found: dict[str, list[Any]] = {}
    with ZipFile(BytesIO(answer.content)) as files:
        for name in files.namelist():
            if name.endswith(".xlsx"):
                (page,) = load_workbook(BytesIO(files.read(name))).worksheets
                found[name] = list(page.iter_rows(min_row=7, values_only=True))
            else:
                found[name] = files.read(name).decode("utf-8-sig").splitlines()[1:]
    names = ("x-documents", "x-sheets", "x-left-out")
    return found, {name: answer.headers[name] for name in names}


def listed(number: int, total: int, buyer: str = GANADA, written: str = "2026-10-21") -> dict[str, Any]:
    approval = f"{written.replace('-', '')}10261106{number:08d}"
    return {"written_date": written, "approval_number": approval, "buyer_number": buyer, "total": total}


async def states(books: StoredBooks) -> dict[str, str]:
    rows = await books.pool.fetch(
        "SELECT business_number, state FROM business_months WHERE month = '2026-10'"
    )
    return {row["business_number"]: row["state"] for row in rows}


async def test_a_month_goes_out_by_sheet_and_comes_back_by_list(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await paid(books, "A-1", 100)
    await paid(books, "A-2", 60)
    await paid(books, "B-1", 10, partner="P-18", number=OTHER)
    await books.close()

    sheets, counts = await sheets_of(client)
    ((name, rows),) = sheets.items()
    assert (name, len(rows)) == ("hometax-2026-10-0001.xlsx", 3)
    assert counts == {"x-documents": "3", "x-sheets": "1", "x-left-out": "0"}
    assert [(row[10], row[13], row[19], row[20]) for row in rows] == [
        (GANADA, "이도윤", 160_000, 16_000),
        (GANADA, "이도윤", 96_000, 9_600),
        (OTHER, "이도윤", 16_000, 1_600),
    ]

    lines = [listed(1, 176_000), listed(2, 105_600), listed(3, 999)]
    heard = (await client.post(LIST, json={"lines": lines, "reason": "sheets of today"})).json()
    again = (await client.post(LIST, json={"lines": lines})).json()

    assert (heard["told"], heard["known"], heard["waiting"]) == (2, 0, 1)
    assert (heard["refused"], heard["ambiguous"]) == ([], [])
    assert [each["approval_number"] for each in heard["unknown"]] == [lines[2]["approval_number"]]
    assert (again["told"], again["known"], len(again["unknown"])) == (0, 2, 1)
    assert await states(books) == {GANADA: "transmitted", OTHER: "issued"}
    told = await books.published("invoice.transmitted")
    assert [event["data"]["approval_number"] for event in told] == [
        line["approval_number"] for line in lines[:2]
    ]
    sheets, _ = await sheets_of(client)
    assert [row[10] for row in sheets["hometax-2026-10-0001.xlsx"]] == [OTHER], (
        "what has a number is not sent again"
    )


async def test_documents_alike_are_told_apart_by_a_person(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await paid(books, "A-1", 100)
    await paid(books, "A-2", 100)
    await books.close()
    lines = [listed(1, 176_000), listed(2, 176_000)]

    heard = (await client.post(LIST, json={"lines": lines})).json()
    one = {"document_key": FIRST, "approval_number": lines[0]["approval_number"]}
    await client.post("/v1/months/2026-10/transmit", json={"results": [one]})
    then = (await client.post(LIST, json={"lines": lines})).json()

    assert (heard["told"], len(heard["ambiguous"]), heard["waiting"]) == (0, 2, 2)
    assert (then["told"], then["known"], then["ambiguous"], then["waiting"]) == (1, 1, [], 0)


async def test_what_no_sheet_takes_is_named(books: StoredBooks, client: httpx.AsyncClient) -> None:
    """A modified document, one without a representative, and one that the authority refused for good."""
    await paid(books, "A-1", 100)
    await books.take(books.events.paid("B-1", partner="P-18", number=OTHER))
    await paid(books, "A-2", 60)
    await books.close()
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400, at="2026-10-30T10:00:00+09:00"))
    second = f"2026-10-{GANADA}-000002"
    failed = [
        {"document_key": FIRST, "failed": "timeout"},
        {"document_key": second, "failed": "wrong_number"},
    ]
    answer = await client.post("/v1/months/2026-10/transmit", json={"results": failed})
    assert answer.json()["told"] == 2

    sheets, counts = await sheets_of(client)

    assert counts == {"x-documents": "1", "x-sheets": "1", "x-left-out": "3"}
    assert [row[19] for row in sheets["hometax-2026-10-0001.xlsx"]] == [160_000], "a timeout is sent again"
    assert sorted(sheets["left_out.csv"]) == [
        f"{second},wrong_number,",
        f"2026-10-{GANADA}-000003,modified,",
        f"2026-10-{OTHER}-000001,incomplete,buyer.representative",
    ]


async def test_a_modified_document_gets_its_number_from_the_list(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await paid(books, "A-1", 100)
    await books.close()
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400, at="2026-10-30T10:00:00+09:00"))
    heard = (await client.post(LIST, json={"lines": [listed(1, -70_400, written="2026-10-30")]})).json()
    assert (heard["told"], heard["waiting"]) == (1, 1)
    row = await books.row("transmissions")
    assert row["approval_number"].startswith("20261030")


async def test_a_month_in_which_more_went_back_than_was_paid_declares_negative_won(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await paid(books, "A-1", 100)
    await paid(books, "B-1", 10, at="2026-11-03T10:00:00+09:00")
    await books.close()
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400, at="2026-11-12T10:00:00+09:00"))
    await books.close("2026-11", "2026-12-05T18:00:00+09:00")
    month = (await client.get("/v1/months/2026-11")).json()
    assert (month["documents"], month["total"]) == (1, 17_600)
    assert month["declared"] == {"documents": 2, "supply": -48_000, "vat": -4_800, "total": -52_800}


async def test_without_a_supplier_there_is_no_sheet(books: StoredBooks) -> None:
    async with client_of(books) as client:
        answer = await client.get(SHEETS)
    assert (answer.status_code, answer.json()["code"]) == (503, "supplier_not_configured")


@pytest.mark.parametrize(
    "wrong",
    [{"approval_number": "12"}, {"written_date": "2026-10"}, {"buyer_number": "116-82"}, {"total": "1"}],
)
async def test_a_line_that_cannot_be_is_refused(client: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    answer = await client.post(LIST, json={"lines": [listed(1, 176_000) | wrong]})
    assert answer.status_code == 422
