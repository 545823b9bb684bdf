"""During a rebalance two consumers may hold the same records: the second one finds everything done."""

from typing import Any

import pytest

from shared.runtime.fold import Fold
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


def left_blocked(pause: str) -> list[str]:
    """What waits once two owners have handled the same records, one of them while the other pauses."""
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

        assert story.facts("refunds").count("refund.payout_requested.v1") == 1
        return [row["type"] for row in site.database.tables["parked"].values()]


@pytest.mark.parametrize("pause", PAUSES)
def test_a_slow_owner_of_the_same_records_leaves_nothing_blocked_behind(pause: str) -> None:
    assert left_blocked(pause) == []


def test_an_owner_that_trusts_its_first_look_at_the_cursors_blocks_what_was_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was handled meanwhile is judged by a later state than its cursor, and contradicts it."""

    async def trust(*_: Any) -> None:
        """Looks at no cursor again."""

    monkeypatch.setattr(Fold, "_require_cursors", trust)

    assert left_blocked("lock_orders") == ["refund.granted.v1"]
