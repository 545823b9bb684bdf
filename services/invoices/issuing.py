"""Issuing documents: at the month close, late, or once a partner is corrected (domain.md section 5). Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from services.invoices import facts
from services.invoices.calendar import written_date
from services.invoices.state import Change, Contradiction, Document, Partner, Payment, World
from shared import business_number


def issue(
    world: World,
    change: Change,
    document: Document,
    payments: Sequence[Payment],
    at: datetime,
    *,
    late: bool = False,
    correction: str | None = None,
) -> None:
    """Issues a document with money on it, or says why it cannot be, once.

    The number is the one as of payment; only when that is wrong it is `correction`. With neither, the
    document waits as `issue_failed` for the partner to be corrected.
    """
    if document.amount.total == 0:
        raise Contradiction(f"document {document.invoice_id} has no won on it to be issued")
    number = document.business_number if business_number.is_valid(document.business_number) else correction
    if number is None:
        _fail(change, document, late)
        return
    counted = next_number(world, change, number)
    issued = replace(
        document,
        state="issued",
        sequence=document.sequence + 1,
        business_number=number,
        late=late or document.late,
        document_key=document_key(document.month, number, counted),
        written_date=written_date(document.month),
        issued_at=at,
        payments=sum(payment.standing.total > 0 for payment in payments),
    )
    change.documents.append(issued)
    change.emits.append(facts.issued(issued, payments, at))


def _fail(change: Change, document: Document, late: bool) -> None:
    if document.state == "issue_failed":
        return
    failed = replace(
        document, state="issue_failed", sequence=document.sequence + 1, late=late or document.late
    )
    change.documents.append(failed)
    change.emits.append(facts.issue_failed(failed))


def issue_at_close(world: World, document: Document, at: datetime) -> Change:
    """Issues one un-issued document of a closed month, or says once why it cannot be."""
    change = Change()
    payments = world.payments_in(document)
    correction = correction_for(world.partners.get(document.partner_id), payments)
    issue(world, change, document, payments, at, correction=correction)
    return change


def correction_for(partner: Partner | None, payments: Iterable[Payment]) -> str | None:
    """The number that replaces a wrong one: the partner's, when it is right and newer than the payments."""
    if partner is None or not business_number.is_valid(partner.business_number):
        return None
    newest = max(payment.paid_at for payment in payments)
    return partner.business_number if partner.changed_at > newest else None


def change_partner(world: World, partner: Partner, at: datetime) -> Change:
    """Takes over a partner's data, and issues what waited in closed months for a right business number.

    A change older than the one known is overtaken and changes nothing.
    """
    known = world.partners.get(partner.partner_id)
    if known is not None and partner.changed_at < known.changed_at:
        return Change()
    if known is not None and known.always_merge == partner.always_merge:
        partner = replace(partner, always_merge_since=known.always_merge_since)
    change = Change(partners=[partner])
    if business_number.is_valid(partner.business_number):
        _issue_failed_ones(world, change, partner, at)
    return change


def _issue_failed_ones(world: World, change: Change, partner: Partner, at: datetime) -> None:
    waiting = [
        d
        for d in world.documents.values()
        if d.partner_id == partner.partner_id and d.state == "issue_failed"
    ]
    for document in sorted(waiting, key=lambda d: (d.month, d.invoice_id)):
        issued_at = max(at, world.closed[document.month])
        payments = world.payments_in(document)
        issue(world, change, document, payments, issued_at, correction=partner.business_number)


def next_number(world: World, change: Change, number: str) -> int:
    """Counts one more document of a business number, inside one decision."""
    counted = change.counters.get(number, world.counters[number]) + 1
    change.counters[number] = counted
    return counted


def document_key(month: str, number: str, counted: int) -> str:
    """Our own key of a document. The counter of a business number goes on over months: keys never repeat."""
    return f"{month}-{number}-{counted:06d}"
