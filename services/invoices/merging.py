"""Which payments a monthly merge (병합 발행) takes, with the reason for each one it leaves.

Never across months or businesses; every remaining unit issued, no open refund, not yet issued, asked for
before the cut-off (domain.md section 5). Pure.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from services.invoices import facts
from services.invoices.calendar import cut_off
from services.invoices.state import (
    NOTHING,
    Change,
    Contradiction,
    Document,
    Explanation,
    MergeRequest,
    Partner,
    Payment,
    Policy,
    World,
    plus,
)

NewId = Callable[[], UUID]

Reason = Literal[
    "merged",
    "other_month",
    "other_business",
    "not_a_tax_invoice",
    "already_issued",
    "month_closed",
    "after_cut_off",
    "nothing_left",
    "units_not_issued",
    "open_refund",
    "only_one_payment",
    "unknown_payment",
]


class Scope(NamedTuple):
    """What a merge can cover: one business of one partner in one KST month."""

    partner_id: str
    business_number: str
    month: str


class Verdict(NamedTuple):
    """What a merge makes of one payment. `payment` is None when nobody knows the id."""

    payment_id: str
    payment: Payment | None
    reason: Reason


class Wish(NamedTuple):
    """What a partner wants merged: the payments named, or (None) all of the month."""

    request_id: str
    payment_ids: frozenset[str] | None


def reason_for(payment: Payment, document: Document | None, scope: Scope) -> Reason:
    """`merged` when the payment itself is fit for a merge of `scope`, else the first reason why it is not."""
    if payment.month != scope.month:
        return "other_month"
    if payment.business_number != scope.business_number:
        return "other_business"
    if document is None:
        return "not_a_tax_invoice"
    if document.state == "issued":
        return "already_issued"
    return _reason_of_units(payment)


def _reason_of_units(payment: Payment) -> Reason:
    if payment.standing.total == 0:
        return "nothing_left"
    if payment.open_refunds:
        return "open_refund"
    if payment.issued_units + payment.returned_units < payment.serial_units:
        return "units_not_issued"
    return "merged"


def refusal_of_time(scope: Scope, at: datetime, world: World) -> Reason | None:
    """Why nobody can be merged any more at the instant `at`; None when it is early enough."""
    if scope.month in world.closed:
        return "month_closed"
    if at >= cut_off(scope.month, world.policy.cut_off_day, world.policy.cut_off_hour):
        return "after_cut_off"
    return None


def judge(world: World, scope: Scope, wanted: frozenset[str] | None, refusal: Reason | None) -> list[Verdict]:
    """One verdict for each payment that is wanted (None: all of the partner's month), in the order paid.

    A payment that is fit is refused with `refusal`, when there is one, and with `only_one_payment` when
    there would be nobody to be merged with.
    """
    verdicts = [
        Verdict(
            payment.payment_id,
            payment,
            _soften(reason_for(payment, world.document_of(payment), scope), refusal),
        )
        for payment in _candidates(world, scope, wanted)
    ]
    known = {verdict.payment_id for verdict in verdicts}
    missing = sorted((wanted or frozenset()) - known)
    verdicts += [Verdict(payment_id, None, "unknown_payment") for payment_id in missing]
    return _not_alone(verdicts, world.open_merge(*scope))


def _candidates(world: World, scope: Scope, wanted: frozenset[str] | None) -> Iterable[Payment]:
    mine = world.payments_of(scope.partner_id)
    if wanted is None:
        return [payment for payment in mine if payment.month == scope.month]
    return [payment for payment in mine if payment.payment_id in wanted]


def _soften(reason: Reason, refusal: Reason | None) -> Reason:
    return refusal if reason == "merged" and refusal is not None else reason


def _not_alone(verdicts: list[Verdict], merge: Document | None) -> list[Verdict]:
    fit = sum(verdict.reason == "merged" for verdict in verdicts)
    if fit != 1 or merge is not None:
        return verdicts
    return [v._replace(reason="only_one_payment") if v.reason == "merged" else v for v in verdicts]


def scope_of(thing: Document | Payment | MergeRequest) -> Scope:
    """The merge scope of a document, a payment or a request."""
    return Scope(thing.partner_id, thing.business_number, thing.month)


def wish_at_close(
    scope: Scope, partner: Partner | None, requests: Sequence[MergeRequest], policy: Policy
) -> Wish | None:
    """What the month close has to merge for a business, from its standing requests and preference.

    The last word about a month wins: an undo stands until a new request, and beats the preference. A request
    stands as a wish, so a payment that became fit after it still joins. The preference counts when it was
    turned on before the cut-off; its own merge is done by the close and therefore knows no cut-off.
    """
    if any(request.undo for request in requests):
        return None
    if partner is not None and _prefers(partner, scope, policy):
        return Wish("always_merge", None)
    if not requests:
        return None
    named = [request.payment_ids for request in requests]
    union = frozenset(i for ids in named if ids is not None for i in ids)
    return Wish(requests[-1].request_id, None if None in named else union)


def _prefers(partner: Partner, scope: Scope, policy: Policy) -> bool:
    last_moment = cut_off(scope.month, policy.cut_off_day, policy.cut_off_hour)
    return partner.always_merge and partner.always_merge_since < last_moment


def request_merge(world: World, request: MergeRequest, new_id: NewId) -> Change:
    """Answers a merge request: the fit payments are merged, every payment gets its explanation.

    A request that came in time stands as a wish until the close; it replaces an earlier undo.
    """
    scope = scope_of(request)
    refusal = refusal_of_time(scope, request.requested_at, world)
    change = Change(requests=[replace(request, standing=refusal is None)])
    if refusal is None:
        earlier = world.standing_requests(*scope)
        change.requests += [replace(wish, standing=False) for wish in earlier if wish.undo]
    wanted = None if request.payment_ids is None else frozenset(request.payment_ids)
    verdicts = judge(world, scope, wanted, refusal)
    change.explanations = list(_explanations(scope, request.request_id, verdicts))
    _merge(world, change, scope, verdicts, new_id)
    return change


def _explanations(scope: Scope, request_id: str, verdicts: Iterable[Verdict]) -> Iterable[Explanation]:
    for verdict in verdicts:
        order_id = None if verdict.payment is None else verdict.payment.order_id
        yield Explanation(scope.partner_id, request_id, verdict.payment_id, order_id, verdict.reason)


def _merge(world: World, change: Change, scope: Scope, verdicts: Sequence[Verdict], new_id: NewId) -> None:
    """Puts the fit payments on the merged document of `scope`; those that are on it already stay there."""
    merge = world.open_merge(*scope)
    fit = [
        verdict.payment for verdict in verdicts if verdict.reason == "merged" and verdict.payment is not None
    ]
    joining = [payment for payment in fit if merge is None or payment.invoice_id != merge.invoice_id]
    if not joining:
        return
    before = [] if merge is None else world.payments_in(merge)
    target = merge or Document(new_id(), "merged", "draft", *scope, amount=NOTHING, sequence=0)
    amount = target.amount
    for payment in joining:
        amount = plus(amount, payment.standing)
        own = world.documents[_own_draft(payment)]
        change.payments.append(replace(payment, invoice_id=target.invoice_id))
        change.documents.append(replace(own, state="in_merge"))
    target = replace(target, amount=amount, sequence=target.sequence + 1)
    change.documents.append(target)
    members = sorted([*before, *joining], key=lambda payment: (payment.paid_at, payment.order_id))
    excluded = {v.payment_id: v.reason for v in verdicts if v.reason != "merged"}
    change.emits.append(facts.merged(target, members, excluded))


def _own_draft(payment: Payment) -> UUID:
    if payment.draft_id is None:
        raise Contradiction(f"order {payment.order_id} has no draft: its evidence is a {payment.evidence}")
    return payment.draft_id


def undo_merge(world: World, request: MergeRequest) -> Change:
    """Gives the payments of an un-issued merge their own drafts back. An issued merge stays.

    The undo is the last word about this month: it replaces earlier requests and beats a standing preference,
    until a new request.
    """
    scope = scope_of(request)
    change = Change(requests=[replace(request, standing=True)])
    change.requests += [replace(wish, standing=False) for wish in world.standing_requests(*scope)]
    merge = world.open_merge(*scope)
    if merge is None:
        return change
    members = world.payments_in(merge)
    for payment in members:
        own = world.documents[_own_draft(payment)]
        state = merge.state if payment.standing.total else "void"
        change.payments.append(replace(payment, invoice_id=own.invoice_id))
        change.documents.append(replace(own, state=state, amount=payment.standing))
    undone = replace(merge, state="undone", amount=NOTHING, sequence=merge.sequence + 1)
    change.documents.append(undone)
    change.emits.append(facts.unmerged(undone, members))
    return change


def merge_at_close(world: World, scope: Scope, new_id: NewId) -> Change:
    """What the month close merges for a business, by its standing preference or requests."""
    wish = wish_at_close(
        scope, world.partners.get(scope.partner_id), world.standing_requests(*scope), world.policy
    )
    change = Change()
    if wish is not None:
        verdicts = judge(world, scope, wish.payment_ids, None)
        change.explanations = list(_close_explanations(scope, wish, verdicts))
        _merge(world, change, scope, verdicts, new_id)
    return change


def _close_explanations(scope: Scope, wish: Wish, verdicts: Sequence[Verdict]) -> Iterable[Explanation]:
    request_id = f"{wish.request_id}:{scope.month}" if wish.request_id == "always_merge" else wish.request_id
    told_elsewhere: tuple[Reason, ...] = ("other_business", "already_issued")
    yield from _explanations(scope, request_id, (v for v in verdicts if v.reason not in told_elsewhere))
