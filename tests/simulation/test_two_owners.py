"""During a rebalance two consumers may hold the same records: the second one finds everything done."""

import pytest

from tests.simulation.memory import Running
from tests.simulation.story import Story, payment, refund_request, told

PAUSES = ("lock_orders", "move_cursors")


def granted_refund(story: Story) -> None:
    """A refund that orders has granted, and of which refunds has not heard yet."""
    story.say("payment.completed.v1", **payment())
    story.settle()
    story.say("refund.requested.v1", **refund_request())
    story.read("refunds")
    story.publish()
    story.read("orders")
    story.publish()


@pytest.mark.parametrize("pause", PAUSES)
def test_a_slow_owner_of_the_same_records_leaves_nothing_blocked_behind(pause: str) -> None:
    with told() as story:
        granted_refund(story)
        site, records = story.system.sites["refunds"], story.unread("refunds")
        site.database.pausing = True
        slow = Running(site.fold.handle(records))
        while slow.step() not in (pause, None):
            pass
        site.database.pausing = False

        if pause == "lock_orders":
            site.handle(records)
        slow.finish()
        if pause != "lock_orders":
            site.handle(records)

        assert list(site.database.tables["parked"].values()) == []
        assert story.facts("refunds").count("refund.payout_requested.v1") == 1
