"""From the grant to the money: paid once, or released, and never silently lost (domain.md section 4)."""

from datetime import datetime

import pytest

from shared.kst import KST
from shared.money import Money
from shared.runtime.decisions import Applied, Reject, Wait
from tests.unit.refunds.desk import ORDER, Desk, line, minutes, units


@pytest.fixture
def desk() -> Desk:
    """A desk with a refund of 40 units that orders has granted."""
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()
    return desk


def test_a_grant_asks_checkout_to_pay(desk: Desk) -> None:
    refund = desk.refund

    assert refund.state == "paying_out"
    assert desk.last.data == {
        "order_id": ORDER,
        "refund_id": str(refund.refund_id),
        "refund_request_id": "rr-77",
        "amount": 70_400,
        "fee": 0,
        "payment_id": "pay-9001",
        "destination": {
            "method": "bank_account",
            "reference": str(refund.destination.reference),
            "masked": "088-*****6789",
        },
        "idempotency_key": str(refund.refund_id),
        "expected_on": "2026-10-27",
    }


def test_what_is_paid_is_what_orders_decided_with_the_claim() -> None:
    """Only orders sees all claims in their order: what is computed here may be a won of VAT beside it."""
    desk = Desk()
    desk.paid(line("1", 9, 3))
    desk.asked(4)

    desk.granted(supply=12, vat=2)

    assert desk.last.data["amount"] == 14
    assert desk.order.remaining == Money(15, 0)
    desk.paid_out()
    assert [desk.last.data[name] for name in ("supply", "vat", "amount")] == [12, 2, 14]


def test_a_payout_completes_the_refund(desk: Desk) -> None:
    desk.paid_out(paid_out_at="2026-10-22T15:00:00+09:00")

    assert desk.types() == ["refund.accepted", "refund.payout_requested", "refund.completed"]
    assert desk.last.data == {
        "order_id": ORDER,
        "refund_id": str(desk.refund.refund_id),
        "refund_request_id": "rr-77",
        "payment_id": "pay-9001",
        "lines": [units("1", 40)],
        "supply": 64_000,
        "vat": 6_400,
        "fee": 0,
        "amount": 70_400,
        "payout_id": "po-551",
        "completed_at": "2026-10-22T15:00:00+09:00",
    }
    assert [state for state, _, _ in desk.story()] == [
        "requested",
        "accepted",
        "granted",
        "paying_out",
        "completed",
    ]


def test_the_same_payout_again_changes_nothing(desk: Desk) -> None:
    desk.paid_out()

    assert desk.paid_out() == Applied(())
    assert desk.order.lines["1"].refunded == 40


def test_a_failed_payout_keeps_its_units_until_it_is_retried_with_the_same_key(desk: Desk) -> None:
    key = desk.last.data["idempotency_key"]

    desk.payout_failed("account_closed")
    assert (desk.last.data["reason"], desk.last.data["next"]) == ("account_closed", "retry_or_release")
    assert desk.order.lines["1"].refunding == 40

    desk.now = datetime(2026, 10, 23, 9, 0, tzinfo=KST)
    desk.reviewed("retry")
    assert desk.last.data["idempotency_key"] == key
    assert desk.last.data["expected_on"] == "2026-10-28"

    desk.paid_out("po-552")
    assert desk.refund.state == "completed"


def test_the_same_failure_again_changes_nothing(desk: Desk) -> None:
    desk.payout_failed()

    assert desk.payout_failed() == Applied(())


def test_a_success_after_a_failure_counts(desk: Desk) -> None:
    desk.payout_failed()

    desk.paid_out()

    assert desk.refund.state == "completed"
    assert desk.types()[-2:] == ["refund.failed", "refund.completed"]


def test_a_failed_payout_can_be_released(desk: Desk) -> None:
    desk.payout_failed()

    desk.reviewed("release", note="requester_withdrew")

    assert desk.last.type == "refund.released.v1"
    assert desk.last.data["lines"] == [units("1", 40)]
    assert (desk.last.data["actor"], desk.last.data["reason"]) == ("operator:kim", "requester_withdrew")
    assert desk.order.lines["1"].open == 100
    assert desk.order.remaining == desk.order.paid


@pytest.mark.parametrize("reason", ["timeout", "unknown"])
def test_an_unanswered_payout_is_asked_again_and_never_released(desk: Desk, reason: str) -> None:
    desk.payout_failed(reason)
    assert desk.refund.state == "unknown"
    assert desk.last.data["next"] == "retry"

    refused = desk.reviewed("release")
    assert isinstance(refused, Reject)
    assert refused.pointer == "/decision"

    desk.reviewed("retry")
    assert desk.types()[-1] == "refund.payout_requested"

    desk.payout_failed("account_closed")
    assert desk.story()[-1] == ("failed", "checkout", "account_closed")


def test_an_earlier_failure_that_arrives_after_the_success_changes_nothing(desk: Desk) -> None:
    desk.paid_out("po-552")

    assert desk.payout_failed(payout_id="po-551") == Applied(())
    assert desk.refund.state == "completed"


def test_a_denial_says_what_was_lost_and_when() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)

    desk.denied(lost_at=desk.now - minutes(1))

    assert desk.refund.state == "denied"
    assert (desk.refund.why, desk.refund.why_at) == ("issued", desk.now - minutes(1))
    assert desk.types() == ["refund.accepted"], "the event of orders is enough"


def test_answers_about_a_refund_nobody_knows_wait_for_it() -> None:
    desk = Desk()
    desk.paid()
    data = {"refund_id": "nobody", "payout_id": "po-1", "reason": "r", "decision": "retry", "actor": "a"}

    types = [
        "refund.paid_out.v1",
        "refund.payout_failed.v1",
        "refund.reviewed.v1",
        "refund.proof_attached.v1",
    ]

    assert [desk.deliver(type_name, data) for type_name in types] == [Wait("refund nobody")] * 4


def test_a_payout_before_the_grant_waits_for_it() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)

    assert isinstance(desk.paid_out(), Wait)
    assert isinstance(desk.payout_failed(), Wait)


def test_money_that_left_for_a_denied_refund_is_told_with_its_won() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.denied(lost_at=desk.now)

    unnamed = desk.paid_out()
    assert isinstance(unnamed, Reject)
    assert "name the amount" in unnamed.detail

    paid = desk.paid_out(amount=11_000)
    assert isinstance(paid, Applied)
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.paid_twice.v1", 11_000)
    assert desk.refund.state == "denied"


def test_a_failed_payout_of_a_denied_refund_is_a_fault() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.denied(lost_at=desk.now)

    assert isinstance(desk.payout_failed(), Reject)


@pytest.mark.parametrize("decision", ["approve", "reject", "retry", "release"])
def test_a_review_of_a_refund_that_is_over_is_a_fault(desk: Desk, decision: str) -> None:
    desk.paid_out()

    outcome = desk.reviewed(decision)

    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/decision")


def test_a_proof_for_a_refund_that_needs_none_is_a_fault(desk: Desk) -> None:
    outcome = desk.proof_attached()

    assert isinstance(outcome, Reject)
    assert outcome.pointer == "/refund_id"


def test_own_cash_is_shown_as_three_to_seven_business_days() -> None:
    desk = Desk()
    desk.paid(payment_method="mycash")
    desk.asked(40)

    desk.granted()

    assert (desk.last.data["expected_on"], desk.last.data["expected_until"]) == ("2026-10-27", "2026-11-02")


def test_a_granted_refund_goes_on_after_the_payment_was_taken_back(desk: Desk) -> None:
    desk.cancelled()
    assert desk.order.lines["1"].taken_back == 60

    desk.payout_failed()
    desk.reviewed("retry")
    desk.paid_out()

    assert desk.refund.state == "completed"


def test_units_released_after_the_payment_was_taken_back_do_not_open_again(desk: Desk) -> None:
    desk.cancelled()
    desk.payout_failed()

    desk.reviewed("release")

    assert desk.order.lines["1"].taken_back == 100


def test_an_answer_of_orders_that_was_not_asked_for_is_no_silent_change(desk: Desk) -> None:
    with pytest.raises(ValueError, match="was not asked"):
        desk.granted()


def test_the_payment_taken_back_twice_is_taken_back_once(desk: Desk) -> None:
    desk.cancelled()
    before = desk.order

    desk.now += minutes(1)
    desk.cancelled()

    assert desk.order == before


def test_an_order_cancelled_before_it_was_paid_has_nothing_to_take_back() -> None:
    desk = Desk()
    desk.registered()

    desk.cancelled()

    assert desk.order.lines["1"].taken_back == 0
    desk.asked(1)
    assert desk.last.data["reason"] == "order_cancelled"


def test_an_order_cancelled_before_anything_was_paid_for_it_is_none_of_our_business() -> None:
    """Orders may know it from a wrong amount only: nothing that refunds could have read came before."""
    desk = Desk()

    desk.cancelled()

    assert desk.world.orders == {}


# The lock


def test_a_line_is_locked_in_the_decision_that_sees_its_last_unit_go() -> None:
    desk = Desk()
    desk.paid()
    desk.issuance_granted(60)
    assert desk.types() == []

    desk.now = datetime(2026, 10, 23, 9, 0, tzinfo=KST)
    desk.issuance_granted(40)

    assert desk.last.subject == ORDER
    locked = {"line_id": "1", "locked_at": "2026-10-23T09:00:00+09:00", "reason": "issued"}
    assert desk.last.data == {"order_id": ORDER, "lines": [locked]}


def test_the_rest_of_a_partly_refunded_line_is_locked_too(desk: Desk) -> None:
    desk.issuance_granted(60)

    assert desk.types()[-1] == "refund.locked"


def test_a_refund_of_the_last_units_of_a_partly_issued_line_locks_it() -> None:
    desk = Desk()
    desk.paid()
    desk.issuance_granted(60)
    desk.asked(40)

    desk.granted()

    assert desk.types()[-2:] == ["refund.payout_requested", "refund.locked"]


def test_locks_at_different_times_are_numbered_for_their_order() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", quantity=5))

    desk.issuance_granted(5, "2")
    desk.issuance_granted(100, "1")

    assert [(event.subject, event.sequence) for event in desk.published] == [(ORDER, 1), (ORDER, 2)]
    assert [[one["line_id"] for one in event.data["lines"]] for event in desk.published] == [["2"], ["1"]]


def test_one_decision_locks_all_the_lines_that_it_leaves_empty_together() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", quantity=5), line("3", quantity=7))

    desk.issuance_of(("1", 100), ("2", 4), ("3", 7))

    assert [one["line_id"] for one in desk.last.data["lines"]] == ["1", "3"]
    assert [desk.order.lines[name].locked for name in ("1", "2", "3")] == [True, False, True]
    assert desk.types() == ["refund.locked"]


def test_a_refund_of_the_last_units_of_two_lines_locks_them_together() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", quantity=5))
    desk.issuance_of(("1", 60), ("2", 4))
    desk.asked(lines=[units("1", 40), units("2", 1)])

    desk.granted()

    assert desk.types()[-2:] == ["refund.payout_requested", "refund.locked"]
    assert [one["line_id"] for one in desk.last.data["lines"]] == ["1", "2"]


def test_a_release_unlocks_the_line_and_the_next_lock_is_a_new_event(desk: Desk) -> None:
    desk.issuance_granted(60)
    desk.payout_failed()
    desk.reviewed("release")
    assert not desk.order.lines["1"].locked

    desk.issuance_granted(40)

    assert (desk.last.type, desk.last.sequence) == ("refund.locked.v2", 2)
