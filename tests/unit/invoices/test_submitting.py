"""What a tax agent is given, and what becomes of a document with each of its answers."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.invoices.decisions.closing import approve_month, submit_approved
from services.invoices.decisions.submitting import (
    FIRST,
    LONGEST,
    Answer,
    issued_at_once,
    pause_after,
    send_again,
    take_answer,
    take_result,
)
from services.invoices.decisions.transmitting import CannotTransmit, Result
from services.invoices.state import By, Change, Document, GivenUpKey, Policy, Submission
from shared.runtime.decisions import Applied, NewEvent, Wait
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, Books, instant

MONTH = "2026-10"
KIM = By("kim", instant(CLOSED_AT), "all is there")
LEE = By("lee", instant("2026-11-06T09:00:00+09:00"), "as approved")
AT = instant("2026-11-06T09:00:30+09:00")
KEY = f"{MONTH}-{GANADA}-000001"
NUMBER = "20261021" + "4100000012345678"


class Desk(Books):
    """Books whose documents are issued by a tax agent."""

    def __init__(self) -> None:
        super().__init__(Policy(tax_agent=True))

    def approve(self) -> list[NewEvent]:
        partners = {document.partner_id for document in self.world.documents.values()}
        return self._told(approve_month(self.world, MONTH, KIM, self.new_id, partners))

    def submit(self, by: By = LEE, numbers: list[str] | None = None, *, despite: bool = False) -> None:
        for number in (GANADA, OTHER):
            self.world.closed_businesses[MONTH, number] = by.at
        partners = {document.partner_id for document in self.world.documents.values()}
        said = submit_approved(self.world, MONTH, by, partners, numbers, despite_open_refunds=despite)
        assert said == [], "nothing is told before the agent has answered"

    def answered(
        self, standing: Any, number: str | None = None, at: datetime = AT, **more: Any
    ) -> list[NewEvent]:
        given = self.given
        answer = Answer(given.document_key, standing, number, at, **more)
        decided = take_answer(self.world, given, answer, at)
        self.world.put(decided.state)
        return self._told(list(decided.events))

    def told(self, number: str | None, failed: str | None = None) -> list[NewEvent]:
        """What a person says of the document."""
        result = Result(KEY, number, failed)
        decided = take_result(self.world, self.document, result, KIM)
        self.world.put(decided.state)
        return self._told(list(decided.events))

    def _told(self, events: list[NewEvent]) -> list[NewEvent]:
        self.published += events
        self.check()
        return events

    @property
    def given(self) -> Submission:
        (given,) = self.world.submissions.values()
        return given

    @property
    def document(self) -> Document:
        (document,) = self.world.documents.values()
        return document


@pytest.fixture
def desk() -> Desk:
    """A desk that has given one approved document to the agent."""
    desk = Desk()
    desk.paid("A-1")
    desk.approve()
    desk.submit()
    return desk


def types(events: list[NewEvent]) -> list[str]:
    return [event.type.removesuffix(".v1") for event in events]


def test_it_is_given_what_was_approved_by_somebody_else_and_nothing_twice(desk: Desk) -> None:
    assert (desk.given.document_key, desk.given.state, desk.given.actor) == (KEY, "to_send", "lee")
    assert desk.document.state == "approved"
    desk.answered("working")
    before = desk.given
    desk.submit()
    assert desk.given is before

    own = Desk()
    own.paid("A-1")
    own.approve()
    own.submit(KIM)
    assert own.world.submissions == {}, "four eyes"


def test_a_document_with_a_refund_in_progress_is_not_given_unless_it_is_said() -> None:
    desk = Desk()
    desk.paid_and_issued("A-1")
    desk.approve()
    desk.take(desk.events.accepted("A-1", "r-1"))
    desk.submit()
    assert desk.world.submissions == {}
    desk.submit(despite=True)
    assert desk.given.state == "to_send"


def test_its_approval_number_and_its_instant_issue_the_document(desk: Desk) -> None:
    desk.answered("working")
    at = AT + timedelta(seconds=3)

    (issued,) = desk.answered("issued", NUMBER, at)

    assert (issued.type, issued.data["document_key"]) == ("invoice.issued.v1", KEY)
    assert issued.data["issued_at"] == "2026-11-06T09:00:33+09:00"
    assert (desk.document.state, desk.document.issued_at, desk.document.late) == ("issued", at, False)
    assert (desk.given.state, desk.given.approval_number) == ("issued", NUMBER)
    assert desk.answered("issued", NUMBER, at) == [], "told once"

    (transmitted,) = desk.answered("transmitted", NUMBER)
    assert transmitted.type == "invoice.transmitted.v1"
    assert transmitted.data["approval_number"] == NUMBER
    assert transmitted.sequence == issued.sequence + 1
    assert desk.given.state == "transmitted"
    assert desk.answered("refused", reason="wrong_number") == [], "what is transmitted is final"


def test_what_is_transmitted_when_it_is_first_asked_about_is_issued_and_transmitted(desk: Desk) -> None:
    assert types(desk.answered("transmitted", NUMBER)) == ["invoice.issued", "invoice.transmitted"]


def test_a_document_that_the_agent_issues_after_its_due_day_is_late(desk: Desk) -> None:
    (issued,) = desk.answered("issued", NUMBER, instant("2026-11-11T00:00:00+09:00"))
    assert issued.data["late"] is True
    assert issued.data["estimated_penalty"] == 1_600


@pytest.mark.parametrize(
    ("reason", "then"),
    [
        ("business_closed", "correct_partner"),
        ("business_suspended", "correct_partner"),
        ("wrong_number", "correct_document"),
        ("duplicate_key", "send_again"),
        ("something_else", "send_again"),
    ],
)
def test_a_refusal_is_told_with_the_next_step(desk: Desk, reason: str, then: str) -> None:
    (failed,) = desk.answered("refused", reason=reason)
    assert failed.type == "invoice.issue_failed.v1"
    assert (failed.data["reason"], failed.data["next"]) == (reason, then)
    assert (desk.document.state, desk.document.document_key) == ("issue_failed", None)
    assert (desk.given.state, desk.given.detail) == ("failed", reason)


def test_a_refused_document_is_approved_anew_and_sent_under_its_key(desk: Desk) -> None:
    desk.answered("refused", reason="business_suspended")
    desk.approve()
    desk.submit()
    assert (desk.given.state, desk.given.document_key, desk.document.document_key) == ("to_send", KEY, KEY)


def test_a_key_of_another_document_is_given_up_and_the_next_one_stays(desk: Desk) -> None:
    """Its own key stays with the document; what is refused under the new one is sent under that again."""
    desk.answered("transmitted", NUMBER, total=1)
    desk.approve()
    desk.submit()
    assert (desk.document.document_key, desk.given.document_key) == (KEY, KEY[:-1] + "2")
    assert desk.given.given_up == (GivenUpKey(KEY, "duplicate_key", LEE.at),)

    desk.answered("refused", reason="incomplete")
    desk.approve()
    desk.submit()
    assert desk.given.document_key == KEY[:-1] + "2"

    late = take_answer(desk.world, desk.given, Answer(KEY, "transmitted", NUMBER, AT), AT)
    assert late.state == Change(), "an answer about the key that is given up"
    issued, transmitted = desk.answered("transmitted", NUMBER)
    assert {each.data["document_key"] for each in (issued, transmitted)} == {KEY}


def test_what_the_agent_issued_and_could_not_transmit_is_issued_anew_under_a_new_key(desk: Desk) -> None:
    desk.answered("issued", NUMBER)
    desk.answered("not_transmitted", NUMBER, reason="authority_unavailable")

    desk.world.put(send_again(desk.world, desk.given, LEE))

    assert (desk.given.document_key, desk.given.state) == (KEY[:-1] + "2", "to_send")
    assert [each.reason for each in desk.given.given_up] == ["authority_unavailable"]
    assert (desk.document.document_key, desk.document.state) == (KEY, "issued")
    assert desk.world.counters[GANADA].last_number == 2
    (transmitted,) = desk.answered("transmitted", "20261021" + "4200000012345678")
    assert transmitted.data["document_key"] == KEY


def test_a_doubted_key_that_a_person_ends_is_given_up(desk: Desk) -> None:
    desk.answered("issued", None)
    desk.told(None, "authority_unavailable")
    desk.approve()
    desk.submit()
    assert desk.given.document_key == KEY[:-1] + "2"


def test_what_is_refused_is_given_again_when_the_month_was_closed_meanwhile(desk: Desk) -> None:
    """A closed month stands for all of its businesses: those are not read then."""
    desk.answered("refused", reason="authority_unavailable")
    desk.world.closed[MONTH] = AT
    desk.world.closed_businesses.clear()
    desk.approve()

    submit_approved(desk.world, MONTH, LEE, [desk.document.partner_id])

    assert (desk.given.document_key, desk.given.state) == (KEY, "to_send")


def test_a_change_of_the_partner_issues_nothing_without_the_agent(desk: Desk) -> None:
    desk.answered("refused", reason="business_closed")
    desk.take(desk.events.partner())
    assert desk.document.state == "issue_failed"


def test_a_key_that_the_agent_does_not_know_is_sent_again_later_each_time(desk: Desk) -> None:
    pauses = []
    for _ in range(3):
        desk.answered("unknown")
        assert desk.given.state == "to_send"
        pauses.append(desk.given.next_at - AT)
    assert pauses == [FIRST, 2 * FIRST, 4 * FIRST]
    assert pause_after(99) == LONGEST


def test_a_key_that_the_agent_has_given_to_other_won_is_refused(desk: Desk) -> None:
    (failed,) = desk.answered("transmitted", NUMBER, total=1)
    assert (failed.type, failed.data["reason"]) == ("invoice.issue_failed.v1", "duplicate_key")


@pytest.mark.parametrize("number", [None, "2026102141000000", "20261022" + NUMBER[8:]])
def test_an_approval_number_of_another_document_is_doubted_and_asked_about_again(
    desk: Desk, number: str | None
) -> None:
    before, later = desk.document, AT + timedelta(minutes=5)
    for _ in range(2):
        assert desk.answered("issued", number) == []
    assert desk.document is before
    assert (desk.given.state, desk.given.doubt) == ("sent", "wrong_approval_number")
    assert (desk.given.doubted_at, desk.given.next_at) == (AT, AT + 2 * FIRST)

    (issued,) = desk.answered("issued", NUMBER, later)
    assert issued.data["issued_at"] == "2026-11-06T09:05:30+09:00"
    assert (desk.given.state, desk.given.doubt, desk.given.doubted_at) == ("issued", "", None)


def test_a_person_tells_the_right_number_of_a_document_whose_answer_is_doubted(desk: Desk) -> None:
    """It is issued as of when the agent says that it did, and transmitted by whom tells it."""
    desk.answered("transmitted", None)
    desk.take(desk.events.accepted("A-1", "r-1"))
    back = desk.events.completed("A-1", "r-1", 40, 64_000, 6_400, at="2026-11-06T09:00:10+09:00")
    waiting = desk.take(back)
    assert isinstance(waiting, Wait)
    assert "pawl todo --code document_answer_doubted" in waiting.reason

    issued, transmitted = desk.told(NUMBER)

    assert types([issued, transmitted]) == ["invoice.issued", "invoice.transmitted"]
    assert issued.data["issued_at"] == "2026-11-06T09:00:30+09:00"
    assert (transmitted.data["approval_number"], transmitted.time) == (NUMBER, KIM.at)
    assert (desk.given.state, desk.given.doubt) == ("transmitted", "")
    assert desk.answered("transmitted", None) == [], "the agent is not asked any more"
    assert isinstance(desk.take(back), Applied)


def test_a_person_tells_that_a_document_whose_answer_is_doubted_was_not_taken(desk: Desk) -> None:
    desk.answered("issued", None)
    (failed,) = desk.told(None, "authority_unavailable")
    assert (failed.type, failed.data["reason"]) == ("invoice.issue_failed.v1", "authority_unavailable")
    assert (desk.given.state, desk.given.doubt, desk.document.state) == ("failed", "", "issue_failed")


def test_what_is_told_by_hand_is_no_better_than_what_the_agent_says(desk: Desk) -> None:
    desk.answered("issued", None)
    with pytest.raises(CannotTransmit, match="wrong_approval_number"):
        desk.told("20261022" + NUMBER[8:])
    assert (desk.document.state, desk.given.doubt) == ("approved", "wrong_approval_number")


def test_what_is_with_the_agent_and_not_doubted_is_not_told_of_by_hand(desk: Desk) -> None:
    desk.answered("working")
    with pytest.raises(CannotTransmit, match="not_issued"):
        desk.told(NUMBER)


def test_the_doubted_number_of_an_issued_document_is_told_by_hand(desk: Desk) -> None:
    desk.answered("issued", NUMBER)
    desk.answered("transmitted", "19990101" + NUMBER[8:])
    assert (desk.given.state, desk.given.doubt) == ("issued", "wrong_approval_number")
    (transmitted,) = desk.told(NUMBER)
    assert transmitted.type == "invoice.transmitted.v1"
    assert (desk.given.state, desk.given.doubt) == ("transmitted", "")


def test_a_refund_waits_while_the_document_is_with_the_agent(desk: Desk) -> None:
    desk.take(desk.events.accepted("A-1", "r-1"))
    completed = desk.events.completed("A-1", "r-1", 40, 64_000, 6_400, at="2026-11-06T09:00:10+09:00")

    waiting = desk.take(completed)
    assert isinstance(waiting, Wait)
    assert KEY in waiting.reason

    desk.answered("issued", NUMBER)
    assert isinstance(desk.take(completed), Applied)
    modified = desk.last("invoice.modified")
    assert (modified.data["original_document_key"], modified.data["total"]) == (KEY, -70_400)


def test_a_refund_that_waited_lowers_a_document_that_the_agent_refused(desk: Desk) -> None:
    desk.take(desk.events.accepted("A-1", "r-1"))
    completed = desk.events.completed("A-1", "r-1", 40, 64_000, 6_400)
    assert isinstance(desk.take(completed), Wait)

    desk.answered("refused", reason="business_suspended")
    assert isinstance(desk.take(completed), Applied)
    assert (desk.document.state, desk.document.amount.total) == ("issue_failed", 105_600)


def test_another_number_waits_as_a_proposal_until_it_is_issued(desk: Desk) -> None:
    desk.take(desk.events.partner(number=OTHER, at="2026-11-06T09:00:10+09:00"))
    assert (desk.document.state, desk.document.business_number) == ("approved", GANADA)
    assert desk.world.corrections == {}

    desk.answered("issued", NUMBER)
    (proposed,) = desk.world.corrections.values()
    assert (proposed.state, proposed.business_number) == ("proposed", OTHER)


def test_a_merge_that_is_with_the_agent_is_not_undone() -> None:
    desk = Desk()
    desk.paid_and_issued("A-1")
    desk.paid_and_issued("A-2")
    desk.take(desk.events.merge())
    desk.approve()
    desk.submit()
    desk.take(desk.events.merge(undo=True, request_id="mr-2"))
    assert [document.kind for document in desk.documents("approved")] == ["merged"]
    desk.undo_business()
    assert desk.approve() == []
    assert [document.kind for document in desk.documents("approved")] == ["merged"]


def test_what_is_issued_at_once_goes_to_the_agent_after_that() -> None:
    desk = Desk()
    desk.world.closed[MONTH] = instant(CLOSED_AT)
    desk.world.mark_stored()
    desk.paid("A-1")

    (given,) = issued_at_once(desk.world)
    assert (given.document_key, given.state, given.actor) == (KEY, "to_send", "tax_agent")
    desk.world.submissions[given.invoice_id] = given
    assert list(issued_at_once(desk.world)) == []

    (failed,) = desk.answered("refused", reason="business_closed")
    assert failed.type == "invoice.transmission_failed.v1"
    assert (failed.data["reason"], failed.data["next"]) == ("business_closed", "correct_partner")
    assert desk.document.state == "issued"


def test_what_is_issued_and_then_not_transmitted_has_failed_there(desk: Desk) -> None:
    desk.answered("issued", NUMBER)
    (failed,) = desk.answered("not_transmitted", NUMBER, reason="authority_unavailable")
    assert (failed.type, failed.data["next"]) == ("invoice.transmission_failed.v1", "send_again")
