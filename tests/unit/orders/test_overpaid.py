"""A refund gave back too much or too little: a case holds its won, and an operator decides about them."""

from services.orders.decisions import quarantine
from services.orders.decisions.cancellations import cancel_payment
from services.orders.decisions.payments import Arrival, record_payment
from services.orders.decisions.quarantine import Ruling
from shared.events.refunds import RefundOverpaid, RefundUnderpaid
from shared.kst import wire_time
from shared.runtime.decisions import Wait
from tests.unit.orders.builders import AT, cancelled, events, ids, paid_order, payment, settled, types


def overpaid(amount: int = 8_500) -> RefundOverpaid:
    """refund.overpaid.v1 of an order's payment."""
    return RefundOverpaid.model_validate_json(
        f'{{"order_id": "A-1", "refund_id": "r-1", "refund_request_id": "rr-1", "payment_id": "pay-1", '
        f'"line_id": "1", "amount": {amount}, "used_at": "{wire_time(AT)}"}}'
    )


def test_what_was_used_and_went_back_is_a_case_of_its_won():
    decision = quarantine.record_overpaid(paid_order(), overpaid())

    [(type_name, data)] = events(decision)
    assert type_name == "payment.quarantined.v1"
    assert (data["amount"], data["reason"], data["proposal"]) == (-8_500, "used_after_refund", {"refund": 0})


def test_an_operator_ends_the_case_and_a_payment_does_not():
    order = settled(quarantine.record_overpaid(paid_order(), overpaid(176_000)))
    repeated = record_payment(order, payment(), Arrival("evt-9", AT), ids())
    assert "quarantine.settled.v1" not in types(repeated)

    ended = quarantine.decide_quarantine(order, Ruling("A-1", "pay-1", "kept", AT), AT, ids())

    assert events(ended)[0][1]["decision"] == "kept"


def underpaid(amount: int = 1_500) -> RefundUnderpaid:
    """refund.underpaid.v1 of an order's payment."""
    return RefundUnderpaid.model_validate_json(
        f'{{"order_id": "A-1", "refund_id": "r-1", "refund_request_id": "rr-1", "payment_id": "pay-1", '
        f'"line_id": "1", "amount": {amount}, "told_at": "{wire_time(AT)}"}}'
    )


def test_what_a_late_bonus_had_left_is_a_case_that_proposes_to_give_it_back():
    decision = quarantine.record_underpaid(paid_order(), underpaid())

    [(_, data)] = events(decision)
    assert (data["amount"], data["reason"], data["proposal"]["refund"]) == (
        1_500,
        "bonus_after_refund",
        1_500,
    )
    assert data["proposal"]["destination"]


def test_it_is_no_money_of_the_payment_that_upstream_could_take_back():
    order = settled(quarantine.record_underpaid(paid_order(), underpaid()))

    taken = cancel_payment(order, cancelled())

    assert "quarantine.settled.v1" not in types(taken)
    assert settled(taken).taken_back == order.amount


def test_it_waits_for_an_order_that_is_not_known():
    assert isinstance(quarantine.record_overpaid(None, overpaid()), Wait)
    assert isinstance(quarantine.record_underpaid(None, underpaid()), Wait)
