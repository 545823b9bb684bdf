"""Money that was paid out and came back, and money that left twice (events.md, contract 2, point 6)."""

from datetime import datetime

import pytest

from shared.kst import KST
from shared.runtime.decisions import Applied, Reject
from tests.unit.refunds.desk import ORDER, PAID_AT, Desk, minutes

OUT = "2026-10-22T15:00:00+09:00"
AGAIN = "2026-10-24T10:00:00+09:00"


@pytest.fixture
def desk() -> Desk:
    """A desk with a refund of 40 units that was paid out by po-551."""
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()
    desk.paid_out(paid_out_at=OUT)
    return desk


def head(desk: Desk) -> dict[str, str]:
    return {
        "order_id": ORDER,
        "refund_id": str(desk.refund.refund_id),
        "refund_request_id": "rr-77",
    }


# A payout bounces


def test_a_failure_before_the_success_is_no_bounce_whichever_is_told_first(desk: Desk) -> None:
    desk.now -= minutes(5)
    assert desk.payout_failed("account_closed") == Applied(())
    assert desk.refund.state == "completed"

    desk.now += minutes(10)
    desk.payout_failed("account_closed")
    assert desk.refund.state == "bounced"


def test_a_payout_that_bounces_leaves_units_and_won_as_they_are_and_is_owed_again(desk: Desk) -> None:
    before = desk.order

    desk.payout_failed("account_closed")

    assert desk.last.type == "refund.bounced.v1"
    assert desk.last.data == {
        **head(desk),
        "payout_id": "po-551",
        "amount": 70_400,
        "reason": "account_closed",
        "next": "retry",
    }
    assert (desk.order.lines, desk.order.remaining) == (before.lines, before.remaining)
    assert (desk.refund.state, desk.refund.why) == ("bounced", "account_closed")
    assert desk.story()[-1] == ("bounced", "checkout", "account_closed")


def test_a_retry_asks_for_a_payout_under_a_key_that_no_payout_has_answered(desk: Desk) -> None:
    """The gateway has answered the first key with a payout; asked with it again it would pay nothing."""
    first = desk.published[1].data
    desk.payout_failed()
    desk.now = datetime(2026, 10, 23, 9, 0, tzinfo=KST)

    desk.reviewed("retry")

    asked = desk.last.data
    assert first["idempotency_key"] == str(desk.refund.refund_id)
    assert asked["idempotency_key"] == f"{desk.refund.refund_id}-2"
    assert (asked["amount"], asked["destination"]) == (first["amount"], first["destination"])
    assert asked["expected_on"] == "2026-10-28"
    assert desk.story()[-1] == ("repaying", "operator:kim", "retry")


@pytest.mark.parametrize("reason", ["timeout", "unknown", "account_closed"])
def test_a_repayment_that_fails_or_is_not_answered_is_retried_with_the_same_key(
    desk: Desk, reason: str
) -> None:
    desk.payout_failed()
    desk.reviewed("retry")
    key = desk.last.data["idempotency_key"]

    desk.payout_failed(reason, "po-552")
    assert (desk.last.type, desk.last.data["next"]) == ("refund.failed.v1", "retry")
    assert (desk.refund.state, desk.refund.why) == ("bounced", reason)

    desk.reviewed("retry")
    assert desk.last.data["idempotency_key"] == key


def test_a_payout_after_a_bounce_repays_the_refund(desk: Desk) -> None:
    desk.payout_failed()
    desk.reviewed("retry")

    desk.paid_out("po-552", paid_out_at=AGAIN)

    assert desk.last.type == "refund.repaid.v1"
    assert desk.last.data == {
        **head(desk),
        "payout_id": "po-552",
        "amount": 70_400,
        "paid_out_at": AGAIN,
    }
    assert desk.refund.state == "completed"
    assert desk.refund.completed_at == datetime.fromisoformat(OUT), "documents keep the day of the refund"
    assert desk.types().count("refund.completed") == 1
    assert [(payout.payout_id, payout.state) for payout in desk.refund.payouts] == [
        ("po-551", "bounced"),
        ("po-552", "paid"),
    ]


def test_a_gateway_that_pays_again_by_itself_has_repaid_the_refund(desk: Desk) -> None:
    desk.payout_failed()

    desk.paid_out("po-552")

    assert desk.types()[-1] == "refund.repaid"


def test_a_refund_may_bounce_more_than_once_and_each_round_has_its_key(desk: Desk) -> None:
    keys = []
    for number in (551, 552, 553):
        desk.payout_failed(payout_id=f"po-{number}")
        desk.reviewed("retry")
        keys.append(desk.last.data["idempotency_key"])
        desk.paid_out(f"po-{number + 1}")

    refund_id = desk.refund.refund_id
    assert keys == [f"{refund_id}-2", f"{refund_id}-3", f"{refund_id}-4"]
    assert desk.refund.state == "completed"


def test_the_same_bounce_and_the_same_payouts_again_change_nothing(desk: Desk) -> None:
    desk.payout_failed()
    bounced = desk.refund
    assert desk.payout_failed() == Applied(())
    assert desk.paid_out(paid_out_at=OUT) == Applied(())
    assert desk.refund is bounced

    desk.reviewed("retry")
    repaying = desk.refund
    assert desk.payout_failed() == Applied(())
    assert desk.paid_out(paid_out_at=OUT) == Applied(())
    assert desk.refund is repaying

    desk.paid_out("po-552")
    repaid = desk.refund
    assert desk.payout_failed() == Applied(())
    assert desk.paid_out() == Applied(())
    assert desk.paid_out("po-552") == Applied(())
    assert desk.refund is repaid


@pytest.mark.parametrize("reason", ["timeout", "unknown"])
def test_a_late_time_out_of_a_payout_that_was_made_is_no_bounce(desk: Desk, reason: str) -> None:
    assert desk.payout_failed(reason) == Applied(())
    assert desk.refund.state == "completed"


@pytest.mark.parametrize("decision", ["approve", "reject", "release"])
def test_a_bounced_refund_can_only_be_retried(desk: Desk, decision: str) -> None:
    desk.payout_failed()

    outcome = desk.reviewed(decision)

    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/decision")


def test_units_of_a_bounced_refund_are_never_issued_or_refunded_again(desk: Desk) -> None:
    desk.payout_failed()

    desk.asked(61, "rr-78")

    assert desk.last.data["reason"] == "already_refunded"


# A bounce that is told before the payout


BEFORE, AFTER = minutes(-1), minutes(1)


@pytest.fixture
def waiting() -> Desk:
    """A desk that waits for the payout of a refund of 40 units."""
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()
    return desk


def told_backwards(desk: Desk, payout_id: str = "po-551") -> None:
    """That the payout came back is told first; it was made a minute before."""
    desk.payout_failed(payout_id=payout_id)
    desk.now += BEFORE
    desk.paid_out(payout_id)
    desk.now += AFTER


def test_a_bounce_that_is_told_before_its_payout_comes_to_the_same(waiting: Desk, desk: Desk) -> None:
    desk.payout_failed()
    told_backwards(waiting)

    assert waiting.types()[-2:] == ["refund.completed", "refund.bounced"]
    assert waiting.last.data == {**desk.last.data, "refund_id": str(waiting.refund.refund_id)}
    assert (waiting.order.lines, waiting.order.remaining) == (desk.order.lines, desk.order.remaining)
    assert (waiting.refund.state, waiting.refund.why) == ("bounced", "account_closed")
    waiting.reviewed("retry")
    assert waiting.last.data["idempotency_key"] == f"{waiting.refund.refund_id}-2"


def test_a_payout_that_was_made_after_it_had_failed_completes_the_refund(waiting: Desk) -> None:
    waiting.payout_failed()
    waiting.now += AFTER
    waiting.paid_out()

    assert waiting.types()[-2:] == ["refund.failed", "refund.completed"]
    assert waiting.paid_out() == Applied(())


def test_the_latest_failure_of_a_payout_counts(waiting: Desk) -> None:
    waiting.payout_failed()
    waiting.reviewed("retry")
    waiting.now += 2 * AFTER
    waiting.payout_failed("no_such_account")
    waiting.now += BEFORE
    waiting.paid_out()

    assert waiting.types()[-1] == "refund.bounced"
    assert waiting.last.data["reason"] == "no_such_account"


@pytest.mark.parametrize("reason", ["timeout", "unknown"])
def test_a_payout_that_nobody_knew_of_has_not_bounced(waiting: Desk, reason: str) -> None:
    waiting.payout_failed(reason)
    waiting.now += BEFORE
    waiting.paid_out()

    assert waiting.types()[-1] == "refund.completed"


def test_a_repayment_that_bounced_before_it_was_told_is_owed_again(desk: Desk) -> None:
    desk.payout_failed()
    desk.reviewed("retry")
    told_backwards(desk, "po-552")

    assert desk.types()[-2:] == ["refund.repaid", "refund.bounced"]
    assert desk.refund.bounces == 2


def test_money_that_left_twice_and_is_known_to_be_back_is_a_case_that_came_back(desk: Desk) -> None:
    told_backwards(desk, "po-552")

    assert desk.last.type == "refund.paid_twice.v1"
    assert [(payout.payout_id, payout.state) for payout in desk.refund.payouts] == [
        ("po-551", "paid"),
        ("po-552", "returned"),
    ]


def test_a_payout_that_is_known_to_be_back_changes_nothing_after_the_release(waiting: Desk) -> None:
    waiting.payout_failed()
    waiting.reviewed("release")
    waiting.now += BEFORE

    assert waiting.paid_out() == Applied(())
    assert waiting.last.type == "refund.released.v1"


def test_a_payout_of_other_won_is_refused_whether_it_came_back_or_not(waiting: Desk) -> None:
    waiting.payout_failed()
    waiting.now += BEFORE
    outcome = waiting.paid_out(amount=1)

    assert isinstance(outcome, Reject)
    assert outcome.pointer == "/amount"


# A release while a payout is on its way


@pytest.mark.parametrize("reason", [None, "timeout", "unknown"])
def test_a_payout_that_is_on_its_way_is_not_given_up(waiting: Desk, reason: str | None) -> None:
    if reason is not None:
        waiting.payout_failed(reason)
    outcome = waiting.reviewed("release")

    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/decision")
    assert "wait for its answer" in outcome.detail


def test_a_payout_that_failed_and_was_asked_for_again_is_on_its_way(waiting: Desk) -> None:
    waiting.payout_failed()
    waiting.reviewed("retry")
    assert isinstance(waiting.reviewed("release"), Reject)


# Money leaves twice


def test_a_second_payout_is_told_with_its_won_and_the_refund_stays_completed(desk: Desk) -> None:
    before = desk.order

    desk.paid_out("po-552", paid_out_at=AGAIN)

    assert desk.last.type == "refund.paid_twice.v1"
    assert desk.last.data == {
        **head(desk),
        "payment_id": "pay-9001",
        "payout_id": "po-552",
        "amount": 70_400,
        "paid_out_at": AGAIN,
    }
    assert desk.refund.state == "completed"
    assert desk.order.lines == before.lines
    assert desk.story()[-1] == ("completed", "checkout", "paid_twice")


def test_a_second_payout_counts_with_the_won_that_it_names(desk: Desk) -> None:
    desk.paid_out("po-552", amount=1_000)

    assert (desk.last.type, desk.last.data["amount"]) == ("refund.paid_twice.v1", 1_000)


def test_each_further_payout_is_told_once(desk: Desk) -> None:
    desk.paid_out("po-552")
    assert desk.paid_out("po-552") == Applied(())
    desk.paid_out("po-553")

    assert desk.types().count("refund.paid_twice") == 2


def test_money_that_left_after_the_release_left_twice() -> None:
    """Its units are open again: whoever gets them is paid for, or pays, a second time."""
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()
    desk.payout_failed()
    desk.reviewed("release")

    desk.paid_out()

    assert (desk.last.type, desk.last.data["amount"]) == ("refund.paid_twice.v1", 70_400)
    assert desk.refund.state == "released"
    assert desk.order.lines["1"].open == 100


def test_the_second_payout_may_come_back_and_the_refund_stands_on_the_first(desk: Desk) -> None:
    desk.paid_out("po-552")
    told = list(desk.published)

    desk.payout_failed("account_closed", "po-552")

    assert desk.published == told, "the case ends by an operator's decision"
    assert desk.refund.state == "completed"
    assert [payout.state for payout in desk.refund.payouts] == ["paid", "returned"]


def test_a_second_payout_that_came_back_does_not_change_the_key_of_a_round() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()
    desk.paid_out("po-1")
    desk.paid_out("po-2")
    desk.payout_failed(payout_id="po-1")
    desk.reviewed("retry")
    key = desk.last.data["idempotency_key"]

    desk.payout_failed(payout_id="po-2")
    desk.payout_failed("timeout", "po-3")
    desk.reviewed("retry")

    assert desk.last.data["idempotency_key"] == key


# Won and instants that cannot be


@pytest.mark.parametrize("amount", [70_399, 70_401, 7_040_000])
def test_a_payout_of_other_won_than_asked_is_a_fault_and_the_refund_stays_owed(amount: int) -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()

    answer = desk.paid_out(amount=amount)

    assert isinstance(answer, Reject)
    assert (answer.code, answer.pointer) == ("inconsistent", "/amount")
    assert desk.refund.state == "paying_out"
    desk.paid_out(amount=70_400)
    assert desk.refund.state == "completed"


def test_a_bounce_or_a_repayment_of_other_won_is_a_fault(desk: Desk) -> None:
    assert isinstance(desk.payout_failed(amount=400), Reject)
    assert isinstance(desk.paid_out(amount=400), Reject), "the same payout, and other won"
    desk.payout_failed(amount=70_400)
    assert isinstance(desk.paid_out("po-552", amount=400), Reject)
    assert desk.refund.state == "bounced"


def test_a_payout_before_its_payment_is_refused() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()

    answer = desk.paid_out(paid_out_at=(PAID_AT - minutes(1)).isoformat())

    assert isinstance(answer, Reject)
    assert (answer.code, answer.pointer) == ("out_of_range", "/paid_out_at")
    assert desk.refund.state == "paying_out"
    desk.paid_out(paid_out_at=PAID_AT.isoformat())
    assert desk.refund.state == "completed"


def test_a_payout_without_an_instant_is_never_dated_before_its_payment() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()
    desk.now = PAID_AT - minutes(5)

    desk.paid_out()

    assert desk.refund.completed_at == PAID_AT
