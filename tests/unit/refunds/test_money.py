"""Not a won and not a unit is lost or made, whatever happens in whatever order."""

from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.refunds.decisions.eligibility import eligibility
from shared.kst import KST
from shared.money import Money
from tests.unit.refunds.desk import ORDER, Desk, line

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "ask",
                "ask_everything",
                "grant",
                "deny",
                "pay",
                "fail",
                "bounce",
                "pay_again",
                "retry",
                "release",
                "issue",
                "take_back",
            ]
        ),
        st.integers(0, 9),
        st.integers(1, 9),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(
    vat_mode=st.sampled_from(["exclusive", "inclusive"]),
    prices=st.lists(st.integers(0, 37), min_size=1, max_size=2),
    quantity=st.integers(1, 12),
    discount=st.integers(0, 40),
    steps=STEPS,
)
def test_remaining_and_refunded_are_always_what_was_paid(
    vat_mode: str, prices: list[int], quantity: int, discount: int, steps: list[tuple[str, int, int]]
) -> None:
    desk = Desk()
    lines = [
        line(str(n), quantity, price, discount=min(discount, price * quantity))
        for n, price in enumerate(prices)
    ]
    desk.paid(*lines, vat_mode=vat_mode)

    for number, (step, which, size) in enumerate(steps):
        _take(desk, step, which, size, f"rr-{number}")  # the desk checks every promise after each step

    assert all(refund.amount >= 0 for refund in desk.refunds if refund.money is not None)


@settings(max_examples=50, deadline=None)
@given(vat_mode=st.sampled_from(["exclusive", "inclusive"]), shares=st.lists(st.integers(1, 9), min_size=1))
def test_refunding_all_units_gives_back_exactly_what_was_paid(vat_mode: str, shares: list[int]) -> None:
    desk = Desk()
    desk.paid(line("1", sum(shares), 1_999), vat_mode=vat_mode)

    for number, share in enumerate(shares):
        desk.asked(share, f"rr-{number}")
        desk.granted()

    assert desk.order.remaining == Money(0, 0)


@pytest.mark.parametrize(
    ("vat_mode", "quantity", "price", "first", "second", "last"),
    [("exclusive", 9, 3, 2, 4, 1), ("inclusive", 9, 2, 3, 1, 2)],
)
def test_a_refund_after_a_release_takes_no_negative_vat(
    vat_mode: str, quantity: int, price: int, first: int, second: int, last: int
) -> None:
    """The first refund comes back after the second was granted: what is left has a won of VAT less than its
    supply value says, so that VAT(before) - VAT(after) would be -1."""
    desk = Desk()
    desk.paid(line("1", quantity, price), vat_mode=vat_mode)
    desk.asked(first, "rr-1")
    desk.granted()
    released = desk.refund
    desk.asked(second, "rr-2")
    desk.granted()
    desk.payout_failed(of=released)
    desk.reviewed("release", of=released)

    desk.asked(last, "rr-3")
    desk.granted()

    assert desk.refund.money is not None
    assert desk.refund.money.vat == 0


def test_five_refunds_of_two_thousand_won_give_back_the_vat_to_the_won() -> None:
    desk = Desk()
    desk.paid(line("1", 5, 2_000), vat_mode="inclusive")

    for number in range(5):
        desk.asked(1, f"rr-{number}")
        desk.granted()

    vats = [refund.money.vat for refund in desk.refunds if refund.money]
    assert (sum(vats), sorted(vats)) == (909, [181, 182, 182, 182, 182])


def test_eligibility_says_how_much_and_why_not() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", 10), line("3", 5, kind="goods"))
    desk.issuance_granted(10, "2")

    answer = eligibility(desk.order, desk.now)

    assert (answer.units, answer.amount, answer.fee) == (105, 184_800, 0)
    assert answer.last_instant == datetime(2026, 10, 28, 23, 59, 59, 999_999, tzinfo=KST)
    assert answer.destination == "bank_account"
    assert [(row.paid, row.refundable, row.reason, row.since) for row in answer.lines] == [
        (100, 100, None, None),
        (10, 0, "issued", desk.now),
        (5, 5, None, None),
    ]
    assert [row.hold for row in answer.lines] == [None, None, "return_awaited"]


@pytest.mark.parametrize(
    ("method", "destination"),
    [("virtual_account", "bank_account"), ("card", "original_card"), ("mycash", "mycash")],
)
def test_eligibility_says_where_the_money_would_go_and_from_when_on_it_is_expected(
    method: str, destination: str
) -> None:
    desk = Desk()
    desk.paid(payment_method=method)

    answer = eligibility(desk.order, datetime(2026, 10, 22, 10, 0, tzinfo=KST))

    assert (answer.destination, answer.expected_on) == (destination, date(2026, 10, 27))


def test_eligibility_of_an_order_without_money_says_what_became_of_it() -> None:
    waiting, expired, taken_back = Desk(), Desk(), Desk()
    waiting.registered()
    expired.registered()
    expired.expired()
    taken_back.paid()
    taken_back.cancelled()

    answers = [eligibility(desk.order, desk.now) for desk in (waiting, expired, taken_back)]

    reasons = ["not_paid", "order_expired", "order_cancelled"]
    assert [(answer.units, answer.amount, answer.reason) for answer in answers] == [
        (0, 0, reason) for reason in reasons
    ]
    assert [answer.lines[0].reason for answer in answers[:2]] == reasons[:2]
    assert [answer.expected_on for answer in answers] == [None, None, None]


def test_eligibility_of_an_app_store_payment_is_nothing() -> None:
    desk = Desk()
    desk.paid(payment_method="app_store")

    answer = eligibility(desk.order, desk.now)

    assert (answer.order_id, answer.reason, answer.units, answer.amount) == (ORDER, "app_store", 0, 0)
    assert [(row.refundable, row.reason) for row in answer.lines] == [(0, "app_store")]


def _take(desk: Desk, step: str, which: int, size: int, request_id: str) -> None:
    cancelled = desk.order.state == "cancelled"
    lines = list(desk.order.lines.values())
    row = lines[which % len(lines)]
    refunds = [refund for refund in desk.refunds if refund.state not in ("rejected", "denied")]
    refund = refunds[which % len(refunds)] if refunds else None
    match step:
        case "ask":
            desk.asked(request_id=request_id, lines=[{"line_id": row.line_id, "quantity": size}])
        case "ask_everything":
            desk.asked(request_id=request_id)
        case "issue" if row.open and not cancelled:
            desk.issuance_granted(min(size, row.open), row.line_id)
        case "take_back" if not cancelled and size == 1:
            desk.cancelled()
        case _:
            if refund is not None:
                _answer(desk, step, refund.refund_id.int)


def _answer(desk: Desk, step: str, refund_id: int) -> None:
    """What orders and checkout may say about this refund; orders grants only what is open."""
    refund = next(refund for refund in desk.refunds if refund.refund_id.int == refund_id)
    fits = all(desk.order.lines[share.line_id].open >= share.quantity for share in refund.lines)
    match step:
        case "grant" | "deny" if refund.state == "accepted":
            if step == "grant" and fits:
                desk.granted(refund)
            else:
                desk.denied(desk.now, refund=refund)
        case "pay":
            desk.paid_out(of=refund)
        case "fail":
            desk.payout_failed(of=refund)
        case "bounce" if refund.payouts:
            desk.payout_failed(payout_id=refund.payouts[-1].payout_id, of=refund)
        case "pay_again":
            desk.paid_out(f"po-{len(refund.payouts)}", of=refund)
        case "retry" | "release":
            desk.reviewed(step, of=refund)
        case _:
            return
