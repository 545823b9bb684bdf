"""The rule of prepaid cash: unused it goes back whole, else its remaining paid balance less a fee."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.refunds.decisions.eligibility import eligibility
from services.refunds.policies.prepaid import remaining_balance
from services.refunds.policies.rules import NOT_USED, Answer, Payment, Question, Usage
from services.refunds.state import Bonus, Line, Reading
from shared.kst import KST, wire_time
from shared.runtime.decisions import Reject, Wait
from tests.unit.refunds.desk import PAID_AT, Desk, line, minutes, units

FREE_UNTIL = datetime(2026, 10, 28, 23, 59, 59, 999_999, tzinfo=KST)
LAST = datetime(2031, 10, 21, 23, 59, 59, 999_999, tzinfo=KST)
A_MOMENT = timedelta(microseconds=1)
USED_AT = PAID_AT + minutes(60)


def ask(at: datetime, quantity: int | None = None, used: int = 0, **more: Any) -> Answer:
    """What the rule says about 20 x 1,000 won with VAT, of which so many won were used."""
    readings = (Reading("A-1", "1", USED_AT, used),) if used else ()
    cash = Line("A-1", "1", 0, "prepaid", 1_000, 20, readings=readings, **more)
    usage = Usage(used, USED_AT) if used else NOT_USED
    return remaining_balance(Question(cash, Payment("card", "inclusive", PAID_AT), usage, quantity, at))


@pytest.mark.parametrize("quantity", [None, 20])
def test_unused_cash_goes_back_whole_and_free_to_the_end_of_the_seventh_day(quantity: int | None) -> None:
    assert ask(FREE_UNTIL, quantity) == Answer(20, last_instant=FREE_UNTIL)
    assert ask(FREE_UNTIL + A_MOMENT, quantity) == Answer(20, fee=2_000, last_instant=LAST)


def test_used_cash_goes_back_less_what_was_used_and_a_fee_of_the_rest() -> None:
    assert ask(FREE_UNTIL, used=5_000) == Answer(20, fee=1_500, last_instant=LAST, consumed=5_000)
    assert ask(LAST, used=13_000) == Answer(20, fee=1_000, last_instant=LAST, consumed=13_000)


def test_a_balance_that_the_least_fee_eats_and_one_that_is_used_up_are_refused() -> None:
    refused = Answer(0, last_instant=LAST, reason="balance_too_small")
    assert (
        ask(FREE_UNTIL, used=19_000) == ask(FREE_UNTIL, used=20_000) == ask(FREE_UNTIL, used=10**9) == refused
    )
    assert ask(FREE_UNTIL, used=18_999).units == 20


def test_after_five_years_nothing_goes_back() -> None:
    late = Answer(0, last_instant=LAST, reason="balance_expired", since=LAST)
    assert ask(LAST + A_MOMENT) == ask(LAST + A_MOMENT, used=1) == late


def test_a_part_is_never_refunded_and_what_others_have_is_refused_as_of_every_kind() -> None:
    assert ask(FREE_UNTIL, 19) == Answer(0, last_instant=LAST, reason="whole_balance_only")
    assert ask(FREE_UNTIL, 20, refunding=20).reason == "refund_in_progress"
    assert ask(FREE_UNTIL, refunded=20).reason == "nothing_left"


def test_free_cash_has_no_fee() -> None:
    assert ask(LAST, discount=20_000) == Answer(20, last_instant=LAST)


@pytest.mark.parametrize(
    ("used_at", "consumed"),
    [
        (USED_AT - A_MOMENT, 3_000),
        (USED_AT, 1_000),
        (datetime(2026, 10, 25, 23, 59, 59, 999_999, tzinfo=KST), 1_000),
        (datetime(2026, 10, 26, tzinfo=KST), 3_000),
    ],
)
def test_a_bonus_burns_from_its_grant_to_the_end_of_the_day_on_which_it_expires(
    used_at: datetime, consumed: int
) -> None:
    bonus = Bonus("A-1", "1", 0, 2_000, USED_AT, datetime(2026, 10, 25, 9, tzinfo=KST))
    readings = (Reading("A-1", "1", used_at, 3_000),)
    cash = Line("A-1", "1", 0, "prepaid", 1_000, 20, readings=readings, bonuses=(bonus,))

    payment = Payment("card", "inclusive", PAID_AT)
    answer = remaining_balance(Question(cash, payment, Usage(3_000, used_at), None, FREE_UNTIL))

    assert answer.consumed == consumed


@pytest.fixture
def desk() -> Desk:
    """A desk with 10,000 won of prepaid cash, VAT in it."""
    desk = Desk()
    desk.paid(line("1", 1, 10_000, kind="prepaid"), vat_mode="inclusive")
    return desk


def test_what_was_used_stays_paid_and_the_fee_is_kept_apart(desk: Desk) -> None:
    desk.used(1_500)

    desk.asked()
    assert desk.last.data["lines"] == [{**units("1", 1), "consumed": 1_500}]
    desk.granted()
    desk.paid_out()

    done = desk.last.data
    assert done["lines"] == [{**units("1", 1), "consumed": 1_500}]
    assert (done["supply"] + done["vat"], done["fee"], done["amount"]) == (8_500, 1_000, 7_500)
    assert (desk.order.remaining.total, desk.order.lines["1"].consumed) == (1_500, 1_500)


def test_prices_without_vat_give_back_the_vat_of_the_rest() -> None:
    desk = Desk()
    desk.paid(line("1", 1, 10_000, kind="prepaid"))
    desk.used(1_500)

    desk.asked()
    desk.granted()

    refund = desk.refund
    assert (refund.money, refund.fee, refund.amount) == ((8_500, 850), 1_000, 8_350)


def test_a_part_is_refused_with_what_would_be_possible(desk: Desk) -> None:
    desk = Desk()
    desk.paid(line("1", 10, 1_000, kind="prepaid"), vat_mode="inclusive")
    desk.used(1_500)

    desk.asked(4)

    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "whole_balance_only")
    assert desk.last.data["lines"] == [{**units("1", 4), "left": 10, "amount": 7_500, "fee": 1_000}]


def test_of_a_balance_that_is_too_small_nothing_would_be_possible_either() -> None:
    desk = Desk()
    desk.paid(line("1", 10, 1_000, kind="prepaid"), vat_mode="inclusive")
    desk.used(9_500)

    desk.asked(4)

    assert desk.last.data["lines"] == [{**units("1", 4), "left": 10}]


def test_a_use_that_was_recorded_before_a_late_bonus_is_judged_anew() -> None:
    told = [
        ("balance.granted.v1", {"line_id": "1", "bonus": 2_000, "expires_at": wire_time(FREE_UNTIL)}, 1),
        (
            "usage.recorded.v1",
            {"line_id": "1", "used": 500, "recorded_at": wire_time(USED_AT + minutes(2))},
            2,
        ),
        (
            "usage.recorded.v1",
            {"line_id": "1", "used": 3_000, "recorded_at": wire_time(USED_AT + minutes(3))},
            3,
        ),
    ]
    for order in permutations(told):
        desk = Desk()
        desk.paid(line("1", 1, 10_000, kind="prepaid"), vat_mode="inclusive")
        for type_name, data, after in order:
            desk.now = USED_AT + minutes(after)
            desk.deliver(type_name, data)

        desk.asked()

        assert desk.refund.consumed == {"1": 1_000}


def test_a_released_refund_opens_the_balance_again(desk: Desk) -> None:
    desk.used(1_500)
    desk.asked()
    desk.granted()
    desk.payout_failed()

    desk.reviewed("release")

    assert (desk.order.remaining.total, desk.order.lines["1"].consumed) == (10_000, 0)
    desk.asked(request_id="rr-2")
    desk.granted()
    assert desk.last.data["amount"] == 7_500


def paid_back(desk: Desk) -> None:
    desk.asked()
    desk.granted()
    desk.paid_out()


def test_a_use_that_is_heard_of_after_the_refund_is_told_once_for_its_won(desk: Desk) -> None:
    desk.used(1_500)
    paid_back(desk)

    desk.used(4_000, at=USED_AT)
    first = desk.last
    desk.used(4_000, at=USED_AT + minutes(1))
    desk.used(4_600, at=USED_AT + minutes(2))

    assert (first.type, first.data["amount"], first.data["line_id"]) == ("refund.overpaid.v1", 2_500, "1")
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 600)
    assert desk.last.data["used_at"] == wire_time(USED_AT + minutes(2))
    assert desk.story()[-1] == ("completed", "checkout", "used_after_refund")
    assert desk.types().count("refund.overpaid") == 2


def test_no_more_is_told_than_went_back(desk: Desk) -> None:
    desk.used(1_500)
    paid_back(desk)

    desk.used(10**9)

    assert desk.last.data["amount"] == 8_500


def test_a_use_that_is_heard_of_while_the_money_is_on_its_way_is_told_with_the_completion(desk: Desk) -> None:
    desk.asked()
    desk.granted()
    desk.used(2_000)
    assert desk.types() == ["refund.accepted", "refund.payout_requested"]

    desk.paid_out()

    assert desk.types()[-2:] == ["refund.completed", "refund.overpaid"]
    assert desk.last.data["amount"] == 2_000


def test_a_use_of_bonus_cash_after_the_refund_costs_nobody_anything(desk: Desk) -> None:
    desk.now = USED_AT
    desk.bonus(2_000, FREE_UNTIL)
    paid_back(desk)

    desk.used(2_000)

    assert desk.last.type == "refund.completed.v1"


def told_late(desk: Desk, won: int) -> None:
    """A bonus of which nobody had heard, granted an hour before anything was used."""
    now, desk.now = desk.now, USED_AT - minutes(60)
    desk.bonus(won, FREE_UNTIL)
    desk.now = now


def test_a_bonus_that_is_told_after_the_payout_is_judged_anew_and_told_with_its_won(desk: Desk) -> None:
    desk.used(1_500, at=USED_AT)
    paid_back(desk)

    told_late(desk, 1_000)
    first = desk.last
    told_late(desk, 800)
    told_late(desk, 700)

    assert (first.type, first.data["amount"], first.data["line_id"]) == ("refund.underpaid.v1", 1_000, "1")
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.underpaid.v1", 500)
    assert desk.types().count("refund.underpaid") == 2
    assert desk.story()[-1] == ("completed", "checkout", "bonus_after_refund")


def test_a_late_bonus_takes_back_what_was_told_to_be_overpaid_and_more_use_is_told_again(desk: Desk) -> None:
    paid_back(desk)
    desk.used(2_500, at=USED_AT)
    assert desk.last.data["amount"] == 2_500

    told_late(desk, 2_000)
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.underpaid.v1", 2_000)
    desk.used(2_600, at=USED_AT + minutes(1))

    assert (desk.last.type, desk.last.data["amount"]) == ("refund.overpaid.v1", 100)


def test_a_bonus_that_is_told_while_the_money_is_on_its_way_is_told_with_the_completion(desk: Desk) -> None:
    desk.used(1_500, at=USED_AT)
    desk.asked()
    desk.granted()
    told_late(desk, 1_000)
    assert desk.types() == ["refund.accepted", "refund.payout_requested"]

    desk.paid_out()

    assert desk.types()[-2:] == ["refund.completed", "refund.underpaid"]
    assert desk.last.data["amount"] == 1_000


def test_a_bonus_of_after_the_use_changes_nothing_of_a_refund(desk: Desk) -> None:
    desk.used(1_500, at=USED_AT)
    paid_back(desk)

    desk.bonus(1_000, FREE_UNTIL)

    assert desk.last.type == "refund.completed.v1"


def test_the_last_other_unit_of_the_order_takes_no_won_of_what_was_used() -> None:
    desk = Desk()
    desk.paid(line("1", 1, 10_000, kind="prepaid"), line("2", 3, 1_605), vat_mode="inclusive")
    desk.used(1_500)

    desk.asked()
    desk.granted()

    assert (desk.refund.amount, desk.refund.fee) == (8_500 + 4_815 - 1_000, 1_000)
    assert desk.order.remaining.total == 1_500
    assert eligibility(desk.order, desk.now).units == 0


def test_a_balance_that_is_granted_alone_keeps_the_fee_of_its_acceptance() -> None:
    desk = Desk()
    desk.paid(line("1", 1, 10_000, kind="prepaid"), line("2", 3, 1_000), vat_mode="inclusive")
    desk.used(1_500)
    desk.asked()
    desk.used(9_500, at=USED_AT + minutes(1))

    desk.granted(lines=[{**units("1", 1), "consumed": 1_500}])

    assert (desk.refund.amount, desk.refund.fee) == (7_500, 1_000)


def test_bonus_waits_for_the_payment_and_is_of_prepaid_cash() -> None:
    desk = Desk()
    assert isinstance(desk.bonus(1, FREE_UNTIL), Wait)
    desk.paid(line("1", kind="metered"))

    refused = desk.bonus(1, FREE_UNTIL)

    assert isinstance(refused, Reject)
    assert (refused.code, refused.pointer) == ("inconsistent", "/line_id")
