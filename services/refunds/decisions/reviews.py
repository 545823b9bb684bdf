"""What people do about a refund: a proof, a return, an approval, a rejection, a retry, a release."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, assert_never

from msgspec.structs import replace

from services.refunds.decisions.judging import Refundable, Refusal, judge
from services.refunds.decisions.payouts import request_payout
from services.refunds.decisions.requests import NO_CHOICE, hold_for_proof, hold_for_second, proceed, reject
from services.refunds.decisions.steps import BANK, CHECKOUT, before_payment, decided_silently, enter, unfit
from services.refunds.decisions.units import price_of, void, worth
from services.refunds.decisions.usage import won_used
from services.refunds.events import decided, refund_released
from services.refunds.policies.holds import REVIEWED
from services.refunds.state import Order, Policy, Refund
from shared.operators.deciding import RefundDecision, of_refund
from shared.runtime.decisions import Decided, Decision, Reject
from shared.units import LineUnits

ReviewDecision = Literal["approve", "reject", "retry", "release"]

HolderAnswer = Literal["match", "mismatch", "no_such_account", "unavailable"]
"""What the bank says of an account and a business number; `unavailable` where it says nothing."""
BANK_UNAVAILABLE: Final = "bank_unavailable"
"""The reason of a step after which the bank is asked again."""
_ANOTHER_ACCOUNT: Final[Mapping[str, Any]] = {
    "next": "ask_with_another_account",
    "detail": "the bank has no such account: look at its number and ask again, under a new refund_request_id",
    "detail_ko": "은행에 없는 계좌입니다. 계좌번호를 확인하고 새 refund_request_id로 다시 요청하십시오",
}

LONGEST_REASON: Final = 200
WITHDREW: Final = "requester_withdrew"
"""The note of a rejection or a release that the requester asked for; it becomes the reason."""


class Review(NamedTuple):
    """What an operator decided. `amount` (won), when given, is what a refund of the units is to pay.

    `is_withdrawal`: the requester wants it no more, so a rejection is for that reason.
    """

    decision: ReviewDecision
    amount: int | None
    actor: str
    note: str | None
    at: datetime
    is_withdrawal: bool = False


def attach_proof(
    order: Order, refund: Refund, kind: str, reference: str | None, actor: str, at: datetime
) -> Decision[Order]:
    """A proof that the account is the subscriber's puts a held request into review; more may follow."""
    if "proof" not in possible(refund):
        return unfit("/refund_id", refund, "needs no proof")
    return decided_silently(order, enter(refund, "in_review", at, actor, kind, reference))


def record_holder_answer(order: Order, refund: Refund, answer: HolderAnswer, at: datetime) -> Decided[Order]:
    """The bank says whether the account is of the subscriber's business number; nobody else is asked then.

    `unavailable` is no answer: the refund waits on, and only that is kept. What nobody waits for any more
    changes nothing.
    """
    if (refund.state, refund.why) != ("held", "holder_check"):
        return Decided(order)
    match answer:
        case "match":
            judged = judge(order, refund, at)
            if isinstance(judged, Refusal):
                return reject(order, refund, judged, at, BANK)
            return proceed(order, refund, judged, at, BANK, "holder_confirmed")
        case "mismatch":
            return hold_for_proof(order, refund, "not_confirmed", at, BANK)
        case "no_such_account":
            return reject(order, refund, Refusal("no_such_account", at, _ANOTHER_ACCOUNT), at, BANK)
        case "unavailable":
            return decided_silently(order, enter(refund, refund.state, at, BANK, BANK_UNAVAILABLE))
        case never:
            assert_never(never)


def confirm_return(
    order: Order,
    refund: Refund,
    units: Sequence[LineUnits] | None,
    confirmed_at: datetime | None,
    at: datetime,
) -> Decision[Order]:
    """The goods of a refund are back, all of them or these units; orders is asked for the units of those.

    A refund that has ended or gone on keeps the instant and nothing else. One that still waits for something
    else keeps the units too. The same news again changes nothing.
    """
    fault = _wrong_return(order, refund, units)
    if fault is None and confirmed_at is not None:
        fault = before_payment(order, confirmed_at, "confirmed_at")
    if fault is not None:
        return fault
    if refund.returned_at is not None:
        return Decided(order)
    refund = replace(refund, returned_at=confirmed_at or at)
    if refund.state not in ("held", "in_review"):
        return decided_silently(order, enter(refund, refund.state, at, CHECKOUT, "returned"))
    if units is not None:
        refund = _of_what_came_back(order, refund, units, at)
    if refund.why != "return_awaited":
        return decided_silently(order, enter(refund, refund.state, at, CHECKOUT, "returned"))
    judged = judge(order, refund, at)
    if isinstance(judged, Refusal):
        return reject(order, refund, judged, at)
    return proceed(order, refund, judged, at, CHECKOUT, "returned")


def review(order: Order, refund: Refund, review: Review, policy: Policy = NO_CHOICE) -> Decision[Order]:
    """An operator decides. What does not fit the state of the refund is a fault of the document."""
    if review.decision not in possible(refund):
        return unfit("/decision", refund, _why_not(refund, review.decision))
    match review.decision:
        case "approve":
            return _approve(order, refund, review, policy)
        case "reject":
            refusal = Refusal(WITHDREW if review.is_withdrawal else "review_rejected", review.at)
            return reject(order, refund, refusal, review.at, review.actor, review.note)
        case "retry":
            return request_payout(order, refund, review.at, review.actor, "retry", review.note)
        case "release":
            return _release(order, refund, review)
        case never:
            assert_never(never)


def possible(refund: Refund) -> Sequence[RefundDecision]:
    """What may be decided about a refund in its state."""
    return of_refund(refund.state, refund.why)


def changes(order: Order, refund: Refund) -> dict[str, Any]:
    """What a decision changes of a refund: its state and why, and the won that it is about."""
    won = _asked_won(order, refund) if refund.money is None else refund.amount
    return {"state": refund.state, "why": refund.why, "won": won}


def _asked_won(order: Order, refund: Refund) -> int | None:
    """What its units are worth now; None where they are not known, or somebody else has some of them."""
    is_open = all(order.lines[line_id].open >= quantity for line_id, quantity in refund.lines)
    if not refund.lines or not is_open:
        return None
    return worth(order, refund.lines, sum(refund.consumed.values())).total - refund.fee


def _why_not(refund: Refund, decision: ReviewDecision) -> str:
    if decision == "release" and refund.state in ("paying_out", "unknown", "repaying"):
        return "its money may be on its way; wait for its answer, or decide retry"
    return f"cannot be decided with {decision}"


def _approve(order: Order, refund: Refund, review: Review, policy: Policy) -> Decision[Order]:
    """Judged again: units may have been issued, or used, while the request was in review.

    Only what the operator was asked about is approved with it: a use that was heard of since puts the refund
    into review once more. An approved amount stands for exactly these units: orders then gives all of them
    or none. It is what they are worth; of lines that the rule leaves to an operator it may be a part of that,
    and the rest stays paid. From so many won on that the policy names, two people approve the same won.
    """
    if refund.approved_by == review.actor:
        detail = f"{review.actor} has approved refund {refund.refund_id}: somebody else has to approve it too"
        return Reject("inconsistent", "/actor", detail)
    is_of_rule = refund.why in REVIEWED
    if is_of_rule:
        refund = replace(refund, reviewed_at=review.at)
    judged = judge(order, refund, review.at)
    if isinstance(judged, Refusal):
        return reject(order, refund, judged, review.at, review.actor, review.note)
    if is_of_rule:
        known = {line_id: won_used(order.lines[line_id]) for line_id in judged.reviewed}
        refund = replace(refund, known_use={line_id: won for line_id, won in known.items() if won})
    if review.amount is not None:
        consumed = _consumed(order, judged, review.amount)
        if isinstance(consumed, Reject):
            return consumed
        refund = replace(refund, lines=judged.units, consumed=consumed)
    won = _paid(order, judged, refund.consumed)
    if 0 < policy.second_approval_from <= won and refund.approved_won != won:
        return hold_for_second(order, refund, won, review.at, review.actor, review.note)
    return proceed(order, refund, judged, review.at, review.actor, "approved", review.note)


def _paid(order: Order, judged: Refundable, consumed: Mapping[str, int]) -> int:
    """What is paid out for these units, in won, where an operator approved a part: `consumed` stays paid."""
    used_up = {**judged.consumed, **consumed}
    return worth(order, judged.units, sum(used_up.values())).total - judged.fee


def _consumed(order: Order, judged: Refundable, amount: int) -> dict[str, int] | Reject:
    """The won by line that stay paid when so many go out: none, or a part of what the reviewed lines cost.

    They stay first for what was used: what is told later of the same line is then paid for already.
    """

    def pays(more: int) -> int:
        return worth(order, judged.units, judged.consumed_won + more).total - judged.fee

    owed, quantities = pays(0), dict(judged.units)
    costs = {line_id: price_of(order.lines[line_id], quantities[line_id]) for line_id in judged.reviewed}
    if amount != owed and (amount > owed or not costs):
        return Reject("inconsistent", "/amount", f"these units are worth {owed} won, not {amount}")
    more = bisect_left(range(sum(costs.values())), -amount, key=lambda won: -pays(won))
    if pays(more) != amount:
        nearest = f"{pays(more)} or {pays(more - 1)}" if pays(more) < amount else f"{pays(more)} at least"
        return Reject("inconsistent", "/amount", f"with VAT these units can pay {nearest}, not {amount} won")
    consumed = {}
    used_first = sorted(costs, key=lambda line_id: not won_used(order.lines[line_id]))
    for line_id in used_first:
        if taken := min(more, costs[line_id]):
            consumed[line_id] = taken
            more -= taken
    return consumed


def _wrong_return(order: Order, refund: Refund, units: Sequence[LineUnits] | None) -> Reject | None:
    """The fault of a return of what the refund does not ask for, or of what is not sent back."""
    asked = {line_id for line_id, _ in refund.lines} or order.lines.keys()
    goods = {line_id for line_id in asked if order.lines[line_id].kind == "goods"}
    if not goods:
        return unfit("/refund_id", refund, "has no goods that could come back")
    for index, (line_id, quantity) in enumerate(units or ()):
        most = dict(refund.lines).get(line_id, order.lines[line_id].open) if line_id in goods else 0
        if quantity > most:
            detail = (
                f"{most} units of line {line_id} can come back for refund {refund.refund_id}, not {quantity}"
            )
            return Reject("inconsistent", f"/lines/{index}", detail)
    return None


def _of_what_came_back(order: Order, refund: Refund, units: Sequence[LineUnits], at: datetime) -> Refund:
    """The refund of its goods that came back, and of all that is sent nowhere."""
    asked = refund.lines
    if not asked:
        judged = judge(order, refund, at)
        asked = () if isinstance(judged, Refusal) else judged.units
    back = dict(units)
    kept = (
        each
        if order.lines[each.line_id].kind != "goods"
        else each._replace(quantity=back.get(each.line_id, 0))
        for each in asked
    )
    return replace(refund, lines=tuple(each for each in kept if each.quantity))


def _release(order: Order, refund: Refund, review: Review) -> Decided[Order]:
    """The payout is given up: units and money go back to the order."""
    assert refund.money is not None, "a failed refund was granted"
    note = review.note or ""
    reason = note if 0 < len(note) <= LONGEST_REASON else "released_by_operator"
    order = void(order, refund.lines, refund.money, refund.consumed)
    refund = enter(replace(refund, why=reason), "released", review.at, review.actor, reason, review.note)
    return decided(order, refund, refund_released(refund, review.actor))
