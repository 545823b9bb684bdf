"""The golden cases of invoices that are covered: amounts, lines, days, penalties and modified documents."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.invoices.calendar import (
    estimated_penalty,
    is_late,
    written_date_of_merge,
)
from services.invoices.decisions.corrections import Order
from services.invoices.decisions.lines import PrintedLine, folded, grouped, split_money, sum_of
from shared.business_number import is_valid
from shared.kst import month_of
from shared.money import Money, payment_money, refund_money, vat_exclusive
from shared.tax_documents import due_on
from tests.unit.invoices.books import GANADA, OTHER, Books, instant, line

CASES: dict[str, Any] = {
    case["id"]: case
    for case in orjson.loads((Path(__file__).parents[2] / "golden" / "invoices.json").read_bytes())
}


def ids(prefix: str, *, but: Sequence[str] = ()) -> list[str]:
    return [each for each in CASES if each.rstrip("0123456789") == prefix and each not in but]


def given(case: str) -> Any:
    return CASES[case]["given"]


def expected(case: str) -> Any:
    return CASES[case]["expect"]


def test_the_money_of_a_payment() -> None:
    worth = sum(price * quantity for price, quantity in given("V1")["lines"])
    money = payment_money("exclusive", worth)
    assert expected("V1") == {"supply": money.supply, "vat": money.vat, "total": money.total}
    assert [vat_exclusive(supply) for supply in given("V2")["supply"]] == expected("V2")["vat"]
    assert payment_money("inclusive", given("V3")["gross"]) == (9_091, 909)


@pytest.mark.parametrize("case", ["V4", "V5", "V7"])
def test_the_vat_of_refunds_loses_no_won(case: str) -> None:
    mode = given(case)["vat_mode"]
    left = payment_money(mode, given(case).get("gross") or given(case)["supply"])
    back = []
    for worth in given(case)["refunds"]:
        money = refund_money(mode, left, worth)
        left = left.minus(money)
        back.append(money.vat)
    assert (back, sum(back)) == (expected(case)["vat"], expected(case)["sum"])


def test_a_merge_sums_the_vat_of_its_payments() -> None:
    books = Books()
    for number, gross in enumerate(given("V6")["payments_gross"]):
        books.paid_and_issued(
            f"A-{number}", lines=[line(kind="goods", unit_price=gross, quantity=1)], vat_mode="inclusive"
        )
    books.take(books.events.merge())
    books.close()
    issued = books.last("invoice.issued").data
    assert {name: issued[name] for name in ("supply", "vat", "total")} == expected("V6")


@pytest.mark.parametrize("case", ["V8", "V9"])
def test_the_vat_of_lines_is_by_cumulative_difference(case: str) -> None:
    mode = given(case)["vat_mode"]
    lines = split_money(mode, given(case).get("line_supply") or given(case)["line_gross"])
    assert [money.vat for money in lines] == expected(case)["line_vat"]
    assert sum(money.vat for money in lines) == expected(case)["sum"]
    if "line_supply" in expected(case):
        assert [money.supply for money in lines] == expected(case)["line_supply"]


def test_days_of_a_month() -> None:
    assert [month_of(instant(text)) for text in given("C1")["paid_at"]] == expected("C1")["month"]
    assert [str(due_on(month)) for month in given("C2")["month"]] == expected("C2")["due_on"]
    merges = [str(written_date_of_merge(month)) for month in given("C5")["months"]]
    assert merges == expected("C5")["written_date"]


def test_the_cut_off() -> None:
    reasons = []
    for at in given("C3")["requested_at"]:
        books = Books()
        books.paid_and_issued("A-1")
        books.paid_and_issued("A-2")
        books.take(books.events.merge(at=at))
        answer = books.last("merge.answered").data
        reasons.append(answer["excluded"][0]["reason"] if answer["excluded"] else "merged")
    assert reasons == expected("C3")["reason"]


def test_the_written_date_of_an_unmerged_payment() -> None:
    books = Books()
    books.paid_and_issued("A-1", at=given("C4")["paid_at"])
    books.close(at=f"{given('C4')['issued']}T09:00:00+09:00")
    assert books.last("invoice.issued").data["written_date"] == expected("C4")["written_date"]


@pytest.mark.parametrize("case", ids("L", but=["L13"]))
def test_lateness_and_its_penalty(case: str) -> None:
    month, supply = given(case)["month"], given(case)["supply"]
    for hour in ("00:00:00", "23:59:59.999999"):
        issued = datetime.fromisoformat(f"{given(case)['issued_on']}T{hour}+09:00")
        assert is_late(month, issued) is expected(case)["late"]
        assert estimated_penalty(month, issued, supply) == expected(case)["estimated_penalty"]


def issued_books(*orders: str) -> Books:
    books = Books()
    for order_id, units in zip(orders, (100, 60), strict=False):
        books.paid_and_issued(
            order_id, at="2026-10-31T09:00:00+09:00", lines=[line(kind="goods", quantity=units)]
        )
    if len(orders) > 1:
        books.take(books.events.merge())
    books.close()
    return books


def test_a_whole_document_refunded_after_its_issue() -> None:
    books = issued_books("A-1")
    books.refund("A-1", "r-1", 100, at=given("D1")["refund"]["completed_at"])
    modified = books.last("invoice.modified").data
    wanted = {key: value for key, value in expected("D1").items() if key not in ("remark", "codes")}
    assert {name: modified[name] for name in wanted} == wanted


def test_a_document_refunded_in_parts() -> None:
    books = issued_books("A-1")
    for case in ("D2", "D3"):
        books.refund("A-1", case, given(case)["refund_units"], at="2026-11-12T10:00:00+09:00")
        modified = books.last("invoice.modified").data
        for name in ("modification", "supply", "vat"):
            assert modified[name] == expected(case)[name]
    both = [event.data for event in books.published if event.type == "invoice.modified.v1"]
    sums = [sum(each[name] for each in both) for name in ("supply", "vat")]
    assert sums == expected("D3")["sum_of_D2_and_D3"]


def test_one_payment_of_a_merged_document_refunded_whole() -> None:
    books = issued_books("p1", "p2")
    books.refund("p2", "r-1", 60, at="2026-11-12T10:00:00+09:00")
    modified = books.last("invoice.modified").data
    assert {name: modified[name] for name in expected("D4")} == expected("D4")


@pytest.mark.parametrize("case", ["D5", "D6"])
def test_a_correction_by_an_operator(case: str) -> None:
    books = issued_books("A-1")
    (document,) = books.documents("issued")
    at = instant("2026-12-03T10:00:00+09:00")
    books.correct(document, Order(OTHER if case == "D5" else None, case == "D6", "wrong", "kim", at))
    made = [event.data for event in books.published if event.type == "invoice.modified.v1"]
    assert {each["modification"] for each in made} == {expected(case)["modification"]}
    if case == "D6":
        assert len(made) == expected("D6")["documents"]
        assert made[0]["written_date"] == expected("D6")["written_date"]
        assert made[0]["total"] == -176_000
        return
    numbers = {"the wrong one": GANADA, "the right one": OTHER}
    for each, wanted in zip(made, expected("D5")["documents"], strict=True):
        for name in ("supply", "vat", "written_date"):
            assert each[name] == wanted[name]
        assert each["business_number"] == numbers[wanted["number"]]


def test_a_refund_of_the_month_that_is_heard_after_the_issue() -> None:
    books = issued_books("p1", "p2")
    books.refund("p1", "r-1", 1, at=given("D7")["refund"]["completed_at"])
    modified = books.last("invoice.modified").data
    assert modified["modification"] == "supply_value_changed"
    assert modified["written_date"] == expected("D7")["written_date"]


def test_when_a_modified_document_is_due() -> None:
    due = []
    for day in given("D8")["refund_day"]:
        books = Books()
        books.paid("A-1", at="2026-08-31T09:00:00+09:00")
        books.close("2026-08", "2026-09-05T18:00:00+09:00")
        books.refund("A-1", "r-1", 1, at=f"{day}T12:00:00+09:00")
        due.append(books.last("invoice.modified").data["issue_by"])
    assert due == expected("D8")["issue_by"]


def printed(product_id: str, quantity: int, price: int) -> PrintedLine:
    return PrintedLine(product_id, product_id, price, quantity, payment_money("exclusive", price * quantity))


def test_more_lines_than_fit_are_folded_into_the_last() -> None:
    case = given("M2")
    lines = [printed(f"p-{n}", 1, case["each_supply"]) for n in range(case["distinct_lines"])]
    shown = folded(grouped(lines))
    assert len(shown) == expected("M2")["lines"]
    assert (shown[-1].name, shown[-1].amount.supply) == ("그 밖의 22종", 22_000)
    assert sum_of(shown).supply == expected("M2")["sum_supply"]


def test_payments_of_one_product_and_price_are_one_line() -> None:
    case = given("M3")
    lines = [printed("p", case["units_each"], case["unit_price"]) for _ in range(case["payments"])]
    (only,) = folded(grouped(lines))
    assert (only.quantity, only.amount) == (12_000, Money(19_200_000, 1_920_000))


def test_the_four_item_groups_of_a_bulk_sheet() -> None:
    lines = [printed(f"p-{n}", 1, given("H2")["each_supply"]) for n in range(given("H2")["lines"])]
    shown = folded(grouped(lines), expected("H2")["groups"])
    last = shown[-1]
    assert {"name": last.name, "supply": last.amount.supply, "vat": last.amount.vat} == expected("H2")["last"]
    assert list(sum_of(shown)) == expected("H2")["sum"]


def test_business_numbers() -> None:
    assert [is_valid(number) for number in given("B1")["numbers"]] == expected("B1")["valid"]
