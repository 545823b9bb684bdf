"""The month close issues what is drafted; after it, documents never change and refunds become documents."""

import pytest
from msgspec.structs import replace

from tests.unit.invoices.books import CLOSED_AT, GANADA, PARTNER, WRONG, Books, instant, line


def issued_books(*orders: str, merge: bool = False) -> Books:
    books = Books()
    for order_id in orders:
        books.paid_and_issued(order_id, lines=[line(kind="goods")])
    if merge:
        books.take(books.events.merge())
    books.close()
    return books


def test_the_close_issues_every_draft_with_a_key_of_its_own() -> None:
    books = issued_books("A-1", "A-2")
    events = [event for event in books.published if event.type == "invoice.issued.v1"]
    assert [event.data["document_key"] for event in events] == [
        f"2026-10-{GANADA}-000001",
        f"2026-10-{GANADA}-000002",
    ]
    first = events[0]
    assert first.key == PARTNER
    assert first.data["written_date"] == "2026-10-21"
    assert first.data["issued_at"] == CLOSED_AT
    assert first.data["late"] is False
    assert "estimated_penalty" not in first.data


def test_document_numbers_go_on_over_months() -> None:
    books = issued_books("A-1")
    books.paid_and_issued("A-2", at="2026-11-03T10:00:00+09:00")
    books.close("2026-11", "2026-12-05T18:00:00+09:00")
    assert books.last("invoice.issued").data["document_key"] == f"2026-11-{GANADA}-000002"


def test_a_repeated_close_issues_nothing_again() -> None:
    books = issued_books("A-1", "A-2")
    assert books.close(at="2026-11-06T18:00:00+09:00") == []


def test_a_close_touches_its_own_month_only() -> None:
    books = Books()
    books.paid_and_issued("A-1", at="2026-11-01T00:00:00+09:00")
    assert books.close() == []


def test_a_wrong_business_number_fails_once_and_says_what_to_do() -> None:
    books = Books()
    books.paid_and_issued("A-1", number=WRONG)
    (failed,) = books.close()
    assert failed.type == "invoice.issue_failed.v1"
    assert (failed.data["reason"], failed.data["next"]) == ("business_number_invalid", "correct_partner")
    assert books.close(at="2026-11-06T18:00:00+09:00") == []


def test_correcting_the_partner_issues_what_waited() -> None:
    books = Books()
    books.paid_and_issued("A-1", number=WRONG)
    books.close()
    books.take(books.events.partner(at="2026-11-07T09:00:00+09:00"))
    issued = books.last("invoice.issued")
    assert issued.data["document_key"] == f"2026-10-{GANADA}-000001"
    assert issued.data["business_number"] == GANADA
    assert issued.data["issued_at"] == "2026-11-07T09:00:00+09:00"
    assert issued.sequence == 3


def test_another_wrong_number_corrects_nothing() -> None:
    books = Books()
    books.paid_and_issued("A-1", number=WRONG)
    books.close()
    books.take(books.events.partner(number="1234567899", at="2026-11-07T09:00:00+09:00"))
    assert books.types()[-1] == "invoice.issue_failed"


def test_a_correction_before_the_close_is_used_by_it() -> None:
    books = Books()
    books.paid_and_issued("A-1", number=WRONG)
    books.take(books.events.partner())
    assert [event.type for event in books.close()] == ["invoice.issued.v1"]


def test_an_overtaken_change_of_a_partner_changes_nothing() -> None:
    books = Books()
    books.take(books.events.partner(at="2026-11-02T10:00:00+09:00"))
    books.take(books.events.partner(number=WRONG, at="2026-11-01T10:00:00+09:00"))
    assert books.world.partners[PARTNER].business_number == GANADA


def test_a_payment_of_a_closed_month_is_issued_at_once_late_and_in_its_own_month() -> None:
    books = issued_books("A-1")
    books.paid("A-2", published_at="2026-11-20T09:00:00+09:00")
    drafted, issued = books.published[-2:]
    assert (drafted.type, issued.type) == ("invoice.drafted.v1", "invoice.issued.v1")
    assert issued.data["month"] == "2026-10"
    assert issued.data["late"] is True
    assert issued.data["estimated_penalty"] == 1_600
    assert issued.data["written_date"] == "2026-10-21"
    assert issued.data["issued_at"] == "2026-11-20T09:00:00+09:00"


def test_a_payment_that_is_heard_of_late_before_the_due_day_is_not_late() -> None:
    books = issued_books("A-1")
    books.paid("A-2", published_at="2026-11-10T23:59:59+09:00")
    issued = books.last("invoice.issued")
    assert issued.data["late"] is False
    assert "estimated_penalty" not in issued.data


def test_what_is_told_by_an_old_event_is_issued_when_it_is_handled() -> None:
    """Checkout was down: a payment of October that it said on the 5th is heard of on the 12th."""
    books = issued_books("A-1")
    books.handled_at = instant("2026-11-12T09:30:00+09:00")
    books.paid("A-2", published_at="2026-11-05T18:30:00+09:00")
    drafted, issued = books.published[-2:]
    assert (drafted.type, drafted.time) == ("invoice.drafted.v1", None)  # that of the payment
    assert (issued.data["issued_at"], issued.data["late"]) == ("2026-11-12T09:30:00+09:00", True)
    assert (issued.data["estimated_penalty"], issued.time) == (1_600, books.handled_at)
    document = books.world.document_of(books.world.payments["A-2"])
    assert document is not None
    assert (document.issued_at, document.late) == (books.handled_at, True)
    assert str(document.written_date) == "2026-10-21"


def test_nothing_is_issued_before_what_led_to_it() -> None:
    """The clock of whoever has told it is ahead of ours."""
    books = issued_books("A-1")
    books.handled_at = instant("2026-11-10T23:59:59+09:00")
    books.paid("A-2", published_at="2026-11-11T00:00:01+09:00")
    issued = books.last("invoice.issued").data
    assert (issued["issued_at"], issued["late"]) == ("2026-11-11T00:00:01+09:00", True)


def test_a_refund_that_is_heard_of_late_is_dated_on_its_day_and_issued_on_ours() -> None:
    books = issued_books("A-1")
    books.handled_at = instant("2026-12-11T09:30:00+09:00")
    books.refund("A-1", "r-1", 40, at="2026-11-12T10:00:00+09:00")
    modified = books.last("invoice.modified")
    assert (modified.data["written_date"], modified.data["issue_by"]) == ("2026-11-12", "2026-12-10")
    assert (modified.data["late"], modified.data["estimated_penalty"]) == (True, 640)
    assert modified.time == books.handled_at
    (document,) = (d for d in books.world.documents.values() if d.kind == "modified")
    assert document.issued_at == books.handled_at


def test_a_number_that_is_heard_of_late_issues_its_document_when_it_is_heard_of() -> None:
    books = Books()
    books.paid_and_issued("A-1", number=WRONG)
    books.close()
    books.handled_at = instant("2027-02-01T09:00:00+09:00")
    books.take(books.events.partner(at="2026-11-09T09:00:00+09:00"))
    issued = books.last("invoice.issued")
    assert (issued.data["late"], issued.data["estimated_penalty"]) == (True, 3_200)
    assert issued.data["issued_at"] == "2027-02-01T09:00:00+09:00"


def test_a_close_after_the_due_day_makes_its_documents_late() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    (issued,) = books.close(at="2026-11-11T00:00:00+09:00")
    assert (issued.data["late"], issued.data["estimated_penalty"]) == (True, 1_600)


def test_a_number_corrected_after_the_due_day_makes_its_document_late() -> None:
    books = Books()
    books.paid_and_issued("A-1", number=WRONG)
    books.close()
    books.take(books.events.partner(at="2027-02-01T09:00:00+09:00"))
    issued = books.last("invoice.issued")
    assert (issued.data["late"], issued.data["estimated_penalty"]) == (True, 3_200)


def test_a_correction_that_is_older_than_the_payment_corrects_nothing() -> None:
    books = Books()
    books.paid_and_issued("A-1", number=WRONG)
    books.close()
    books.take(books.events.partner(at="2026-10-20T09:00:00+09:00"))
    assert books.types()[-1] == "invoice.issue_failed"


def test_a_correction_has_to_be_newer_than_each_payment_of_a_merge() -> None:
    """Newer than the oldest one only, it says nothing of the others."""
    books = Books()
    books.paid_and_issued("A-1", number=WRONG, at="2026-10-05T10:00:00+09:00")
    books.paid_and_issued("A-2", number=WRONG, at="2026-10-20T10:00:00+09:00")
    books.take(books.events.merge(number=WRONG))
    books.take(books.events.partner(at="2026-10-10T09:00:00+09:00"))
    assert [event.type for event in books.close()] == ["invoice.issue_failed.v1"]
    books.take(books.events.partner(number=WRONG, at="2026-10-15T09:00:00+09:00"))
    books.take(books.events.partner(at="2026-11-07T09:00:00+09:00"))
    assert books.last("invoice.issued").data["business_number"] == GANADA


def test_a_refund_from_before_the_written_date_is_dated_as_its_original() -> None:
    books = issued_books("A-1", "A-2", merge=True)
    books.refund("A-1", "r-1", 1, at="2026-10-25T10:00:00+09:00")
    modified = books.last("invoice.modified")
    assert modified.data["written_date"] == "2026-10-31"
    assert modified.data["document_key"] == f"2026-10-{GANADA}-000002"


def test_a_refund_between_the_payment_and_the_close_is_dated_on_its_own_day() -> None:
    """The invoice of a single payment is dated on the payment, so nothing is before it."""
    books = issued_books("A-1")
    books.refund("A-1", "r-1", 1, at="2026-10-25T10:00:00+09:00")
    assert books.last("invoice.modified").data["written_date"] == "2026-10-25"


def test_a_payment_of_nothing_makes_no_document() -> None:
    books = Books()
    payment = books.paid("A-1", lines=[line(unit_price=0)])
    assert (payment.draft_id, payment.invoice_id) == (None, None)
    assert books.published == []
    assert books.close() == []


def test_a_modified_invoice_says_when_it_is_due_and_whether_it_is_late() -> None:
    books = issued_books("A-1")
    books.refund("A-1", "r-1", 1, at="2026-11-12T10:00:00+09:00")
    modified = books.last("invoice.modified")
    assert (modified.data["issue_by"], modified.data["late"]) == ("2026-12-10", False)
    assert "estimated_penalty" not in modified.data


@pytest.mark.parametrize(
    ("heard", "late", "penalty"),
    [
        ("2026-12-10T23:59:59+09:00", False, None),
        ("2026-12-11T00:00:00+09:00", True, 640),
        ("2027-01-25T23:59:59+09:00", True, 640),
        ("2027-01-26T00:00:00+09:00", True, 1_280),
    ],
)
def test_a_refund_that_is_heard_of_late_stays_in_its_month_with_its_penalty(
    heard: str, late: bool, penalty: int | None
) -> None:
    books = issued_books("A-1")
    completed = books.events.completed("A-1", "r-1", 40, 64_000, 6_400, at="2026-11-12T10:00:00+09:00")
    books.take(replace(completed, time=instant(heard)))
    modified = books.last("invoice.modified").data
    assert (modified["written_date"], modified["late"]) == ("2026-11-12", late)
    assert modified.get("estimated_penalty") == penalty


def test_a_late_payment_is_never_issued_before_its_month_was_closed() -> None:
    books = issued_books("A-1")
    books.paid("A-2")
    assert books.last("invoice.issued").data["issued_at"] == CLOSED_AT


def test_a_late_payment_with_a_wrong_number_stays_late_when_it_is_corrected() -> None:
    books = issued_books("A-1")
    books.paid("A-2", number=WRONG, published_at="2026-11-20T09:00:00+09:00")
    assert books.types()[-1] == "invoice.issue_failed"
    books.take(books.events.partner(at="2026-11-21T09:00:00+09:00"))
    assert books.last("invoice.issued").data["late"] is True


def test_a_full_refund_after_the_issue_cancels_the_contract() -> None:
    books = issued_books("A-1")
    original = books.documents("issued")[0]
    books.refund("A-1", "r-1", 100, at="2026-11-12T15:00:00+00:00")
    modified = books.last("invoice.modified")
    assert modified.data["modification"] == "contract_cancelled"
    assert (modified.data["supply"], modified.data["vat"], modified.data["total"]) == (
        -160_000,
        -16_000,
        -176_000,
    )
    assert modified.data["written_date"] == "2026-11-13"
    assert modified.data["document_key"] == f"2026-11-{GANADA}-000002"
    assert modified.data["original_document_key"] == original.document_key
    assert books.world.documents[original.invoice_id] == original


def test_a_partial_refund_after_the_issue_changes_the_supply_value() -> None:
    books = issued_books("A-1")
    books.refund("A-1", "r-1", 40)
    books.refund("A-1", "r-2", 60)
    modifications = [event.data for event in books.published if event.type == "invoice.modified.v1"]
    assert [data["modification"] for data in modifications] == ["supply_value_changed"] * 2
    assert sum(data["total"] for data in modifications) == -176_000


def test_a_full_refund_of_one_payment_of_a_merge_changes_the_supply_value() -> None:
    books = issued_books("A-1", "A-2", merge=True)
    books.refund("A-2", "r-1", 100)
    modified = books.last("invoice.modified")
    assert modified.data["modification"] == "supply_value_changed"
    assert modified.data["payment_id"] == "pay-A-2"
    assert modified.key == PARTNER


def test_what_was_netted_before_the_issue_is_not_in_the_modified_invoice() -> None:
    books = Books()
    books.paid("A-1")
    books.refund("A-1", "r-1", 40)
    books.close()
    books.refund("A-1", "r-2", 60)
    modified = books.last("invoice.modified")
    assert modified.data["modification"] == "contract_cancelled"
    assert modified.data["total"] == -105_600


def test_a_refund_of_units_that_cost_nothing_makes_no_document() -> None:
    books = Books()
    books.paid("A-1", lines=[line(), line("2", unit_price=0)])
    books.close()
    books.take(books.events.completed("A-1", "r-1", 10, 0, 0, line_id="2"))
    assert "invoice.modified" not in books.types()


def test_a_cancellation_after_the_issue_is_a_modified_invoice_too() -> None:
    books = Books()
    books.paid("A-1")
    books.take(books.events.issued("A-1", 60))
    books.close()
    books.take(books.events.cancelled("A-1", 40, 64_000, 6_400, at="2026-11-12T10:00:00+09:00"))
    modified = books.last("invoice.modified")
    assert modified.data["cause"] == "cancellation"
    assert modified.data["total"] == -70_400
    assert modified.data["written_date"] == "2026-11-12"


def test_a_payment_refunded_to_nothing_inside_a_merge_is_not_on_the_issued_document() -> None:
    books = Books()
    for order_id in ("A-1", "A-2", "A-3"):
        books.paid_and_issued(order_id, lines=[line(kind="goods")])
    books.take(books.events.merge())
    books.refund("A-2", "r-1", 100)
    books.close()
    assert books.last("invoice.issued").data["payment_ids"] == ["pay-A-1", "pay-A-3"]
    assert books.documents("issued")[0].payments == 2
