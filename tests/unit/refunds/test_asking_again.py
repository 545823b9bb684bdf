"""A payout of which nobody knows is asked for again, always under the same key (domain.md section 4)."""

import pytest

from services.refunds.decisions.payouts import ask_again
from services.refunds.state import Order
from shared.runtime.decisions import Decided
from tests.unit.refunds.desk import Desk, minutes


@pytest.fixture
def desk() -> Desk:
    """A desk with a refund of 40 units that checkout was asked to pay."""
    desk = Desk()
    desk.paid()
    desk.asked(40)
    desk.granted()
    return desk


def asked_again(desk: Desk) -> Decided[Order]:
    refund = desk.refund
    assert desk.order.paid_at is not None
    return ask_again(desk.order, refund, desk.order.paid_at + minutes(30))


@pytest.mark.parametrize("reason", ["timeout", "unknown"])
def test_what_nobody_answered_is_asked_for_again_with_the_same_key(desk: Desk, reason: str) -> None:
    first = desk.last.data
    desk.payout_failed(reason)

    asked = asked_again(desk)

    (event,) = asked.events
    assert event.type == "refund.payout_requested.v1"
    assert event.data["idempotency_key"] == first["idempotency_key"]
    assert event.data["amount"] == first["amount"]
    refund = asked.state.refunds[desk.refund.refund_id]
    assert (refund.state, refund.changes[-1].actor, refund.changes[-1].reason) == (
        "paying_out",
        "refunds",
        "asked_again",
    )


def test_a_repayment_that_nobody_answered_is_asked_for_again_in_its_round(desk: Desk) -> None:
    desk.paid_out()
    desk.payout_failed("account_closed", payout_id="po-551")
    desk.reviewed("retry")
    round_key = desk.last.data["idempotency_key"]
    desk.payout_failed("timeout", payout_id="po-552")

    asked = asked_again(desk)

    assert [event.data["idempotency_key"] for event in asked.events] == [round_key]
    assert asked.state.refunds[desk.refund.refund_id].state == "repaying"


@pytest.mark.parametrize("ending", ["asked", "paid", "failed", "bounced"])
def test_what_was_answered_meanwhile_is_not_asked_for_again(desk: Desk, ending: str) -> None:
    if ending in ("paid", "bounced"):
        desk.paid_out()
    if ending in ("failed", "bounced"):
        desk.payout_failed("account_closed", payout_id="po-551")

    asked = asked_again(desk)

    assert asked.events == ()
    assert asked.state is desk.order
