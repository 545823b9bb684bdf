"""Payments with discounts, with free units, and those that cost nothing."""

import msgspec
import pytest

from services.invoices.state import Policy, SoldLine
from services.invoices.store import SNAPSHOTS
from shared.money import Money
from tests.unit.invoices.books import Books, line


def test_the_draft_of_a_discounted_payment_is_what_was_paid() -> None:
    books = Books()
    books.paid("A-1", lines=[line(discount=16_000)])
    (draft,) = books.documents("draft")
    assert draft.amount == Money(144_000, 14_400)
    (snapshot,) = books.world.snapshots
    assert snapshot.lines[0].discount == 16_000


def test_the_refund_of_a_discounted_payment_nets_out_of_its_draft() -> None:
    books = Books()
    books.paid("A-1", lines=[line(quantity=3, unit_price=1_000, discount=10)])
    books.take(books.events.completed("A-1", "r-1", 1, 997, 100))
    (draft,) = books.documents("draft")
    assert draft.amount == Money(1_993, 199)


def test_a_line_of_before_discounts_has_none() -> None:
    lines = '[["1","serials","p","P",1600,100]]'
    row = {"order_id": "A-1", "vat_mode": "exclusive", "lines": lines, "buyer": None}
    assert SNAPSHOTS.read(row).lines == (SoldLine("1", "serials", "p", "P", 1_600, 100, 0),)


def test_a_line_is_kept_with_its_discount() -> None:
    sold = SoldLine("1", "serials", "p", "P", 1_600, 100, 16_000)
    assert msgspec.json.decode(msgspec.json.encode(sold), type=SoldLine) == sold


@pytest.mark.parametrize("evidence", ["tax_invoice", "card_slip", "cash_receipt"])
def test_an_order_for_nothing_has_no_document_and_needs_no_evidence(evidence: str) -> None:
    books = Books(Policy(card_is_slip=False))
    payment = books.paid("A-1", lines=[line(unit_price=0)], evidence=evidence)
    assert (payment.paid, payment.draft_id, payment.invoice_id) == (Money(0, 0), None, None)
    assert books.published == []
    assert all(event.data["documents"] == 0 for event in books.close() if event.type == "month.closed.v1")


def test_an_order_for_nothing_of_a_closed_month_is_no_late_invoice() -> None:
    books = Books()
    books.close()
    books.paid("A-1", lines=[line(unit_price=0)])
    assert [event.type for event in books.published if event.key == "A-1"] == []


def test_an_order_for_nothing_is_issued_and_refunded_without_a_won() -> None:
    books = Books()
    books.paid("A-1", lines=[line(unit_price=0)])
    books.take(books.events.issued("A-1", 60), books.events.completed("A-1", "r-1", 40, 0, 0))
    payment = books.world.payments["A-1"]
    assert (payment.issued_units, payment.returned_units, payment.standing) == (60, 40, Money(0, 0))


def test_an_order_for_nothing_has_nothing_to_merge() -> None:
    books = Books()
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    books.paid("A-3", lines=[line(unit_price=0)])
    books.take(books.events.merge())
    reasons = {each.payment_id: each.reason for each in books.world.explanations.values()}
    assert reasons == {"pay-A-1": "merged", "pay-A-2": "merged", "pay-A-3": "nothing_left"}


def test_free_units_that_a_cancellation_takes_back_count_as_returned() -> None:
    """All 100 priced units are issued; the ten free ones go back with the payment, worth nothing."""
    books = Books()
    books.paid("A-1", lines=[line(), line("2", unit_price=0, quantity=10)])
    books.take(books.events.issued("A-1", 100), books.events.cancelled("A-1", 10, 0, 0, line_id="2"))
    payment = books.world.payments["A-1"]
    assert (payment.issued_units, payment.returned_units) == (100, 10)


def test_free_units_that_go_back_after_the_issue_make_no_modified_invoice() -> None:
    books = Books()
    books.paid("A-1", lines=[line(), line("2", unit_price=0, quantity=10)])
    books.close()
    books.take(books.events.completed("A-1", "r-1", 4, 0, 0, line_id="2"))
    assert "invoice.modified" not in books.types()
