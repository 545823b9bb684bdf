"""Upstream takes a payment back while a refund of it is under way, and the refund is then given up."""

from datetime import timedelta
from typing import Any

from shared.kst import wire_time
from tests.simulation.checkout import START
from tests.simulation.checks import Checks
from tests.simulation.story import payment, refund_request, told


def test_units_of_a_released_refund_follow_the_payment_that_was_taken_back() -> None:
    with told() as story:
        checks = Checks(story.system)
        story.say("payment.completed.v1", **payment())
        story.settle()
        story.say("refund.requested.v1", **refund_request(units=1))
        story.settle()
        (refund_id,) = checks._rows("refunds", "refunds")
        story.say(
            "payment.cancelled.v1", payment_id="pay-1", cancelled_at=wire_time(START + timedelta(days=1))
        )
        story.settle()

        about: dict[str, Any] = {"refund_id": str(refund_id)}
        story.say("refund.payout_failed.v1", **about, payout_id="try-1", reason="account_closed")
        story.settle()
        story.say("refund.reviewed.v1", **about, decision="release", actor="operator-7")
        story.settle()

        assert story.facts("orders").count("order.cancelled.v1") == 2
        checks.rest(frozenset(), {})
