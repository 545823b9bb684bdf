"""Issuing documents: at the month close, late, or once a partner is corrected."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from services.invoices.calendar import written_date
from services.invoices.events import invoice_issue_failed, invoice_issued
from services.invoices.state import (
    Change,
    Contradiction,
    Document,
    DocumentCounter,
    Partner,
    Payment,
    World,
)
from shared import business_number
from shared.runtime.decisions import Decided


def issue(
    document: Document,
    payments: Sequence[Payment],
    counters: Mapping[str, DocumentCounter],
    at: datetime,
    *,
    late: bool = False,
    correction: str | None = None,
) -> Decided[Change]:
    """Issues a document with money on it, or answers with why it cannot be, once.

    The number is the one as of payment; only when that is wrong it is `correction`. With neither, the
    document waits as `issue_failed` for the partner to be corrected. Raises Contradiction for a document
    without won.
    """
    if document.amount.total == 0:
        raise Contradiction(f"document {document.invoice_id} has no won on it to be issued")
    number = document.business_number if business_number.is_valid(document.business_number) else correction
    if number is None:
        return _fail(document, late)
    counter = counters[number].next()
    issued = replace(
        document,
        state="issued",
        sequence=document.sequence + 1,
        business_number=number,
        late=late or document.late,
        document_key=document_key(document.month, counter),
        written_date=written_date(document.month),
        issued_at=at,
        payments=sum(payment.standing.total > 0 for payment in payments),
    )
    event = invoice_issued(issued, payments, at)
    return Decided(Change(documents=(issued,), counters=(counter,)), (event,))


def issue_at_close(world: World, document: Document, at: datetime) -> Decided[Change]:
    """Issues one un-issued document of a closed month, or answers once with why it cannot be."""
    payments = world.payments_in(document)
    correction = correction_for(world.partners.get(document.partner_id), payments)
    return issue(document, payments, world.counters, at, correction=correction)


def correction_for(partner: Partner | None, payments: Iterable[Payment]) -> str | None:
    """The number that replaces a wrong one: the partner's, when it is right and newer than the payments."""
    if partner is None or not business_number.is_valid(partner.business_number):
        return None
    newest = max(payment.paid_at for payment in payments)
    return partner.business_number if partner.changed_at > newest else None


def document_key(month: str, counter: DocumentCounter) -> str:
    """Our own key of the document that was counted last."""
    return f"{month}-{counter.business_number}-{counter.last_number:06d}"


def _fail(document: Document, late: bool) -> Decided[Change]:
    if document.state == "issue_failed":
        return Decided(Change())
    failed = replace(
        document, state="issue_failed", sequence=document.sequence + 1, late=late or document.late
    )
    return Decided(Change(documents=(failed,)), (invoice_issue_failed(failed),))
