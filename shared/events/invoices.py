"""What the invoices service says on `invoices.events`: tax invoices and the months they belong to."""

from typing import Literal

from shared.events.fields import BusinessNumber, Count, Data, Day, Id, Instant, Month, Name, Text, Total

Modification = Literal["contract_cancelled", "supply_value_changed", "correction", "issued_twice"]
"""수정세금계산서 reasons: 계약의 해제, 공급가액 변동, 착오 정정, 이중발급."""


class InvoiceDrafted(Data):
    """invoice.drafted.v1: a payment is in the drafts of its KST month."""

    order_id: Id
    invoice_id: Id
    payment_id: Id
    partner_id: Id
    business_number: BusinessNumber
    month: Month
    supply: Total
    vat: Total
    total: Total


class Numbered(Data):
    """What of a long list a document says: `part` of `parts`, at most 1,000 payments in each.

    `count` are the payments of all parts, `more` whether others follow. Absent where one says it all.
    """

    part: Count | None = None
    parts: Count | None = None
    count: Count | None = None
    more: bool | None = None


class MonthlyInvoice(Data):
    """Which invoice, of which business and month."""

    invoice_id: Id
    partner_id: Id
    business_number: BusinessNumber
    month: Month


class InvoiceMerged(MonthlyInvoice, Numbered):
    """invoice.merged.v1: these payments share one draft."""

    payment_ids: list[Id]
    supply: Total
    vat: Total
    total: Total
    written_date: Day
    due_on: Day


class InvoiceUnmerged(MonthlyInvoice, Numbered):
    """invoice.unmerged.v1: these payments have drafts of their own again."""

    payment_ids: list[Id]


class ExcludedPayment(Data):
    """A payment that was asked for and is not in the merge, and why."""

    payment_id: Id
    order_id: Id | None = None
    reason: Name


class MergeAnswered(Numbered):
    """merge.answered.v1: what became of one request to merge, or to undo a merge; maybe nothing."""

    partner_id: Id
    request_id: Id | None = None
    business_number: BusinessNumber
    month: Month
    invoice_id: Id | None = None
    merged: list[Id]
    excluded: list[ExcludedPayment]


class InvoiceApproved(MonthlyInvoice, Numbered):
    """invoice.approved.v1: the document is frozen: its key, its date and its lines. Again when it has changed
    since, and is approved anew; the last one counts until it is issued.
    """

    document_key: Id
    payment_ids: list[Id]
    supply: Total
    vat: Total
    total: Total
    written_date: Day
    due_on: Day
    approved_at: Instant


class InvoiceIssued(MonthlyInvoice, Numbered):
    """invoice.issued.v1: a tax invoice exists and is never edited. `late`: its month was already closed.

    `order_ids` are the orders of `payment_ids`, one for each; absent only in older events. The won are those
    of the whole document, in each part of it.
    """

    document_key: Id
    payment_ids: list[Id]
    order_ids: list[Id] | None = None
    supply: Total
    vat: Total
    total: Total
    written_date: Day
    issued_at: Instant
    late: bool


class InvoiceTransmitted(Data):
    """invoice.transmitted.v1: the tax authority has the document."""

    invoice_id: Id
    partner_id: Id
    document_key: Id
    approval_number: Id
    transmitted_at: Instant


class InvoiceTransmissionFailed(MonthlyInvoice):
    """invoice.transmission_failed.v1: the tax authority did not take the document; `next` says
    what mends it.
    """

    document_key: Id
    reason: Name
    next: Name


class InvoiceIssueFailed(MonthlyInvoice):
    """invoice.issue_failed.v1: the document could not be issued; `next` says what mends it."""

    reason: Name
    next: Name


class InvoiceModified(Numbered):
    """invoice.modified.v1: a modified tax invoice; won are the difference, negative for a refund."""

    invoice_id: Id
    partner_id: Id
    business_number: BusinessNumber
    document_key: Id
    original_document_key: Id
    modification: Modification
    payment_id: Id | None = None
    refund_id: Id | None = None
    supply: Total
    vat: Total
    total: Total
    written_date: Day


class MonthClosed(Data):
    """month.closed.v1: the KST month is invoiced; counts of documents and payments, sums in won.

    `actor` closed it, for `reason`; absent where nobody said it, and in older events.
    """

    month: Month
    documents: Count
    payments: Count
    supply: Total
    vat: Total
    total: Total
    issue_failed: Count
    closed_at: Instant
    actor: Name | None = None
    reason: Text | None = None
