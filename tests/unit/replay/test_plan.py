"""The same lines always give the same history, and each line has one fate."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.replay.documents import always_merges, partner_snapshot, unit_price
from ops.replay.outcomes import Surprise
from ops.replay.plan import Bought, Cancelled, Close
from ops.replay.planner import plan_history
from ops.replay.reader import Line, Unreadable, read_lines
from shared import business_number
from tests.unit.replay.histories import fates, line, planned, steps

EXAMPLE = Path(__file__).parents[3] / "examples" / "online_retail.csv.gz"


def test_a_document_is_an_order_of_its_customer_paid_at_its_time() -> None:
    plan = planned(line(quantity=24, price="3.75"), line(product="21724", quantity=12, price="0.85"))
    [paid] = steps(plan, "payment.completed")
    assert (paid.key, paid.time.isoformat()) == ("1001", "2011-03-01T10:00:00+09:00")
    assert paid.data["amount"] == (24 * 6000 + 12 * 1360) * 11 // 10
    assert paid.data["partner"]["partner_id"] == "C12583"
    assert (paid.data["evidence"], paid.data["issue_policy"]) == ("tax_invoice", "on_request")
    assert [sold["line_id"] for sold in paid.data["lines"]] == ["1", "2"]
    assert fates(plan) == [Bought("1001", "1"), Bought("1001", "2")]


def test_everything_left_is_asked_to_be_issued_five_days_later() -> None:
    [asked] = steps(planned(line()), "issuance")
    assert asked.time.isoformat() == "2011-03-06T10:00:00+09:00"
    assert "lines" not in asked.data


@pytest.mark.parametrize(("pounds", "won"), [("3.75", 6000), ("0.001", 2), ("0.0003", 0), ("0.0003125", 1)])
def test_a_pound_is_1600_won_and_a_unit_price_is_rounded_half_up(pounds: str, won: int) -> None:
    assert unit_price(Decimal(pounds)) == won


def test_one_product_twice_in_an_order_is_two_lines() -> None:
    [paid] = steps(planned(line(quantity=3), line(quantity=4)), "payment")
    assert [(sold["line_id"], sold["quantity"]) for sold in paid.data["lines"]] == [("1", 3), ("2", 4)]


def test_postage_stays_in_the_order_as_goods_and_an_order_of_charges_only_is_never_asked_to_issue() -> None:
    plan = planned(line(product="POST"), line("1002"), line("1002", product="M"))
    kinds = {paid.key: [sold["kind"] for sold in paid.data["lines"]] for paid in steps(plan, "payment")}
    assert kinds == {"1001": ["goods"], "1002": ["serials", "goods"]}
    assert [asked.key for asked in steps(plan, "issuance")] == ["1002"]


def test_a_free_line_is_ordered_but_an_order_worth_nothing_cannot_be_paid() -> None:
    plan = planned(line(), line(price="0"), line("1002", price="0"))
    assert fates(plan) == [Bought("1001", "1"), Bought("1001", "2"), Surprise.WORTHLESS]
    assert list(plan.orders) == ["1001"]


def test_an_order_of_more_than_a_thousand_lines_is_paid_in_parts() -> None:
    plan = planned(*(line() for _ in range(1001)))
    assert {order_id: len(order.units) for order_id, order in plan.orders.items()} == {
        "1001": 1000,
        "1001.2": 1,
    }
    assert fates(plan)[-1] == Bought("1001.2", "1")


def test_a_cancellation_asks_to_refund_the_customers_most_recent_earlier_order() -> None:
    plan = planned(
        line("1001"),
        line("1002", at="2011-03-02T10:00"),
        line("1003", at="2011-03-03T10:00", customer="99999"),
        line("C1004", quantity=-4, at="2011-03-03T11:00"),
        line("1005", at="2011-03-04T10:00"),
    )
    [asked] = steps(plan, "refund")
    assert (asked.key, asked.data["lines"]) == ("1002", [{"line_id": "1", "quantity": 4}])
    assert asked.data["destination"]["holder"] == partner_snapshot("12583")["name"]
    assert fates(plan)[3] == Cancelled((("1002", "C1004-1"),))


def test_a_cancellation_of_more_units_than_the_last_order_spreads_over_earlier_ones() -> None:
    plan = planned(
        line("1001", quantity=10),
        line("1002", quantity=3, at="2011-03-02T10:00"),
        line("1002", quantity=2, at="2011-03-02T10:00"),
        line("C1003", quantity=-9, at="2011-03-02T11:00"),
        line("C1004", quantity=-6, at="2011-03-02T12:00"),
    )
    asked = [
        (step.key, [(part["line_id"], part["quantity"]) for part in step.data["lines"]])
        for step in steps(plan, "refund")
    ]
    assert asked == [("1002", [("1", 3), ("2", 2)]), ("1001", [("1", 4)]), ("1001", [("1", 6)])]
    assert fates(plan)[3] == Cancelled((("1002", "C1003-1"), ("1001", "C1003-1")))


def test_each_unit_is_cancelled_once() -> None:
    plan = planned(line(), line("C1002", quantity=-10), line("C1003", quantity=-1))
    assert fates(plan)[1:] == [Cancelled((("1001", "C1002-1"),)), Surprise.TOO_MANY]


def test_two_lines_of_one_cancellation_are_two_requests_of_the_same_order() -> None:
    plan = planned(line(), line("C1002", quantity=-2), line("C1002", quantity=-3))
    assert [step.id for step in steps(plan, "refund")] == ["1001:C1002-1", "1001:C1002-2"]


@pytest.mark.parametrize(
    ("surprise", "lines"),
    [
        (Surprise.NEVER_BOUGHT, [line("C1", quantity=-1)]),
        (Surprise.NEVER_BOUGHT, [line(), line("C1", quantity=-1, at="2011-02-01T10:00")]),
        (Surprise.NEVER_BOUGHT, [line(), line("C2", quantity=-1, customer="99999")]),
        (Surprise.TOO_MANY, [line(), line("C2", quantity=-11)]),
        (Surprise.NOT_NEGATIVE, [line(), line("C2", quantity=1)]),
        (Surprise.NOT_POSITIVE, [line(), line(quantity=0)]),
        (Surprise.NOT_POSITIVE, [line(), line(quantity=-3)]),
        (Surprise.QUANTITY_LIMIT, [line(quantity=1_000_001)]),
        (Surprise.PRICE_LIMIT, [line(price="1E+999999")]),
        (Surprise.PRICE_NEGATIVE, [line(price="-0.01")]),
        (Surprise.NO_CUSTOMER, [line(customer="")]),
        (Surprise.OTHER_CUSTOMER, [line(), line(customer="99999")]),
        (Surprise.OTHER_CUSTOMER, [line(), line("C2", quantity=-1), line("C2", quantity=-1, customer="9")]),
        (Surprise.BLANK, [Unreadable(7, "an empty line")]),
        (Surprise.UNREADABLE, [Unreadable(7, "too few columns")]),
    ],
)
def test_every_surprise_has_a_name(surprise: Surprise, lines: list[Line | Unreadable]) -> None:
    assert surprise in fates(planned(*lines))


def test_every_second_partner_wants_one_invoice_a_month_and_says_so_before_its_first_payment() -> None:
    assert always_merges("12583")
    assert not always_merges("12584")
    plan = planned(line(), line("1002"), line("1003", customer="12584"))
    assert [step.type for step in steps(plan)][:2] == ["partner.changed.v1", "payment.completed.v1"]
    assert len(steps(plan, "partner")) == 1


def test_a_month_closes_after_its_cut_off_and_later_events_come_after_the_close() -> None:
    plan = planned(
        line("1001", at="2011-03-31T20:00"),
        line("C1002", quantity=-1, at="2011-04-05T18:00"),
        line("C1003", quantity=-1, at="2011-04-05T18:01"),
        close_months=True,
    )
    order = [entry.month if isinstance(entry, Close) else entry.id for entry in plan.history]
    assert order[-4:] == ["1001:C1002-1", "2011-03", "1001:C1003-1", "1001:issuance"]
    assert [e.at.isoformat() for e in plan.history if isinstance(e, Close)] == ["2011-04-05T18:00:01+09:00"]


def test_at_one_instant_what_a_person_asks_comes_before_what_the_calendar_asks() -> None:
    plan = planned(line(), line("C1002", quantity=-1, at="2011-03-06T10:00"))
    assert [step.type for step in steps(plan)][-2:] == ["refund.requested.v1", "issuance.requested.v1"]


def test_partners_get_valid_business_numbers_whatever_their_id() -> None:
    for customer in ("12583", "0", "Ω-17", "9" * 40):
        assert business_number.is_valid(partner_snapshot(customer)["business_number"])


lines_of_a_shop = st.builds(
    line,
    document=st.sampled_from(["1", "2", "3", "C4", "C5"]),
    product=st.sampled_from(["11111", "22222", "POST"]),
    quantity=st.integers(-6, 6),
    at=st.sampled_from(["2011-03-01T10:00", "2011-03-02T10:00", "2011-04-09T10:00"]),
    price=st.sampled_from(["0", "1.25"]),
    customer=st.sampled_from(["1", "2", ""]),
)


@given(st.lists(lines_of_a_shop, max_size=30))
def test_every_line_has_one_fate_and_no_unit_is_cancelled_that_was_not_bought(lines: list[Line]) -> None:
    plan = plan_history(lines)
    assert plan.fates.keys() == {source.number for source in lines}
    left = {(o.order_id, line_id): units for o in plan.orders.values() for line_id, units in o.units.items()}
    for step in steps(plan, "refund"):
        for part in step.data["lines"]:
            left[step.key, part["line_id"]] -= part["quantity"]
    assert min(left.values(), default=0) >= 0
    ids = [step.id for step in steps(plan)]
    assert len(ids) == len(set(ids))
    assert plan_history(lines) == plan


def test_the_example_is_planned_to_the_last_line() -> None:
    plan = plan_history(read_lines(EXAMPLE))
    kinds = [fate if isinstance(fate, Surprise) else type(fate) for fate in plan.fates.values()]
    assert len(kinds) == 37_466
    assert (kinds.count(Bought), kinds.count(Cancelled)) == (36_337, 1_023)
    surprises = (Surprise.NEVER_BOUGHT, Surprise.TOO_MANY, Surprise.WORTHLESS)
    assert [kinds.count(surprise) for surprise in surprises] == [87, 15, 4]
    assert len(plan.orders) == 1_626
