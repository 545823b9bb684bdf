"""A partner's invoice data and preference; a right business number issues what waited for it."""

from datetime import datetime

from msgspec.structs import replace

from services.invoices.decisions.issuing import issue
from services.invoices.state import Change, Document, Partner, World
from shared import business_number
from shared.runtime.decisions import Decided, NewEvent


def change_partner(world: World, partner: Partner, at: datetime) -> Decided[Change]:
    """Takes over a partner's data, and issues what waited in closed months for a right business number.

    A change older than the one recorded changes nothing.
    """
    recorded = world.partners.get(partner.partner_id)
    if recorded is not None and partner.changed_at < recorded.changed_at:
        return Decided(Change())
    if recorded is not None and recorded.always_merge == partner.always_merge:
        partner = replace(partner, always_merge_since=recorded.always_merge_since)
    change = Change(partners=(partner,))
    if not business_number.is_valid(partner.business_number):
        return Decided(change)
    issued = _issue_failed_ones(world, partner, at)
    return Decided(change.plus(issued.state), issued.events)


def _issue_failed_ones(world: World, partner: Partner, at: datetime) -> Decided[Change]:
    """Issues them by month; the numbers of the business go on from document to document."""
    change = Change()
    counters = dict(world.counters)
    events: list[NewEvent] = []
    for document in _failed_documents(world, partner):
        issued = issue(
            document,
            world.payments_in(document),
            counters,
            max(at, world.closed[document.month]),
            correction=partner.business_number,
        )
        change = change.plus(issued.state)
        counters.update((counter.business_number, counter) for counter in issued.state.counters)
        events += issued.events
    return Decided(change, events)


def _failed_documents(world: World, partner: Partner) -> list[Document]:
    failed = (
        document
        for document in world.documents.values()
        if document.partner_id == partner.partner_id and document.state == "issue_failed"
    )
    return sorted(failed, key=lambda document: (document.month, document.invoice_id))
