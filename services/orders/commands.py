"""What an operator may have orders do: end a case of quarantine, as `quarantine.decided` does."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from services.orders.decisions import quarantine
from services.orders.state import World
from shared.events.fields import Id, Text
from shared.operators.deciding import CaseDecision, cannot_decide
from shared.runtime.commands import Command, CommandOutcome, CommandRoute, Done, Refused, told
from shared.runtime.decisions import Context, Decided, Reject
from shared.web.fields import Body
from shared.web.problems import NOT_FOUND, Problem

DECIDE: Final = "quarantine.decide"


class CaseBody(Body):
    """Decide about the open cases of a payment; only shown unless `apply`.

    `order_id` is needed where several orders have open cases of it.
    """

    decision: CaseDecision
    reason: Text
    order_id: Id | None = None
    apply: bool = False


def decide_case(world: World, command: Command[CaseBody], context: Context) -> CommandOutcome:
    """Ends the open cases of a payment; answers with what that changes, and the events that follow."""
    said, payment_id = command.data, command.subject
    order = world.orders.get(command.key)
    if order is None:
        return Refused(Problem(NOT_FOUND, what=f"order {command.key} has no case; see /v1/quarantine"))
    ruling = quarantine.Ruling(order.order_id, payment_id, said.decision, command.time)
    decided = quarantine.decide_quarantine(order, ruling, command.time, _new_ids(context))
    if isinstance(decided, Reject):
        others = [each for each in quarantine.possible(order, payment_id) if each != said.decision]
        return Refused(cannot_decide(decided.detail, others))
    assert isinstance(decided, Decided), "an order that is known does not wait for a decision about it"
    world.put(decided.state)
    before, after = quarantine.changes(order, decided.state, ruling)
    answer = {
        "order_id": order.order_id,
        "payment_id": payment_id,
        "decision": said.decision,
        "applied": said.apply,
        "before": before,
        "after": after,
        "events": told(decided.events),
    }
    return Done(answer, decided.events, before, after)


def _new_ids(context: Context) -> Iterator[UUID]:
    while True:
        yield context.new_id()


COMMANDS: Final = {DECIDE: CommandRoute(decide_case)}
"""Every command of orders, by its name."""
