"""A payment is drafted in its month; refunds before the issue net out of the draft."""

import pytest

from services.invoices.state import Contradiction, Policy
from shared.money import Money, refund_money
from shared.runtime.decisions import Applied, Wait
from tests.unit.invoices.books import PAID_AT, Books, Events, line


def test_a_payment_is_drafted_for_the_month_it_was_paid_in_seoul() -> None:
    books = Books()
    books.paid("A-1", at="2026-10-31T15:00:00+00:00")
    drafted = books.last("invoice.drafted")
    assert drafted.key == "A-1"
    assert drafted.data["month"] == "2026-11"
    assert (drafted.data["supply"], drafted.data["vat"], drafted.data["total"]) == (160_000, 16_000, 176_000)


def test_the_same_payment_again_changes_nothing() -> None:
    books = Books()
    books.paid("A-1")
    books.paid("A-1")
    assert books.types() == ["invoice.drafted"]


@pytest.mark.parametrize("evidence", ["card_slip", "cash_receipt"])
def test_a_slip_or_a_receipt_is_recorded_and_gets_no_invoice(evidence: str) -> None:
    books = Books()
    payment = books.paid("A-1", evidence=evidence)
    assert payment.evidence == evidence
    assert books.published == []


def test_a_card_payment_counts_as_its_card_slip() -> None:
    assert Books().paid("A-1", method="card").evidence == "card_slip"


def test_a_card_payment_gets_an_invoice_where_the_policy_says_so() -> None:
    assert Books(Policy(card_is_slip=False)).paid("A-1", method="card").evidence == "tax_invoice"


def test_a_refund_nets_out_of_the_draft() -> None:
    books = Books()
    books.paid("A-1")
    books.refund("A-1", "r-1", 40)
    (draft,) = books.documents("draft")
    assert draft.amount == (96_000, 9_600)


def test_ten_thousand_won_in_five_refunds_lose_no_won_of_vat() -> None:
    books = Books()
    left = books.paid("A-1", lines=[line(unit_price=2_000, quantity=5)], vat_mode="inclusive").paid
    vat_given_back = []
    for number in range(5):
        back = refund_money("inclusive", left, 2_000)
        left = Money(left.supply - back.supply, left.vat - back.vat)
        vat_given_back.append(back.vat)
        books.take(books.events.completed("A-1", f"r-{number}", 1, back.supply, back.vat))
    assert sum(vat_given_back) == 909
    assert [document.state for document in books.world.documents.values()] == ["void"]


def test_a_draft_refunded_in_full_is_void_and_never_issued() -> None:
    books = Books()
    books.paid("A-1")
    books.refund("A-1", "r-1", 100)
    assert books.close() == []


def test_a_refund_nets_out_of_a_card_slip() -> None:
    books = Books()
    books.paid("A-1", evidence="card_slip")
    books.refund("A-1", "r-1", 40)
    assert books.world.payments["A-1"].standing == (96_000, 9_600)


def test_a_repeated_refund_is_netted_once() -> None:
    books = Books()
    books.paid("A-1")
    again = books.events.completed("A-1", "r-1", 40, 64_000, 6_400)
    books.take(again, again)
    assert books.documents("draft")[0].amount == (96_000, 9_600)


def test_units_of_a_cancelled_payment_are_returned_and_wait_for_no_serial() -> None:
    """Else the payment would never be fit for a merge: forty of its units would seem to wait to be issued."""
    books = Books()
    books.paid("A-1")

    books.take(books.events.issued("A-1", 60), books.events.cancelled("A-1", 40, 64_000, 6_400))

    payment = books.world.payments["A-1"]
    assert (payment.issued_units, payment.returned_units, payment.serial_units) == (60, 40, 100)


def test_a_refund_of_more_than_was_paid_is_left_to_an_operator_and_changes_nothing() -> None:
    books = Books()
    before = books.paid("A-1")
    with pytest.raises(Contradiction):
        books.take(books.events.completed("A-1", "r-1", 100, 160_001, 16_000))
    assert books.world.payments["A-1"] == before
    assert books.world.refunds == {}


def test_the_open_units_of_a_cancelled_payment_net_out_of_the_draft() -> None:
    books = Books()
    books.paid("A-1")
    books.take(books.events.issued("A-1", 60), books.events.cancelled("A-1", 40, 64_000, 6_400))
    assert books.documents("draft")[0].amount == (96_000, 9_600)


def test_a_cancelled_pending_order_is_no_business_of_ours() -> None:
    assert Books().take(Events().cancelled("A-1", 0, 0, 0)) == Applied()


def test_events_about_an_unknown_payment_wait_for_it() -> None:
    events = Events()
    waiting = [
        events.issued("A-1"),
        events.accepted("A-1", "r-1"),
        events.completed("A-1", "r-1", 40, 64_000, 6_400),
        events.cancelled("A-1", 40, 64_000, 6_400),
        events.refund("refund.released.v1", "A-1", "r-1", lines=[], actor="operator:kim", reason="withdrew"),
        events.refund("refund.denied.v1", "A-1", "r-1", lines=[], reason="issued", lost_at=PAID_AT),
    ]
    for event in waiting:
        assert Books().take(event) == Wait("order A-1 to be paid")


def test_a_rejected_refund_of_an_order_that_was_never_paid_does_not_wait() -> None:
    rejected = Events().refund("refund.rejected.v1", "A-1", "r-1", reason="not_paid")
    assert Books().take(rejected) == Applied()


def test_more_serials_than_were_paid_are_left_to_an_operator() -> None:
    books = Books()
    books.paid("A-1")
    with pytest.raises(Contradiction, match="exceed the 100 that were paid"):
        books.take(books.events.issued("A-1", 101))
