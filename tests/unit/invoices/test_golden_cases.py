"""Every golden case of invoices, played against decisions and forms: to the won and to the day.

What a tax agent takes, and when, is played by the tests of its adapter (`OF_AN_AGENT`). Tests of calendar,
penalties, approval numbers, sheets and XML go further than the cases do, and read them from here.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import orjson
import pytest
from lxml import etree
from openpyxl import load_workbook

from services.invoices.calendar import estimated_penalty, is_late, transmit_by, written_date_of_merge
from services.invoices.decisions.corrections import Order
from services.invoices.decisions.lines import PrintedLine, folded, grouped, split_money, sum_of
from services.invoices.decisions.transmitting import APPROVAL_NUMBER
from services.invoices.documents.hometax import BulkSheets, row_of
from services.invoices.documents.kec import kec_xml
from services.invoices.documents.tax_document import Original
from services.invoices.penalties import Issue, penalty_of
from shared.business_number import is_valid
from shared.kst import month_of
from shared.money import Money, payment_money, refund_money, vat_exclusive
from shared.tax_documents import due_on
from tests.unit.invoices.books import GANADA, OTHER, Books, instant, line
from tests.unit.invoices.documents.samples import document as a_document
from tests.unit.invoices.documents.samples import modified as a_modified_one

CASES: dict[str, Any] = {
    case["id"]: case
    for case in orjson.loads((Path(__file__).parents[2] / "golden" / "invoices.json").read_bytes())
}
OF_AN_AGENT = {"D9", "M1"}
"""When a modified document may be submitted, and how many at once."""
AGENTS_TESTS = Path(__file__).parents[2] / "integration" / "invoices" / "test_tax_agent.py"
AFTER_ISSUE = "2026-11-12T10:00:00+09:00"

Play = Callable[[Any, Any], None]
PLAYS: dict[str, Play] = {}


def ids(prefix: str, *, but: Sequence[str] = ()) -> list[str]:
    return [each for each in CASES if each.rstrip("0123456789") == prefix and each not in but]


def given(case: str) -> Any:
    return CASES[case]["given"]


def expected(case: str) -> Any:
    return CASES[case]["expect"]


def plays(*cases: str) -> Callable[[Play], Play]:
    """The function that plays these cases: of what is given it makes what is expected, or fails."""

    def note(play: Play) -> Play:
        PLAYS.update(dict.fromkeys(cases, play))
        return play

    return note


@pytest.mark.parametrize("case", [case for case in CASES if case not in OF_AN_AGENT])
def test_a_golden_case(case: str) -> None:
    PLAYS[case](given(case), expected(case))


def test_every_case_is_played_here_or_by_the_tests_of_the_agent() -> None:
    played = re.findall(r"def test_golden_case_([a-z]+[0-9]+)_", AGENTS_TESTS.read_text())
    assert sorted(played) == sorted(case.lower() for case in OF_AN_AGENT)
    assert PLAYS.keys() | OF_AN_AGENT == CASES.keys()
    assert len(PLAYS) >= 25


# Won


@plays("V1")
def a_payment(given: Any, expect: Any) -> None:
    money = payment_money(given["vat_mode"], sum(price * quantity for price, quantity in given["lines"]))
    assert {"supply": money.supply, "vat": money.vat, "total": money.total} == expect


@plays("V2")
def vat_is_cut_off(given: Any, expect: Any) -> None:
    assert [vat_exclusive(supply) for supply in given["supply"]] == expect["vat"]


@plays("V3")
def a_gross_payment(given: Any, expect: Any) -> None:
    assert payment_money(given["vat_mode"], given["gross"]) == (expect["supply"], expect["vat"])


@plays("V4", "V5", "V7")
def vat_of_refunds(given: Any, expect: Any) -> None:
    left = payment_money(given["vat_mode"], given.get("gross") or given["supply"])
    back = []
    for worth in given["refunds"]:
        money = refund_money(given["vat_mode"], left, worth)
        left = left.minus(money)
        back.append(money.vat)
    assert (back, sum(back)) == (expect["vat"], expect["sum"])


@plays("V6")
def vat_of_a_merge(given: Any, expect: Any) -> None:
    books = Books()
    for number, gross in enumerate(given["payments_gross"]):
        sold = [line(kind="goods", unit_price=gross, quantity=1)]
        books.paid_and_issued(f"A-{number}", lines=sold, vat_mode=given["vat_mode"])
    books.take(books.events.merge())
    books.close()
    issued = books.last("invoice.issued").data
    assert {name: issued[name] for name in expect} == expect


@plays("V8", "V9")
def vat_of_lines(given: Any, expect: Any) -> None:
    lines = split_money(given["vat_mode"], given.get("line_supply") or given["line_gross"])
    assert [money.vat for money in lines] == expect["line_vat"]
    assert sum(money.vat for money in lines) == expect["sum"]
    if "line_supply" in expect:
        assert [money.supply for money in lines] == expect["line_supply"]


# Days


@plays("C1")
def month_of_a_payment(given: Any, expect: Any) -> None:
    assert [month_of(instant(text)) for text in given["paid_at"]] == expect["month"]


@plays("C2")
def due_days(given: Any, expect: Any) -> None:
    assert [str(due_on(month)) for month in given["month"]] == expect["due_on"]


@plays("C3")
def cut_off(given: Any, expect: Any) -> None:
    reasons = []
    for at in given["requested_at"]:
        books = Books()
        books.paid_and_issued("A-1")
        books.paid_and_issued("A-2")
        books.take(books.events.merge(at=at, month=given["month"]))
        answer = books.last("merge.answered").data
        reasons.append(answer["excluded"][0]["reason"] if answer["excluded"] else "merged")
    assert reasons == expect["reason"]


@plays("C4")
def written_date_of_a_payment(given: Any, expect: Any) -> None:
    books = Books()
    books.paid_and_issued("A-1", at=given["paid_at"])
    books.close(at=f"{given['issued']}T09:00:00+09:00")
    assert books.last("invoice.issued").data["written_date"] == expect["written_date"]


@plays("C5")
def written_dates_of_merges(given: Any, expect: Any) -> None:
    assert [str(written_date_of_merge(month)) for month in given["months"]] == expect["written_date"]


@plays("C6")
def days_of_transmission(given: Any, expect: Any) -> None:
    assert [str(transmit_by(date.fromisoformat(day))) for day in given["issued"]] == expect["due"]


@plays(*(f"L{number}" for number in range(1, 13)))
def lateness(given: Any, expect: Any) -> None:
    for hour in ("00:00:00", "23:59:59.999999"):
        issued = datetime.fromisoformat(f"{given['issued_on']}T{hour}+09:00")
        assert is_late(given["month"], issued) is expect["late"]
        assert estimated_penalty(given["month"], issued, given["supply"]) == expect["estimated_penalty"]
    _a_payment_that_is_heard_of_then(given, expect)


def _a_payment_that_is_heard_of_then(given: Any, expect: Any) -> None:
    """Its month was closed in time: it is issued at once, in its own month, flagged, with its penalty."""
    month, at = given["month"], f"{given['issued_on']}T09:00:00+09:00"
    books = Books()
    sold = [line(kind="goods", unit_price=given["supply"], quantity=1)]
    books.close(month, f"{_day_after_end(month)}T00:00:00+09:00")
    books.paid("A-1", at=f"{month}-21T09:00:00+09:00", lines=sold, published_at=at)
    issued = books.last("invoice.issued").data
    assert (issued["late"], issued.get("estimated_penalty")) == (expect["late"], expect["estimated_penalty"])
    assert (issued["month"], issued["written_date"]) == (month, f"{month}-21")


def _day_after_end(month: str) -> str:
    end = written_date_of_merge(month)
    return str(date.fromordinal(end.toordinal() + 1))


@plays("L13")
def late_transmission(given: Any, expect: Any) -> None:
    issued = Issue("2026-10", given["supply"], date(2026, 11, 5))
    late, never = penalty_of(issued, date(2027, 1, 25)), penalty_of(issued, date(2027, 1, 26))
    assert (late and late.won, never and never.won) == (
        expect["late_transmission"],
        expect["no_transmission"],
    )


# Modified documents


def issued_books(*orders: str) -> Books:
    """October with payments of 100 and 60 units on its last day, on one document, issued in November."""
    books = Books()
    for order_id, units in zip(orders, (100, 60), strict=False):
        books.paid_and_issued(
            order_id, at="2026-10-31T09:00:00+09:00", lines=[line(kind="goods", quantity=units)]
        )
    if len(orders) > 1:
        books.take(books.events.merge())
    books.close()
    return books


def all_modified(books: Books) -> list[dict[str, Any]]:
    return [event.data for event in books.published if event.type == "invoice.modified.v1"]


@plays("D1")
def all_of_a_document_goes_back(given: Any, expect: Any) -> None:
    books = issued_books("A-1")
    original = books.last("invoice.issued").data
    assert {name: original[name] for name in given["original"]} == given["original"]
    books.refund("A-1", "r-1", 100, at=given["refund"]["completed_at"])
    (modified,) = all_modified(books)
    wanted = {name: value for name, value in expect.items() if name not in ("remark", "codes")}
    assert {name: modified[name] for name in wanted} == wanted
    printed = a_modified_one(
        -100,
        modification=modified["modification"],
        original=Original(modified["original_document_key"], date.fromisoformat(original["written_date"])),
    )
    assert printed.remarks == (expect["remark"].replace("original written date", "당초 작성일자"),)
    told = _told(kec_xml(printed))
    assert told["TypeCode"] == expect["codes"]["kec_type"]
    assert told["AmendmentStatusCode"] == expect["codes"]["kec_amendment"]


def _told(xml: bytes) -> dict[str, str]:
    """What stands about a document in its XML, by name, in its order; of what is said twice the first."""
    root = etree.fromstring(xml)
    (about,) = root.findall("{*}TaxInvoiceDocument")
    told: dict[str, str] = {}
    for each in about:
        told.setdefault(etree.QName(each).localname, each.text)
    return told


@plays("D2")
def a_part_goes_back(given: Any, expect: Any) -> None:
    books = issued_books("A-1")
    books.refund("A-1", "r-1", given["refund_units"], at=AFTER_ISSUE)
    modified = all_modified(books)[-1]
    assert {name: modified[name] for name in ("modification", "supply", "vat")} == {
        name: expect[name] for name in ("modification", "supply", "vat")
    }
    told = _told(kec_xml(a_modified_one(modification=modified["modification"])))
    assert told["AmendmentStatusCode"] == expect["kec_amendment"]


@plays("D3")
def the_rest_goes_back_later(given: Any, expect: Any) -> None:
    books = issued_books("A-1")
    for refund_id, units in (("r-1", 40), ("r-2", given["refund_units"])):
        books.refund("A-1", refund_id, units, at=AFTER_ISSUE)
    both = all_modified(books)
    assert {name: both[-1][name] for name in ("modification", "supply", "vat")} == {
        name: expect[name] for name in ("modification", "supply", "vat")
    }
    assert [sum(each[name] for each in both) for name in ("supply", "vat")] == expect["sum_of_D2_and_D3"]


@plays("D4")
def one_payment_of_a_merge_goes_back(given: Any, expect: Any) -> None:
    merged = {each["payment"]: each["supply"] for each in given["merged"]}
    books = issued_books(*merged)
    assert books.last("invoice.issued").data["supply"] == sum(merged.values())
    books.refund(given["refund"], "r-1", merged[given["refund"]] // 1_600, at=AFTER_ISSUE)
    (modified,) = all_modified(books)
    assert {name: modified[name] for name in expect} == expect


@plays("D5")
def the_number_was_wrong(given: Any, expect: Any) -> None:
    books = issued_books("A-1")
    (document,) = books.documents("issued")
    at = instant(f"{given['noticed']}T10:00:00+09:00")
    before = len(books.published)
    books.correct(document, Order(OTHER, False, "another company", "kim", at))
    made = all_modified(books)
    assert len(books.published) == before + len(expect["documents"]), "both come at once"
    numbers = {"the wrong one": GANADA, "the right one": OTHER}
    for each, wanted in zip(made, expect["documents"], strict=True):
        assert {name: each[name] for name in ("supply", "vat", "written_date")} == {
            name: wanted[name] for name in ("supply", "vat", "written_date")
        }
        assert each["business_number"] == numbers[wanted["number"]]
        assert each["modification"] == expect["modification"]
        assert each["original_document_key"] == document.document_key
        told = _told(kec_xml(a_modified_one(modification=each["modification"])))
        assert told["AmendmentStatusCode"] == expect["kec_amendment"]


@plays("D6")
def it_was_issued_twice(given: Any, expect: Any) -> None:
    books = issued_books("A-1")
    (document,) = books.documents("issued")
    assert str(document.written_date) == given["duplicate_written"]
    at = instant("2026-12-03T10:00:00+09:00")
    books.correct(document, Order(None, True, "sent again after a timeout", "kim", at))
    made = all_modified(books)
    assert len(made) == expect["documents"]
    assert {name: made[0][name] for name in ("modification", "written_date")} == {
        name: expect[name] for name in ("modification", "written_date")
    }
    assert made[0]["total"] == -document.amount.total
    told = _told(kec_xml(a_modified_one(modification=made[0]["modification"])))
    assert told["AmendmentStatusCode"] == expect["kec_amendment"]


@plays("D7")
def it_went_back_before_the_document_was_written(given: Any, expect: Any) -> None:
    books = issued_books("p1", "p2")
    assert books.last("invoice.issued").data["written_date"] == given["original"]["written_date"]
    books.refund("p1", "r-1", 1, at=given["refund"]["completed_at"])
    (modified,) = all_modified(books)
    assert (modified["supply"], modified["vat"]) == (-given["refund"]["supply"], -given["refund"]["vat"])
    assert modified["modification"] == "supply_value_changed"
    assert modified["written_date"] == expect["written_date"]


@plays("D8")
def a_modified_document_is_due(given: Any, expect: Any) -> None:
    due = []
    for day in given["refund_day"]:
        books = Books()
        books.paid("A-1", at="2026-08-31T09:00:00+09:00")
        books.close("2026-08", "2026-09-05T18:00:00+09:00")
        books.refund("A-1", "r-1", 1, at=f"{day}T12:00:00+09:00")
        due.append(all_modified(books)[-1]["issue_by"])
    assert due == expect["issue_by"]


# Forms


def printed(product_id: str, quantity: int, price: int) -> PrintedLine:
    return PrintedLine(product_id, product_id, price, quantity, payment_money("exclusive", price * quantity))


@plays("M2")
def more_lines_than_fit(given: Any, expect: Any) -> None:
    shown = folded(
        grouped(printed(f"p-{n}", 1, given["each_supply"]) for n in range(given["distinct_lines"]))
    )
    assert len(shown) == expect["lines"]
    assert {"name": shown[-1].name, "supply": shown[-1].amount.supply} == expect["last_line"]
    assert sum_of(shown).supply == expect["sum_supply"]


@plays("M3")
def many_payments_of_one_product(given: Any, expect: Any) -> None:
    lines = [printed("p", given["units_each"], given["unit_price"]) for _ in range(given["payments"])]
    shown = folded(grouped(lines))
    assert len(shown) == expect["lines"]
    assert shown[0].quantity == expect["quantity"]
    assert shown[0].amount == Money(expect["supply"], expect["vat"])


@plays("K1")
def our_key_as_an_agents(given: Any, expect: Any) -> None:
    assert len(given["document_key"]) == given["length"]
    document = a_document(document_key=given["document_key"])
    assert (document.agent_key, len(document.agent_key)) == (expect["agent_key"], expect["length"])


@plays("K2")
def an_approval_number(given: Any, expect: Any) -> None:
    assert f"^{APPROVAL_NUMBER.pattern}$" == given["pattern"]
    assert f"{date.fromisoformat(given['written_date']):%Y%m%d}" == expect["starts_with"]


@plays("B1")
def business_numbers(given: Any, expect: Any) -> None:
    assert [is_valid(number) for number in given["numbers"]] == expect["valid"]


@plays("H1")
def bulk_sheets(given: Any, expect: Any) -> None:
    file = BytesIO()
    sheets = BulkSheets(file, "2026-10")
    sheets.add(a_document(document_key=f"2026-10-1168200276-{n:06d}") for n in range(given["documents"]))
    sheets.finish()
    with ZipFile(file) as files:
        pages = [load_workbook(BytesIO(files.read(name))).worksheets[0] for name in files.namelist()]
    assert [page.max_row - expect["header_row"] for page in pages] == expect["files"]
    header = [cell.value for cell in pages[0][expect["header_row"]]]
    first = [cell.value for cell in pages[0][expect["first_data_row"]]]
    assert len(header) == len(first) == expect["columns"]
    assert sum(str(name).startswith("품목비고") for name in header) == expect["item_groups"]
    assert first[0] in expect["column_A"]
    assert first[58] in expect["column_BG"]
    assert (first[1], first[10], first[19]) == ("20261031", "1168200276", 160_000)


@plays("H2")
def a_document_of_six_lines_on_a_sheet(given: Any, expect: Any) -> None:
    row = row_of(a_document(*(printed(f"p-{n}", 1, given["each_supply"]) for n in range(given["lines"]))))
    names = [row[23 + 8 * group] for group in range(expect["groups"])]
    assert all(names)
    assert {"name": names[-1], "supply": row[51], "vat": row[52]} == expect["last"]
    assert row[19:21] == expect["sum"]


@plays("X1")
def order_of_the_standard(given: Any, expect: Any) -> None:
    approved = Original("2026-10-1168200276-000001", date(2026, 10, 31), "202610314100001200012458")
    told = _told(kec_xml(a_modified_one(original=approved)))
    assert told["TypeCode"] == given["type"]
    assert list(told) == expect["TaxInvoiceDocument"]
