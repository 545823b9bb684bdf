"""What refunds does by command: it takes requests, and what operators decide about them.

They are the decisions of `refund.requested`, `refund.reviewed` and `refund.proof_attached`.
"""

from collections.abc import Callable
from typing import Any, Final, Literal
from uuid import UUID

from services.refunds.decisions import requests, reviews
from services.refunds.decisions.reading import request_of
from services.refunds.decisions.reviews import Review, ReviewDecision
from services.refunds.policies.app_stores import stores_to_ask
from services.refunds.policies.explaining import NOTHING_NEXT, step_of, words_of
from services.refunds.state import Order, Refund, World
from shared.events.checkout import RefundRequested
from shared.events.faults import Fault
from shared.events.fields import Amount, Id, Text
from shared.operators.deciding import cannot_decide
from shared.runtime.commands import Command, CommandOutcome, CommandRoute, Done, Refused, told
from shared.runtime.decisions import Context, Decided, Decision, Reject
from shared.web.fields import Body
from shared.web.problems import NOT_FOUND, Kind, Problem, of_faults

Decide = Callable[[Order, Refund], Decision[Order]]


class DecisionBody(Body):
    """Decide about a refund, and why; only shown unless `apply`."""

    reason: Text
    apply: bool = False


class ApprovalBody(DecisionBody):
    """Approve a refund. `amount`, when given, is the won that must go out for its units."""

    amount: Amount | None = None


class ReviewBody(ApprovalBody):
    """Approve, reject or withdraw a refund; `amount` is for an approval."""

    decision: Literal["approve", "reject", "withdraw"]


class ProofBody(DecisionBody):
    """A proof that the account is the buyer's; `reference` says where it is kept."""

    kind: Id = "proof"
    reference: Text | None = None


class RequestBody(Body):
    """A request for a refund; `content` is the hash of its document, in hexadecimal."""

    request: RefundRequested
    content: str


NOT_PAID: Final = Kind(
    "not_paid",
    409,
    "The order is not paid yet",
    "order {order} waits for its money; ask again when it is paid. Nothing was changed",
    "아직 결제되지 않은 주문입니다",
    "변경된 것은 없습니다. 주문 {order}이 결제된 뒤 다시 요청하십시오",
)
"""As an event the request would wait for the payment; over HTTP somebody waits for the answer."""


def request_refund(world: World, command: Command[RequestBody], context: Context) -> CommandOutcome:
    """A refund is asked for, as `refund.requested` does it: same rules, same content, same request id."""
    order, data = world.orders.get(command.key), command.data.request
    if order is None or command.partner_id not in (None, order.partner_id):
        return Refused(no_such_order(command.key))
    if order.state == "registered":
        return Refused(Problem(NOT_PAID, order=order.order_id))
    request = request_of(data, bytes.fromhex(command.data.content), command.time)
    decided = requests.request_refund(order, request, context.new_id, world.policy)
    if isinstance(decided, Reject):
        return Refused(of_faults([Fault(decided.code, decided.pointer, decided.detail)]))
    assert isinstance(decided, Decided), "a request waits for nothing but its order to be paid"
    world.put(decided.state)
    refund = requests.refund_of_request(decided.state, data.refund_request_id)
    assert refund is not None, "it was just kept, or known before"
    after = reviews.changes(decided.state, refund)
    return Done(_requested(refund, decided), decided.events, None, after)


def _requested(refund: Refund, decided: Decided[Order]) -> dict[str, Any]:
    words, step = words_of(refund.why), step_of(refund.state, refund.why)
    return {
        "refund_id": str(refund.refund_id),
        "refund_request_id": refund.refund_request_id,
        "order_id": refund.order_id,
        "state": refund.state,
        "why": refund.why,
        "why_text": words and words.text,
        "why_text_ko": words and words.text_ko,
        **(NOTHING_NEXT if step is None else step.document()),
        "stores": stores_to_ask(refund.why),
        "events": told(decided.events),
    }


def no_such_order(order_id: str) -> Problem:
    """The answer about an order that is not known here, or is another partner's."""
    return Problem(NOT_FOUND, what=f"there is no order {order_id}; pawl find WORD looks for one")


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
REQUEST: Final = f"{PREFIX}request"
COMMANDS: Final = {
    REQUEST: CommandRoute(request_refund),
    f"{PREFIX}proof": CommandRoute(attach_proof),
    f"{PREFIX}approve": CommandRoute(approve),
    f"{PREFIX}reject": CommandRoute(reject),
    f"{PREFIX}withdraw": CommandRoute(withdraw),
    f"{PREFIX}retry": CommandRoute(retry),
    f"{PREFIX}release": CommandRoute(release),
}
"""Every command of refunds, by its name."""
