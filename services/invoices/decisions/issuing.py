"""Issuing documents: at the month close, late, or once a partner is corrected."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from msgspec.structs import replace

from services.invoices.calendar import is_late, written_date, written_date_of_merge
from services.invoices.decisions.numbers import correction_for
from services.invoices.events import invoice_issue_failed, invoice_issued, invoiced_of, parts_of
from services.invoices.state import (
    Change,
    Contradiction,
    Document,
    DocumentCounter,
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
    correction: str | None = None,
) -> Decided[Change]:
    """Issues a document with money on it, or answers with why it cannot be, once.

    It is late when the day of issue in Seoul is after its due day, whoever caused that.
    The number is the one as of payment; only when that is wrong it is `correction`. With neither, the
    document waits as `issue_failed` for the partner to be corrected. Raises Contradiction for a document
    without won.
    """
    if document.amount.total == 0:
        raise Contradiction(f"document {document.invoice_id} has no won on it to be issued")
    number = document.business_number if business_number.is_valid(document.business_number) else correction
    if number is None:
        return _fail(document)
    counter = counters[number].next()
    issued = replace(
        document,
        state="issued",
        sequence=document.sequence + parts_of(len(invoiced_of(payments))),
        business_number=number,
        late=is_late(document.month, at),
        document_key=document_key(document.month, counter),
        written_date=_written_date(document, payments),
        issued_at=at,
        payments=sum(payment.standing.total > 0 for payment in payments),
    )
    told = invoice_issued(issued, payments, at)
    return Decided(Change(documents=(issued,), counters=(counter,)), told)


def issue_at_close(
    world: World, document: Document, at: datetime, *, despite_open_refunds: bool = False
) -> Decided[Change]:
    """Issues one un-issued document of a closed month, or answers once with why it cannot be.

    One with won of a payment whose refund is in progress stays as it is, unless somebody has said that it is
    to be issued whole (`despite_open_refunds`).
    """
    payments = world.payments_in(document)
    if not despite_open_refunds and any(map(has_open_refund, payments)):
        return Decided(Change())
    correction = correction_for(world.numbers_of(document.partner_id), payments)
    return issue(document, payments, world.counters, at, correction=correction)


def has_open_refund(payment: Payment) -> bool:
    """Whether a refund is in progress that may take back won of a payment that are still on its document."""
    return payment.open_refunds > 0 and payment.standing.total > 0


def document_key(month: str, counter: DocumentCounter) -> str:
    """Our own key of the document that was counted last."""
    return f"{month}-{counter.business_number}-{counter.last_number:06d}"


def _written_date(document: Document, payments: Sequence[Payment]) -> date:
    if document.kind == "merged":
        return written_date_of_merge(document.month)
    (payment,) = payments
    return written_date(payment.paid_at)


def _fail(document: Document) -> Decided[Change]:
    if document.state == "issue_failed":
        return Decided(Change())
    failed = replace(document, state="issue_failed", sequence=document.sequence + 1)
    return Decided(Change(documents=(failed,)), (invoice_issue_failed(failed),))
