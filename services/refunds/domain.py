"""Every decision about refunds, pure: state and facts in, new state and new facts out (domain.md section 4).

Orders alone decides who gets a unit. This service refuses early what is surely lost, asks orders for the rest
(`refund.accepted`), and sees to it that a granted refund is paid out exactly once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from services.refunds import policies
from services.refunds.judgement import Refusal, judge
from services.refunds.policies import POLICIES
from services.refunds.refund_order import (
    BankAccount,
    Destination,
    Line,
    Payment,
    Refund,
    RefundOrder,
    RefundState,
    Share,
)
from shared.kst import wire_time
from shared.money import Money
from shared.runtime.decisions import NewEvent, Reject, Wait

ReviewDecision = Literal["approve", "reject", "retry", "release"]

US = "refunds"
ORDERS = "orders"
CHECKOUT = "checkout"
LONGEST_REASON = 200
UNANSWERED = frozenset({"timeout", "unknown"})
"""Reasons of a failed payout after which the money may still be on its way."""


class Details(NamedTuple):
    """What is kept sealed under a reference: the destination and the free text of a request."""

    reference: UUID
    refund_id: UUID
    order_id: str
    account: BankAccount | None
    message: str


class Decision(NamedTuple):
    """The order as it is now and what follows."""

    order: RefundOrder
    events: Sequence[NewEvent] = ()
    details: Details | None = None


@dataclass(slots=True, frozen=True)
class Request:
    """A refund request. `lines` is None for everything refundable; `content` identifies the document."""

    request_id: str
    content: bytes
    requested_by: str
    role: str
    lines: tuple[Share, ...] | None
    reason: str
    message: str
    account: BankAccount | None
    at: datetime


@dataclass(slots=True, frozen=True)
class Review:
    """What an operator decided. `amount` (won), when given, must be what the units are worth."""

    decision: ReviewDecision
    amount: int | None
    actor: str
    note: str | None
    at: datetime


# What orders says


def cancel(order: RefundOrder, at: datetime) -> Decision:
    """Upstream took the payment back: open units are gone, and requests that hold no claim end here.

    A refund that orders has granted goes on to its end: orders counts only open units as taken back, so the
    money of a granted refund is still owed. One that was asked and not answered waits for orders' answer.
    Orders says `order.cancelled` again for units released later; here they went with the release itself.
    """
    if order.payment.state == "cancelled":
        return Decision(order)
    if order.payment.state == "paid":
        order = order.with_lines(map(_taken_back, order.lines.values()))
    order = replace(order, payment=replace(order.payment, state="cancelled", ended_at=at))
    events: list[NewEvent] = []
    for refund in list(order.refunds.values()):
        if refund.state in ("held", "in_review"):
            order, said, _ = _rejected(order, refund, Refusal("order_cancelled", at), at, ORDERS)
            events.extend(said)
    return Decision(order, events)


def expire(order: RefundOrder, at: datetime) -> RefundOrder:
    """The deposit never came."""
    return replace(order, payment=replace(order.payment, state="expired", ended_at=at))


def record_issuance(order: RefundOrder, share: Share, at: datetime) -> Decision:
    """Units were granted to issue: they are lost for refunds, and the line is locked when nothing is left."""
    line = order.lines[share.line_id]
    line = _with_units(line, granted=line.units.granted + share.quantity, last_granted_at=at)
    return _lock_what_is_gone(Decision(order.with_lines([line])), [line.line_id], at)


def _lock_what_is_gone(decision: Decision, line_ids: Iterable[str], at: datetime) -> Decision:
    """Lock lines of which nothing is left to refund because some units are issued and others refunded."""
    order, events = decision.order, list(decision.events)
    for line_id in line_ids:
        line = order.lines[line_id]
        if line.units.granted and not line.units.open and not line.locked:
            line = replace(line, locked=True, locks=line.locks + 1)
            order = order.with_lines([line])
            events.append(_locked(order, line, at))
    return decision._replace(order=order, events=events)


def record_grant(
    order: RefundOrder, refund_id: UUID, shares: tuple[Share, ...], money: Money | None, at: datetime
) -> Decision:
    """Orders has given the units: ask checkout to pay them out.

    `money` is what orders decided with the claim. It stands, because only orders sees all claims in their
    order; where it was not said it is computed by the same rule. Raises ValueError for a refund that this
    service never asked for.
    """
    refund = _asked_of_orders(order, refund_id)
    money = order.worth(shares) if money is None else money
    order = order.claim(shares, money)
    refund = replace(refund, lines=shares, money=money).enter("granted", at, ORDERS, "granted")
    asked = _request_payout(order, refund, at, US, "granted")
    return _lock_what_is_gone(asked, [share.line_id for share in shares], at)


def record_denial(
    order: RefundOrder, refund_id: UUID, reason: str, lost_at: datetime, at: datetime
) -> Decision:
    """Orders has given the units to somebody else first. Its own event has told everybody.

    Raises ValueError when this service never asked for them.
    """
    refund = replace(_asked_of_orders(order, refund_id), why=reason, why_at=lost_at)
    return Decision(order.with_refund(refund.enter("denied", at, ORDERS, reason)))


def _asked_of_orders(order: RefundOrder, refund_id: UUID) -> Refund:
    refund = order.refunds.get(refund_id)
    if refund is None or refund.state != "accepted":
        raise ValueError(f"orders answered refund {refund_id}, which was not asked")
    return refund


# What the partner asks


def request_refund(order: RefundOrder, request: Request, new_id: Callable[[], UUID]) -> Decision | Reject:
    """Judge a request about an order that is paid, expired or cancelled.

    The same request again changes nothing; other content under its id, a line the order does not have and a
    kind that is not supported yet are faults of the document.
    """
    known = order.refund_of_request(request.request_id)
    if known is not None:
        return _repeated(order, known, request)
    fault = _fault_of(order, request)
    if fault is not None:
        return fault
    refund, details = _open_refund(order, request, new_id)
    judged = judge(order, refund, request.at)
    if isinstance(judged, Refusal):
        return _rejected(order, refund, judged, request.at)._replace(details=details)
    if not _own_account(order, refund, request.account):
        return _hold(order, refund, request.at)._replace(details=details)
    accepted = _accept(order, refund, judged, request.at, US, "until_issued", everything=refund.everything)
    return accepted._replace(details=details)


def refuse_accepted(
    order: RefundOrder, request: Request, reason: str, new_id: Callable[[], UUID]
) -> Decision:
    """A request that waited turned out to be wrong: checkout was told `accepted`, so a fact follows."""
    refund, details = _open_refund(order, request, new_id)
    return _rejected(order, refund, Refusal(reason, request.at), request.at)._replace(details=details)


def _repeated(order: RefundOrder, known: Refund, request: Request) -> Decision | Reject:
    if known.content == request.content:
        return Decision(order)
    detail = f"refund request {request.request_id} is known with other content"
    return Reject("duplicate_request", "/refund_request_id", detail)


def _fault_of(order: RefundOrder, request: Request) -> Reject | None:
    if request.lines is None:
        if any(line.kind in POLICIES for line in order.lines.values()):
            return None
        return Reject("not_supported", "/order_id", "refunds of these product kinds are not supported yet")
    for index, share in enumerate(request.lines):
        line = order.lines.get(share.line_id)
        pointer = f"/lines/{index}/line_id"
        if line is None:
            return Reject("inconsistent", pointer, f"order {order.order_id} has no line {share.line_id}")
        if line.kind not in POLICIES:
            return Reject("not_supported", pointer, f"refunds of kind {line.kind} are not supported yet")
    return None


def _open_refund(order: RefundOrder, request: Request, new_id: Callable[[], UUID]) -> tuple[Refund, Details]:
    refund_id, reference = new_id(), new_id()
    asked = request.lines or ()
    refund = Refund(
        refund_id,
        request.request_id,
        request.content,
        "requested",
        request.requested_by,
        request.role,
        policies.reason_name(request.reason),
        everything=request.lines is None,
        lines=tuple(share for share in asked if share.line_id in order.lines),
        requested_at=request.at,
        destination=_destination(order.payment, request.account, reference),
    )
    refund = refund.enter("requested", request.at, request.requested_by, refund.reason)
    return refund, Details(reference, refund_id, order.order_id, request.account, request.message)


def _destination(payment: Payment, account: BankAccount | None, reference: UUID) -> Destination:
    """By payment method, whatever destination the request names."""
    kind = policies.destination_kind(payment.method)
    if kind != "bank_account":
        return Destination(kind, reference, kind)
    masked = policies.mask(account.bank_code, account.account_number) if account else None
    return Destination(kind, reference, masked)


# What becomes of a request


def _own_account(order: RefundOrder, refund: Refund, account: BankAccount | None) -> bool:
    if refund.destination.kind != "bank_account" or account is None:
        return True
    return policies.same_holder(account.holder, order.payment.partner_name)


def _rejected(
    order: RefundOrder,
    refund: Refund,
    refusal: Refusal,
    at: datetime,
    actor: str = US,
    note: str | None = None,
) -> Decision:
    refund = replace(refund, why=refusal.reason, why_at=refusal.at)
    refund = refund.enter("rejected", at, actor, refusal.reason, note)
    data = {"reason": refusal.reason, "at": wire_time(refusal.at), **refusal.more}
    return _said(order, refund, "refund.rejected.v1", data)


def _hold(order: RefundOrder, refund: Refund, at: datetime) -> Decision:
    refund = replace(refund, why="holder_mismatch").enter("held", at, US, "holder_mismatch")
    data = {"reason": "holder_mismatch", "next": "attach_proof", "since": wire_time(at)}
    return _said(order, refund, "refund.held.v1", data)


def _accept(
    order: RefundOrder,
    refund: Refund,
    shares: tuple[Share, ...],
    at: datetime,
    actor: str,
    reason: str,
    note: str | None = None,
    *,
    everything: bool,
) -> Decision:
    """Ask orders for the units: all of them or none; of `everything` refundable at most these."""
    refund = replace(refund, lines=shares, why=None).enter("accepted", at, actor, reason, note)
    data: dict[str, Any] = {"lines": _wire(shares)}
    if everything:
        data["everything"] = True
    return _said(order, refund, "refund.accepted.v1", data)


# Proof and review


def attach_proof(
    order: RefundOrder, refund: Refund, kind: str, reference: str | None, actor: str, at: datetime
) -> Decision | Reject:
    """A proof that the account is the subscriber's puts a held request into review; more may follow."""
    if refund.state not in ("held", "in_review"):
        return _unfit("/refund_id", refund, "needs no proof")
    return Decision(order.with_refund(refund.enter("in_review", at, actor, kind, reference)))


def review(order: RefundOrder, refund: Refund, review: Review) -> Decision | Reject:
    """An operator decides. What does not fit the state of the refund is a fault of the document."""
    match review.decision, refund.state:
        case "approve", "in_review":
            return _approve(order, refund, review)
        case "reject", "held" | "in_review":
            refusal = Refusal("review_rejected", review.at)
            return _rejected(order, refund, refusal, review.at, review.actor, review.note)
        case "retry", "failed" | "unknown" | "paying_out":
            return _request_payout(order, refund, review.at, review.actor, "retry", review.note)
        case "release", "failed":
            return _release(order, refund, review)
        case _:
            return _unfit("/decision", refund, f"cannot be decided with {review.decision}")


def _approve(order: RefundOrder, refund: Refund, review: Review) -> Decision | Reject:
    """Judged again: units may have been issued while the request was in review.

    An approved amount stands for exactly the units that are worth it: orders then gives all of them or none.
    """
    judged = judge(order, refund, review.at)
    if isinstance(judged, Refusal):
        return _rejected(order, refund, judged, review.at, review.actor, review.note)
    owed = order.worth(judged).total
    if review.amount is not None and review.amount != owed:
        return Reject("inconsistent", "/amount", f"these units are worth {owed} won, not {review.amount}")
    everything = refund.everything and review.amount is None
    actor, note = review.actor, review.note
    return _accept(order, refund, judged, review.at, actor, "approved", note, everything=everything)


def _release(order: RefundOrder, refund: Refund, review: Review) -> Decision:
    """The payout is given up: units and money go back to the order."""
    assert refund.money is not None, "a failed refund was granted"
    note = review.note or ""
    reason = note if 0 < len(note) <= LONGEST_REASON else "released_by_operator"
    order = order.void(refund.lines, refund.money)
    refund = replace(refund, why=reason).enter("released", review.at, review.actor, reason, review.note)
    data = {"lines": _wire(refund.lines), "actor": review.actor, "reason": reason}
    return _said(order, refund, "refund.released.v1", data)


# The payout


def record_payout(
    order: RefundOrder, refund: Refund, payout_id: str, paid_out_at: datetime, at: datetime
) -> Decision | Wait | Reject:
    """Checkout has paid. A success after a failure counts; a payout that nobody asked for is rejected."""
    match refund.state:
        case "paying_out" | "unknown" | "failed":
            return _complete(order, refund, payout_id, paid_out_at, at)
        case "completed":
            if payout_id in refund.payouts:
                return Decision(order)
            return _unfit("/payout_id", refund, f"was paid out by {refund.payouts[0]}")
        case "rejected" | "denied" | "released":
            return _unfit("/refund_id", refund, "was not to be paid out")
        case "requested" | "held" | "in_review" | "accepted" | "granted":
            return Wait(f"refund {refund.refund_id} to be granted")


def record_payout_failure(
    order: RefundOrder, refund: Refund, payout_id: str, reason: str, at: datetime
) -> Decision | Wait | Reject:
    """Checkout could not pay, or does not know (`timeout`, `unknown`). The units stay claimed either way."""
    match refund.state:
        case "paying_out" | "unknown":
            return _payout_failed(order, refund, payout_id, reason, at)
        case "failed" | "released":
            return Decision(order)
        case "completed":
            if payout_id != refund.payouts[0]:  # an earlier try, overtaken by the one that succeeded
                return Decision(order)
            return _unfit("/payout_id", refund, f"was paid out by {payout_id}")
        case "rejected" | "denied":
            return _unfit("/refund_id", refund, "was never to be paid out")
        case "requested" | "held" | "in_review" | "accepted" | "granted":
            return Wait(f"refund {refund.refund_id} to be granted")


def _request_payout(
    order: RefundOrder, refund: Refund, at: datetime, actor: str, reason: str, note: str | None = None
) -> Decision:
    """Always with the refund id as idempotency key: asking again can never pay twice."""
    first, last = policies.expected_payout(refund.destination.kind, at)
    refund = replace(refund, expected_on=first, why=None).enter("paying_out", at, actor, reason, note)
    data = {
        "amount": refund.amount,
        "fee": refund.fee,
        "payment_id": order.payment.payment_id,
        "destination": _where(refund.destination),
        "idempotency_key": str(refund.refund_id),
        "expected_on": first.isoformat(),
    }
    if last != first:
        data["expected_until"] = last.isoformat()
    return _said(order, refund, "refund.payout_requested.v1", data)


def _complete(
    order: RefundOrder, refund: Refund, payout_id: str, paid_out_at: datetime, at: datetime
) -> Decision:
    money = refund.money
    assert money is not None, "a refund is granted before it is paid out"
    order = order.confirm(refund.lines)
    refund = replace(refund, payouts=(payout_id,), completed_at=paid_out_at, why=None)
    data = {
        "payment_id": order.payment.payment_id,
        "lines": _wire(refund.lines),
        "supply": money.supply,
        "vat": money.vat,
        "fee": refund.fee,
        "amount": refund.amount,
        "payout_id": payout_id,
        "completed_at": wire_time(paid_out_at),
    }
    entered = refund.enter("completed", at, CHECKOUT, "paid_out", payout_id)
    return _said(order, entered, "refund.completed.v1", data)


def _payout_failed(order: RefundOrder, refund: Refund, payout_id: str, reason: str, at: datetime) -> Decision:
    """An unanswered payout can only be asked again: released units might be paid for a second time."""
    state: RefundState = "unknown" if reason in UNANSWERED else "failed"
    following = "retry" if state == "unknown" else "retry_or_release"
    refund = replace(refund, why=reason).enter(state, at, CHECKOUT, reason, payout_id)
    data = {"reason": reason, "next": following, "payout_id": payout_id}
    return _said(order, refund, "refund.failed.v1", data)


# How facts are told


def _said(order: RefundOrder, refund: Refund, type_name: str, data: Mapping[str, Any]) -> Decision:
    """Count the fact on its refund and put the refund back into the order."""
    refund = replace(refund, sequence=refund.sequence + 1)
    refund_id = str(refund.refund_id)
    head = {"order_id": order.order_id, "refund_id": refund_id, "refund_request_id": refund.request_id}
    return Decision(
        order.with_refund(refund), [NewEvent(type_name, refund_id, refund.sequence, {**head, **data})]
    )


def _where(destination: Destination) -> dict[str, Any]:
    """The destination as a reference: the account itself is never in an event."""
    return {
        "method": destination.kind,
        "reference": str(destination.reference),
        "masked": destination.masked,
    }


def _locked(order: RefundOrder, line: Line, at: datetime) -> NewEvent:
    subject = f"{order.order_id}/{line.line_id}"
    data = {
        "order_id": order.order_id,
        "line_id": line.line_id,
        "locked_at": wire_time(at),
        "reason": "issued",
    }
    return NewEvent("refund.locked.v1", subject, line.locks, data)


def _unfit(pointer: str, refund: Refund, what: str) -> Reject:
    return Reject("inconsistent", pointer, f"refund {refund.refund_id} is {refund.state} and {what}")


def _wire(shares: Iterable[Share]) -> list[dict[str, Any]]:
    return [share._asdict() for share in shares]


def _taken_back(line: Line) -> Line:
    units = line.units
    return _with_units(line, taken_back=units.taken_back + units.open) if units.open else line


def _with_units(line: Line, **counts: Any) -> Line:
    return replace(line, units=replace(line.units, **counts))
