"""The golden cases of refunds after the issue: what the modified invoice says in won."""

import json
from pathlib import Path
from typing import Any

from tests.unit.invoices.books import Books, line

CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parents[2] / "golden" / "invoices.json").read_text("utf-8"))
}


def modified(
    books: Books, order_id: str, refund_id: str, units: int, supply: int, vat: int
) -> dict[str, Any]:
    books.take(
        books.events.completed(order_id, refund_id, units, supply, vat, at="2026-11-12T10:00:00+09:00")
    )
    return books.last("invoice.modified").data


def agrees(data: dict[str, Any], expect: dict[str, Any]) -> bool:
    return all(data[name] == expect[name] for name in ("modification", "supply", "vat"))


def issued() -> Books:
    books = Books()
    books.paid("A-1")
    books.close()
    return books


def test_d1_a_whole_document_is_cancelled() -> None:
    given, expect = CASES["D1"]["given"]["refund"], CASES["D1"]["expect"]
    data = modified(issued(), "A-1", "r-1", 100, given["supply"], given["vat"])
    assert agrees(data, expect)
    assert data["written_date"] == expect["written_date"]


def test_d2_and_d3_two_parts_are_two_changes() -> None:
    books = issued()
    first, second = CASES["D2"]["expect"], CASES["D3"]["expect"]
    one = modified(books, "A-1", "r-1", CASES["D2"]["given"]["refund_units"], 64_000, 6_400)
    other = modified(books, "A-1", "r-2", CASES["D3"]["given"]["refund_units"], 96_000, 9_600)
    assert agrees(one, first)
    assert agrees(other, second)
    assert [one[name] + other[name] for name in ("supply", "vat")] == second["sum_of_D2_and_D3"]


def test_d4_one_payment_of_a_merged_document() -> None:
    """Goods, which can be merged without serials and go back after it."""
    books = Books()
    payments = {each["payment"]: each["supply"] // 1_600 for each in CASES["D4"]["given"]["merged"]}
    for order_id, units in payments.items():
        books.paid(order_id, lines=[line(kind="goods", quantity=units)])
    books.take(books.events.merge())
    books.close()
    refunded = CASES["D4"]["given"]["refund"]
    data = modified(books, refunded, "r-2", payments[refunded], 96_000, 9_600)
    assert agrees(data, CASES["D4"]["expect"])
