"""The month close as a series of decisions: merges first, then documents are approved, or issued.

A close issues every document of the month in one stroke. Where an approval comes first, two commands do it:
`approve_month` freezes documents, `issue_approved` issues those that are still as they were approved.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Final

from services.invoices.decisions.eligibility import Scope, scope_of
from services.invoices.decisions.issuing import approve_at_close, has_open_refund, issue_at_close
from services.invoices.decisions.merging import merge_at_close
from services.invoices.decisions.numbers import correction_for, move_failed, renumber_drafts
from services.invoices.decisions.submitting import submit
from services.invoices.state import By, Change, Document, DocumentState, NewId, World
from shared import business_number
from shared.runtime.decisions import Decided, NewEvent

NOT_FAILED: Final[tuple[DocumentState, ...]] = ("draft", "approved")
"""Documents that nothing but their turn keeps from being issued."""


def issue_month(
    world: World,
    month: str,
    at: datetime,
    new_id: NewId,
    partner_ids: Collection[str] | None = None,
    *,
    despite_open_refunds: bool = False,
) -> list[NewEvent]:
    """Merges, then issues, everything of `month` and these partners that can be; answers with the events.

    None are all partners in the world; documents of others are in it only because a payment stands on them.
    Drafts get the right business numbers first. Each decision is kept in the world before the next one, which
    goes on from its documents and numbers. Documents with a refund in progress stay drafts, unless they are
    to be issued whole (`despite_open_refunds`).
    """
    chosen = _partners(world, month) if partner_ids is None else set(partner_ids)
    events = _merge_month(world, month, new_id, chosen, None)
    for document in _unissued(world, month, chosen, None):
        issued = issue_at_close(world, document, at, despite_open_refunds=despite_open_refunds)
        events += _keep(world, issued)
    return events


def approve_month(
    world: World,
    month: str,
    by: By,
    new_id: NewId,
    partner_ids: Collection[str],
    numbers: Collection[str] | None = None,
    *,
    despite_open_refunds: bool = False,
) -> list[NewEvent]:
    """Merges, then freezes, what can be of `month`, these partners and business numbers (None: all).

    What is approved and unchanged stays so. A document under a wrong number takes the right one first, with
    its payments, as soon as that is known: its key is made of it. Documents with a refund in progress stay
    drafts, unless they are to be issued whole (`despite_open_refunds`).
    """
    chosen = set(partner_ids)
    events = _merge_month(world, month, new_id, chosen, numbers)
    for document in _unissued(world, month, chosen, numbers):
        events += _keep(world, _under_the_right_number(world, document))
    for document in _unissued(world, month, chosen, numbers):
        approved = approve_at_close(world, document, by, despite_open_refunds=despite_open_refunds)
        events += _keep(world, approved)
    return events


def issue_approved(
    world: World,
    month: str,
    by: By,
    partner_ids: Collection[str],
    numbers: Collection[str] | None = None,
    *,
    despite_open_refunds: bool = False,
) -> list[NewEvent]:
    """Issues the documents of `month`, these partners and numbers that are as they were approved.

    Only of businesses whose issue has begun, also where their month is closed since. Where the policy asks
    for four eyes, what `by` has approved is left for somebody else; what is with a tax agent is for that to
    issue.
    """
    events: list[NewEvent] = []
    for document in _to_issue(world, month, by, partner_ids, numbers):
        issued = issue_at_close(world, document, by.at, despite_open_refunds=despite_open_refunds)
        events += _keep(world, issued)
    return events


def submit_approved(
    world: World,
    month: str,
    by: By,
    partner_ids: Collection[str],
    numbers: Collection[str] | None = None,
    *,
    despite_open_refunds: bool = False,
) -> list[NewEvent]:
    """Gives the tax agent what `issue_approved` would issue. Nothing is told before it has answered."""
    for document in _to_issue(world, month, by, partner_ids, numbers):
        if despite_open_refunds or not any(map(has_open_refund, world.payments_in(document))):
            _keep(world, submit(world, document, by, is_of_all=numbers is None))
    return []


def _to_issue(
    world: World, month: str, by: By, partner_ids: Collection[str], numbers: Collection[str] | None
) -> Iterator[Document]:
    for document in _unissued(world, month, set(partner_ids), numbers):
        approval = world.approval_of(document, document.business_number)
        if (
            document.state == "approved"
            and world.closed_at(month, document.business_number) is not None
            and approval is not None
            and not (world.policy.four_eyes and approval.actor == by.actor)
            and not world.is_with_agent(document)
        ):
            yield document


def _under_the_right_number(world: World, document: Document) -> Decided[Change]:
    if business_number.is_valid(document.business_number):
        return Decided(Change())
    told = world.numbers_of(document.partner_id)
    number = correction_for(told, world.payments_in(document))
    return Decided(Change()) if number is None else move_failed(world, document, number)


def _merge_month(
    world: World, month: str, new_id: NewId, chosen: Collection[str], numbers: Collection[str] | None
) -> list[NewEvent]:
    events: list[NewEvent] = []
    for partner_id in sorted(chosen):
        renumbered = renumber_drafts(world, partner_id, world.numbers_of(partner_id))
        events += _keep(world, renumbered)
    for scope in _scopes(world, month, chosen):
        if numbers is None or scope.business_number in numbers:
            events += _keep(world, merge_at_close(world, scope, new_id))
    return events


def _unissued(
    world: World, month: str, chosen: Collection[str], numbers: Collection[str] | None
) -> Iterator[Document]:
    """The documents still to be issued as they are at their turn, in the order of their ids."""
    for invoice_id in sorted(d.invoice_id for d in world.documents.values() if d.is_unissued):
        document = world.documents[invoice_id]
        is_wanted = numbers is None or document.business_number in numbers
        if document.month == month and document.partner_id in chosen and is_wanted:
            yield document


def _partners(world: World, month: str) -> set[str]:
    return {d.partner_id for d in world.documents.values() if d.is_unissued and d.month == month}


def drafts_of(world: World, month: str, partner_ids: Collection[str]) -> list[Document]:
    """The documents of a month and these partners that a close left: drafts, and approved ones."""
    chosen = set(partner_ids)
    documents = world.documents.values()
    return [d for d in documents if d.state in NOT_FAILED and d.month == month and d.partner_id in chosen]


def _scopes(world: World, month: str, chosen: Collection[str]) -> Sequence[Scope]:
    drafts = [d for d in world.documents.values() if d.is_unissued and d.month == month]
    found = {scope_of(document) for document in drafts if document.partner_id in chosen}
    # What is with the agent takes nothing in any more, and nobody joins what comes beside it.
    return sorted(found - {scope_of(document) for document in drafts if world.is_with_agent(document)})


def _keep(world: World, decision: Decided[Change]) -> Sequence[NewEvent]:
    world.put(decision.state)
    return decision.events
