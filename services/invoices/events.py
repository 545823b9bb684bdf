"""The events of the invoices service: one function for each type."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.invoices.calendar import estimated_penalty, written_date_of_merge
from services.invoices.state import Document, MergeRequest, MonthSummary, Payment, Verdict
from shared.kst import wire_time
from shared.money import Money
from shared.runtime.decisions import NewEvent
from shared.tax_documents import due_on


def invoice_drafted(payment: Payment, draft: Document) -> NewEvent:
    """A payment has its own draft."""
    data = {
        "order_id": payment.order_id,
        **_monthly(draft),
        "payment_id": payment.payment_id,
        **_won(draft.amount),
    }
    return NewEvent("invoice.drafted.v1", str(draft.invoice_id), draft.sequence, data, key=payment.order_id)


def invoice_merged(merge: Document, members: Sequence[Payment], excluded: Mapping[str, str]) -> NewEvent:
    """These payments share one draft; `excluded` maps those that were left out to the reason."""
    data = {
        **_monthly(merge),
        "payment_ids": [payment.payment_id for payment in members],
        **_won(merge.amount),
        "written_date": str(written_date_of_merge(merge.month)),
        "due_on": str(due_on(merge.month)),
        "excluded": [{"payment_id": payment_id, "reason": reason} for payment_id, reason in excluded.items()],
    }
    return _of_partner("invoice.merged.v1", merge, data)


def invoice_unmerged(merge: Document, members: Sequence[Payment]) -> NewEvent:
    """These payments have drafts of their own again."""
    data = {**_monthly(merge), "payment_ids": [payment.payment_id for payment in members]}
    return _of_partner("invoice.unmerged.v1", merge, data)


def merge_answered(request: MergeRequest, verdicts: Sequence[Verdict], merge: Document | None) -> NewEvent:
    """What became of a request to merge or to undo a merge, payment by payment."""
    data: dict[str, Any] = {
        "partner_id": request.partner_id,
        "request_id": request.request_id,
        "business_number": request.business_number,
        "month": request.month,
        "merged": [verdict.payment_id for verdict in verdicts if verdict.reason == "merged"],
        "excluded": [_excluded(verdict) for verdict in verdicts if verdict.reason != "merged"],
    }
    if merge is not None:
        data["invoice_id"] = str(merge.invoice_id)
    subject = f"{_part(request.partner_id)}/{_part(request.request_id)}"
    return NewEvent("merge.answered.v1", subject, 1, data, key=request.partner_id)


def _excluded(verdict: Verdict) -> dict[str, str]:
    of_order = {} if verdict.order_id is None else {"order_id": verdict.order_id}
    return {"payment_id": verdict.payment_id, **of_order, "reason": verdict.reason}


def _part(text: str) -> str:
    """A part of a subject, so that no two different pairs make one subject."""
    return text.replace("%", "%25").replace("/", "%2F")


def invoice_issued(document: Document, payments: Sequence[Payment], at: datetime) -> NewEvent:
    """A tax invoice exists. Only a late one shows `estimated_penalty`, in won."""
    invoiced = [payment for payment in payments if payment.standing.total]
    data: dict[str, Any] = {
        **_monthly(document),
        "document_key": document.document_key,
        "payment_ids": [payment.payment_id for payment in invoiced],
        "order_ids": [payment.order_id for payment in invoiced],
        **_won(document.amount),
        "written_date": str(document.written_date),
        "issued_at": wire_time(at),
        "late": document.late,
    }
    penalty = estimated_penalty(document.month, at, document.amount.supply)
    if penalty is not None:
        data["estimated_penalty"] = penalty
    return _of_partner("invoice.issued.v1", document, data, at)


def invoice_issue_failed(document: Document) -> NewEvent:
    """A document cannot be issued until its partner is corrected."""
    data = {**_monthly(document), "reason": "business_number_invalid", "next": "correct_partner"}
    return _of_partner("invoice.issue_failed.v1", document, data)


def invoice_modified(
    document: Document, original: Document, payment: Payment, *, cancellation: bool
) -> NewEvent:
    """A modified invoice: the won by which a refund, or a cancellation, changes an issued document."""
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
    return _of_partner("invoice.modified.v1", document, data)


def document_corrected(
    document: Document, original_key: str | None, payments: Sequence[Payment], reason: str
) -> NewEvent:
    """One document of a correction: what is taken back (negative), or said again under the right number."""
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
    data["payment_ids"] = [payment.payment_id for payment in about]
    if document.refund_id is not None:
        data["refund_id"] = document.refund_id
    if len(about) == 1:
        data |= {"payment_id": about[0].payment_id, "order_id": about[0].order_id}
    return _of_partner("invoice.modified.v1", document, data)


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


def _monthly(document: Document) -> dict[str, Any]:
    return {
        "invoice_id": str(document.invoice_id),
        "partner_id": document.partner_id,
        "business_number": document.business_number,
        "month": document.month,
    }


def _won(amount: Money) -> dict[str, int]:
    return {"supply": amount.supply, "vat": amount.vat, "total": amount.total}
