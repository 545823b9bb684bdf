"""A document is approved before it is issued; whatever changes it makes it a draft again."""

from collections.abc import Sequence

import pytest

from services.invoices.decisions.closing import approve_month, issue_approved
from services.invoices.decisions.transmitting import CannotTransmit, Result, transmit
from services.invoices.state import By, Document, Policy
from shared.runtime.decisions import NewEvent
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, PAID_AT, PARTNER, WRONG, Books, instant, line
from tests.unit.invoices.test_golden_cases import expected

MONTH = "2026-10"
KIM = By("kim", instant(CLOSED_AT), "all is there")
LEE = By("lee", instant("2026-11-06T09:00:00+09:00"), "as approved")
NUMBER_1, NUMBER_2 = f"{MONTH}-{GANADA}-000001", f"{MONTH}-{GANADA}-000002"


class Desk(Books):
    """Books with a desk at which months are approved and issued in two steps."""

    def approve(
        self, by: By = KIM, numbers: Sequence[str] | None = None, *, despite: bool = False
    ) -> list[NewEvent]:
        partners = {document.partner_id for document in self.world.documents.values()}
        events = approve_month(
            self.world, MONTH, by, self.new_id, partners, numbers, despite_open_refunds=despite
        )
        self.published += events
        self.check()
        return events

    def issue(self, by: By = LEE, numbers: Sequence[str] = (GANADA, OTHER)) -> list[NewEvent]:
        for number in numbers:
            self.world.closed_businesses[MONTH, number] = by.at
        partners = {document.partner_id for document in self.world.documents.values()}
        events = issue_approved(self.world, MONTH, by, partners)
        self.published += events
        self.check()
        return events

    def only(self, state: str) -> Document:
        (document,) = self.documents(state)
        return document


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_approved_document_has_its_key_its_date_and_its_payments(desk: Desk) -> None:
    desk.paid_and_issued("A-1")
    desk.paid_and_issued("A-2")
    desk.take(desk.events.merge())

    (approved,) = desk.approve()

    frozen = desk.only("approved")
    assert (frozen.document_key, str(frozen.written_date), frozen.payments) == (NUMBER_1, "2026-10-31", 2)
    assert approved.type == "invoice.approved.v1"
    assert (approved.subject, approved.sequence) == (str(frozen.invoice_id), frozen.sequence)
    assert approved.data == {
        "invoice_id": str(frozen.invoice_id),
        "partner_id": PARTNER,
        "business_number": GANADA,
        "month": MONTH,
        "document_key": NUMBER_1,
        "payment_ids": ["pay-A-1", "pay-A-2"],
        "supply": 320_000,
        "vat": 32_000,
        "total": 352_000,
        "written_date": "2026-10-31",
        "due_on": "2026-11-10",
        "approved_at": CLOSED_AT,
    }


def test_approving_again_says_and_changes_nothing(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    before = desk.only("approved")
    assert desk.approve() == []
    assert desk.only("approved") == before


def test_somebody_else_issues_what_was_approved_under_the_same_key(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()

    (issued,) = desk.issue()

    document = desk.only("issued")
    assert (document.document_key, document.issued_at) == (NUMBER_1, LEE.at)
    assert issued.data["document_key"] == NUMBER_1
    assert desk.world.counters[GANADA].last_number == 1


def test_who_approves_is_not_who_issues(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve(KIM)
    assert desk.issue(KIM) == []
    assert len(desk.issue(LEE)) == 1


def test_one_person_does_both_where_four_eyes_are_not_asked_for() -> None:
    desk = Desk(Policy(four_eyes=False))
    desk.paid("A-1")
    desk.approve(KIM)
    assert len(desk.issue(KIM)) == 1


def test_nothing_is_issued_before_it_is_approved_or_before_its_issue_begins(desk: Desk) -> None:
    desk.paid("A-1")
    assert desk.issue() == []
    desk.world.closed_businesses.clear()
    desk.approve()
    assert desk.issue(numbers=()) == []


def test_a_close_in_one_stroke_issues_what_was_approved_under_its_key(desk: Desk) -> None:
    desk.paid("A-1")
    desk.paid("B-1")
    desk.approve(numbers=[GANADA])
    desk.close()
    assert {d.document_key for d in desk.documents("issued")} == {NUMBER_1, NUMBER_2}


# What changes meanwhile


def test_a_refund_before_the_issue_makes_the_document_a_draft_again(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()

    desk.refund("A-1", "r-1", 40)

    draft = desk.only("draft")
    assert (draft.document_key, draft.written_date, draft.amount.total) == (None, None, 105_600)
    assert desk.issue() == [], "what has changed is not issued"


def test_what_is_approved_anew_keeps_its_key(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    desk.refund("A-1", "r-1", 40)

    (approved,) = desk.approve(LEE)

    assert (approved.data["document_key"], approved.data["total"]) == (NUMBER_1, 105_600)
    assert desk.world.counters[GANADA].last_number == 1
    assert desk.issue(LEE) == [], "whoever approved it last does not issue it"
    (issued,) = desk.issue(KIM)
    assert issued.data["total"] == 105_600


def test_a_refund_after_the_issue_is_a_modified_invoice(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    desk.issue()
    desk.refund("A-1", "r-1", 40, at="2026-11-12T10:00:00+09:00")
    assert desk.last("invoice.modified").data["original_document_key"] == NUMBER_1


def test_a_refund_of_everything_leaves_nothing_to_issue(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    desk.refund("A-1", "r-1", 100)
    assert desk.only("void").document_key is None
    assert desk.approve() == desk.issue() == []


def test_a_refund_of_free_units_is_approved_anew_too(desk: Desk) -> None:
    """No won moves, but the printed lines do."""
    free = line("2", kind="goods", unit_price=0, quantity=10)
    desk.paid("A-1", lines=[line(), free])
    desk.approve()
    desk.take(desk.events.completed("A-1", "r-1", 10, 0, 0, line_id="2"))
    assert desk.only("draft").amount.total == 176_000


def test_a_merge_is_undone_until_it_is_issued(desk: Desk) -> None:
    desk.paid_and_issued("A-1")
    desk.paid_and_issued("A-2")
    desk.take(desk.events.merge())
    desk.approve()

    desk.take(desk.events.merge("mr-2", undo=True, at="2026-11-06T08:00:00+09:00"))

    assert {d.kind for d in desk.documents("draft")} == {"payment"}
    approved = desk.approve(LEE)
    assert [event.data["document_key"][-6:] for event in approved] == ["000002", "000003"]
    assert len(desk.issue(KIM)) == 2


def test_a_payment_that_comes_before_the_issue_is_a_draft_beside_what_is_approved(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    desk.paid("A-2")
    assert len(desk.documents("approved")) == len(desk.documents("draft")) == 1


def test_a_payment_that_comes_after_the_issue_has_begun_is_late(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    desk.issue()
    desk.take(desk.events.paid("A-2", published_at="2026-11-20T10:00:00+09:00"))
    late = desk.last("invoice.issued").data
    assert (late["payment_ids"], late["late"]) == (["pay-A-2"], True)
    desk.paid("C-1", partner="P-18", number=OTHER)
    assert len(desk.documents("issued")) == 3, "the issue of that business has begun too"


def test_what_comes_for_another_business_is_still_collected(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    desk.issue(numbers=[GANADA])
    desk.paid("B-1", partner="P-18", number=OTHER)
    assert desk.only("draft").partner_id == "P-18"


def test_a_new_number_of_the_partner_moves_an_approved_document(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    desk.take(desk.events.partner(number=OTHER))
    draft = desk.only("draft")
    assert (draft.business_number, draft.document_key) == (OTHER, None)
    (approved,) = desk.approve()
    assert approved.data["document_key"] == f"{MONTH}-{OTHER}-000001"


def test_a_refund_in_progress_is_not_approved_unless_it_is_to_be_issued_whole(desk: Desk) -> None:
    desk.paid("A-1")
    desk.take(desk.events.accepted("A-1", "r-1"))
    assert desk.approve() == []
    assert len(desk.approve(despite=True)) == 1


def test_a_wrong_number_fails_once_and_is_approved_when_it_is_right(desk: Desk) -> None:
    desk.paid("A-1", number=WRONG)
    (failed,) = desk.approve()
    assert (failed.type, failed.data["next"]) == ("invoice.issue_failed.v1", "correct_partner")
    assert desk.approve() == []

    desk.take(desk.events.partner())

    assert desk.only("draft").business_number == GANADA, "nobody has approved it yet"
    assert len(desk.approve()) == len(desk.issue()) == 1


# What the tax authority says


APPROVAL = "202610214100008500000001"
"""The golden one: a payment of 21 October is dated on that day."""


def issued(desk: Desk, at: str = PAID_AT) -> Document:
    desk.paid("A-1", at=at)
    desk.approve()
    desk.issue()
    return desk.only("issued")


def tell(
    desk: Desk, document: Document, number: str | None = None, failed: str | None = None
) -> list[NewEvent]:
    told = transmit(desk.world, document, Result(document.document_key or "", number, failed), LEE)
    desk.world.put(told.state)
    return list(told.events)


def test_an_approval_number_is_kept_once(desk: Desk) -> None:
    document = issued(desk)
    (event,) = tell(desk, document, APPROVAL)
    assert (event.type, event.sequence) == ("invoice.transmitted.v1", document.sequence + 1)
    assert event.data["approval_number"] == APPROVAL
    assert tell(desk, document, APPROVAL) == []
    with pytest.raises(CannotTransmit, match="transmitted_already"):
        tell(desk, document, APPROVAL[:-1] + "2")


def test_what_was_not_taken_is_sent_again(desk: Desk) -> None:
    document = issued(desk)
    (event,) = tell(desk, document, failed="business_closed")
    assert (event.type, event.data["next"]) == ("invoice.transmission_failed.v1", "correct_partner")
    assert tell(desk, document, failed="business_closed") == []
    (again,) = tell(desk, document, APPROVAL)
    assert again.sequence == event.sequence + 1


def test_an_approval_number_begins_with_the_written_date(desk: Desk) -> None:
    document = issued(desk, at="2026-10-31T10:00:00+09:00")
    approval = expected("K2")["starts_with"] + APPROVAL[8:]
    for wrong in ("20261101" + APPROVAL[8:], approval[:-1], approval[:-1] + "-"):
        with pytest.raises(CannotTransmit, match="wrong_approval_number"):
            tell(desk, document, wrong)
    assert len(tell(desk, document, approval)) == 1


def test_no_two_documents_have_one_approval_number(desk: Desk) -> None:
    document = issued(desk)
    tell(desk, document, APPROVAL)
    desk.paid("A-2")
    (other,) = (d for d in desk.documents("issued") if d != document)
    with pytest.raises(CannotTransmit, match="approval_number_used"):
        tell(desk, other, APPROVAL)


def test_what_is_not_issued_is_not_transmitted(desk: Desk) -> None:
    desk.paid("A-1")
    desk.approve()
    with pytest.raises(CannotTransmit, match="not_issued"):
        tell(desk, desk.only("approved"), APPROVAL)


def test_what_is_approved_under_a_corrected_number_moves_with_its_payments(desk: Desk) -> None:
    """The key is made of the number, so both have to name it before a refund or a change of the partner."""
    for order_id in ("A-1", "A-2"):
        desk.paid(order_id, number=WRONG, lines=[line(kind="goods")])
    desk.take(desk.events.merge(number=WRONG), desk.events.partner())

    approved = desk.approve()

    assert [event.data["document_key"] for event in approved if "approved" in event.type] == [NUMBER_1]
    assert {payment.business_number for payment in desk.world.payments.values()} == {GANADA}
    assert desk.approve() == []
    desk.refund("A-1", "r-1", 40)
    assert desk.approve(LEE)[0].data["document_key"] == NUMBER_1
