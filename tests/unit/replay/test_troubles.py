"""The planted troubles are right documents about orders of their own; the commands that mend one exist."""

import shlex
from collections import Counter

import orjson
import pytest

from ops.cli import COMMANDS
from ops.replay.driver import UpstreamEvent
from ops.replay.plan import SOURCE as REPLAYED
from ops.replay.plan import Bought
from ops.replay.planner import plan_history
from ops.replay.reader import read_lines
from ops.replay.troubles import BANK, MEND, ORDERS, PARTNER, PROOF, first_events, later_events
from shared.events.catalogue import TYPES
from tests.unit.replay.test_plan import EXAMPLE

REFUNDS = {BANK: "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01", PROOF: "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a02"}
EVENTS = [*first_events(), *later_events(REFUNDS)]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.id)
def test_a_planted_event_is_one_that_checkout_may_say(event: UpstreamEvent) -> None:
    TYPES[event.type].model.model_validate_json(orjson.dumps(event.data))


def test_planted_events_have_ids_of_their_own() -> None:
    assert {event.source for event in EVENTS} != {REPLAYED}
    assert Counter(event.id for event in EVENTS).most_common(1)[0][1] == 1


def test_planted_orders_partner_and_month_are_none_of_the_history() -> None:
    plan = plan_history(read_lines(EXAMPLE))
    assert not plan.orders.keys() & set(ORDERS)
    assert any(isinstance(fate, Bought) for fate in plan.fates.values())
    assert not PARTNER["partner_id"].startswith("C")
    assert "2012-01" not in {order.month for order in plan.orders.values()}
    assert {event.time.strftime("%Y-%m") for event in EVENTS} == {"2012-01"}


def test_the_approval_overtakes_the_proof_that_it_approves() -> None:
    approval, proof = later_events(REFUNDS)[1:]
    assert (approval.type, proof.type) == ("refund.reviewed.v1", "refund.proof_attached.v1")
    assert approval.time > proof.time


def test_what_mends_one_are_three_commands_that_there_are() -> None:
    assert len(MEND) == 3
    assert {shlex.split(command)[0] for command in MEND} <= {command.name for command in COMMANDS}
