"""A request for money back: judged, then held for what comes first, accepted (asks orders) or rejected."""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from services.refunds.decisions.judging import Refundable, Refusal, judge
from services.refunds.decisions.steps import REFUNDS, enter
from services.refunds.decisions.units import are_free, unknown_line
from services.refunds.events import (
    decided,
    refund_accepted,
    refund_held,
    refund_rejected,
    request_cancelled,
)
from services.refunds.policies.accounts import wrong_account
from services.refunds.policies.destinations import destination_kind, mask
from services.refunds.policies.holders import Mismatch, mismatch_of, proof_of
from services.refunds.policies.holds import HOLDS, REVIEWED, deadline_of
from services.refunds.policies.reasons import listed_reasons, reason_name
from services.refunds.state import BankAccount, Destination, Details, Order, Policy, Refund
from shared.runtime.decisions import Decided, Decision, NewEvent, Reject, Wait
from shared.units import LineUnits


class Request(NamedTuple):
    """A refund request. `lines` is None for everything refundable; `content` identifies the document."""

    order_id: str
    request_id: str
    content: bytes
    requested_by: str
    role: str
    lines: tuple[LineUnits, ...] | None
    reason: str
    message: str
    account: BankAccount | None
    at: datetime


NO_CHOICE: Final = Policy()
"""The policies where an operator has set none."""
_NOTHING_MORE: Final[Mapping[str, Any]] = {}


def request_refund(
    order: Order | None, request: Request, new_id: Callable[[], UUID], policy: Policy = NO_CHOICE
) -> Decision[Order]:
    """Judges a request. It waits until the order is paid or can never be.

    The same request again changes nothing; other content under its id, a reason that is not on the list, a
    line that the order does not have and an account that cannot be are faults of the document.
    """
    earlier = None if order is None else refund_of_request(order, request.request_id)
    if order is not None and earlier is not None:
        return _repeated(order, earlier, request)
    if reason_name(request.reason) is None:
        return Reject("out_of_range", "/reason", f"reason must be one of {listed_reasons()}")
    if order is None or order.state == "registered":
        return Wait(f"order {request.order_id} to be paid")
    fault = unknown_line(order, request.lines or ())
    if fault is not None:
        return fault
    refund = _open_refund(order, request, new_id)
    judged = judge(order, refund, request.at)
    if isinstance(judged, Refusal):
        return reject(order, refund, judged, request.at)
    if refund.destination.kind == "bank_account" and not are_free(order, judged.units):
        assert request.account is not None, "without one the request is refused"
        waiting = _look_at_account(order, refund, request.account, policy)
        if waiting is not None:
            return waiting
    return proceed(order, refund, judged, request.at, REFUNDS, judged.rules)


def _look_at_account(
    order: Order, refund: Refund, account: BankAccount, policy: Policy
) -> Decision[Order] | None:
    """What keeps money from this account: it cannot be, its holder differs, or the bank is asked first."""
    wrong = wrong_account(account.bank_code, account.account_number)
    if wrong is not None:
        return Reject("out_of_range", "/destination/account_number", wrong)
    mismatch = mismatch_of(account.holder, order.partner_name)
    if mismatch is not None:
        return hold_for_proof(order, refund, mismatch, refund.requested_at)
    if policy.asks_bank:
        return hold(order, refund, "holder_check", refund.requested_at)
    return None


def refuse_accepted(
    order: Order, request: Request, reason: str, new_id: Callable[[], UUID]
) -> Decided[Order]:
    """A request that waited turned out to be wrong: checkout was answered `accepted`, so an event follows."""
    refund = _open_refund(order, request, new_id)
    return reject(order, refund, Refusal(reason, request.at), request.at)


def cancel(request: Request, refund_id: UUID, at: datetime) -> NewEvent:
    """A request that waited for its payment is cancelled: checkout was answered `accepted`, so this follows.

    No refund is kept of it, since the goods may still change; the id is of this event alone.
    """
    return request_cancelled(request.order_id, request.request_id, refund_id, at)


def proceed(
    order: Order,
    refund: Refund,
    judged: Refundable,
    at: datetime,
    actor: str,
    reason: str,
    note: str | None = None,
) -> Decided[Order]:
    """The refund waits for what has to come next, or orders is asked for its units."""
    for why in judged.holds:
        if (refund.reviewed_at if why in REVIEWED else refund.returned_at) is None:
            return hold(order, refund, why, at, actor, note)
    everything = refund.everything and not refund.lines
    return accept(order, refund, judged, at, actor, reason, note, everything=everything)


def hold(
    order: Order, refund: Refund, why: str, at: datetime, actor: str = REFUNDS, note: str | None = None
) -> Decided[Order]:
    """The refund waits since `at`, for a reason of `HOLDS`; a first approval does not outlast it."""
    refund = replace(refund, mismatch=None, approved_by=None, approved_won=None)
    return _wait(order, refund, why, at, actor, note)


def hold_for_proof(
    order: Order, refund: Refund, mismatch: Mismatch, at: datetime, actor: str = REFUNDS
) -> Decided[Order]:
    """The refund waits for the proof that its account may have the money; which one depends on the holder."""
    proof = proof_of(mismatch)
    more = {"proof": proof.kind, "detail": proof.what_to_do, "detail_ko": proof.what_to_do_ko}
    return _wait(order, replace(refund, mismatch=mismatch), "holder_mismatch", at, actor, more=more)


def hold_for_second(
    order: Order, refund: Refund, won: int, at: datetime, actor: str, note: str | None
) -> Decided[Order]:
    """Somebody approved that so many won go out, and somebody else has to."""
    refund = replace(refund, mismatch=None, approved_by=actor, approved_won=won)
    return _wait(order, refund, "second_approval", at, actor, note)


def _wait(
    order: Order,
    refund: Refund,
    why: str,
    at: datetime,
    actor: str,
    note: str | None = None,
    more: Mapping[str, Any] = _NOTHING_MORE,
) -> Decided[Order]:
    state, following, _ = HOLDS[why]
    deadline = deadline_of(why, refund.requested_at, refund.returned_at, at)
    refund = enter(replace(refund, why=why, deadline=deadline), state, at, actor, why, note)
    return decided(order, refund, refund_held(refund, following, at, more))


def accept(
    order: Order,
    refund: Refund,
    judged: Refundable,
    at: datetime,
    actor: str,
    reason: str,
    note: str | None = None,
    *,
    everything: bool,
) -> Decided[Order]:
    """Orders is asked for the units: all of them or none; of `everything` refundable at most these."""
    consumed = {**judged.consumed, **refund.consumed}
    refund = replace(_without_wait(refund), lines=judged.units, fee=judged.fee, consumed=consumed, why=None)
    refund = enter(refund, "accepted", at, actor, reason, note)
    return decided(order, refund, refund_accepted(refund, everything=everything))


def reject(
    order: Order,
    refund: Refund,
    refusal: Refusal,
    at: datetime,
    actor: str = REFUNDS,
    note: str | None = None,
) -> Decided[Order]:
    """The request ends, before orders was asked."""
    refund = replace(_without_wait(refund), why=refusal.reason, why_at=refusal.at)
    refund = enter(refund, "rejected", at, actor, refusal.reason, note)
    return decided(order, refund, refund_rejected(refund, refusal.at, refusal.more))


def _without_wait(refund: Refund) -> Refund:
    return replace(refund, deadline=None, mismatch=None, approved_by=None, approved_won=None)


def refund_of_request(order: Order, request_id: str) -> Refund | None:
    """The refund that a request id stands for. A late duplicate never takes it over."""
    for refund in order.refunds.values():
        if refund.refund_request_id == request_id and refund.why != "duplicate_request":
            return refund
    return None


def _repeated(order: Order, earlier: Refund, request: Request) -> Decided[Order] | Reject:
    if earlier.content == request.content:
        return Decided(order)
    detail = f"refund request {request.request_id} is known with other content"
    return Reject("duplicate_request", "/refund_request_id", detail)


def _open_refund(order: Order, request: Request, new_id: Callable[[], UUID]) -> Refund:
    refund_id = new_id()
    refund = Refund(
        refund_id,
        order.order_id,
        request.request_id,
        request.content,
        "requested",
        request.requested_by,
        request.role,
        reason_name(request.reason) or request.reason,
        everything=request.lines is None,
        requested_at=request.at,
        destination=_destination(order, request.account, _reference_of(refund_id)),
        lines=tuple(units for units in request.lines or () if units.line_id in order.lines),
        details=Details(request.account, request.message),
    )
    return enter(refund, "requested", request.at, request.requested_by, refund.reason)


def _reference_of(refund_id: UUID) -> UUID:
    """The name of a refund's sealed details. It follows from the refund, so that a restored schema can be
    brought forward: the topics tell the one with the request, and the other only with the payout."""
    return UUID(bytes=blake2b(refund_id.bytes, digest_size=16, person=b"destination").digest(), version=5)


def _destination(order: Order, account: BankAccount | None, reference: UUID) -> Destination:
    """By payment method, whatever destination the request names."""
    kind = destination_kind(order.payment_method)
    if kind != "bank_account":
        return Destination(kind, reference, kind)
    masked = mask(account.bank_code, account.account_number) if account else None
    return Destination(kind, reference, masked)
