"""The month close as a series of decisions: merges first, then every document of the month is issued."""

from collections.abc import Collection, Sequence
from datetime import datetime

from services.invoices.decisions.eligibility import Scope, scope_of
from services.invoices.decisions.issuing import issue_at_close
from services.invoices.decisions.merging import merge_at_close
from services.invoices.decisions.numbers import renumber_drafts
from services.invoices.state import Change, Document, NewId, World
from shared.runtime.decisions import Decided, NewEvent


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
    events: list[NewEvent] = []
    chosen = _partners(world, month) if partner_ids is None else set(partner_ids)
    for partner_id in sorted(chosen):
        renumbered = renumber_drafts(world, partner_id, world.numbers_of(partner_id))
        events += _keep(world, renumbered)
    for scope in _scopes(world, month, chosen):
        events += _keep(world, merge_at_close(world, scope, new_id))
    for invoice_id in sorted(d.invoice_id for d in world.documents.values() if d.is_unissued):
        document = world.documents[invoice_id]
        if document.month == month and document.partner_id in chosen:
            issued = issue_at_close(world, document, at, despite_open_refunds=despite_open_refunds)
            events += _keep(world, issued)
    return events


def _partners(world: World, month: str) -> set[str]:
    return {d.partner_id for d in world.documents.values() if d.is_unissued and d.month == month}


def drafts_of(world: World, month: str, partner_ids: Collection[str]) -> list[Document]:
    """The documents of a month and these partners that are drafts; after its close those that it left."""
    chosen = set(partner_ids)
    documents = world.documents.values()
    return [d for d in documents if d.state == "draft" and d.month == month and d.partner_id in chosen]


def _scopes(world: World, month: str, chosen: Collection[str]) -> Sequence[Scope]:
    drafts = (d for d in world.documents.values() if d.is_unissued and d.month == month)
    return sorted({scope_of(document) for document in drafts if document.partner_id in chosen})


def _keep(world: World, decision: Decided[Change]) -> Sequence[NewEvent]:
    world.put(decision.state)
    return decision.events
