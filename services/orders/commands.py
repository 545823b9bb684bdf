"""What people may have orders do: end a case of quarantine, have a partner leave.

Each is decided as the event that checkout would send: `quarantine.decided`, `partner.withdrawal_requested`.
"""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from services.orders.blockers import document_of
from services.orders.decisions import partners, quarantine
from services.orders.decisions.partners import WITHDRAW
from services.orders.state import Partner, World
from shared.events.fields import Id, Text
from shared.kst import wire_time
from shared.operators.deciding import CaseDecision, cannot_decide
from shared.runtime.commands import Command, CommandOutcome, CommandRoute, Done, Refused, told
from shared.runtime.decisions import Context, Decided, Reject
from shared.web.fields import Body
from shared.web.problems import NOT_FOUND, Kind, Problem

DECIDE: Final = "quarantine.decide"

PARTNER_BUSY: Final = Kind(
    "partner_busy",
    409,
    "An order of the partner changes at this moment",
    "an order of {partner} was decided about in the same moment; nothing was changed: ask again with a new "
    "Idempotency-Key",
    "거래처의 주문이 지금 변경되고 있습니다",
    "변경된 것은 없습니다. {partner}의 주문이 동시에 처리되었습니다. 새 Idempotency-Key로 다시 요청하십시오",
)


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


class WithdrawalBody(Body):
    """Have a partner leave, and why; only shown unless `apply`. It is for good."""

    reason: Text
    apply: bool = False


def withdraw_partner(world: World, command: Command[WithdrawalBody], context: Context) -> CommandOutcome:
    """Lets a partner leave, or lists every blocker; both are told as events."""
    if world.has_news_of(command.key):
        return Refused(Problem(PARTNER_BUSY, partner=command.key))
    partner = world.partners.get(command.key) or Partner(command.key)
    blockers = world.blockers.get(command.key, [])
    decided = partners.leave(partner, command.time, blockers)
    world.put(decided.state)
    before, after = _standing(partner), _standing(decided.state)
    answer = {
        "partner_id": command.key,
        "applied": command.data.apply,
        **after,
        "blockers": [] if decided.state.withdrawn_at else [document_of(each) for each in blockers],
        "events": told(decided.events),
    }
    return Done(answer, decided.events, before, after)


def _standing(partner: Partner) -> dict[str, str | None]:
    left_at = partner.withdrawn_at
    return {"withdrawn_at": None if left_at is None else wire_time(left_at)}


def _new_ids(context: Context) -> Iterator[UUID]:
    while True:
        yield context.new_id()


COMMANDS: Final = {DECIDE: CommandRoute(decide_case), WITHDRAW: CommandRoute(withdraw_partner)}
"""Every command of orders, by its name."""
