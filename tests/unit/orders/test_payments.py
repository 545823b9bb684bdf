"""Money that arrives pays its order or goes to quarantine; nothing is merely refused."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from services.orders.decisions import cancellations, payments
from services.orders.decisions.payments import Arrival
from services.orders.state import OrderState
from shared.runtime.decisions import Decided, Reject, Wait
from tests.unit.orders.builders import (
    AT,
    DEADLINE,
    cancelled,
    events,
    ids,
    line,
    paid_order,
    payment,
    pending,
    settled,
    types,
)


def pay(order, data):
    return payments.record_payment(order, data, Arrival("evt-2", AT), ids())


def registered(**more):
    return settled(payments.register_order(None, pending(**more), "evt-0", AT, False))


def test_a_payment_pays_an_order_nobody_had_heard_of():
    decision = pay(None, payment())

    [(name, data)] = events(decision)
    assert name == "order.paid.v1"
    assert (data["amount"], data["supply"], data["vat"]) == (176_000, 160_000, 16_000)
    assert settled(decision).lines["1"].open == 100


def test_a_pending_order_is_registered_and_then_paid():
    order = registered()
    decision = pay(order, payment())

    assert types(decision) == ["order.paid"]
    assert settled(decision).sequence == 2


def test_the_automatic_policy_claims_every_unit_of_serials_at_payment():
    goods = line("2", 1, 3_000, kind="goods")
    decision = pay(None, payment(line(), goods, amount=179_300, issue_policy="automatic"))

    assert types(decision) == ["order.paid", "issuance.granted"]
    order = settled(decision)
    assert (order.lines["1"].issuing, order.lines["2"].issuing) == (100, 0)


def test_a_wrong_amount_goes_to_quarantine_and_the_right_one_still_pays():
    decision = pay(None, payment(amount=1))
    assert events(decision) == [
        (
            "payment.quarantined.v1",
            {
                "order_id": "A-1",
                "payment_id": "pay-1",
                "amount": 1,
                "reason": "wrong_amount",
                "proposal": {"refund": 1, "destination": "bank_account"},
            },
        )
    ]
    order = settled(decision)
    assert order.state is OrderState.UNPAID

    later = pay(order, payment(payment_id="pay-2"))
    assert types(later) == ["order.paid"]
    assert settled(later).sequence == 2


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (OrderState.PAID, "second_payment"),
        (OrderState.REFUNDED, "order_closed"),
        (OrderState.CANCELLED, "order_closed"),
        (OrderState.EXPIRED, "told_late"),
    ],
)
def test_money_for_an_order_that_needs_none_is_quarantined_with_the_reason(state, reason):
    order = replace(paid_order(), state=state)

    decision = pay(order, payment(payment_id="pay-2"))

    assert events(decision)[-1][1]["reason"] == reason
    assert settled(decision).state is state


def test_the_same_payment_under_a_new_event_id_changes_nothing():
    order = paid_order()
    assert types(pay(order, payment())) == []
    quarantined = settled(pay(order, payment(payment_id="pay-2")))
    assert types(pay(quarantined, payment(payment_id="pay-2"))) == []


def test_a_deposit_after_its_deadline_expires_the_order_and_is_quarantined():
    decision = pay(registered(), payment(at=DEADLINE + timedelta(seconds=1)))

    assert types(decision) == ["order.expired", "payment.quarantined"]
    assert events(decision)[0][1]["expired_at"] == "2026-10-29T00:00:00+09:00"
    assert settled(decision).state is OrderState.EXPIRED


def test_a_deposit_in_the_last_second_is_in_time():
    assert types(pay(registered(), payment(at=DEADLINE))) == ["order.paid"]


def test_a_deposit_expires_only_after_its_deadline():
    order = registered()
    assert payments.expire_deposit(order, DEADLINE) == (order, ())
    decision = payments.expire_deposit(order, DEADLINE + timedelta(microseconds=1))
    assert types(decision) == ["order.expired"]
    assert types(payments.expire_deposit(settled(decision), DEADLINE + timedelta(days=1))) == []


def test_a_late_registration_does_not_resurrect_anything():
    order = paid_order()
    decision = payments.register_order(order, pending(), "evt-9", AT, False)
    assert settled(decision) is order
    assert types(decision) == []


def test_a_registration_with_other_goods_that_comes_after_the_payment_changes_nothing():
    order = paid_order()
    assert payments.register_order(order, pending(line(quantity=5)), "evt-9", AT, False) == Decided(order)


def test_an_order_that_costs_more_than_money_can_be_is_rejected():
    decision = payments.register_order(
        None, pending(line(quantity=1_000_000, unit_price=10**9), line("2", 10**6, 10**9)), "evt-0", AT, False
    )
    assert isinstance(decision, Reject)
    assert decision.code == "out_of_range"


def test_a_partner_that_has_left_cannot_order_but_its_money_is_kept_apart():
    assert isinstance(payments.register_order(None, pending(), "evt-0", AT, True), Reject)
    decision = payments.record_payment(None, payment(), Arrival("evt-1", AT, refused=True), ids())
    assert events(decision)[0][1]["reason"] == "order_closed"


def test_a_cancelled_payment_waits_for_its_order():
    assert isinstance(cancellations.cancel_payment(None, cancelled()), Wait)


def test_cancelling_a_paid_order_takes_its_open_units_back():
    decision = cancellations.cancel_payment(paid_order(), cancelled())

    [(name, data)] = events(decision)
    assert name == "order.cancelled.v1"
    assert (data["amount"], data["lines"]) == (176_000, [{"line_id": "1", "quantity": 100}])
    order = settled(decision)
    assert (order.state, order.lines["1"].refunded, order.remaining.total) == (OrderState.CANCELLED, 100, 0)


def test_a_payment_cancelled_before_it_arrives_is_never_counted_and_the_next_one_pays():
    order = settled(cancellations.cancel_payment(registered(), cancelled()))
    assert order.state is OrderState.PENDING_DEPOSIT
    assert types(pay(order, payment())) == []
    assert types(pay(order, payment(payment_id="pay-2"))) == ["order.paid"]


def test_cancelling_a_quarantined_payment_closes_its_case():
    order = settled(pay(paid_order(), payment(payment_id="pay-2")))
    after = settled(cancellations.cancel_payment(order, cancelled("pay-2")))
    assert [case.decision for case in after.cases.values()] == ["taken_back"]
    assert after.state is OrderState.PAID


def test_cancelling_a_payment_that_has_not_arrived_is_remembered():
    order = settled(cancellations.cancel_payment(paid_order(), cancelled("pay-77")))
    assert order.state is OrderState.PAID
    assert types(pay(order, payment(payment_id="pay-77"))) == []


def test_cancelling_twice_changes_nothing():
    order = settled(cancellations.cancel_payment(paid_order(), cancelled()))
    assert types(cancellations.cancel_payment(order, cancelled())) == []


def test_a_payment_known_to_be_taken_back_pays_its_order_but_nothing_is_issued():
    arrival = Arrival("evt-1", AT, taken_back=True)
    decision = payments.record_payment(None, payment(issue_policy="automatic"), arrival, ids())
    assert types(decision) == ["order.paid"]

    decision = cancellations.cancel_payment(settled(decision), cancelled())
    assert [(name, data["amount"]) for name, data in events(decision)] == [("order.cancelled.v1", 176_000)]
