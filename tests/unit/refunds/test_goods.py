"""The rule of goods: asked for within seven days of the delivery, paid back when they are back."""

from datetime import datetime, timedelta

import pytest

from services.refunds.decisions.eligibility import eligibility
from services.refunds.decisions.reviews import possible
from services.refunds.policies.goods import return_window
from services.refunds.policies.rules import NOT_USED, Answer, Payment, Question
from services.refunds.state import Line
from shared.kst import KST, wire_time
from shared.runtime.decisions import Applied, Reject, Wait
from tests.unit.refunds.desk import ACCOUNT, PAID_AT, Desk, line, units

DELIVERED_AT = datetime(2026, 10, 23, 18, 30, tzinfo=KST)
LAST = datetime(2026, 10, 30, 23, 59, 59, 999_999, tzinfo=KST)
LAST_WITHOUT_DELIVERY = datetime(2026, 10, 28, 23, 59, 59, 999_999, tzinfo=KST)
A_MOMENT = timedelta(microseconds=1)


def ask(quantity: int | None, at: datetime, delivered_at: datetime | None = DELIVERED_AT) -> Answer:
    goods = Line("A-1", "1", 0, "goods", 5_500, 10, refunded=3, delivered_at=delivered_at)
    return return_window(Question(goods, Payment("card", "inclusive", PAID_AT), NOT_USED, quantity, at))


@pytest.mark.parametrize(
    ("delivered_at", "last"),
    [
        (DELIVERED_AT, LAST),
        (datetime(2026, 10, 23, tzinfo=KST), LAST),
        (datetime(2026, 10, 23, 23, 59, 59, 999_999, tzinfo=KST), LAST),
        (datetime.fromisoformat("2026-10-22T15:00:00Z"), LAST),
        (datetime.fromisoformat("2026-10-22T14:59:59Z"), LAST - timedelta(days=1)),
        (None, LAST_WITHOUT_DELIVERY),
    ],
)
def test_the_window_ends_with_the_seventh_day_after_the_delivery_or_the_payment(
    delivered_at: datetime | None, last: datetime
) -> None:
    late = Answer(0, last_instant=last, reason="window_over", since=last)

    assert ask(4, last, delivered_at) == Answer(4, last_instant=last, hold="return_awaited")
    assert ask(None, last, delivered_at) == Answer(7, last_instant=last, hold="return_awaited")
    assert ask(4, last + A_MOMENT, delivered_at) == ask(None, last + A_MOMENT, delivered_at) == late


def test_units_that_another_refund_has_are_refused_as_those_of_every_kind() -> None:
    assert ask(8, LAST) == Answer(0, last_instant=LAST, reason="already_refunded")
    assert ask(11, LAST) == Answer(0, last_instant=LAST, reason="more_than_paid")


@pytest.fixture
def desk() -> Desk:
    """A desk at which ten goods of 1,600 won and their VAT were delivered."""
    desk = Desk()
    desk.paid(line("1", quantity=10, kind="goods"))
    desk.delivered(at=DELIVERED_AT)
    desk.now = datetime(2026, 10, 24, 9, 0, tzinfo=KST)
    return desk


def test_a_refund_of_goods_waits_for_them_and_is_paid_when_they_are_back(desk: Desk) -> None:
    desk.asked(4)
    assert desk.last.type == "refund.held.v1"
    held = {name: desk.last.data[name] for name in ("reason", "next", "since", "deadline")}
    assert held == {
        "reason": "return_awaited",
        "next": "confirm_return",
        "since": "2026-10-24T09:00:00+09:00",
        "deadline": "2026-10-31T23:59:59.999999+09:00",
    }
    assert (desk.refund.state, possible(desk.refund)) == ("held", ("reject", "withdraw"))

    desk.now = datetime(2026, 11, 2, 10, 0, tzinfo=KST)
    desk.returned(confirmed_at=wire_time(desk.now - timedelta(hours=2)))

    assert desk.last.type == "refund.accepted.v1"
    assert desk.last.data["lines"] == [units("1", 4)]
    assert (desk.refund.returned_at, desk.refund.deadline) == (desk.now - timedelta(hours=2), None)
    desk.granted()
    desk.paid_out()
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.completed.v1", 7_040)


def test_a_return_that_is_late_or_told_twice_counts_once(desk: Desk) -> None:
    desk.asked(4)
    desk.now = datetime(2027, 3, 1, tzinfo=KST)

    desk.returned()
    assert desk.returned() == Applied(())

    assert desk.types() == ["refund.held", "refund.accepted"]


def test_only_what_came_back_is_refunded(desk: Desk) -> None:
    desk.asked(4)

    desk.returned(units("1", 3))

    assert desk.last.data["lines"] == [units("1", 3)]
    assert eligibility(desk.order, desk.now).units == 7


def test_of_everything_what_came_back_and_what_is_sent_nowhere_is_refunded() -> None:
    desk = Desk()
    desk.paid(line("1", quantity=10), line("2", quantity=10, kind="goods"))
    desk.asked()
    assert desk.refund.why == "return_awaited"

    desk.returned(units("2", 6))

    assert desk.last.data["lines"] == [units("1", 10), units("2", 6)]
    assert "everything" not in desk.last.data


def test_everything_that_came_back_is_everything(desk: Desk) -> None:
    desk.asked()

    desk.returned()

    assert (desk.last.data["lines"], desk.last.data["everything"]) == ([units("1", 10)], True)


@pytest.mark.parametrize("back", [units("1", 5), units("2", 1), units("9", 1)])
def test_more_than_was_asked_for_or_what_is_not_sent_cannot_come_back(back: dict[str, object]) -> None:
    desk = Desk()
    desk.paid(line("1", quantity=10, kind="goods"), line("2", quantity=10))
    desk.asked(request_id="rr-1", lines=[units("1", 4), units("2", 4)])

    refused = desk.returned(back)

    assert isinstance(refused, Reject)
    assert (refused.code, refused.pointer) == ("inconsistent", "/lines/0")


def test_a_return_is_of_goods_after_their_payment_and_of_a_refund_that_is_known(desk: Desk) -> None:
    desk.asked(4)
    before = desk.returned(confirmed_at=wire_time(PAID_AT - A_MOMENT))
    unknown = desk.deliver("return.confirmed.v1", {"refund_id": "rr-77"})
    serials = Desk()
    serials.paid()
    serials.asked(1)
    nothing = serials.returned()

    assert isinstance(before, Reject)
    assert (before.code, before.pointer) == ("out_of_range", "/confirmed_at")
    assert isinstance(unknown, Wait)
    assert isinstance(nothing, Reject)
    assert (nothing.code, nothing.pointer) == ("inconsistent", "/refund_id")


def test_a_holder_is_looked_at_before_goods_are_sent_back(desk: Desk) -> None:
    desk.asked(4, destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()

    desk.reviewed("approve")
    assert (desk.refund.state, desk.refund.why) == ("held", "return_awaited")
    assert isinstance(desk.proof_attached(), Reject)

    desk.returned()
    assert desk.types() == ["refund.held", "refund.held", "refund.accepted"]


def test_goods_that_came_back_early_are_not_awaited(desk: Desk) -> None:
    desk.asked(4, destination={**ACCOUNT, "holder": "홍길동"})
    desk.returned(units("1", 3))
    assert (desk.refund.state, desk.refund.why) == ("held", "holder_mismatch")
    desk.proof_attached()

    desk.reviewed("approve")

    assert (desk.last.type, desk.last.data["lines"]) == ("refund.accepted.v1", [units("1", 3)])


def test_the_return_of_a_refund_that_has_ended_is_kept_and_changes_nothing(desk: Desk) -> None:
    desk.asked(4)
    desk.reviewed("reject")

    desk.returned()

    assert (desk.refund.state, desk.refund.returned_at) == ("rejected", desk.now)
    assert desk.types() == ["refund.held", "refund.rejected"]


def test_after_the_window_goods_are_refused_and_the_answer_says_since_when(desk: Desk) -> None:
    desk.now = LAST + A_MOMENT

    desk.asked(4)

    said = desk.last.data
    assert (desk.last.type, said["reason"], said["at"]) == (
        "refund.rejected.v1",
        "window_over",
        wire_time(LAST),
    )


def test_each_line_follows_its_own_kind_and_named_lines_go_together() -> None:
    desk = Desk()
    desk.paid(line("1", quantity=10), line("2", quantity=10, kind="goods"))
    desk.now = LAST_WITHOUT_DELIVERY + A_MOMENT

    desk.asked(request_id="rr-1", lines=[units("1", 4), units("2", 4)])
    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "window_over")

    desk.asked(request_id="rr-2")
    assert (desk.last.type, desk.last.data["lines"]) == ("refund.accepted.v1", [units("1", 10)])
