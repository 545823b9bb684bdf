"""Merging the payments of a month into one document, on request or by preference, and undoing it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from services.invoices.calendar import cut_off
from services.invoices.decisions.eligibility import (
    Scope,
    candidates,
    judge,
    reason_for,
    refusal_of_time,
    scope_of,
    strangers,
    verdict_of,
)
from services.invoices.events import invoice_merged, invoice_unmerged, merge_answered, parts_of
from services.invoices.state import (
    Change,
    Contradiction,
    Document,
    DocumentState,
    Explanation,
    MergeRequest,
    NewId,
    Partner,
    Payment,
    Policy,
    Reason,
    Verdict,
    World,
    paid_order,
)
from shared.money import NOTHING
from shared.runtime.decisions import Decided, Decision, Reject


class Wish(NamedTuple):
    """What a partner wants merged: the payments named, or (None) all of the month."""

    request_id: str
    payment_ids: frozenset[str] | None


def request_merge(world: World, request: MergeRequest, new_id: NewId) -> Decision[Change]:
    """Answers a merge request: the fit payments are merged, every payment gets its explanation.

    `merge.answered` says it once, also when nothing is merged.

    A request that came in time stands as a wish until the close; it replaces an earlier undo. A repeated
    request changes nothing.
    """
    answer = _answer_at_once(world, request)
    if answer is not None:
        return answer
    scope = scope_of(request)
    refusal = refusal_of_time(scope, request.requested_at, world)
    requests = [replace(request, standing=refusal is None)]
    if refusal is None:
        earlier = world.standing_requests(*scope)
        requests += [replace(wish, standing=False) for wish in earlier if wish.undo]
    wanted = None if request.payment_ids is None else frozenset(request.payment_ids)
    verdicts = judge(world, scope, wanted, refusal)
    explanations = _explanations(scope, request.request_id, verdicts)
    merged = _merge(world, scope, verdicts, new_id)
    change = Change(requests=tuple(requests), explanations=tuple(explanations))
    made = next((d for d in merged.state.documents if d.kind == "merged"), world.open_merge(*scope))
    answer_event = merge_answered(request, verdicts, made)
    return Decided(change.plus(merged.state), (*merged.events, *answer_event))


def undo_merge(world: World, request: MergeRequest) -> Decision[Change]:
    """Gives the payments of an un-issued merge their own drafts back. An issued merge stays.

    The undo is the last word about this month: it replaces earlier requests and beats a standing preference,
    until a new request. What an operator merged over several partners only an operator takes apart. A
    repeated undo changes nothing; `merge.answered` says once what became of each payment.
    """
    answer = _answer_at_once(world, request)
    if answer is not None:
        return answer
    scope = scope_of(request)
    replaced = [replace(wish, standing=False) for wish in world.standing_requests(*scope)]
    merge = world.open_merge(*scope)
    if merge is not None and merge.also:
        merge = None
    verdicts = _verdicts_of_undo(world, request, merge)
    change = Change(
        requests=(replace(request, standing=True), *replaced),
        explanations=tuple(_explanations(scope, request.request_id, verdicts)),
    )
    answered = merge_answered(request, verdicts, merge)
    if merge is None:
        return Decided(change, answered)
    unmerged = unmerge(world, merge)
    return Decided(change.plus(unmerged.state), (*unmerged.events, *answered))


def merge_at_close(world: World, scope: Scope, new_id: NewId) -> Decided[Change]:
    """What the month close merges for a business, by its standing preference or requests."""
    wish = wish_at_close(
        scope, world.partners.get(scope.partner_id), world.standing_requests(*scope), world.policy
    )
    if wish is None:
        return Decided(Change())
    verdicts = judge(world, scope, wish.payment_ids, None)
    merged = _merge(world, scope, verdicts, new_id)
    change = Change(explanations=tuple(_close_explanations(scope, wish, verdicts)))
    return Decided(change.plus(merged.state), merged.events)


def wish_at_close(
    scope: Scope, partner: Partner | None, requests: Sequence[MergeRequest], policy: Policy
) -> Wish | None:
    """What the month close has to merge for a business, from its standing requests and preference.

    The last word about a month wins: an undo stands until a new request, and beats the preference. A request
    stands as a wish, so a payment that became fit after it still joins. The preference counts as it was
    at the cut-off; its own merge is done by the close and has no cut-off of its own.
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
    return partner.preferred_merging(last_moment)


def _answer_at_once(world: World, request: MergeRequest) -> Decision[Change] | None:
    """The answer to a request that was answered before, or is wrong in itself; else None."""
    earlier = world.requests.get((request.partner_id, request.request_id))
    if earlier is not None and earlier.content == request.content:
        return Decided(Change())
    if earlier is not None:
        detail = f"request {request.request_id} of partner {request.partner_id} was another one"
        return Reject("duplicate_request", "/request_id", detail)
    return _reject_of_twice_named(request.payment_ids or ())


def _reject_of_twice_named(payment_ids: tuple[str, ...]) -> Reject | None:
    seen: set[str] = set()
    for place, payment_id in enumerate(payment_ids):
        if payment_id in seen:
            return Reject("inconsistent", f"/payment_ids/{place}", f"payment {payment_id} is named twice")
        seen.add(payment_id)
    return None


def _merge(world: World, scope: Scope, verdicts: Sequence[Verdict], new_id: NewId) -> Decided[Change]:
    """Puts the fit payments on the merged document of `scope`; those that are on it already stay there."""
    merge = world.open_merge(*scope)
    fit = [
        verdict.payment for verdict in verdicts if verdict.reason == "merged" and verdict.payment is not None
    ]
    if not any(merge is None or payment.invoice_id != merge.invoice_id for payment in fit):
        return Decided(Change())
    target = merge or Document(new_id(), "merged", "draft", *scope, amount=NOTHING, sequence=0)
    excluded = {v.payment_id: v.reason for v in verdicts if v.reason != "merged"}
    return merge_payments(world, target, fit, excluded)


def merge_payments(
    world: World, target: Document, fit: Sequence[Payment], excluded: Mapping[str, str]
) -> Decided[Change]:
    """Puts payments on a merged document; those that are on it already stay there."""
    joining = [payment for payment in fit if payment.invoice_id != target.invoice_id]
    if not joining:
        return Decided(Change())
    before = world.payments_in(target)
    amount = target.amount
    for payment in joining:
        amount = amount.plus(payment.standing)
    sequence = target.sequence + parts_of(len(before) + len(joining) + len(excluded))
    target = replace(target.reopened, amount=amount, sequence=sequence)
    change = Change(
        payments=tuple(replace(payment, invoice_id=target.invoice_id) for payment in joining),
        documents=(*(replace(_own_draft(world, p).reopened, state="in_merge") for p in joining), target),
    )
    members = sorted([*before, *joining], key=paid_order)
    return Decided(change, invoice_merged(target, members, excluded))


def _verdicts_of_undo(world: World, request: MergeRequest, undone: Document | None) -> list[Verdict]:
    """What the undo makes of each payment: those of the merge, and those that were named."""
    scope = scope_of(request)
    wanted = None if request.payment_ids is None else frozenset(request.payment_ids)
    mine = {payment.order_id: payment for payment in candidates(world, scope, wanted)}
    members = [] if undone is None else world.payments_in(undone)
    mine |= {payment.order_id: payment for payment in members}
    inside = {payment.order_id for payment in members}
    verdicts = []
    for payment in sorted(mine.values(), key=paid_order):
        reason = reason_for(payment, world.document_of(payment), scope)
        if payment.order_id in inside:
            reason = "undone"
        elif reason == "merged" and _is_of_operator(world.document_of(payment)):
            reason = "merged_by_operator"
        elif reason in ("merged", "units_not_issued", "open_refund"):
            reason = "not_merged"
        verdicts.append(verdict_of(payment, reason))
    return [*verdicts, *strangers(world, scope, wanted, verdicts)]


def _is_of_operator(document: Document | None) -> bool:
    return document is not None and bool(document.also)


def unmerge(world: World, merge: Document) -> Decided[Change]:
    """Takes an un-issued merged document apart: its payments get their own drafts back."""
    members = world.payments_in(merge)
    sequence = merge.sequence + parts_of(len(members))
    merge = merge.reopened
    undone = replace(merge, state="undone", amount=NOTHING, sequence=sequence)
    change = Change(
        payments=tuple(replace(payment, invoice_id=payment.draft_id) for payment in members),
        documents=(*(_draft_again(world, payment, merge.state) for payment in members), undone),
    )
    return Decided(change, invoice_unmerged(undone, members))


def _draft_again(world: World, payment: Payment, state: DocumentState) -> Document:
    own = _own_draft(world, payment)
    return replace(own, state=state if payment.standing.total else "void", amount=payment.standing)


def _own_draft(world: World, payment: Payment) -> Document:
    if payment.draft_id is None:
        raise Contradiction(f"order {payment.order_id} has no draft: its evidence is a {payment.evidence}")
    return world.documents[payment.draft_id]


def _explanations(scope: Scope, request_id: str, verdicts: Iterable[Verdict]) -> Iterable[Explanation]:
    for verdict in verdicts:
        partner_id = scope.partner_id
        yield Explanation(partner_id, request_id, verdict.payment_id, verdict.order_id, verdict.reason)


def _close_explanations(scope: Scope, wish: Wish, verdicts: Sequence[Verdict]) -> Iterable[Explanation]:
    """Leaves out what another request explains: payments of other businesses, and what is issued already.

    What is not the partner's own the request has explained; the close has not looked for it.
    """
    request_id = f"{wish.request_id}:{scope.month}" if wish.request_id == "always_merge" else wish.request_id
    explained_elsewhere: tuple[Reason, ...] = ("other_business", "already_issued", "unknown_payment")
    return _explanations(scope, request_id, (v for v in verdicts if v.reason not in explained_elsewhere))
