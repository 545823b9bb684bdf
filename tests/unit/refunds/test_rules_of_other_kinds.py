"""A rule for another kind is one function and one line in the map: everything else follows what it answers.

Goods have the rule of `rules.py` here: seven days after the payment, less a fee of 10 %.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from services.refunds.decisions.eligibility import LineEligibility, eligibility
from services.refunds.policies.rules import Answer, Question
from shared.kst import KST
from shared.money import NOTHING, Money
from shared.runtime.decisions import Reject
from tests.unit.refunds.desk import ACCOUNT, PAID_AT, Desk, line, units
from tests.unit.refunds.rules import planted, seven_days_less_a_tenth

LAST_INSTANT = datetime(2026, 10, 28, 23, 59, 59, 999_999, tzinfo=KST)
TOO_LATE = LAST_INSTANT + timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def goods_have_a_rule() -> Iterator[None]:
    with planted("goods", seven_days_less_a_tenth):
        yield


@pytest.fixture
def desk() -> Desk:
    """A desk with ten goods at 1,600 won, and the VAT on top."""
    desk = Desk()
    desk.paid(line("1", quantity=10, kind="goods"))
    return desk


def test_the_fee_goes_from_the_rule_to_the_payout_and_stays_with_the_refund(desk: Desk) -> None:
    desk.asked(4)
    assert desk.types() == ["refund.accepted"]
    assert desk.story()[-1] == ("accepted", "refunds", "seven_days_less_a_tenth")

    desk.granted()
    assert desk.last.type == "refund.payout_requested.v1"
    assert (desk.last.data["fee"], desk.last.data["amount"]) == (704, 7_040 - 704)

    desk.paid_out()
    assert desk.last.type == "refund.completed.v1"
    won = ("supply", "vat", "fee", "amount")
    assert [desk.last.data[name] for name in won] == [6_400, 640, 704, 6_336]
    assert (desk.refund.fee, desk.refund.amount) == (704, 6_336)
    assert desk.order.remaining.total == 17_600 - 7_040, "the fee is no part of what remains to be refunded"


def test_eligibility_says_the_fee_and_the_last_instant(desk: Desk) -> None:
    answer = eligibility(desk.order, desk.now)

    assert (answer.units, answer.money.total, answer.fee, answer.amount) == (10, 17_600, 1_760, 15_840)
    assert (answer.reason, answer.last_instant) == (None, LAST_INSTANT)
    won = Money(16_000, 1_600)
    assert answer.lines == [
        LineEligibility("1", "goods", None, 10, 10, 10, won, 1_760, LAST_INSTANT, None, None)
    ]


def test_the_last_instant_is_in_time_and_the_next_one_is_not(desk: Desk) -> None:
    desk.now = LAST_INSTANT
    desk.asked(1, "rr-1")
    assert desk.last.type == "refund.accepted.v1"

    desk.now = TOO_LATE
    desk.asked(1, "rr-2")

    assert desk.last.type == "refund.rejected.v1"
    assert desk.last.data["reason"] == "window_closed"
    assert desk.last.data["at"] == "2026-10-28T23:59:59.999999+09:00"
    assert desk.last.data["lines"] == [{**units("1", 1), "left": 10}]


def test_after_the_window_everything_is_nothing_and_eligibility_says_why(desk: Desk) -> None:
    desk.now = TOO_LATE
    desk.asked()
    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "window_closed")

    answer = eligibility(desk.order, desk.now)

    assert (answer.units, answer.amount, answer.fee, answer.reason) == (0, 0, 0, "window_closed")
    assert (answer.last_instant, answer.expected_on) == (LAST_INSTANT, None)
    assert answer.lines == [
        LineEligibility(
            "1", "goods", None, 10, 10, 0, NOTHING, 0, LAST_INSTANT, "window_closed", LAST_INSTANT
        )
    ]


def test_all_of_it_can_be_refunded_until_the_first_window_closes_and_none_after_the_last() -> None:
    later = LAST_INSTANT + timedelta(days=7)

    def two_weeks(question: Question) -> Answer:
        if question.at > later:
            return Answer(0, last_instant=later, reason="window_closed", since=later)
        return Answer(question.line.open, last_instant=later)

    desk = Desk()
    with planted("metered", two_weeks):
        desk.paid(line("1", quantity=10, kind="goods"), line("2", quantity=5, kind="metered"))
        instants = (LAST_INSTANT, TOO_LATE, later + timedelta(microseconds=1))
        asked = [eligibility(desk.order, now) for now in instants]

    assert [(answer.units, answer.last_instant) for answer in asked] == [
        (15, LAST_INSTANT),
        (5, later),
        (0, later),
    ]


def test_nothing_is_kept_of_what_cannot_be_refunded() -> None:
    desk = Desk()
    desk.paid(line("1", quantity=10, kind="goods"), payment_method="app_store")

    answer = eligibility(desk.order, desk.now)

    assert (answer.fee, answer.amount) == (0, 0)
    assert answer.lines == [
        LineEligibility("1", "goods", None, 10, 10, 0, NOTHING, 0, LAST_INSTANT, "app_store", None)
    ]


def test_a_request_in_time_is_approved_after_the_window_for_what_it_pays(desk: Desk) -> None:
    desk.now = LAST_INSTANT
    desk.asked(4, destination={**ACCOUNT, "holder": "홍길동"})
    desk.now = TOO_LATE
    desk.proof_attached()

    without_the_fee = desk.reviewed("approve", amount=7_040)
    assert isinstance(without_the_fee, Reject)
    assert without_the_fee.pointer == "/amount"

    desk.reviewed("approve", amount=6_336)
    desk.granted()
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.payout_requested.v1", 6_336)


def test_the_fee_of_everything_is_that_of_what_is_granted(desk: Desk) -> None:
    desk.asked()
    assert desk.refund.fee == 1_760

    desk.now = TOO_LATE
    desk.granted(lines=[units("1", 3)])

    assert (desk.refund.fee, desk.last.data["fee"]) == (528, 528)
    assert desk.last.data["amount"] == 5_280 - 528


def test_a_released_refund_can_be_asked_for_again_with_a_fee_of_its_own(desk: Desk) -> None:
    desk.asked(4)
    desk.granted()
    desk.payout_failed()
    desk.reviewed("release")

    desk.asked(5, "rr-2")
    desk.granted()

    assert (desk.last.data["fee"], desk.last.data["amount"]) == (880, 7_920)


def test_each_line_follows_the_rule_of_its_kind() -> None:
    desk = Desk()
    desk.paid(line("1", quantity=10), line("2", quantity=10, kind="goods"), line("3", 5, kind="metered"))

    both = eligibility(desk.order, desk.now)
    desk.now = TOO_LATE
    after = eligibility(desk.order, desk.now)

    assert (both.units, both.fee) == (25, 1_760)
    assert (after.units, after.fee) == (15, 0)
    assert [(each.refundable, each.reason, each.hold) for each in after.lines] == [
        (10, None, None),
        (0, "window_closed", None),
        (5, None, "window_over"),
    ]


def test_a_refund_of_two_kinds_pays_the_fee_of_one_and_needs_both() -> None:
    desk = Desk()
    desk.paid(line("1", quantity=10), line("2", quantity=10, kind="goods"))
    lines = [units("1", 2), units("2", 2)]

    desk.asked(request_id="rr-1", lines=lines)
    assert desk.story()[-1] == ("accepted", "refunds", "until_issued, seven_days_less_a_tenth")
    desk.granted()
    assert (desk.last.data["fee"], desk.last.data["amount"]) == (352, 7_040 - 352)

    desk.now = TOO_LATE
    desk.asked(request_id="rr-2", lines=lines)
    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "window_closed")


def test_a_fee_that_leaves_nothing_is_refused(desk: Desk) -> None:
    def keeps_all(question: Question) -> Answer:
        return Answer(question.quantity or question.line.open, fee=17_600)

    with planted("goods", keeps_all):
        desk.asked(10)

        assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "nothing_to_pay")
        assert eligibility(desk.order, desk.now).reason == "nothing_to_pay"


def test_a_fee_leaves_a_won_of_what_is_granted(desk: Desk) -> None:
    def keeps_much(question: Question) -> Answer:
        return Answer(question.quantity or question.line.open, fee=8_000)

    with planted("goods", keeps_much):
        desk.asked()

        desk.granted(lines=[units("1", 1)])

    assert (desk.last.data["fee"], desk.last.data["amount"]) == (1_759, 1)


def test_what_a_rule_sees() -> None:
    seen: list[Question] = []

    def looks(question: Question) -> Answer:
        seen.append(question)
        return Answer(question.quantity or question.line.open)

    desk = Desk()
    with planted("prepaid", looks):
        desk.paid(line("1", 5, 2_400, kind="prepaid"), vat_mode="inclusive", payment_method="card")
        desk.asked(2)

    (question,) = seen
    assert (question.line.kind, question.line.unit_price, question.line.open) == ("prepaid", 2_400, 5)
    assert question.payment == ("card", "inclusive", PAID_AT)
    assert question.usage == (0, None)
    assert (question.quantity, question.at) == (2, desk.now)
