"""Approving and issuing documents: at the month close, late, or once a partner is corrected."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from msgspec.structs import replace

from services.invoices.calendar import is_late, written_date, written_date_of_merge
from services.invoices.decisions.numbers import correction_for
from services.invoices.events import (
    invoice_approved,
    invoice_issue_failed,
    invoice_issued,
    invoiced_of,
    parts_of,
)
from services.invoices.state import (
    Approval,
    By,
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
    known: Approval | None = None,
) -> Decided[Change]:
    """Issues a document with money on it, or answers with why it cannot be, once.

    It is late when the day of issue in Seoul is after its due day, whoever caused that.
    The number is the one as of payment; only when that is wrong it is `correction`. With neither, the
    document waits as `issue_failed` for the partner to be corrected. The key that an approval has given it
    (`known` under that number) stays. Raises Contradiction for a document without won.
    """
    number = _number_of(document, correction)
    if number is None:
        return _fail(document)
    key, moved = _key_of(document, number, counters, known)
    issued = replace(
        document,
        state="issued",
        sequence=document.sequence + parts_of(len(invoiced_of(payments))),
        business_number=number,
        late=is_late(document.month, at),
        document_key=key,
        written_date=_written_date(document, payments),
        issued_at=at,
        payments=len(invoiced_of(payments)),
    )
    told = invoice_issued(issued, payments, at)
    return Decided(Change(documents=(issued,), counters=moved), told)


def approve(
    document: Document,
    payments: Sequence[Payment],
    counters: Mapping[str, DocumentCounter],
    by: By,
    *,
    known: Approval | None = None,
) -> Decided[Change]:
    """Freezes a document: its key, its written date and its lines. One that is approved stays as it is.

    A document that was approved before and has changed since keeps the key that it was given then (`known`).
    With a wrong business number it is `issue_failed` instead, once. Raises Contradiction for a document
    without won.
    """
    if document.state == "approved":
        return Decided(Change())
    number = _number_of(document, None)
    if number is None:
        return _fail(document)
    key, moved = _key_of(document, number, counters, known)
    told = invoiced_of(payments)
    frozen = replace(
        document,
        state="approved",
        sequence=document.sequence + parts_of(len(told)),
        document_key=key,
        written_date=_written_date(document, payments),
        payments=len(told),
    )
    approval = Approval(
        key,
        frozen.invoice_id,
        number,
        frozen.month,
        frozen.amount,
        frozen.payments,
        by.actor,
        by.reason,
        by.at,
    )
    change = Change(documents=(frozen,), counters=moved, approvals=(approval,))
    return Decided(change, invoice_approved(frozen, payments, by.at))


def approve_at_close(
    world: World, document: Document, by: By, *, despite_open_refunds: bool = False
) -> Decided[Change]:
    """Approves one document of a month, unless a refund of it is in progress (see `issue_at_close`)."""
    payments = world.payments_in(document)
    if not despite_open_refunds and any(map(has_open_refund, payments)):
        return Decided(Change())
    known = world.approval_of(document, document.business_number)
    return approve(document, payments, world.counters, by, known=known)


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
    known = world.approval_of(document, _number_of(document, correction) or "")
    return issue(document, payments, world.counters, at, correction=correction, known=known)


def has_open_refund(payment: Payment) -> bool:
    """Whether a refund is in progress that may take back won of a payment that are still on its document."""
    return payment.open_refunds > 0 and payment.standing.total > 0


def document_key(month: str, counter: DocumentCounter) -> str:
    """Our own key of the document that was counted last."""
    return f"{month}-{counter.business_number}-{counter.last_number:06d}"


def _number_of(document: Document, correction: str | None) -> str | None:
    if document.amount.total == 0:
        raise Contradiction(f"document {document.invoice_id} has no won on it to be issued")
    return document.business_number if business_number.is_valid(document.business_number) else correction


def _key_of(
    document: Document,
    number: str,
    counters: Mapping[str, DocumentCounter],
    known: Approval | None,
) -> tuple[str, tuple[DocumentCounter, ...]]:
    """The key of a document under a number, and the counter where it is a new one."""
    key = document.document_key or (known.document_key if known is not None else None)
    if key is not None:
        return key, ()
    counter = counters[number].next()
    return document_key(document.month, counter), (counter,)


def _written_date(document: Document, payments: Sequence[Payment]) -> date:
    if document.kind == "merged":
        return written_date_of_merge(document.month)
    (payment,) = payments
    return written_date(payment.paid_at)


def refuse(document: Document, reason: str, then: str) -> Decided[Change]:
    """Notes that the tax agent did not issue an approved document, why, and what mends it.

    Its key stays with its approval: approved anew under the same number it is sent under that key again.
    """
    failed = replace(
        document, state="issue_failed", sequence=document.sequence + 1, document_key=None, written_date=None
    )
    return Decided(Change(documents=(failed,)), (invoice_issue_failed(failed, reason, then),))


def _fail(document: Document) -> Decided[Change]:
    if document.state == "issue_failed":
        return Decided(Change())
    failed = replace(document, state="issue_failed", sequence=document.sequence + 1)
    return Decided(Change(documents=(failed,)), (invoice_issue_failed(failed),))
