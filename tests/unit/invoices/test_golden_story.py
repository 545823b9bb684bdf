"""The story of the golden documents: what this service says has every field of the published examples."""

from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

import shared.events
from services.invoices.events import month_closed
from services.invoices.state import MonthSummary
from tests.unit.invoices.books import GANADA, WRONG, Books, line

EXAMPLES = Path(shared.events.__file__).with_name("examples") / "invoices.events"


def golden(type_name: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads((EXAMPLES / f"{type_name}.v1.json").read_bytes())
    return document


@pytest.fixture(scope="module")
def story() -> Books:
    """Two payments merged, unmerged, merged again, issued; a refund in November; a wrong number."""
    books = Books()
    books.paid_and_issued("A-1001")
    books.paid_and_issued("A-1002", lines=[line(kind="goods", quantity=60)])
    books.paid_and_issued("A-1003", number=WRONG)
    books.take(books.events.merge("mr-1", ["A-1001", "A-1002"]))
    books.take(books.events.merge("mr-2", undo=True))
    books.take(books.events.merge("mr-3", ["A-1001", "A-1002"]))
    books.close()
    books.refund("A-1002", "0199f0e0-7d4a-7c11-9a51-2f6f3f3c1d07", 40, at="2026-11-12T10:00:00+09:00")
    return books


@pytest.mark.parametrize(
    "type_name",
    [
        "invoice.drafted",
        "invoice.merged",
        "invoice.unmerged",
        "invoice.issued",
        "invoice.issue_failed",
        "invoice.modified",
    ],
)
def test_an_event_has_every_field_of_its_golden_document(story: Books, type_name: str) -> None:
    expected, published = golden(type_name), story.last(type_name)
    for name, value in expected["data"].items():
        assert type(published.data[name]) is type(value), name
    assert published.key == published.data[expected_key_field(expected)]
    assert published.subject == published.data["invoice_id"]


def test_an_answer_to_a_merge_has_every_field_of_its_golden_document() -> None:
    books = Books()
    books.paid_and_issued("A-1001")
    books.paid_and_issued("A-1002")
    books.paid("A-1004")
    books.take(books.events.merge())
    expected, answered = golden("merge.answered"), books.last("merge.answered")
    assert answered.data.keys() == expected["data"].keys()
    for name, value in expected["data"].items():
        assert type(answered.data[name]) is type(value), name
    assert answered.data["excluded"][0].keys() == expected["data"]["excluded"][0].keys()
    assert answered.subject == f"{answered.data['partner_id']}/{answered.data['request_id']}"


def expected_key_field(expected: dict[str, Any]) -> str:
    return next(name for name in ("order_id", "partner_id") if expected["data"].get(name) == expected["key"])


@pytest.mark.parametrize("name", ["supply", "vat", "total", "written_date", "due_on"])
def test_the_golden_merge_has_the_same_won_and_dates(story: Books, name: str) -> None:
    assert story.last("invoice.merged").data[name] == golden("invoice.merged")["data"][name]


@pytest.mark.parametrize(
    "name", ["document_key", "supply", "vat", "total", "written_date", "issued_at", "late"]
)
def test_the_golden_invoice_has_the_same_key_and_won(story: Books, name: str) -> None:
    assert story.last("invoice.issued").data[name] == golden("invoice.issued")["data"][name]


@pytest.mark.parametrize(
    "name",
    [
        "document_key",
        "original_document_key",
        "modification",
        "refund_id",
        "supply",
        "vat",
        "total",
        "written_date",
        "business_number",
    ],
)
def test_the_golden_modified_invoice_has_the_same_reason_and_won(story: Books, name: str) -> None:
    assert story.last("invoice.modified").data[name] == golden("invoice.modified")["data"][name]
    assert story.last("invoice.modified").data["business_number"] == GANADA


def test_a_closed_month_has_every_field_of_its_golden_document() -> None:
    expected = golden("month.closed")
    at = datetime.fromisoformat("2026-11-05T18:00:04+09:00")
    summary = MonthSummary("2026-10", 812, 1930, 402_116_000, 40_211_600, 442_327_600, 400, 3, 0)
    published = month_closed(summary, at, 1)
    assert published.data == expected["data"]
    assert (published.key, published.subject, published.sequence) == ("2026-10", "2026-10", 1)
