"""A refund gave back what had been used: its won are missing, and an operator decides about them."""

from services.orders.decisions import quarantine
from services.orders.decisions.payments import Arrival, record_payment
from services.orders.decisions.quarantine import Ruling
from shared.events.refunds import RefundOverpaid
from shared.kst import wire_time
from shared.runtime.decisions import Wait
from tests.unit.orders.builders import AT, events, ids, paid_order, payment, settled, types


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


def test_it_waits_for_an_order_that_is_not_known():
    assert isinstance(quarantine.record_overpaid(None, overpaid()), Wait)
