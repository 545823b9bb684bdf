"""What lines cost and what their units are worth: discounts, free units, free orders."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orders.decisions import cancellations, issuance, payments, refunds
from services.orders.decisions.payments import Arrival
from services.orders.state import OrderState
from shared.units import LineUnits
from tests.unit.orders.builders import (
    AT,
    cancelled,
    events,
    ids,
    line,
    new_id,
    paid_order,
    payment,
    pending,
    request,
    settled,
    types,
)

CONTENT = b"c" * 16


def refund(order, *asked, refund_id=None, everything=False):
    wanted = [LineUnits(*pair) for pair in asked]
    return refunds.claim_refund(order, refund_id or new_id(), wanted, "rr-1", AT, everything)


def issue(order, *lines):
    return settled(issuance.request_issuance(order, request(*lines), CONTENT, AT, ids()))


def granted_lines(decision):
    [(_, data)] = events(decision)
    return {each["line_id"]: each["quantity"] for each in data["lines"]}


def test_a_discount_lowers_what_the_order_costs():
    order = paid_order(line(discount=16_000), amount=158_400)

    assert (order.state, order.amount, order.paid) == (OrderState.PAID, 158_400, (144_000, 14_400))


def test_the_full_price_of_a_discounted_order_is_a_wrong_amount():
    decision = payments.record_payment(None, payment(line(discount=16_000)), Arrival("evt-1", AT), ids())

    assert events(decision)[0][1]["reason"] == "wrong_amount"


def test_a_discount_is_said_where_it_was_given():
    given_one = payments.register_order(None, pending(line(discount=16_000), line("2")), "evt-0", AT, False)

    [(_, data)] = events(given_one)
    assert data["amount"] == 334_400
    assert [each.get("discount", "none") for each in data["lines"]] == [16_000, "none"]


def test_another_discount_in_a_newer_snapshot_counts():
    order = settled(payments.register_order(None, pending(line(discount=10)), "evt-0", AT, False))

    assert types(payments.register_order(order, pending(line(discount=10)), "evt-1", AT, False)) == []
    newer = payments.register_order(order, pending(line(discount=11)), "evt-2", AT, False)
    assert types(newer) == ["order.registered"]
    assert settled(newer).lines["1"].discount == 11


def test_three_units_with_a_discount_of_ten_won_give_it_back_to_the_won():
    order = paid_order(line(quantity=3, unit_price=1_000, discount=10), amount=2_990, vat_mode="inclusive")
    won = []
    for _ in range(3):
        decision = refund(order, ("1", 1))
        won.append(events(decision)[0][1]["supply"] + events(decision)[0][1]["vat"])
        order = settled(decision)
    assert won == [997, 997, 996]


def test_a_cancellation_takes_back_what_the_open_units_are_worth():
    order = paid_order(line(quantity=3, unit_price=1_000, discount=10), amount=2_990, vat_mode="inclusive")

    decision = cancellations.cancel_payment(issue(order, ("1", 1)), cancelled())

    assert [data["amount"] for _, data in events(decision)] == [1_994, -996]


def test_an_order_for_nothing_is_paid_and_its_units_can_be_issued():
    order = paid_order(line(unit_price=0), amount=0, issue_policy="automatic")

    assert (order.state, order.amount, order.lines["1"].issuing) == (OrderState.PAID, 0, 100)


def test_free_units_go_back_for_nothing():
    order = paid_order(line(), line("2", 10, 0))

    [(name, data)] = events(refund(order, ("2", 4)))

    assert name == "refund.granted.v1"
    assert (data["lines"], data["supply"], data["vat"]) == ([{"line_id": "2", "quantity": 4}], 0, 0)


def test_open_free_units_go_with_the_last_priced_ones():
    order = issue(paid_order(line(), line("2", 10, 0)), ("2", 3))
    some = refund(order, ("1", 60))
    assert granted_lines(some) == {"1": 60}

    last = refund(settled(some), ("1", 40))

    assert granted_lines(last) == {"1": 40, "2": 7}
    assert events(last)[0][1]["supply"] == 64_000


def test_an_order_whose_priced_units_went_back_is_refunded_when_no_free_one_was_issued():
    refund_id = new_id()
    order = settled(refund(paid_order(line(), line("2", 10, 0)), ("1", 100), refund_id=refund_id))

    done = settled(refunds.complete_refund(order, refund_id, AT))

    assert (done.state, [li.refunded for li in done.lines.values()]) == (OrderState.REFUNDED, [100, 10])
    denied = issuance.request_issuance(done, request(), CONTENT, AT, ids())
    assert set(types(denied)) == {"issuance.denied"}


def test_free_units_that_were_issued_keep_the_order_paid():
    refund_id = new_id()
    order = issue(paid_order(line(), line("2", 10, 0)), ("2", 3))
    order = settled(refund(order, ("1", 100), refund_id=refund_id))

    done = settled(refunds.complete_refund(order, refund_id, AT))

    assert (done.state, done.lines["2"].issuing, done.lines["2"].refunded) == (OrderState.PAID, 3, 7)


def test_free_units_that_were_asked_for_in_part_are_named_once():
    order = paid_order(line(), line("2", 10, 0))

    assert granted_lines(refund(order, ("2", 4), ("1", 100))) == {"2": 10, "1": 100}


def test_an_order_stays_paid_when_one_of_two_priced_lines_went_back():
    refund_id = new_id()
    order = paid_order(line(), line("2", 5), line("3", 7, 0), amount=184_800)
    decision = refund(order, ("1", 100), refund_id=refund_id)

    done = settled(refunds.complete_refund(settled(decision), refund_id, AT))

    assert granted_lines(decision) == {"1": 100}
    assert (done.state, done.lines["3"].open) == (OrderState.PAID, 7)


def test_an_order_of_free_units_gives_up_only_what_is_asked():
    order = paid_order(line(unit_price=0), line("2", 10, 0), amount=0)

    assert granted_lines(refund(order, ("1", 1))) == {"1": 1}


def test_a_release_opens_the_free_units_too():
    refund_id = new_id()
    order = settled(refund(paid_order(line(), line("2", 10, 0)), ("1", 100), refund_id=refund_id))

    released = settled(refunds.release_refund(order, refund_id, AT))

    assert [li.open for li in released.lines.values()] == [100, 10]


@settings(max_examples=300, deadline=None)
@given(
    vat_mode=st.sampled_from(["exclusive", "inclusive"]),
    lines=st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 30), st.integers(0, 60)), min_size=1, max_size=3
    ),
    steps=st.lists(
        st.tuples(st.sampled_from(["refund", "release", "complete", "issue"]), st.integers(0, 9)), max_size=25
    ),
)
def test_no_won_of_an_order_is_lost_whatever_goes_back_in_whatever_order(vat_mode, lines, steps):
    sold = [
        line(str(n), quantity, price, discount=min(discount, quantity * price))
        for n, (quantity, price, discount) in enumerate(lines)
    ]
    order = settled(payments.register_order(None, pending(*sold, vat_mode=vat_mode), "evt-0", AT, False))
    order = paid_order(*sold, vat_mode=vat_mode, amount=order.expected)
    live: dict = {}
    completed = 0
    for step, which in steps:
        open_lines = [li for li in order.lines.values() if li.open]
        if step == "issue" and open_lines:
            li = open_lines[which % len(open_lines)]
            asked = request((li.line_id, 1), request_id=f"i-{which}-{len(order.requests)}")
            order = settled(issuance.request_issuance(order, asked, CONTENT, AT, ids()))
        elif step == "refund" and open_lines:
            li = open_lines[which % len(open_lines)]
            refund_id = new_id()
            decision = refund(order, (li.line_id, which % li.open + 1), refund_id=refund_id)
            [(_, data)] = events(decision)
            live[refund_id] = data["supply"] + data["vat"]
            order = settled(decision)
            assert min(data["supply"], data["vat"]) >= 0
        elif live:
            refund_id = sorted(live)[which % len(live)]
            won = live.pop(refund_id)
            if step == "release":
                order = settled(refunds.release_refund(order, refund_id, AT))
            else:
                completed += won
                order = settled(refunds.complete_refund(order, refund_id, AT))
        assert min(order.remaining) >= 0
        assert order.remaining.total + sum(live.values()) + completed == order.amount
        if not any(li.left and li.unit_price * li.quantity > li.discount for li in order.lines.values()):
            assert order.remaining == (0, 0)


@pytest.mark.parametrize("vat_mode", ["exclusive", "inclusive"])
def test_a_won_that_fell_between_two_released_refunds_goes_with_the_next(vat_mode):
    order = paid_order(
        line(quantity=5, unit_price=2, discount=2), vat_mode=vat_mode, amount=8
    )  # worth 8, 6, 4, 3, 1 and 0 won
    first, second = new_id(), new_id()
    order = settled(refund(order, ("1", 2), refund_id=first))
    order = settled(refund(order, ("1", 1), refund_id=second))
    order = settled(refunds.release_refund(order, second, AT))
    order = settled(refunds.release_refund(order, first, AT))

    assert order.remaining.total == 8
    [(_, data)] = events(refund(order, ("1", 5)))
    assert data["supply"] + data["vat"] == 8


def consumed_refund(order, *asked, consumed, everything=False, refund_id=None):
    wanted = [LineUnits(*pair) for pair in asked]
    return refunds.claim_refund(order, refund_id or new_id(), wanted, "rr-1", AT, everything, consumed)


def test_what_was_used_up_stays_paid_when_its_units_go_back():
    order = paid_order(line("1", 1, 10_000, kind="prepaid"), line("2", 3, 1_605), amount=16_296)
    refund_id = new_id()

    went = consumed_refund(order, ("1", 1), ("2", 3), consumed={"1": 1_500}, refund_id=refund_id)

    [(_, data)] = events(went)
    assert data["lines"][0] == {"line_id": "1", "quantity": 1, "consumed": 1_500}
    assert (data["supply"], data["vat"]) == (13_315, 1_331)
    assert went.state.remaining == (1_500, 150)

    done = refunds.complete_refund(went.state, refund_id, AT).state
    assert done.state is OrderState.PAID, "it was not refunded whole"
    assert refunds.release_refund(went.state, refund_id, AT).state.lines["1"].consumed == 0


def test_a_line_of_which_something_was_used_goes_whole_or_not_at_all():
    order = paid_order(line("1", 5, 1_000, kind="prepaid"), line("2", 3, 1_000), amount=8_800)
    order = refund(order, ("1", 1)).state

    went = consumed_refund(order, ("1", 5), ("2", 3), consumed={"1": 500}, everything=True)

    assert granted_lines(went) == {"2": 3}
    assert went.state.lines["1"].consumed == 0
