"""Every won that arrives has a place, whatever comes in whatever order (docs/domain.md, Payments)."""

from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest

from services.orders.state import OrderState
from shared.events.checkout import PaymentFailed
from shared.runtime.decisions import Applied, Reject, Wait
from tests.unit.orders.builders import (
    AT,
    DEADLINE,
    accepted,
    cancelled,
    completed,
    decision,
    line,
    payment,
    pending,
    released,
    request,
)
from tests.unit.orders.shop import Shop

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
REFUND = UUID(int=0x77)
MUSIC = {**line(), "product_id": "music-30"}
NARAE = {
    "partner_id": "P-narae",
    "business_number": "1348672683",
    "name": "Narae",
    "invoice_email": "tax@narae.example",
}


def refunded(**more) -> Shop:
    """An order that was refunded as a whole."""
    shop = Shop()
    shop.hear(payment(**more), accepted(("1", 100), refund_id=REFUND), completed(REFUND))
    assert shop.order.state is OrderState.REFUNDED
    return shop


# The snapshot at payment counts


def test_the_goods_that_were_paid_are_the_order_and_the_event_says_what_differs():
    shop = Shop()
    shop.hear(pending(line()), payment(MUSIC, issue_policy="automatic"))

    assert shop.order.lines["1"].product_id == "music-30"
    paid = next(data for name, data in shop.said if name == "order.paid")
    assert paid["differs"] == ["/issue_policy", "/lines/0/product_id"]
    assert "issuance.granted" in {name.removesuffix(".v2") for name in shop.types}


def test_a_payment_with_another_number_method_and_evidence_replaces_those_of_the_pending_order():
    partner = {
        "partner_id": "P-17",
        "business_number": "1348672683",
        "name": "Ganada",
        "invoice_email": "tax@ganada.example",
    }
    shop = Shop()
    shop.hear(pending(), payment(partner=partner, payment_method="card", evidence="card_slip"))

    order = shop.order
    assert (order.payment_method, order.evidence, order.partner) == ("card", "card_slip", partner)
    assert shop.said[-1][1]["differs"] == ["/partner/business_number", "/payment_method", "/evidence"]


def test_fewer_lines_at_other_prices_are_paid_by_what_they_come_to():
    shop = Shop()
    shop.hear(pending(line("1"), line("2", 10)), payment(line("2", 5, 2_000), amount=11_000))

    assert list(shop.order.lines) == ["2"]
    assert (shop.order.amount, shop.order.expected) == (11_000, 11_000)


def test_what_does_not_differ_is_not_said():
    shop = Shop()
    shop.hear(pending(), payment())
    assert "differs" not in shop.said[-1][1]


def test_either_order_of_arrival_gives_the_same_order():
    ends = []
    for documents in permutations([pending(line(), business_type="retail"), payment(MUSIC)]):
        shop = Shop()
        shop.hear(*documents)
        order = shop.order
        ends.append((order.state, order.lines, order.partner, order.amount, order.expected, order.cases))
    assert ends[0] == ends[1]


def test_a_pending_order_of_another_partner_is_no_news_about_a_paid_one():
    shop = Shop()
    shop.hear(payment())
    outcome = shop.take(pending(line("1", 500, 2_400), partner=NARAE))
    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/partner/partner_id")


# A pending order again


def test_the_newer_of_two_pending_orders_counts_whichever_came_first():
    early = (pending(line(), deadline=DEADLINE), AT)
    late = (pending(MUSIC, deadline=DEADLINE + HOUR), AT + MINUTE)
    for story in permutations([early, late]):
        shop = Shop()
        for document, at in story:
            assert isinstance(shop.take(document, at), Applied)
        assert shop.order.deposit_deadline == DEADLINE + HOUR
        assert shop.order.lines["1"].product_id == "music-30"


def test_an_extended_deadline_is_told_and_lets_a_later_deposit_pay():
    shop = Shop()
    shop.take(pending(deadline=AT + HOUR))
    shop.take(pending(deadline=AT + 3 * HOUR), AT + MINUTE)
    assert shop.types == ["order.registered", "order.registered"]
    assert shop.hear(payment(at=AT + 2 * HOUR)) == ["order.paid"]


def test_the_same_pending_order_later_says_nothing_new():
    shop = Shop()
    shop.take(pending())
    shop.take(pending(), AT + MINUTE)
    assert shop.types == ["order.registered"]


@pytest.mark.parametrize("end", [payment(at=DEADLINE + HOUR), None])
def test_an_order_that_is_over_needs_a_new_id(end):
    shop = Shop()
    shop.hear(pending())
    shop.hear(*([end] if end else [payment(), cancelled()]))
    outcome = shop.take(pending(), AT + HOUR)
    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/order_id")
    assert "use a new order id" in outcome.detail


def test_an_attempt_that_failed_changes_nothing_whether_its_order_is_known_or_not():
    failed = PaymentFailed(order_id="A-1", attempt_id="t-1", reason="card_declined", failed_at=AT.isoformat())
    shop = Shop()
    assert shop.take(failed) == Applied()
    shop.hear(pending())
    assert shop.take(failed) == Applied()
    assert shop.order.state is OrderState.PENDING_DEPOSIT


# A payment pays one order, once


def test_the_same_payment_told_again_is_known():
    shop = Shop()
    assert shop.hear(payment(), payment(), payment()) == ["order.paid"]


def test_no_discount_is_the_same_as_a_discount_of_nothing():
    shop = Shop()
    assert shop.hear(payment(), payment(line(discount=0)), payment(line(discount=None))) == ["order.paid"]
    assert shop.held == 0


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 180_000},
        {"partner": NARAE},
        {"vat_mode": "inclusive"},
    ],
)
def test_a_known_payment_with_other_content_is_a_conflict_once(other):
    shop = Shop()
    shop.hear(payment())
    assert shop.hear(payment(**other), payment(**other)) == ["payment.quarantined"]
    assert [case[:3] for case in shop.cases] == [("pay-1", "payment_conflict", other.get("amount", 176_000))]
    assert shop.hear(payment()) == []


def test_other_goods_under_a_known_payment_are_a_conflict():
    shop = Shop()
    shop.hear(payment())
    assert shop.hear(payment(MUSIC)) == ["payment.quarantined"]
    assert shop.order.lines["1"].product_id == "study-1"


@pytest.mark.parametrize(
    "other",
    [
        {"line_id": "2", "product_id": "study-1"},
        {"kind": "goods"},
        {"product_id": "music-1"},
        {"unit_price": 1_601, "discount": 100},
        {"quantity": 50, "unit_price": 3_200},
        {"usage_days": 31},
        {"discount": 1},
    ],
)
def test_whatever_else_a_known_payment_says_of_its_goods_is_a_conflict_but_for_their_name(other):
    shop = Shop()
    shop.hear(payment())
    assert shop.hear(payment(line(product_name="Study pass 30"))) == []
    assert shop.hear(payment(line(**other)), payment(line(**other))) == ["payment.quarantined"]


def test_a_payment_that_pays_another_order_is_kept_apart_once():
    shop = Shop()
    shop.hear(payment())
    shop.take(payment(), order_id="A-2")
    shop.take(payment(), order_id="A-2")
    other = shop.world.orders["A-2"]
    assert other.state is OrderState.UNPAID
    assert [case.reason for case in other.cases.values()] == ["payment_used"]
    shop.take(payment(payment_id="pay-2"), order_id="A-2")
    assert shop.world.orders["A-2"].state is OrderState.PAID


def test_nothing_pays_what_costs_nothing():
    shop = Shop()
    assert shop.hear(payment(line(unit_price=0), amount=0)) == ["order.paid"]
    assert shop.hear(payment(line(unit_price=0), amount=0, payment_id="pay-2")) == []
    assert shop.order.cases == {}


def test_a_deposit_made_again_after_its_cancellation_is_new_money_for_a_closed_order():
    shop = Shop()
    shop.hear(pending(), payment(), cancelled(at=AT + HOUR))
    again = payment(at=AT + 2 * HOUR)
    assert shop.hear(again, again) == ["payment.quarantined"]
    assert shop.cases == [("pay-1", "order_closed", 176_000, None)]


def test_a_deposit_made_at_the_very_moment_of_the_cancellation_is_new_money_too():
    shop = Shop()
    shop.hear(payment(), cancelled(at=AT + HOUR))
    assert shop.hear(payment(at=AT + HOUR)) == ["payment.quarantined"]


def test_a_deposit_made_again_pays_an_order_that_still_waits_for_it():
    shop = Shop()
    shop.hear(pending(), cancelled(at=AT - HOUR))
    assert shop.hear(payment()) == ["order.paid"]


def test_a_deposit_made_again_is_taken_back_like_any_other():
    shop = Shop()
    shop.hear(pending(), cancelled(at=AT - HOUR), payment())
    assert shop.hear(cancelled(at=AT + HOUR)) == ["order.cancelled"]
    assert shop.order.state is OrderState.CANCELLED


def test_a_cancellation_takes_nothing_back_that_was_paid_after_it():
    shop = Shop()
    shop.hear(payment(amount=7, at=AT + 2 * HOUR), payment(at=AT), cancelled(at=AT + HOUR))
    assert shop.cases == [
        ("pay-1", "wrong_amount", 7, None),
        ("pay-1", "payment_conflict", 176_000, "taken_back"),
    ]


def test_a_cancellation_leaves_an_order_that_was_paid_after_it():
    shop = Shop()
    shop.hear(payment(at=AT + 2 * HOUR), payment(amount=7), cancelled(at=AT + HOUR))
    assert (shop.order.state, shop.cases) == (
        OrderState.PAID,
        [("pay-1", "payment_conflict", 7, "taken_back")],
    )
    assert shop.hear(cancelled(at=AT + 3 * HOUR)) == ["order.cancelled"]


def test_the_news_of_a_payment_that_was_taken_back_before_it_came_changes_nothing():
    shop = Shop()
    shop.hear(pending(), cancelled(at=AT + HOUR))
    assert shop.hear(payment(issue_policy="automatic")) == []
    assert shop.hear(payment(payment_id="pay-2")) == ["order.paid"]


def test_a_chargeback_that_is_won_back_ends_the_case_of_its_amount_once():
    shop = Shop()
    shop.hear(payment(issue_policy="automatic"), cancelled(at=AT + HOUR))
    assert shop.held == -176_000
    again = payment(issue_policy="automatic", at=AT + 2 * HOUR)
    assert shop.hear(again, again) == ["quarantine.settled"]
    assert shop.cases == [("pay-1", "cancelled_after_issue", -176_000, "reinstated")]
    assert shop.order.state is OrderState.CANCELLED


@pytest.mark.parametrize("policy", ["automatic", "on_request"])
def test_money_paid_again_is_told_from_a_repeat_whichever_news_comes_first(policy):
    first, gone = payment(issue_policy=policy), cancelled(at=AT + HOUR)
    again = payment(issue_policy=policy, at=AT + 2 * HOUR)
    ends = []
    for story in ([first, gone, again], [first, again, gone]):
        shop = Shop()
        shop.hear(*story, again, gone)
        ends.append((shop.order.state, shop.cases, shop.order.taken_back))
    assert ends[0] == ends[1]


def test_money_paid_again_is_kept_when_it_is_told_before_the_cancellation_of_a_refunded_payment():
    shop = refunded()
    shop.hear(payment(at=AT + 2 * HOUR), cancelled(at=AT + HOUR))
    assert shop.cases == [("pay-1", "cancelled_after_refund", -176_000, "reinstated")]


def test_money_paid_again_is_kept_when_it_is_told_before_the_cancellation_of_what_was_returned():
    shop = Shop()
    shop.hear(payment(amount=7), payment(amount=7, at=AT + 2 * HOUR), decision(), cancelled(at=AT + HOUR))
    assert shop.cases[1:] == [("pay-1", "order_closed", 7, None)]


def test_money_paid_again_after_a_part_went_back_is_all_of_it():
    first, again = payment(amount=7), payment(amount=7, at=AT + 4 * HOUR)
    shop = Shop()
    shop.hear(first, cancelled(at=AT + HOUR, amount=3), again, cancelled(at=AT + 2 * HOUR))
    assert shop.held == 7


def test_of_money_under_one_id_that_was_paid_again_only_what_came_again_is_here():
    """Two amounts came under the id and went; one of them is paid again, which is told before they went."""
    one, other, gone = payment(amount=7), payment(amount=9, at=AT + HOUR), cancelled(at=AT + 2 * HOUR)
    again = payment(amount=7, at=AT + 3 * HOUR)
    for story in ([one, other, gone, again], [one, other, again, gone]):
        shop = Shop()
        shop.hear(*story)
        assert shop.held == 7


def test_money_that_was_won_back_and_lost_again_is_missing_again():
    shop = Shop()
    shop.hear(payment(issue_policy="automatic"), cancelled(at=AT + HOUR))
    shop.hear(payment(issue_policy="automatic", at=AT + 2 * HOUR))
    shop.hear(cancelled(at=AT + 3 * HOUR), cancelled(at=AT + 3 * HOUR))
    assert shop.held == -176_000
    assert shop.order.taken_back == 176_000


# Deposits late, and told late


@pytest.mark.parametrize(("method", "missing"), [("bank_transfer", -176_000), ("card", -88_000)])
def test_of_money_that_was_won_back_and_lost_again_the_gateway_lacks_what_it_refunded_in_between(
    method, missing
):
    how = {"payment_method": method, "evidence": "card_slip" if method == "card" else "tax_invoice"}
    shop = Shop()
    shop.hear(payment(**how), request(("1", 50)), accepted(("1", 50), refund_id=REFUND))
    shop.hear(cancelled(at=AT + HOUR), payment(at=AT + 2 * HOUR, **how), completed(REFUND))
    assert shop.held == 0
    shop.hear(cancelled(at=AT + 3 * HOUR))
    assert shop.held == missing


def test_a_deposit_in_time_that_is_told_late_is_kept_apart_with_that_reason():
    shop = Shop()
    shop.hear(pending(), payment(payment_id="late", at=DEADLINE + HOUR))
    assert shop.order.state is OrderState.EXPIRED
    shop.hear(payment(at=DEADLINE))
    assert [case[1] for case in shop.cases] == ["late_deposit", "told_late"]


# Taken back


@pytest.mark.parametrize("method", ["card", "mycash"])
def test_the_gateway_repeats_a_refund_of_a_refunded_order_and_nothing_changes(method):
    shop = refunded(payment_method=method)
    assert shop.hear(cancelled(at=AT + HOUR), cancelled(at=AT + 2 * HOUR, amount=70_400)) == []
    assert (shop.order.state, shop.order.cases) == (OrderState.REFUNDED, {})


def test_money_of_a_refunded_order_that_went_back_twice_is_missing_and_the_order_stays_refunded():
    shop = refunded()
    assert shop.hear(cancelled(at=AT + HOUR), cancelled(at=AT + HOUR)) == ["payment.quarantined"]
    assert shop.cases == [("pay-1", "cancelled_after_refund", -176_000, None)]
    assert shop.order.state is OrderState.REFUNDED
    assert shop.said[-1][1]["proposal"] == {"refund": 0}


def test_other_money_under_the_id_of_a_refunded_payment_goes_with_the_whole_of_it():
    shop = refunded()
    shop.hear(payment(amount=7, at=AT + MINUTE), cancelled(at=AT + HOUR))
    assert shop.cases == [
        ("pay-1", "payment_conflict", 7, "taken_back"),
        ("pay-1", "cancelled_after_refund", -176_000, None),
    ]


def test_an_echo_that_names_our_refund_changes_nothing_whenever_it_comes():
    echo = cancelled(refund_id=str(REFUND), amount=70_400)
    story = [payment(), accepted(("1", 40), refund_id=REFUND), completed(REFUND)]
    for place in range(len(story) + 1):
        shop = Shop()
        shop.hear(*story[:place])
        assert shop.take(echo) == Applied()
        shop.hear(*story[place:])
        assert (shop.order.state, shop.order.cases) == (OrderState.PAID, {})
        assert shop.order.lines["1"].refunded == 40


def test_a_part_that_goes_back_leaves_the_order_and_opens_a_case_of_it():
    shop = Shop()
    shop.hear(payment())
    part = cancelled(at=AT + HOUR, amount=17_600)
    assert shop.hear(part, part) == ["payment.quarantined"]
    assert shop.cases == [("pay-1", "partly_cancelled", -17_600, None)]
    assert (shop.order.state, shop.order.lines["1"].open) == (OrderState.PAID, 100)
    assert shop.hear(request()) != []


def test_parts_that_together_are_all_of_it_take_the_payment_back():
    shop = Shop()
    shop.hear(payment(), cancelled(at=AT + HOUR, amount=100_000))
    shop.hear(cancelled(at=AT + 2 * HOUR, amount=76_000))
    assert shop.order.state is OrderState.CANCELLED
    assert shop.cases == [("pay-1", "partly_cancelled", -100_000, "taken_back")]
    assert shop.order.taken_back == 176_000


def test_the_whole_that_goes_after_a_part_took_the_rest_is_missing_beside_other_money_under_its_id():
    shop = Shop()
    shop.hear(payment(), accepted(("1", 40), refund_id=REFUND), completed(REFUND))
    shop.hear(cancelled(at=AT + HOUR, amount=105_600), payment(amount=7, at=AT + MINUTE))
    assert shop.order.state is OrderState.CANCELLED
    assert shop.held == 7
    shop.hear(cancelled(at=AT + 2 * HOUR))
    assert shop.order.taken_back == 176_000
    assert shop.cases == [
        ("pay-1", "payment_conflict", 7, "taken_back"),
        ("pay-1", "cancelled_after_issue", -70_400, None),
    ]


def test_a_part_after_a_refund_counts_against_what_is_left():
    shop = Shop()
    shop.hear(payment(), accepted(("1", 40), refund_id=REFUND), completed(REFUND))
    shop.hear(cancelled(at=AT + HOUR, amount=70_400))
    assert shop.order.state is OrderState.PAID
    assert shop.held == -70_400


@pytest.mark.parametrize("story", list(permutations(["first", "second", "first again"])))
def test_parts_of_a_payment_that_was_partly_refunded_go_back_in_any_order(story):
    """Of 176,000 won half is refunded to a bank account; upstream takes 100,000 back and then 76,000."""
    parts = {
        "first": cancelled(at=AT + HOUR, amount=100_000),
        "second": cancelled(at=AT + 2 * HOUR, amount=76_000),
        "first again": cancelled(at=AT + HOUR, amount=100_000),
    }
    shop = Shop()
    shop.hear(payment(), accepted(("1", 50), refund_id=REFUND), completed(REFUND))
    shop.hear(*(parts[name] for name in story))

    assert (shop.order.state, shop.order.taken_back) == (OrderState.CANCELLED, 176_000)
    assert shop.held == -88_000


@pytest.mark.parametrize(("method", "missing"), [("bank_transfer", -88_000), ("card", 0)])
def test_the_whole_that_is_told_after_parts_had_left_nothing_misses_what_was_not_refunded_by_the_gateway(
    method, missing
):
    refund = [accepted(("1", 50), refund_id=REFUND), completed(REFUND)]
    part, whole = cancelled(at=AT + HOUR, amount=88_000), cancelled(at=AT + 2 * HOUR)
    for story in ([part, whole], [whole, part], [part, whole, part, whole]):
        shop = Shop()
        evidence = "card_slip" if method == "card" else "tax_invoice"
        shop.hear(payment(payment_method=method, evidence=evidence), *refund, *story)
        assert (shop.order.state, shop.held) == (OrderState.CANCELLED, missing)


@pytest.mark.parametrize("story", [["parts", "other"], ["other", "parts"]])
def test_parts_take_back_no_other_money_under_their_id_whichever_comes_first(story):
    told = {
        "parts": [cancelled(at=AT + HOUR, amount=100_000), cancelled(at=AT + 2 * HOUR, amount=76_000)],
        "other": [payment(amount=7, at=AT + MINUTE)],
    }
    shop = Shop()
    shop.hear(payment(), *(document for name in story for document in told[name]))
    assert ("pay-1", "payment_conflict", 7, None) in shop.cases


def test_a_whole_that_is_told_after_the_money_came_again_was_before_it():
    parts = [cancelled(at=AT + HOUR, amount=100_000), cancelled(at=AT + 2 * HOUR, amount=76_000)]
    again, whole = payment(issue_policy="automatic", at=AT + 4 * HOUR), cancelled(at=AT + 3 * HOUR)
    shop = Shop()
    shop.hear(payment(issue_policy="automatic"), *parts, again, whole)
    assert (shop.held, shop.order.taken_back) == (0, 0)


def test_a_part_of_an_order_whose_units_are_all_being_refunded_is_no_more_than_it_says():
    shop = Shop()
    shop.hear(payment(), accepted(("1", 100), refund_id=REFUND), cancelled(at=AT + HOUR, amount=70_400))
    assert (shop.order.state, shop.held) == (OrderState.PAID, -70_400)


def test_a_card_payment_that_is_taken_back_after_a_refund_misses_only_what_was_not_refunded_through_it():
    shop = Shop()
    shop.hear(payment(payment_method="card"), accepted(("1", 40), refund_id=REFUND), completed(REFUND))
    shop.hear(cancelled(at=AT + HOUR))
    assert (shop.order.state, shop.held, shop.order.taken_back) == (OrderState.CANCELLED, 0, 105_600)


def test_a_payment_cannot_be_cancelled_before_it_was_paid():
    shop = Shop()
    shop.hear(payment(at=AT))
    outcome = shop.take(cancelled(at=AT - MINUTE))
    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("out_of_range", "/cancelled_at")
    assert shop.order.state is OrderState.PAID


def test_a_cancellation_that_overtakes_its_payment_waits_and_takes_it_back_unissued():
    shop = Shop()
    assert isinstance(shop.take(cancelled(at=AT + HOUR)), Wait)
    assert shop.hear(payment(issue_policy="automatic")) == ["order.paid", "order.cancelled"]
    assert shop.waiting == []


@pytest.mark.parametrize(
    "other",
    [
        cancelled("pay-9", at=AT + HOUR),
        cancelled(at=AT - HOUR),
        cancelled(at=AT + HOUR, amount=17_600),
    ],
)
def test_a_cancellation_that_waits_stops_automatic_issue_only_of_the_whole_payment_that_it_names(other):
    shop = Shop()
    shop.take(other)
    shop.hear(payment(issue_policy="automatic"))
    assert shop.order.lines["1"].issuing == 100


def test_the_echo_of_a_refund_that_is_held_back_with_its_payment_stops_no_automatic_issue():
    shop = Shop()
    shop.hold_back(cancelled(at=AT + HOUR, refund_id="r-1"))
    shop.hear(payment(issue_policy="automatic"))
    assert (shop.order.lines["1"].issuing, shop.waiting) == (100, [])


def test_a_part_that_overtakes_its_payment_waits_for_it():
    shop = Shop()
    shop.hear(pending())
    assert isinstance(shop.take(cancelled(at=AT + HOUR, amount=17_600)), Wait)
    shop.hear(payment())
    assert (shop.order.state, shop.held, shop.waiting) == (OrderState.PAID, -17_600, [])


def test_what_overtakes_its_payment_takes_back_no_more_than_it_says():
    """What looks like all of the payment is a part of it when more comes than the order costs."""
    shop = Shop()
    shop.hear(pending(), cancelled(at=AT + HOUR, amount=176_000), cancelled(at=AT + 2 * HOUR, amount=10_000))
    shop.hear(payment(amount=200_000))
    assert (shop.order.state, shop.held) == (OrderState.PENDING_DEPOSIT, 14_000)
    assert shop.hear(payment(amount=200_000), cancelled(at=AT + HOUR, amount=176_000)) == []


def test_what_overtakes_its_payment_and_is_all_of_it_takes_it_back_unissued():
    shop = Shop()
    shop.hear(pending(), cancelled(at=AT + HOUR, amount=176_000))
    assert shop.hear(payment(issue_policy="automatic")) == []
    assert (shop.order.state, shop.held) == (OrderState.PENDING_DEPOSIT, 0)


def test_what_was_taken_back_before_it_was_paid_is_not_this_payment():
    shop = Shop()
    shop.hear(pending(), cancelled(at=AT - HOUR, amount=176_000))
    shop.hear(payment())
    assert (shop.order.state, shop.order.taken_back) == (OrderState.PAID, 0)


@pytest.mark.parametrize("amount", [100_000, 176_000, 200_000])
@pytest.mark.parametrize("parts", [(176_000,), (180_000,), (20_000, 176_000), (50_000, 60_000)])
def test_parts_leave_the_same_won_whatever_is_told_first(amount, parts):
    said = [cancelled(at=AT + number * HOUR, amount=part) for number, part in enumerate(parts, start=1)]
    left = set()
    for story in permutations([payment(amount=amount), *said]):
        shop = Shop()
        shop.hear(pending(), *story)
        assert not shop.waiting
        left.add(shop.order.remaining.total + shop.held if shop.order.paid_at else shop.held)
    assert left == {max(amount - sum(parts), 0)}


def test_a_part_of_money_in_quarantine_leaves_the_rest_there():
    shop = Shop()
    shop.hear(pending(), payment(amount=176_010), cancelled(at=AT + HOUR, amount=10))
    assert shop.cases == [
        ("pay-1", "wrong_amount", 176_010, "taken_back"),
        ("pay-1", "wrong_amount", 176_000, None),
    ]
    assert shop.hear(decision(decided="applied")) == ["quarantine.settled", "order.paid"]


def test_a_payment_taken_back_ends_its_case_and_says_so():
    shop = Shop()
    shop.hear(payment(), payment(payment_id="pay-2"))
    assert shop.hear(cancelled("pay-2")) == ["quarantine.settled"]
    assert shop.said[-1][1]["decision"] == "taken_back"


def test_an_order_is_refunded_only_when_every_line_is():
    shop = Shop()
    shop.hear(payment(line("1"), line("2", 10), amount=193_600))
    shop.hear(accepted(("1", 100), refund_id=REFUND), completed(REFUND))
    assert shop.order.state is OrderState.PAID
    second = UUID(int=0x78)
    shop.hear(accepted(("2", 10), refund_id=second), completed(second))
    assert shop.order.state is OrderState.REFUNDED


def test_units_of_a_released_refund_that_follow_the_payment_end_its_case_when_nothing_is_missing():
    shop = Shop()
    shop.hear(payment(), accepted(("1", 40), refund_id=REFUND), cancelled(at=AT + HOUR))
    assert shop.held == -70_400
    shop.hear(released(REFUND))
    assert [case[3] for case in shop.cases] == ["taken_back", "taken_back"]


# Decisions about quarantine


def test_a_case_is_opened_with_a_proposal():
    shop = Shop()
    shop.hear(payment(), payment(payment_id="pay-2", payment_method="card"))
    assert shop.said[-1][1]["proposal"] == {"refund": 176_000, "destination": "original_card"}


@pytest.mark.parametrize("decided", ["returned", "kept"])
def test_a_decision_ends_every_open_case_of_its_payment_once(decided):
    shop = Shop()
    shop.hear(payment(), payment(payment_id="pay-2"))
    told = decision("pay-2", decided)
    assert shop.hear(told, told) == ["quarantine.settled"]
    assert shop.cases == [("pay-2", "second_payment", 176_000, decided)]


def test_a_decision_about_no_open_case_says_what_to_do():
    shop = Shop()
    shop.hear(payment())
    never = shop.take(decision("pay-9"))
    shop.hear(payment(payment_id="pay-2"), cancelled("pay-2"))
    over = shop.take(decision("pay-2"))
    for outcome in (never, over):
        assert isinstance(outcome, Reject)
        assert (outcome.code, outcome.pointer) == ("inconsistent", "/payment_id")
        assert "decide only about a case that is open" in outcome.detail


def test_a_decision_waits_for_an_order_that_nobody_knows():
    assert isinstance(Shop().take(decision()), Wait)


def test_two_transfers_that_come_to_what_the_order_costs_pay_it_together():
    shop = Shop()
    shop.hear(pending(issue_policy="automatic"))
    shop.hear(payment(payment_id="dep-2", amount=76_000, at=AT + HOUR))
    shop.hear(payment(payment_id="dep-1", amount=100_000))
    said = shop.hear(decision("dep-1", "applied"))
    assert [name.removesuffix(".v2") for name in said] == [
        "quarantine.settled",
        "quarantine.settled",
        "order.paid",
        "issuance.granted",
    ]
    paid = next(data for name, data in shop.said if name == "order.paid")
    assert (paid["payment_id"], paid["payment_ids"], paid["amount"]) == ("dep-2", ["dep-1", "dep-2"], 176_000)
    assert shop.order.paid_at == AT + HOUR
    assert shop.hear(decision("dep-2", "applied")) == []
    assert shop.hear(payment(payment_id="dep-2", amount=76_000, at=AT + HOUR)) == []


def test_one_of_several_payments_that_is_taken_back_is_a_part():
    shop = Shop()
    shop.hear(payment(payment_id="dep-1", amount=100_000), payment(payment_id="dep-2", amount=76_000))
    shop.hear(decision("dep-1", "applied"), cancelled("dep-2", at=AT + HOUR))
    assert (shop.order.state, shop.held) == (OrderState.PAID, -76_000)
    shop.hear(cancelled("dep-1", at=AT + HOUR))
    assert (shop.order.state, shop.held) == (OrderState.CANCELLED, 0)


@pytest.mark.parametrize(
    "story",
    [
        [payment(amount=100_000)],
        [payment(payment_id="pay-0"), payment()],
        [pending(), payment(amount=176_001), payment(payment_id="late", at=DEADLINE + HOUR)],
    ],
)
def test_what_cannot_pay_the_order_cannot_be_applied(story):
    shop = Shop()
    shop.hear(*story)
    outcome = shop.take(decision(decided="applied"))
    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/decision")
    assert shop.order.state is not OrderState.CANCELLED
