"""From the grant to the money: checkout is asked to pay, has paid, could not, or got the money back."""

from datetime import datetime
from typing import Final, NamedTuple

from msgspec.structs import replace

from services.refunds.decisions.steps import (
    CHECKOUT,
    REFUNDS,
    before_payment,
    decided_silently,
    enter,
    unfit,
)
from services.refunds.decisions.units import confirm
from services.refunds.decisions.usage import allow_known_use, judge_anew
from services.refunds.events import (
    decided,
    refund_bounced,
    refund_completed,
    refund_failed,
    refund_paid_twice,
    refund_payout_requested,
    refund_repaid,
)
from services.refunds.policies.destinations import expected_payout
from services.refunds.state import PAID_OUT, Failure, Order, Payout, PayoutState, Refund, RefundState
from shared.kst import kst_date
from shared.runtime.decisions import Decided, Decision, Reject, Wait

UNANSWERED: Final = frozenset({"timeout", "unknown"})
"""Reasons of a failed payout after which the money may still be on its way."""
ASKED_AGAIN: Final = "asked_again"
"""The reason of a request that nobody decided: a payout was not answered."""


class PaidOut(NamedTuple):
    """What checkout says of a payout that it made. `amount` (won) and `paid_out_at` may be left out."""

    payout_id: str
    amount: int | None
    paid_out_at: datetime | None
    at: datetime


class NotPaidOut(NamedTuple):
    """What checkout says of a payout that did not reach anybody, or came back; `amount` is won."""

    payout_id: str
    amount: int | None
    reason: str
    at: datetime


def request_payout(
    order: Order, refund: Refund, at: datetime, actor: str, reason: str, note: str | None = None
) -> Decided[Order]:
    """Checkout is asked to pay a granted refund: for the first time, once more, or again after a bounce."""
    first, last = expected_payout(refund.destination.kind, at)
    state: RefundState = "repaying" if refund.state in PAID_OUT else "paying_out"
    refund = replace(refund, expected_on=first, why=None)
    refund = enter(refund, state, at, actor, reason, note)
    return decided(order, refund, refund_payout_requested(refund, order.payment_id, first, last))


def ask_again(order: Order, refund: Refund, at: datetime) -> Decided[Order]:
    """Nobody knows what became of a payout: checkout is asked once more, under the same key.

    Nothing changes where it has been answered meanwhile.
    """
    is_unanswered = refund.state == "unknown" or (refund.state == "bounced" and refund.why in UNANSWERED)
    return request_payout(order, refund, at, REFUNDS, ASKED_AGAIN) if is_unanswered else Decided(order)


def record_payout(order: Order, refund: Refund, paid: PaidOut) -> Decision[Order]:
    """Checkout has paid.

    A success after a failure counts; one that was before the failure of the same payout, and is told after
    it, has bounced. The same payout again changes nothing; money of a refund that is paid out already, or
    was released, left without being owed: orders makes it a case.
    """
    if paid.paid_out_at is not None and (fault := before_payment(order, paid.paid_out_at, "paid_out_at")):
        return fault
    known = refund.payout(paid.payout_id)
    if known is not None:
        return _other_amount(refund, paid.amount, _won(refund, known)) or Decided(order)
    failure = refund.failure(paid.payout_id)
    if failure is not None and paid.at < failure.failed_at:
        return _pay_what_came_back(order, refund, paid, failure)
    return _pay(order, refund, paid)


def _pay(order: Order, refund: Refund, paid: PaidOut) -> Decision[Order]:
    match refund.state:
        case "paying_out" | "unknown" | "failed":
            return _other_amount(refund, paid.amount, refund.amount) or _complete(order, refund, paid)
        case "bounced" | "repaying":
            return _other_amount(refund, paid.amount, refund.amount) or _repay(order, refund, paid)
        case "completed" | "released" | "rejected" | "denied":
            return _pay_twice(order, refund, paid)
        case "requested" | "held" | "in_review" | "accepted" | "granted":
            return Wait(f"refund {refund.refund_id} to be granted")


def record_payout_failure(order: Order, refund: Refund, failed: NotPaidOut) -> Decision[Order]:
    """Checkout could not pay, does not know (`timeout`, `unknown`), or the money came back.

    The units stay claimed in any case; once they were refunded they stay refunded. A payout that surely
    failed is remembered: the news that it had been made may come later.
    """
    known = refund.payout(failed.payout_id)
    if known is not None:
        return _give_back(order, refund, known, failed)
    remembering = _with_failure(refund, failed)
    match refund.state:
        case "paying_out" | "unknown" | "repaying":
            return _fail(order, remembering, failed)
        case "failed" | "released" | "bounced" | "completed":  # an earlier try, overtaken by what came after
            return Decided(order) if remembering is refund else decided_silently(order, remembering)
        case "rejected" | "denied":
            return unfit("/refund_id", refund, "was never to be paid out")
        case "requested" | "held" | "in_review" | "accepted" | "granted":
            return Wait(f"refund {refund.refund_id} to be granted")


def complete_free(order: Order, refund: Refund, at: datetime) -> Decided[Order]:
    """A granted refund of 0 won is complete at once: nobody is asked to pay."""
    order = confirm(order, refund.lines)
    refund = replace(refund, expected_on=kst_date(at), completed_at=at, why=None)
    refund = enter(refund, "completed", at, REFUNDS, "nothing_to_pay")
    return decided(order, refund, refund_completed(refund, order.payment_id, str(refund.refund_id), at))


def _pay_what_came_back(order: Order, refund: Refund, paid: PaidOut, failure: Failure) -> Decision[Order]:
    """The payout was made and came back, and that it came back was told first: both have happened.

    After a release its money is back and its units are given up, so nothing is left to say.
    """
    if refund.state == "released":
        return Decided(order)
    went = _pay(order, refund, paid)
    if not isinstance(went, Decided):
        return went
    refund = went.state.refunds[refund.refund_id]
    payout = refund.payout(paid.payout_id)
    assert payout is not None, "it was just made"
    back = _give_back(
        went.state, refund, payout, NotPaidOut(paid.payout_id, None, failure.reason, failure.failed_at)
    )
    assert isinstance(back, Decided), "no amount is named that could be wrong"
    return Decided(back.state, (*went.events, *back.events))


def _complete(order: Order, refund: Refund, paid: PaidOut) -> Decided[Order]:
    paid_out_at = _paid_out_at(order, paid)
    order = confirm(order, refund.lines)
    refund = _with_payout(replace(refund, completed_at=paid_out_at, why=None), paid, "paid", paid_out_at)
    refund = enter(refund, "completed", paid.at, CHECKOUT, "paid_out", paid.payout_id)
    completed = refund_completed(refund, order.payment_id, paid.payout_id, paid_out_at)
    return _judge_anew(decided(order, refund, completed), refund, paid.at)


def _judge_anew(went: Decided[Order], refund: Refund, at: datetime) -> Decided[Order]:
    """Also by what was heard of while the money was on its way, or since an operator approved."""
    went = went._replace(state=allow_known_use(went.state, refund))
    for line_id, _ in refund.lines:
        told = judge_anew(went.state, line_id, at)
        went = Decided(told.state, [*went.events, *told.events])
    return went


def _repay(order: Order, refund: Refund, paid: PaidOut) -> Decided[Order]:
    """The money of a refund that had bounced is out again. Its day stays that of the first payout."""
    paid_out_at = _paid_out_at(order, paid)
    refund = _with_payout(replace(refund, why=None), paid, "paid", paid_out_at)
    refund = enter(refund, "completed", paid.at, CHECKOUT, "repaid", paid.payout_id)
    return decided(order, refund, refund_repaid(refund, paid.payout_id, paid_out_at))


def _pay_twice(order: Order, refund: Refund, paid: PaidOut) -> Decision[Order]:
    """Money left that nobody was owed: also of a refund that was never to be paid out."""
    amount = paid.amount or refund.amount
    if not amount:
        return unfit("/refund_id", refund, "was owed nothing; name the amount that was paid")
    paid_out_at = _paid_out_at(order, paid)
    refund = _with_payout(refund, paid, "twice", paid_out_at)
    refund = enter(refund, refund.state, paid.at, CHECKOUT, "paid_twice", paid.payout_id)
    return decided(
        order, refund, refund_paid_twice(refund, order.payment_id, paid.payout_id, amount, paid_out_at)
    )


def _give_back(order: Order, refund: Refund, payout: Payout, failed: NotPaidOut) -> Decision[Order]:
    """Money that was paid out came back. A failure before the success, or a time-out, is old news."""
    is_before = payout.told_at is not None and failed.at < payout.told_at
    if is_before or failed.reason in UNANSWERED or payout.state in ("bounced", "returned"):
        return Decided(order)
    fault = _other_amount(refund, failed.amount, _won(refund, payout))
    if fault is not None:
        return fault
    state: PayoutState = "bounced" if payout.state == "paid" else "returned"
    payouts = tuple(replace(each, state=state) if each is payout else each for each in refund.payouts)
    refund = replace(refund, payouts=payouts)
    if state == "returned":  # the case of orders ends by an operator's decision
        refund = enter(refund, refund.state, failed.at, CHECKOUT, failed.reason, failed.payout_id)
        return Decided(replace(order, refunds={**order.refunds, refund.refund_id: refund}))
    refund = replace(refund, why=failed.reason)
    refund = enter(refund, "bounced", failed.at, CHECKOUT, failed.reason, failed.payout_id)
    return decided(order, refund, refund_bounced(refund, failed.payout_id))


def _fail(order: Order, refund: Refund, failed: NotPaidOut) -> Decided[Order]:
    """An unanswered payout can only be asked again: released units might be paid for a second time."""
    state: RefundState = "unknown" if failed.reason in UNANSWERED else "failed"
    if refund.state == "repaying":
        state = "bounced"
    refund = replace(refund, why=failed.reason)
    refund = enter(refund, state, failed.at, CHECKOUT, failed.reason, failed.payout_id)
    return decided(order, refund, refund_failed(refund, failed.payout_id))


def _with_payout(refund: Refund, paid: PaidOut, state: PayoutState, paid_out_at: datetime) -> Refund:
    amount = paid.amount or refund.amount
    position = len(refund.payouts)
    payout = Payout(refund.refund_id, paid.payout_id, position, state, amount, paid_out_at, paid.at)
    return replace(refund, payouts=(*refund.payouts, payout))


def _with_failure(refund: Refund, failed: NotPaidOut) -> Refund:
    """The refund with the latest sure failure of this payout; an unanswered one proves nothing."""
    known = refund.failure(failed.payout_id)
    if failed.reason in UNANSWERED or (known is not None and known.failed_at >= failed.at):
        return refund
    others = [each for each in refund.failures if each is not known]
    failure = Failure(refund.refund_id, failed.payout_id, failed.at, failed.reason)
    failures = sorted([*others, failure], key=lambda each: each.payout_id)
    return replace(refund, failures=tuple(failures))


def _paid_out_at(order: Order, paid: PaidOut) -> datetime:
    """When the money left: as checkout says, else when it said so, which may be its clock going wrong."""
    if paid.paid_out_at is not None:
        return paid.paid_out_at
    return paid.at if order.paid_at is None else max(paid.at, order.paid_at)


def _won(refund: Refund, payout: Payout) -> int:
    return refund.amount if payout.amount is None else payout.amount


def _other_amount(refund: Refund, said: int | None, owed: int) -> Reject | None:
    """The fault of a document that names other won than this payout is of.

    It changes nothing, so that the refund stays owed until checkout says what is true.
    """
    if said in (None, owed):
        return None
    return Reject(
        "inconsistent", "/amount", f"this payout of refund {refund.refund_id} is {owed} won, not {said}"
    )
