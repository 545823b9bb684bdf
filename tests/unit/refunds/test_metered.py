"""The rule of metered services: unused within seven days by itself, else by an operator."""

from datetime import datetime, timedelta
from itertools import permutations

import pytest

from services.refunds.decisions.eligibility import eligibility
from services.refunds.policies.metered import unused_within_seven_days
from services.refunds.policies.rules import NOT_USED, Answer, Payment, Question, Usage
from services.refunds.policies.usage import uses
from services.refunds.state import Line
from shared.kst import KST
from shared.runtime.decisions import Applied, Reject, Wait
from tests.unit.refunds.desk import ACCOUNT, PAID_AT, Desk, line, minutes, units

ACTIVATED_AT = datetime(2026, 10, 23, 18, 30, tzinfo=KST)
LAST = datetime(2026, 10, 29, 23, 59, 59, 999_999, tzinfo=KST)
LAST_WITHOUT_ACTIVATION = datetime(2026, 10, 27, 23, 59, 59, 999_999, tzinfo=KST)
A_MOMENT = timedelta(microseconds=1)
ONCE = Usage(1, ACTIVATED_AT + minutes(1))


def ask(at: datetime, usage: Usage = NOT_USED, activated_at: datetime | None = ACTIVATED_AT) -> Answer:
    service = Line("A-1", "1", 0, "metered", 30_000, 5, activated_at=activated_at)
    return unused_within_seven_days(Question(service, Payment("card", "inclusive", PAID_AT), usage, None, at))


@pytest.mark.parametrize(
    ("activated_at", "last"),
    [
        (ACTIVATED_AT, LAST),
        (datetime(2026, 10, 23, tzinfo=KST), LAST),
        (datetime(2026, 10, 23, 23, 59, 59, 999_999, tzinfo=KST), LAST),
        (datetime.fromisoformat("2026-10-22T15:00:00Z"), LAST),
        (datetime.fromisoformat("2026-10-22T14:59:59Z"), LAST - timedelta(days=1)),
        (None, LAST_WITHOUT_ACTIVATION),
    ],
)
def test_the_window_ends_with_the_seventh_day_that_of_the_activation_counted(
    activated_at: datetime | None, last: datetime
) -> None:
    assert ask(last, activated_at=activated_at) == Answer(5, last_instant=last)
    late = ask(last + A_MOMENT, activated_at=activated_at)
    assert late == Answer(5, last_instant=last, hold="window_over")


def test_one_use_is_reviewed_in_time_and_late() -> None:
    assert ask(LAST, ONCE) == ask(LAST + A_MOMENT, ONCE) == Answer(5, last_instant=LAST, hold="used")


@pytest.fixture
def desk() -> Desk:
    """A desk with the fee of a service and its top-up, 30,000 and 50,000 won with VAT."""
    desk = Desk()
    fee, top_up = line("1", 1, 30_000, kind="metered"), line("2", 1_000, 50, kind="metered")
    desk.paid(fee, top_up, vat_mode="inclusive")
    desk.activated(at=ACTIVATED_AT)
    desk.activated("2", at=ACTIVATED_AT)
    desk.now = datetime(2026, 10, 24, 9, 0, tzinfo=KST)
    return desk


def test_fee_and_top_up_go_back_in_full_while_nothing_is_used(desk: Desk) -> None:
    desk.asked()
    assert desk.story()[-1] == ("accepted", "refunds", "unused_within_seven_days")

    desk.granted()

    assert (desk.last.data["amount"], desk.last.data["fee"]) == (80_000, 0)


def test_the_use_of_the_top_up_is_the_use_of_the_service(desk: Desk) -> None:
    desk.used(1, line_id="2")

    desk.asked(request_id="rr-1", lines=[units("1", 1)])

    assert (desk.refund.state, desk.refund.why) == ("in_review", "used")
    assert [each.hold for each in eligibility(desk.order, desk.now).lines] == ["used", "used"]


def test_an_operator_approves_what_was_used_and_the_refund_goes_on(desk: Desk) -> None:
    desk.used(1)
    desk.asked()
    reviewed_at = desk.now = desk.now + timedelta(days=9)

    desk.reviewed("approve", amount=80_000)

    assert (desk.last.type, desk.refund.reviewed_at) == ("refund.accepted.v1", reviewed_at)
    assert desk.last.data["lines"] == [units("1", 1), units("2", 1_000)]


def test_an_operator_can_approve_a_part_and_the_rest_stays_paid(desk: Desk) -> None:
    desk.used(400, line_id="2")
    desk.asked()

    desk.reviewed("approve", amount=45_000)
    assert desk.last.data["lines"] == [units("1", 1), {**units("2", 1_000), "consumed": 35_000}]
    desk.granted()

    assert (desk.last.data["amount"], desk.last.data["fee"]) == (45_000, 0)
    assert desk.order.remaining.total == 35_000
    assert eligibility(desk.order, desk.now).units == 0


def test_what_stays_paid_covers_what_is_used_further(desk: Desk) -> None:
    desk.used(400, line_id="2")
    desk.asked()
    desk.reviewed("approve", amount=45_000)
    desk.granted()
    desk.paid_out()

    desk.used(700, line_id="2", at=desk.now + timedelta(hours=1))
    assert "refund.overpaid" not in desk.types()

    desk.used(701, line_id="2", at=desk.now + timedelta(hours=2))
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 50)


@pytest.mark.parametrize("amount", [80_001, 10**9])
def test_never_more_than_what_is_left_can_be_approved(desk: Desk, amount: int) -> None:
    desk.used(1)
    desk.asked()

    refused = desk.reviewed("approve", amount=amount)

    assert isinstance(refused, Reject)
    assert (refused.code, refused.pointer) == ("inconsistent", "/amount")


def test_only_lines_that_are_reviewed_can_be_paid_in_part() -> None:
    desk = Desk()
    desk.paid(line("1", 1, 30_000, kind="metered"), line("2", 10, 1_000), vat_mode="inclusive")
    desk.used(1)
    desk.asked()

    too_little = desk.reviewed("approve", amount=9_999)
    assert isinstance(too_little, Reject)
    assert "10000 at least" in too_little.detail

    desk.reviewed("approve", amount=10_001)
    assert desk.last.data["lines"] == [{**units("1", 1), "consumed": 29_999}, units("2", 10)]


def test_an_amount_that_no_vat_fits_is_refused_with_those_beside_it() -> None:
    desk = Desk()
    desk.paid(line("1", 1, 100, kind="metered"))
    desk.used(1)
    desk.asked()

    refused = desk.reviewed("approve", amount=100)
    assert isinstance(refused, Reject)
    assert "can pay 99 or 101, not 100 won" in refused.detail

    desk.reviewed("approve", amount=99)
    desk.granted()
    assert (desk.refund.amount, desk.refund.money) == (99, (90, 9))


def test_a_part_that_was_approved_is_what_is_paid_when_the_goods_beside_it_are_back() -> None:
    desk = Desk()
    goods = line("2", 10, 1_000, kind="goods")
    desk.paid(line("1", 1, 30_000, kind="metered"), goods, vat_mode="inclusive")
    desk.used(1)
    desk.asked()

    desk.reviewed("approve", amount=25_000)
    assert desk.refund.why == "return_awaited"
    desk.returned()
    desk.granted()

    assert desk.last.data["amount"] == 25_000


def test_a_use_after_the_refund_is_told_at_the_price_of_what_was_used(desk: Desk) -> None:
    desk.asked()
    desk.granted()
    desk.paid_out()

    desk.used(120, line_id="2")

    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 6_000)


def test_what_an_operator_approved_was_known_to_be_used(desk: Desk) -> None:
    desk.used(120, line_id="2")
    desk.asked()
    desk.reviewed("approve")
    desk.granted()

    desk.paid_out()

    assert desk.last.type == "refund.completed.v1"


def test_of_what_an_operator_approved_only_the_use_that_comes_after_it_is_told(desk: Desk) -> None:
    desk.used(120, line_id="2")
    desk.asked()
    desk.reviewed("approve")
    desk.granted()
    desk.used(130, line_id="2")

    desk.paid_out()
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 500)
    desk.used(140, line_id="2")

    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 500)
    assert desk.types().count("refund.overpaid") == 2


def test_a_use_of_units_whose_money_is_not_out_yet_is_told_when_it_is_and_never_after_a_release(
    desk: Desk,
) -> None:
    desk.asked(request_id="rr-1", lines=[units("2", 300)])
    desk.granted()
    desk.paid_out()
    desk.asked(request_id="rr-2", lines=[units("2", 700)])
    desk.granted()

    desk.used(700, line_id="2")
    desk.payout_failed()
    assert "refund.overpaid" not in desk.types()
    desk.reviewed("retry")
    desk.paid_out("po-552")
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 35_000)


def test_a_use_of_the_units_of_a_released_refund_costs_nobody_anything(desk: Desk) -> None:
    desk.asked(request_id="rr-1", lines=[units("2", 300)])
    desk.granted()
    desk.paid_out()
    desk.asked(request_id="rr-2", lines=[units("2", 700)])
    desk.granted()
    desk.used(700, line_id="2")
    desk.payout_failed()

    desk.reviewed("release")
    desk.used(701, line_id="2")

    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 50)


def test_a_use_of_units_that_upstream_took_back_is_no_use_of_those_that_were_refunded(desk: Desk) -> None:
    desk.asked(request_id="rr-1", lines=[units("2", 300)])
    desk.granted()
    desk.paid_out()
    desk.cancelled()

    desk.used(700, line_id="2")
    assert "refund.overpaid" not in desk.types()
    desk.used(701, line_id="2")

    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 50)


def test_a_use_of_units_that_are_left_is_no_use_of_those_that_went_back(desk: Desk) -> None:
    desk.asked(request_id="rr-1", lines=[units("2", 300)])
    desk.granted()
    desk.paid_out()

    desk.used(700, line_id="2")
    assert desk.last.type == "refund.completed.v1"
    desk.used(701, line_id="2")

    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 50)


def test_a_use_that_is_heard_of_while_the_holder_is_looked_at_is_reviewed_too(desk: Desk) -> None:
    desk.asked(destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()
    desk.used(1)

    desk.reviewed("approve")
    assert (desk.refund.state, desk.refund.why) == ("in_review", "used")
    assert desk.last.data["next"] == "operator_review"

    desk.reviewed("approve")
    assert desk.types() == ["refund.held", "refund.held", "refund.accepted"]


def test_what_an_operator_approved_is_not_reviewed_again_when_the_goods_beside_it_are_back() -> None:
    desk = Desk()
    desk.paid(line("1", 1, 30_000, kind="metered"), line("2", 10, kind="goods"))
    desk.used(1)
    desk.asked()
    assert desk.refund.why == "used"

    desk.reviewed("approve")
    assert desk.refund.why == "return_awaited"
    desk.returned()

    assert desk.last.type == "refund.accepted.v1"


def test_a_review_can_end_in_a_rejection(desk: Desk) -> None:
    desk.used(1)
    desk.asked()

    desk.reviewed("reject")

    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "review_rejected")


def test_readings_count_by_their_own_time_in_whatever_order_they_are_told() -> None:
    told = [(3, minutes(1)), (10, minutes(3)), (10, minutes(5)), (7, minutes(4)), (0, minutes(6))]
    for order in permutations(told):
        desk = Desk()
        desk.paid(line("1", 1_000, 50, kind="metered"))
        for used, after in order:
            desk.used(used, at=ACTIVATED_AT + after)
        desk.asked(1)
        assert desk.refund.why == "used"
        single = list(uses_of(desk))
        assert sum(used for _, used in single) == 10
        assert single[-1] == (ACTIVATED_AT + minutes(3), 7)


def uses_of(desk: Desk) -> list[tuple[datetime, int]]:
    return [tuple(each) for each in uses(desk.order.lines["1"].readings)]


def test_a_reading_that_says_nothing_new_changes_nothing(desk: Desk) -> None:
    desk.used(5)
    before = desk.order

    assert desk.used(5, at=desk.now + minutes(1)) == desk.used(4, at=desk.now + minutes(2)) == Applied(())

    assert desk.order is before


def test_usage_waits_for_the_payment_and_is_of_a_line_that_is_used_up() -> None:
    desk = Desk()
    assert isinstance(desk.used(1), Wait)
    desk.registered(line("1"))
    assert isinstance(desk.used(1), Wait)
    desk.paid(line("1"))

    for line_id in ("1", "9"):
        refused = desk.used(1, line_id=line_id)
        assert isinstance(refused, Reject)
        assert (refused.code, refused.pointer) == ("inconsistent", "/line_id")
