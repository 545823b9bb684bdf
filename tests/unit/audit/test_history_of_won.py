"""Recorded histories before the rules about money, cases, merges and documents: each finds its fault."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from ops.audit.history.entries import Entry
from ops.audit.history.judge import Judged, judge
from tests.unit.audit.histories import Tape

LATER = "2031-10-22T00:00:00+09:00"


def rules(judged: Judged) -> set[str]:
    return {broken.rule for broken in judged.violations}


def found(tape: Tape) -> set[str]:
    return rules(judge(tape.ends()))


# Money that came in


def test_a_known_payment_with_another_amount_that_came_to_nothing_is_found() -> None:
    """The model of an order allows that a known payment changes nothing; only the won tell."""
    tape = Tape().is_paid().pays("pay-b", "pay-1", amount=1_320_000)
    judged = judge(tape.ends())

    assert rules(judged) == {"payments_placed"}
    assert "1320000 won came as payment pay-1 (pay-b)" in judged.violations[0].detail
    assert judge(tape.ends(quiet=False)).ok


def test_a_conflict_that_became_a_case_has_its_place() -> None:
    tape = Tape().is_paid().pays("pay-b", "pay-1", amount=1_320_000)
    assert found(tape.opens_case("pay-b", "pay-1", 1_320_000, "payment_conflict")) == set()


def test_a_case_of_fewer_won_than_came_is_found() -> None:
    tape = Tape().is_paid().pays("pay-b", "pay-2").opens_case("pay-b", "pay-2", 170_000, "second_payment")
    assert found(tape) == {"payments_placed", "right_decisions"}


def test_money_that_went_back_before_it_came_needs_no_place() -> None:
    tape = Tape().is_paid()
    tape.asks("payment.cancelled", "back", payment_id="pay-2", cancelled_at="2031-10-21T14:03:06+09:00")
    assert found(tape.pays("pay-b", "pay-2")) == set()


@pytest.mark.parametrize(
    ("part", "at"), [(100, "2031-10-22T00:00:00+09:00"), (176_000, "2031-10-20T00:00:00+09:00")]
)
def test_money_of_which_a_part_went_or_another_went_before_needs_a_place(part: int, at: str) -> None:
    tape = Tape().is_paid()
    tape.asks("payment.cancelled", "back", payment_id="pay-2", cancelled_at=at, amount=part)
    assert "payments_placed" in found(tape.pays("pay-b", "pay-2"))


def test_missing_money_that_came_again_has_its_place() -> None:
    tape = Tape().is_paid().issues(100)
    tape.asks("payment.cancelled", "back", payment_id="pay-1", cancelled_at="2031-10-22T00:00:00+09:00")
    tape.tells("order.cancelled", "back", payment_id="pay-1", lines=[], supply=0, vat=0, amount=0)
    case = ("pay-1", -176_000, "cancelled_after_issue")
    tape.opens_case("back", *case).pays("pay-b", "pay-1", paid_at="2031-10-23T00:00:00+09:00")
    ends_case(tape, "pay-b", *case, "reinstated")
    assert found(tape) == set()


def test_one_payment_that_pays_two_orders_is_found_at_both() -> None:
    one, other = Tape().is_paid(), Tape("A-2").is_paid()
    elsewhere = [
        replace(entry, id=f"{entry.id}-2", at=entry.at and f"{entry.at}2", answer=entry.answer and "answer-2")
        for entry in other.lines
    ]
    renamed = [replace(entry, cause="pay-2") if entry.cause else entry for entry in elsewhere]
    judged = judge([*one.lines, *renamed, *Tape().ends()])

    assert rules(judged) == {"one_payment_one_order"}
    assert {broken.order_id for broken in judged.violations} == {"A-1", "A-2"}


def test_a_payment_that_another_order_has_goes_to_quarantine() -> None:
    tape = Tape("A-2").pays()
    assert found(tape.opens_case("pay", "pay-1", 176_000, "payment_used")) == set()


# Cases


def second_payment(**more: Any) -> Tape:
    tape = Tape().is_paid().pays("pay-b", "pay-2")
    return tape.opens_case("pay-b", "pay-2", 176_000, "second_payment", **more)


def decides(tape: Tape, decision: str = "returned", event_id: str = "word", payment: str = "pay-2") -> Tape:
    return tape.asks("quarantine.decided", event_id, payment_id=payment, decision=decision)


def ends_case(tape: Tape, cause: str, payment: str, amount: int, reason: str, decision: str) -> Tape:
    case = {"payment_id": payment, "amount": amount, "reason": reason, "decision": decision}
    return tape.tells("quarantine.settled", cause, **case)  # type: ignore[arg-type]


CASE = ("pay-2", 176_000, "second_payment")


@pytest.mark.parametrize(
    "proposal",
    [None, {"refund": 0}, {"refund": 176_000}, {"refund": 170_000, "destination": "bank_account"}],
)
def test_a_case_without_a_right_proposal_is_found(proposal: Any) -> None:
    assert found(second_payment(proposal=proposal)) == {"cases_proposed"}


def test_missing_money_that_is_proposed_to_go_back_is_found() -> None:
    tape = Tape().is_paid()
    tape.asks("payment.cancelled", "part", payment_id="pay-1", amount=17_600, cancelled_at=LATER)
    tape.opens_case("part", "pay-1", -17_600, "partly_cancelled", proposal={"refund": -17_600})
    assert found(tape) == {"cases_proposed"}


def test_a_case_of_contract_1_has_no_proposal() -> None:
    """Services said `issuance.granted.v1` then; from their first word of contract 2 on, cases have one."""
    tape = second_payment(proposal=None).issues(60)
    assert found(tape) == set()
    decides(tape)
    ends_case(tape, "word", *CASE, "returned")
    tape.pays("pay-c", "pay-3").opens_case("pay-c", "pay-3", 176_000, "second_payment", proposal=None)
    assert found(tape) == {"cases_proposed"}


def test_a_case_that_ends_as_it_was_decided_breaks_no_rule() -> None:
    tape = decides(second_payment())
    ends_case(tape, "word", *CASE, "returned")
    assert found(decides(tape, event_id="again")) == set()


def test_a_decision_that_ended_nothing_is_found() -> None:
    judged = judge(decides(second_payment()).ends())
    assert rules(judged) == {"cases_end_as_decided"}
    assert "pay-2 was decided as returned (word), its case stays open" in judged.violations[0].detail


def test_a_case_that_ends_with_other_won_is_found() -> None:
    tape = decides(second_payment())
    ends_case(tape, "word", "pay-2", 170_000, "second_payment", "returned")
    assert found(tape) == {"cases_end_as_decided"}


def test_a_case_that_ends_otherwise_than_it_was_decided_is_found() -> None:
    tape = decides(second_payment(), "kept")
    assert found(ends_case(tape, "word", *CASE, "returned")) == {"cases_end_as_decided"}
    unasked = ends_case(second_payment(), "pay-b", *CASE, "kept")
    assert found(unasked) == {"cases_end_as_decided"}


def test_a_case_that_ends_twice_is_found() -> None:
    tape = decides(second_payment())
    ends_case(tape, "word", *CASE, "returned")
    assert found(ends_case(tape, "word", *CASE, "returned")) == {"cases_end_as_decided"}


def test_a_decision_that_left_a_case_of_its_payment_open_is_found() -> None:
    tape = second_payment().pays("pay-c", "pay-2", amount=9)
    tape.opens_case("pay-c", "pay-2", 9, "payment_conflict")
    ends_case(decides(tape), "word", *CASE, "returned")
    assert found(tape) == {"cases_end_as_decided"}


# Payouts


def refunded() -> Tape:
    tape = Tape().is_paid().asks_refund(100).grants_refund(100, 160_000, 16_000)
    return tape.pays_out(100, 160_000, 16_000)


def test_a_second_payout_that_nobody_tells_is_found() -> None:
    tape = refunded().asks("refund.paid_out", "out-2", refund_id="R-ref", payout_id="po-2")
    judged = judge(tape.ends())
    assert rules(judged) == {"payouts_told"}
    assert "po-2 of refund R-ref was made, and no event tells it" in judged.violations[0].detail


def test_a_payout_that_is_told_twice_is_found() -> None:
    tape = refunded()
    twice = {"refund_id": "R-ref", "payment_id": "pay-1", "amount": 176_000, "payout_id": "po"}
    tape.tells("refund.paid_twice", "out-ref", by="refunds", event_id="twice", **twice)  # type: ignore[arg-type]
    assert found(tape.opens_case("twice", "pay-1", -176_000, "payout_twice")) == {"payouts_told"}


@pytest.mark.parametrize(
    ("steps", "broken"),
    [
        ([("failed", "account_closed")], set()),
        ([("failed", "timeout")], {"released_when_failed"}),
        ([("failed", "account_closed"), ("failed", "unknown")], {"released_when_failed"}),
        ([("failed", "account_closed"), ("payout_requested", None)], {"ends_once", "released_when_failed"}),
    ],
)
def test_a_payout_that_may_be_on_its_way_is_not_given_up(
    steps: list[tuple[str, str | None]], broken: set[str]
) -> None:
    tape = Tape().is_paid().asks_refund(100).grants_refund(100, 160_000, 16_000)
    refund: dict[str, Any] = {"refund_id": "R-ref", "refund_request_id": "rr-ref"}
    tape.tells("refund.payout_requested", "x", by="refunds", **refund)
    for name, reason in steps:
        tape.tells(f"refund.{name}", "y", by="refunds", **refund, reason=reason)
    tape.tells("refund.released", "z", by="refunds", **refund)
    assert found(tape) == broken


# What partners see of merges and documents


def asks_merge(*payments: str, request_id: str | None = "mr-1", event_id: str = "ask") -> Tape:
    named = {"payment_ids": list(payments)} if payments else {}
    tape = Tape("P-1", of_order=False)
    return tape.asks("merge.requested", event_id, request_id=request_id, month="2031-10", **named)


def answers_merge(tape: Tape, request_id: str = "mr-1", merged: tuple[str, ...] = ()) -> Tape:
    excluded = [{"payment_id": "pay-9", "reason": "other_month"}]
    data = {"request_id": request_id, "merged": list(merged), "excluded": excluded}
    return tape.tells("merge.answered", "ask", by="invoices", **data)  # type: ignore[arg-type]


def test_a_request_to_merge_is_answered_by_its_id_or_by_that_of_its_event() -> None:
    assert found(answers_merge(asks_merge("pay-1", "pay-9"), merged=("pay-1",))) == set()
    assert found(answers_merge(asks_merge(request_id=None), "ask")) == set()
    repeated = answers_merge(asks_merge()).asks("merge.requested", "again", request_id="mr-1")
    assert found(repeated) == set()


def test_a_request_to_merge_without_an_answer_is_found() -> None:
    assert found(asks_merge()) == {"merges_answered"}
    assert judge(asks_merge().ends(quiet=False)).ok
    refused = Tape("P-1", of_order=False).asks("merge.requested", "ask", answer="duplicate_request")
    assert found(refused) == set()


def test_a_request_to_merge_that_is_answered_twice_or_was_never_made_is_found() -> None:
    twice = answers_merge(answers_merge(asks_merge()))
    assert found(twice) == {"merges_answered"}
    assert found(answers_merge(Tape("P-1", of_order=False))) == {"merges_answered"}


def test_a_payment_that_the_answer_does_not_tell_is_found() -> None:
    assert found(answers_merge(asks_merge("pay-1", "pay-9"))) == {"merges_answered"}


def issued(issued_at: str = "2031-11-10T23:59:59+09:00", late: bool = False) -> Tape:
    tape = Tape("P-1", of_order=False)
    document = {"document_key": "D-1", "written_date": "2031-10-31", "month": "2031-10"}
    return tape.tells("invoice.issued", "x", by="invoices", **document, issued_at=issued_at, late=late)  # type: ignore[arg-type]


def modifies(tape: Tape, written_date: str, original: str = "D-1") -> Tape:
    document = {"document_key": f"M-{len(tape.lines)}", "original_document_key": original}
    return tape.tells(
        "invoice.modified", "y", by="invoices", **document, written_date=written_date, refund_id="R-1"
    )  # type: ignore[arg-type]


def test_a_document_that_is_dated_before_the_one_it_modifies_is_found() -> None:
    assert found(modifies(modifies(issued(), "2031-10-31"), "2031-11-02", original="M-1")) == set()
    assert found(modifies(issued(), "2031-10-30")) == {"documents_dated"}
    assert found(modifies(modifies(issued(), "2031-11-02"), "2031-11-01", original="M-1")) == {
        "documents_dated"
    }


@pytest.mark.parametrize(
    ("issued_at", "late", "broken"),
    [
        ("2031-11-10T23:59:59+09:00", False, set()),
        ("2031-11-10T23:59:59+09:00", True, {"documents_late"}),
        ("2031-11-10T15:00:00+00:00", True, set()),  # the 11th in Seoul
        ("2031-11-10T15:00:00+00:00", False, {"documents_late"}),
    ],
)
def test_a_wrong_lateness_is_found(issued_at: str, late: bool, broken: set[str]) -> None:
    assert found(issued(issued_at, late)) == broken


HEARD_LATE = "2031-11-11T02:00:00+09:00"
ALWAYS = "1970-01-01T00:00:00+00:00"


def id_of(made_at: str) -> str:
    """The id of an event that was made then."""
    milliseconds = int(datetime.fromisoformat(made_at).timestamp() * 1_000)
    return str(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62))


def dated_back(made_at: str, cause: str = "x", late: bool = False) -> Tape:
    """A document that says it was issued on the 10th, its due day, whenever it was."""
    tape = Tape("P-1", of_order=False)
    data = {"document_key": "D-1", "written_date": "2031-10-21", "month": "2031-10", "late": late}
    said = {"issued_at": "2031-11-10T09:00:00+09:00", **data}
    return tape.tells("invoice.issued", cause, event_id=id_of(made_at), by="invoices", **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made_at", "broken"),
    [
        ("2031-11-10T23:59:59+09:00", set()),
        ("2031-11-11T00:59:59+09:00", set()),  # clocks may differ by an hour
        (HEARD_LATE, {"documents_late"}),
    ],
)
def test_a_document_that_is_dated_back_after_its_due_day_is_found(made_at: str, broken: set[str]) -> None:
    judged = judge(dated_back(made_at).ends(issued_by_clock_since=ALWAYS))
    assert rules(judged) == broken


def test_a_modified_document_that_is_dated_back_is_found() -> None:
    """It says when it is due by its own date: a refund of November is due on the 10th of December."""
    tape = Tape("P-1", of_order=False)
    data = {"document_key": "M-1", "original_document_key": "D-1", "written_date": "2031-11-03"}
    for made_at, broken in (
        ("2031-12-10T09:00:00+09:00", set()),
        ("2031-12-11T09:00:00+09:00", {"documents_late"}),
    ):
        tape.lines.clear()
        tape.tells(
            "invoice.modified", "y", event_id=id_of(made_at), by="invoices", late=False, refund_id="r", **data
        )  # type: ignore[arg-type]
        assert rules(judge(tape.ends(issued_by_clock_since=ALWAYS))) == broken


def test_what_a_close_a_tax_agent_or_a_service_of_release_0_2_0_issued_is_not_dated_back() -> None:
    closed = dated_back(HEARD_LATE, "close-1").decides("month.close", "close-1")
    assert rules(judge(closed.ends(issued_by_clock_since=ALWAYS))) == set()
    by_agent = dated_back(HEARD_LATE)
    by_agent.lines[0] = replace(by_agent.lines[0], cause=by_agent.lines[0].subject)
    assert rules(judge(by_agent.ends(issued_by_clock_since=ALWAYS))) == set()
    before = dated_back(HEARD_LATE).ends(issued_by_clock_since="2031-11-11T03:00:00+09:00")
    assert rules(judge(before)) == set()
    assert found(dated_back(HEARD_LATE)) == set(), "a recording without the database does not know"


# Subjects


def test_two_events_of_one_source_subject_and_number_are_found() -> None:
    """An order and a partner of one id, as if both had one source."""
    tape = Tape().is_paid().pays("pay-b", "pay-2").opens_case("pay-b", *CASE)
    left: list[Entry] = [
        replace(tape.lines[-1], type="partner.withdrawn.v1", id="left", data={"partner_id": "A-1"})
    ]
    judged = judge([*tape.lines, *left, *Tape().ends()])
    assert "numbered_once" in rules(judged)
    apart = [replace(entry, source="/pawl/orders/partners") for entry in left]
    assert "numbered_once" not in rules(judge([*tape.lines, *apart, *Tape().ends()]))
