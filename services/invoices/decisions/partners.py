"""A partner's invoice data and preference; a right business number issues what waited for it.

Years after it left it is purged: documents say who they are for, payments under which number they are, and
nothing else here names it.
"""

from datetime import datetime

from msgspec.structs import replace

from services.invoices.decisions.issuing import issue
from services.invoices.decisions.numbers import (
    Told,
    correction_for,
    move_failed,
    propose_corrections,
    renumber_drafts,
    tell_number,
)
from services.invoices.state import (
    BusinessRegistration,
    Change,
    Document,
    Partner,
    PartnerNumber,
    Preference,
    World,
)
from shared import business_number
from shared.runtime.decisions import Decided, NewEvent


def change_partner(
    world: World, partner: Partner, at: datetime, registered: BusinessRegistration | None = None
) -> Decided[Change]:
    """Takes over a partner's data and looks at its documents under the number that it tells.

    `registered` is what it tells of a business of its own beside that, if anything.

    What waited in closed months for a right number is issued, drafts take it, and for issued documents of
    another number a correction is proposed. A change older than the one recorded changes no data, but its
    number and its preference are known from then on. Of a partner that was purged nothing is kept any more.
    """
    recorded = world.partners.get(partner.partner_id)
    if recorded is not None and recorded.purged_at is not None:
        return Decided(Change())
    numbers = world.numbers_of(partner.partner_id)
    new = PartnerNumber(partner.partner_id, partner.changed_at, partner.business_number)
    told = tell_number(numbers, new)
    change = Change(numbers=() if told is numbers else (new,))
    preferences = _preferences(partner, recorded)
    if recorded is None or partner.changed_at >= recorded.changed_at:
        change = change.plus(Change(partners=(_with_preference(partner, recorded, preferences),)))
    elif preferences != recorded.all_preferences:
        change = change.plus(Change(partners=(replace(recorded, preferences=preferences),)))
    if registered is not None:
        known = world.registrations.get((registered.partner_id, registered.business_number))
        change = change.plus(Change(registrations=(registered.after(known),)))
    issued = _issue_failed_ones(world, partner.partner_id, told, at)
    renumbered = renumber_drafts(world, partner.partner_id, told)
    proposed = propose_corrections(world, partner.partner_id, told, at)
    change = change.plus(issued.state).plus(renumbered.state).plus(proposed)
    return Decided(change, (*issued.events, *renumbered.events))


def purge_partner(world: World, partner_id: str, at: datetime) -> Decided[Change]:
    """Erases what a partner has told of itself; a partner that is purged stays as it is.

    Payments and documents keep their business number, and a document who it is for, as of the payment:
    documents have to be kept (VAT Act 71 (3)), and an issued one never changes. Who paid what stands on no
    document is forgotten when this is saved. One of which nobody has told is noted too, so that what is heard
    of it later is not kept.
    """
    recorded = world.partners.get(partner_id)
    if recorded is not None and recorded.purged_at is not None:
        return Decided(Change())
    purged = Partner(
        partner_id,
        business_number="",
        name="",
        invoice_email="",
        always_merge=False,
        always_merge_since=at,
        changed_at=at,
        purged_at=at,
    )
    numbers = tuple(replace(number, business_number="") for number in world.numbers_of(partner_id))
    return Decided(Change(partners=(purged,), numbers=numbers))


def _with_preference(
    partner: Partner, recorded: Partner | None, preferences: tuple[Preference, ...]
) -> Partner:
    """A preference that is merely repeated counts from when it was told first."""
    partner = replace(partner, preferences=preferences)
    if recorded is None or recorded.always_merge != partner.always_merge:
        return partner
    return replace(partner, always_merge_since=recorded.always_merge_since)


def _preferences(partner: Partner, recorded: Partner | None) -> tuple[Preference, ...]:
    """All that the partner has told, this one too, each once, in the order of when it was true."""
    known = () if recorded is None else recorded.all_preferences
    told = sorted({*known, Preference(partner.changed_at, partner.always_merge)})
    return tuple(
        each
        for before, each in zip([None, *told], told, strict=False)
        if before is None or before.always_merge != each.always_merge
    )


def _issue_failed_ones(world: World, partner_id: str, told: Told, at: datetime) -> Decided[Change]:
    """Issues them by month; the numbers of the business go on from document to document.

    Those of a month that nobody has closed for this business yet wait as drafts to be approved. So do all
    where a tax agent issues: it has to take them first. What an agent has refused under a number that may be
    is approved again, and becomes a draft where the number is another one now.
    """
    change = Change()
    counters = dict(world.counters)
    events: list[NewEvent] = []
    for document in _failed_documents(world, partner_id):
        payments = world.payments_in(document)
        correction = correction_for(told, payments)
        closed_at = world.closed_at(document.month, document.business_number)
        is_valid = business_number.is_valid(document.business_number)
        if closed_at is not None and not is_valid and not world.policy.tax_agent:
            issued = issue(document, payments, counters, max(at, closed_at), correction=correction)
        elif correction not in (None, document.business_number):
            assert correction is not None
            issued = move_failed(world, document, correction)
        else:
            continue
        change = change.plus(issued.state)
        counters.update((counter.business_number, counter) for counter in issued.state.counters)
        events += issued.events
    return Decided(change, events)


def _failed_documents(world: World, partner_id: str) -> list[Document]:
    failed = (
        document
        for document in world.documents.values()
        if document.partner_id == partner_id and document.state == "issue_failed"
    )
    return sorted(failed, key=lambda document: (document.month, document.invoice_id))
