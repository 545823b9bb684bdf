"""The events of the invoices service: one function for each type."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from services.invoices.calendar import estimated_penalty, written_date_of_merge
from services.invoices.state import (
    Document,
    MergeRequest,
    MonthSummary,
    Payment,
    Transmission,
    Verdict,
)
from shared.kst import wire_time
from shared.money import Money
from shared.runtime.decisions import NewEvent
from shared.tax_documents import due_on

MOST_PAYMENTS: Final = 1_000
"""So many stand in one event; what is longer is told in numbered parts (docs/events.md)."""
T = TypeVar("T")
U = TypeVar("U")


def parts_of(payments: int) -> int:
    """In how many events so many payments are told: as many numbers of their subject they take."""
    return max(1, -(-payments // MOST_PAYMENTS))


def _in_parts(
    first: Sequence[T], then: Sequence[U]
) -> Iterator[tuple[dict[str, Any], Sequence[T], Sequence[U]]]:
    """Both lists one after the other, cut: what numbers each part (nothing where it is the only one)."""
    count = len(first) + len(then)
    parts = parts_of(count)
    for part in range(1, parts + 1):
        end = part * MOST_PAYMENTS
        begin = end - MOST_PAYMENTS
        numbered = {"part": part, "parts": parts, "count": count, "more": part < parts} if parts > 1 else {}
        shifted = then[max(0, begin - len(first)) : max(0, end - len(first))]
        yield numbered, first[begin:end], shifted


def invoice_drafted(payment: Payment, draft: Document) -> NewEvent:
    """A payment has its own draft."""
    data = {
        "order_id": payment.order_id,
        **_monthly(draft),
        "payment_id": payment.payment_id,
        **_won(draft.amount),
    }
    return NewEvent("invoice.drafted.v1", str(draft.invoice_id), draft.sequence, data, key=payment.order_id)


def invoice_merged(
    merge: Document, members: Sequence[Payment], excluded: Mapping[str, str]
) -> tuple[NewEvent, ...]:
    """These payments share one draft; `excluded` maps those that were left out to the reason."""
    data = {
        **_monthly(merge),
        **_won(merge.amount),
        "written_date": str(written_date_of_merge(merge.month)),
        "due_on": str(due_on(merge.month)),
    }
    told = [
        {
            **data,
            **numbered,
            "payment_ids": [payment.payment_id for payment in some],
            "excluded": [{"payment_id": payment_id, "reason": reason} for payment_id, reason in others],
        }
        for numbered, some, others in _in_parts(members, list(excluded.items()))
    ]
    return _of_partner_in_parts("invoice.merged.v1", merge, told)


def invoice_unmerged(merge: Document, members: Sequence[Payment]) -> tuple[NewEvent, ...]:
    """These payments have drafts of their own again."""
    told = [
        {**_monthly(merge), **numbered, "payment_ids": [payment.payment_id for payment in some]}
        for numbered, some, _ in _in_parts(members, ())
    ]
    return _of_partner_in_parts("invoice.unmerged.v1", merge, told)


def merge_answered(
    request: MergeRequest, verdicts: Sequence[Verdict], merge: Document | None
) -> tuple[NewEvent, ...]:
    """What became of a request to merge or to undo a merge, payment by payment."""
    data: dict[str, Any] = {
        "partner_id": request.partner_id,
        "request_id": request.request_id,
        "business_number": request.business_number,
        "month": request.month,
    }
    if merge is not None:
        data["invoice_id"] = str(merge.invoice_id)
    subject = f"{_part(request.partner_id)}/{_part(request.request_id)}"
    merged = [verdict.payment_id for verdict in verdicts if verdict.reason == "merged"]
    excluded = [_excluded(verdict) for verdict in verdicts if verdict.reason != "merged"]
    told = (
        {**data, **n, "merged": some, "excluded": others} for n, some, others in _in_parts(merged, excluded)
    )
    return tuple(
        NewEvent("merge.answered.v1", subject, number, part, key=request.partner_id)
        for number, part in enumerate(told, start=1)
    )


def _excluded(verdict: Verdict) -> dict[str, str]:
    of_order = {} if verdict.order_id is None else {"order_id": verdict.order_id}
    return {"payment_id": verdict.payment_id, **of_order, "reason": verdict.reason}


def _part(text: str) -> str:
    """A part of a subject, so that no two different pairs make one subject."""
    return text.replace("%", "%25").replace("/", "%2F")


def invoiced_of(payments: Sequence[Payment]) -> list[Payment]:
    """The payments that an issued document tells: those with won on it."""
    return [payment for payment in payments if payment.standing.total]


def invoice_approved(document: Document, payments: Sequence[Payment], at: datetime) -> tuple[NewEvent, ...]:
    """A document is frozen: its key, its date and its lines."""
    data: dict[str, Any] = {
        **_monthly(document),
        "document_key": document.document_key,
        **_won(document.amount),
        "written_date": str(document.written_date),
        "due_on": str(due_on(document.month)),
        "approved_at": wire_time(at),
    }
    told = [
        {**data, **numbered, "payment_ids": [payment.payment_id for payment in some]}
        for numbered, some, _ in _in_parts(invoiced_of(payments), ())
    ]
    return _of_partner_in_parts("invoice.approved.v1", document, told, at)


def invoice_issued(document: Document, payments: Sequence[Payment], at: datetime) -> tuple[NewEvent, ...]:
    """A tax invoice exists. Only a late one shows `estimated_penalty`, in won."""
    data: dict[str, Any] = {
        **_monthly(document),
        "document_key": document.document_key,
        **_won(document.amount),
        "written_date": str(document.written_date),
        "issued_at": wire_time(at),
        "late": document.late,
    }
    penalty = estimated_penalty(document.month, at, document.amount.supply)
    if penalty is not None:
        data["estimated_penalty"] = penalty
    told = [
        {
            **data,
            **numbered,
            "payment_ids": [payment.payment_id for payment in some],
            "order_ids": [payment.order_id for payment in some],
        }
        for numbered, some, _ in _in_parts(invoiced_of(payments), ())
    ]
    return _of_partner_in_parts("invoice.issued.v1", document, told, at)


def invoice_issue_failed(
    document: Document, reason: str = "business_number_invalid", then: str = "correct_partner"
) -> NewEvent:
    """A document cannot be issued, and why; `then` says what mends it."""
    data = {**_monthly(document), "reason": reason, "next": then}
    return _of_partner("invoice.issue_failed.v1", document, data)


def invoice_transmitted(document: Document, told: Transmission) -> NewEvent:
    """The tax authority has the document."""
    data = {
        "invoice_id": str(document.invoice_id),
        "partner_id": document.partner_id,
        "document_key": document.document_key,
        "approval_number": told.approval_number,
        "transmitted_at": wire_time(told.at),
    }
    return _of_transmission("invoice.transmitted.v1", document, told, data)


def invoice_transmission_failed(document: Document, told: Transmission, then: str) -> NewEvent:
    """The tax authority did not take the document; `then` says what mends it."""
    data = {
        **_monthly(document),
        "document_key": document.document_key,
        "reason": told.detail,
        "next": then,
    }
    return _of_transmission("invoice.transmission_failed.v1", document, told, data)


def invoice_modified(
    document: Document, original: Document, payment: Payment, *, cancellation: bool
) -> NewEvent:
    """A modified invoice: the won by which a refund, or a cancellation, changes an issued document.

    Its time is the instant of its issue, as of every issued document. Only a late one shows
    `estimated_penalty`, in won: of the value by which it changes the other one.
    """
    data = {
        "invoice_id": str(document.invoice_id),
        "partner_id": document.partner_id,
        "business_number": document.business_number,
        "document_key": document.document_key,
        "original_document_key": original.document_key,
        "modification": document.modification,
        "payment_id": payment.payment_id,
        "refund_id": document.refund_id,
        **_won(document.amount),
        "written_date": str(document.written_date),
        "cause": "cancellation" if cancellation else "refund",
        "order_id": payment.order_id,
        "late": document.late,
        "issue_by": str(due_on(document.month)),
    }
    assert document.issued_at is not None, "it is issued when it is made"
    penalty = estimated_penalty(document.month, document.issued_at, abs(document.amount.supply))
    if penalty is not None:
        data["estimated_penalty"] = penalty
    return _of_partner("invoice.modified.v1", document, data, document.issued_at)


def document_corrected(
    document: Document, original_key: str | None, payments: Sequence[Payment], reason: str
) -> tuple[Document, tuple[NewEvent, ...]]:
    """One document of a correction: what is taken back (negative), or said again under the right number.

    The document comes back with the number of its last event.
    """
    data: dict[str, Any] = {
        "invoice_id": str(document.invoice_id),
        "partner_id": document.partner_id,
        "business_number": document.business_number,
        "document_key": document.document_key,
        "original_document_key": original_key,
        "modification": document.modification,
        **_won(document.amount),
        "written_date": str(document.written_date),
        "cause": "operator",
        "reason": reason,
    }
    about = [payment for payment in payments if document.order_id in (None, payment.order_id)]
    if document.refund_id is not None:
        data["refund_id"] = document.refund_id
    if len(about) == 1:
        data |= {"payment_id": about[0].payment_id, "order_id": about[0].order_id}
    told = [
        {**data, **numbered, "payment_ids": [payment.payment_id for payment in some]}
        for numbered, some, _ in _in_parts(about, ())
    ]
    document = replace(document, sequence=document.sequence + len(told) - 1)
    return document, _of_partner_in_parts("invoice.modified.v1", document, told)


def month_closed(
    summary: MonthSummary, closed_at: datetime, sequence: int, actor: str = "", reason: str = ""
) -> NewEvent:
    """The sums of a month; again whenever documents were issued or failed since the last time.

    `actor` closed it, for `reason`; each is left out where nobody said it.
    """
    data = {
        "month": summary.month,
        "documents": summary.documents,
        "payments": summary.payments,
        "supply": summary.supply,
        "vat": summary.vat,
        "total": summary.total,
        "issue_failed": summary.issue_failed,
        "closed_at": wire_time(closed_at),
        **{name: said for name, said in (("actor", actor), ("reason", reason)) if said},
    }
    return NewEvent("month.closed.v1", summary.month, sequence, data, key=summary.month)


def _of_partner(
    type_name: str, document: Document, data: dict[str, Any], at: datetime | None = None
) -> NewEvent:
    subject = str(document.invoice_id)
    return NewEvent(type_name, subject, document.sequence, data, key=document.partner_id, time=at)


def _of_transmission(
    type_name: str, document: Document, told: Transmission, data: dict[str, Any]
) -> NewEvent:
    subject = str(document.invoice_id)
    return NewEvent(type_name, subject, told.sequence, data, key=document.partner_id, time=told.at)


def _of_partner_in_parts(
    type_name: str, document: Document, told: Sequence[dict[str, Any]], at: datetime | None = None
) -> tuple[NewEvent, ...]:
    """The parts under the last numbers of the document, which has counted each of them."""
    subject, first = str(document.invoice_id), document.sequence - len(told) + 1
    return tuple(
        NewEvent(type_name, subject, number, data, key=document.partner_id, time=at)
        for number, data in enumerate(told, start=first)
    )


def _monthly(document: Document) -> dict[str, Any]:
    return {
        "invoice_id": str(document.invoice_id),
        "partner_id": document.partner_id,
        "business_number": document.business_number,
        "month": document.month,
    }


def _won(amount: Money) -> dict[str, int]:
    return {"supply": amount.supply, "vat": amount.vat, "total": amount.total}
