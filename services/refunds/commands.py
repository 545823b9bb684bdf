"""What operators may have refunds do: the decisions of `refund.reviewed` and `refund.proof_attached`."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from services.refunds.decisions import reviews
from services.refunds.decisions.reviews import Review, ReviewDecision
from services.refunds.state import Order, Refund, World
from shared.events.fields import Amount, Id, Text
from shared.operators.deciding import cannot_decide
from shared.runtime.commands import Command, CommandOutcome, CommandRoute, Done, Refused, told
from shared.runtime.decisions import Context, Decided, Decision, Reject
from shared.web.fields import Body

Decide = Callable[[Order, Refund], Decision[Order]]


class DecisionBody(Body):
    """Decide about a refund, and why; only shown unless `apply`."""

    reason: Text
    apply: bool = False


class ApprovalBody(DecisionBody):
    """Approve a refund. `amount`, when given, is the won that must go out for its units."""

    amount: Amount | None = None


class ProofBody(DecisionBody):
    """A proof that the account is the buyer's; `reference` says where it is kept."""

    kind: Id = "proof"
    reference: Text | None = None


def attach_proof(world: World, command: Command[ProofBody], context: Context) -> CommandOutcome:
    """A proof puts what is held into review."""
    said = command.data

    def decide(order: Order, refund: Refund) -> Decision[Order]:
        reference = said.reference or said.reason
        return reviews.attach_proof(order, refund, said.kind, reference, command.actor, command.time)

    return _decide(world, command, decide)


def approve(world: World, command: Command[ApprovalBody], context: Context) -> CommandOutcome:
    """What is in review is judged again, and orders is asked for the units."""
    amount = command.data.amount
    done = _decide(world, command, _review(world, "approve", command, amount))
    if isinstance(done, Done) and amount is not None:
        done.after = {**(done.after or {}), "approved": amount}
    return done


def reject(world: World, command: Command[DecisionBody], context: Context) -> CommandOutcome:
    """What is held or in review ends here."""
    return _decide(world, command, _review(world, "reject", command))


def withdraw(world: World, command: Command[DecisionBody], context: Context) -> CommandOutcome:
    """What is held or in review ends, because its requester wants it no more."""
    return _decide(world, command, _review(world, "reject", command, is_withdrawal=True))


def retry(world: World, command: Command[DecisionBody], context: Context) -> CommandOutcome:
    """Checkout is asked to pay once more."""
    return _decide(world, command, _review(world, "retry", command))


def release(world: World, command: Command[DecisionBody], context: Context) -> CommandOutcome:
    """A payout that failed is given up: units and money go back to the order."""
    return _decide(world, command, _review(world, "release", command))


def _review(
    world: World,
    decision: ReviewDecision,
    command: Command[Any],
    amount: int | None = None,
    *,
    is_withdrawal: bool = False,
) -> Decide:
    review = Review(decision, amount, command.actor, command.data.reason, command.time, is_withdrawal)
    return lambda order, refund: reviews.review(order, refund, review, world.policy)


def _decide(world: World, command: Command[Any], decide: Decide) -> CommandOutcome:
    """What a decision changes of the refund that the command is about, and the events that follow."""
    order = world.orders[command.key]
    refund = order.refunds[UUID(command.subject)]
    decided = decide(order, refund)
    if isinstance(decided, Reject):
        pointer = decided.pointer if decided.pointer == "/amount" else None
        return Refused(cannot_decide(decided.detail, reviews.possible(refund), pointer))
    assert isinstance(decided, Decided), "a refund that is known does not wait for a decision"
    world.put(decided.state)
    now = decided.state.refunds[refund.refund_id]
    before, after = reviews.changes(order, refund), reviews.changes(decided.state, now)
    answer = {
        "refund_id": command.subject,
        "refund_request_id": refund.refund_request_id,
        "order_id": order.order_id,
        "decision": command.type.removeprefix(PREFIX),
        "applied": command.data.apply,
        "before": before,
        "after": after,
        "events": told(decided.events),
    }
    return Done(answer, decided.events, before, after)


PREFIX: Final = "refund."
COMMANDS: Final = {
    f"{PREFIX}proof": CommandRoute(attach_proof),
    f"{PREFIX}approve": CommandRoute(approve),
    f"{PREFIX}reject": CommandRoute(reject),
    f"{PREFIX}withdraw": CommandRoute(withdraw),
    f"{PREFIX}retry": CommandRoute(retry),
    f"{PREFIX}release": CommandRoute(release),
}
"""Every command of refunds, by its name."""
