"""From the grant to the money: checkout is asked to pay, has paid, could not, or does not know."""

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from services.refunds.decisions.steps import CHECKOUT, REFUNDS, enter, unfit
from services.refunds.decisions.units import confirm
from services.refunds.events import decided, refund_completed, refund_failed, refund_payout_requested
from services.refunds.policies.destinations import expected_payout
from services.refunds.state import Order, Refund, RefundState
from shared.kst import kst_date
from shared.runtime.decisions import Decided, Decision, Wait

UNANSWERED: Final = frozenset({"timeout", "unknown"})
"""Reasons of a failed payout after which the money may still be on its way."""


def request_payout(
    order: Order, refund: Refund, at: datetime, actor: str, reason: str, note: str | None = None
) -> Decided[Order]:
    """Checkout is asked to pay a granted refund, for the first time or once more."""
    first, last = expected_payout(refund.destination.kind, at)
    refund = replace(refund, expected_on=first, why=None)
    refund = enter(refund, "paying_out", at, actor, reason, note)
    return decided(order, refund, refund_payout_requested(refund, order.payment_id, first, last))


def record_payout(
    order: Order, refund: Refund, payout_id: str, paid_out_at: datetime, at: datetime
) -> Decision[Order]:
    """Checkout has paid. A success after a failure counts; a payout that nobody asked for is rejected."""
    match refund.state:
        case "paying_out" | "unknown" | "failed":
            return _complete(order, refund, payout_id, paid_out_at, at)
        case "completed":
            if payout_id in refund.payouts:
                return Decided(order)
            return unfit("/payout_id", refund, _paid_out_by(refund))
        case "rejected" | "denied" | "released":
            return unfit("/refund_id", refund, "was not to be paid out")
        case "requested" | "held" | "in_review" | "accepted" | "granted":
            return Wait(f"refund {refund.refund_id} to be granted")


def record_payout_failure(
    order: Order, refund: Refund, payout_id: str, reason: str, at: datetime
) -> Decision[Order]:
    """Checkout could not pay, or does not know (`timeout`, `unknown`). The units stay claimed either way."""
    match refund.state:
        case "paying_out" | "unknown":
            return _fail(order, refund, payout_id, reason, at)
        case "failed" | "released":
            return Decided(order)
        case "completed":
            if payout_id not in refund.payouts[:1]:  # an earlier try, overtaken by the one that succeeded
                return Decided(order)
            return unfit("/payout_id", refund, _paid_out_by(refund))
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


def _paid_out_by(refund: Refund) -> str:
    return f"was paid out by {refund.payouts[0]}" if refund.payouts else "was worth nothing"


def _complete(
    order: Order, refund: Refund, payout_id: str, paid_out_at: datetime, at: datetime
) -> Decided[Order]:
    order = confirm(order, refund.lines)
    refund = replace(refund, payouts=(payout_id,), completed_at=paid_out_at, why=None)
    refund = enter(refund, "completed", at, CHECKOUT, "paid_out", payout_id)
    return decided(order, refund, refund_completed(refund, order.payment_id, payout_id, paid_out_at))


def _fail(order: Order, refund: Refund, payout_id: str, reason: str, at: datetime) -> Decided[Order]:
    """An unanswered payout can only be asked again: released units might be paid for a second time."""
    state: RefundState = "unknown" if reason in UNANSWERED else "failed"
    refund = enter(replace(refund, why=reason), state, at, CHECKOUT, reason, payout_id)
    return decided(order, refund, refund_failed(refund, payout_id))
