"""What the invoices service keeps: payments and where their won stand, tax invoices, partners and wishes.

Money is won, instants are aware datetimes, months are KST months written `2026-10`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from shared.columns import JSON, Columns, Fixed
from shared.money import NOTHING, Money
from shared.units import LineUnits

Evidence = Literal["tax_invoice", "card_slip", "cash_receipt"]
DocumentKind = Literal["payment", "merged", "modified"]
DocumentState = Literal["draft", "in_merge", "undone", "void", "approved", "issue_failed", "issued"]
Modification = Literal["contract_cancelled", "supply_value_changed", "correction", "issued_twice"]
RefundState = Literal["open", "completed", "rejected", "denied", "released"]
Reason = Literal[
    "merged",
    "other_month",
    "other_business",
    "not_a_tax_invoice",
    "already_issued",
    "month_closed",
    "after_cut_off",
    "nothing_left",
    "units_not_issued",
    "open_refund",
    "only_one_payment",
    "unknown_payment",
    "other_partner",
    "merged_by_operator",
    "undone",
    "not_merged",
]

NewId = Callable[[], UUID]
CorrectionState = Literal["proposed", "corrected", "withdrawn"]
UNISSUED: tuple[DocumentState, ...] = ("draft", "approved", "issue_failed")
TransmissionState = Literal["transmitted", "transmission_failed"]
SubmissionState = Literal["to_send", "sending", "sent", "issued", "transmitted", "failed"]
WITH_AGENT: tuple[SubmissionState, ...] = ("to_send", "sending", "sent")
"""A document stays as it is in these: it is for the tax agent to issue it, or to refuse it."""


class Contradiction(Exception):
    """An event cannot be true together with those recorded before it. It is parked for an operator."""


class Policy(Struct, frozen=True, gc=False):
    """What the operator may choose (domain.md, "Policies"). `tax_agent`: one issues the documents.

    `draft_rows`: every draft has a row of its own, as release 0.2.0 asks for, also a day after the migration.
    """

    card_is_slip: bool = True
    cut_off_day: int = 5
    cut_off_hour: int = 18
    four_eyes: bool = True
    tax_agent: bool = False
    draft_rows: bool = False


class By(NamedTuple):
    """Who had something done, when it counts from, and why; each may be empty where nobody said it."""

    actor: str
    at: datetime
    reason: str


class Payment(Struct, frozen=True, gc=False):
    """One paid order and where its won stand. One that cost nothing has no document, whatever its evidence.

    `standing` is the part of it on its evidence: on the document `invoice_id`, on the card slip or on the
    cash receipt. It follows refunds until the document is issued, and is then fixed for ever: later refunds
    are modified invoices. `draft_id` is the payment's own document, `invoice_id` the one it is in at present:
    after a correction the one that replaces it, and for a document that was issued twice its reversal, since
    another document holds these won. `business_number` is the one as of payment, until the partner says that
    it was the number of another company. Both ids are None for a payment without a tax invoice.
    Units count lines of kind `serials` only; `other_lines` names the lines of all other kinds.
    """

    order_id: Fixed[str]
    payment_id: Fixed[str]
    partner_id: Fixed[str]
    business_number: str
    month: Fixed[str]
    evidence: Fixed[Evidence]
    paid_at: Fixed[datetime]
    paid: Fixed[Annotated[Money, Columns("supply", "vat")]]
    standing: Annotated[Money, Columns("standing_supply", "standing_vat")]
    serial_units: Fixed[int]
    other_lines: Fixed[tuple[str, ...]]
    refunded: Annotated[Money, Columns("refunded_supply", "refunded_vat")] = NOTHING
    issued_units: int = 0
    returned_units: int = 0
    open_refunds: int = 0
    draft_id: Fixed[UUID | None] = None
    invoice_id: UUID | None = None


class SoldLine(NamedTuple):
    """One line of a payment as it was sold; `unit_price` and `discount` (of the whole line) are in won."""

    line_id: str
    kind: str
    product_id: str
    product_name: str
    unit_price: int
    quantity: int
    discount: int = 0


class Buyer(NamedTuple):
    """Who paid, as of the payment; what was not told is empty."""

    business_number: str
    name: str
    email: str = ""
    representative: str = ""
    address: str = ""
    business_type: str = ""
    business_item: str = ""
    branch_number: str = ""


class Snapshot(Struct, frozen=True, gc=False):
    """The lines of a payment as they were sold, and its buyer, from which documents are printed.

    `buyer` is None for payments from before it was kept, and for those of a purged partner that stand on no
    document.
    """

    order_id: Fixed[str]
    vat_mode: Fixed[str]
    lines: Fixed[Annotated[tuple[SoldLine, ...], JSON]]
    buyer: Annotated[Buyer | None, JSON] = None


class Document(Struct, frozen=True, gc=False):
    """One tax invoice, from its draft on.

    From its approval on it has its key and its written date, and stays as it is; whatever changes it makes
    it a draft again. `payments` counts the payments with won on it, from then on. `also` names the other
    partners with payments on it, where an operator merged a business over several partners. `original_id`
    and `modification` belong to modified invoices and to the document that replaces a corrected one;
    `order_id` and `refund_id` to modified invoices that a refund caused, and to those that correct them.
    """

    invoice_id: Fixed[UUID]
    kind: Fixed[DocumentKind]
    state: DocumentState
    partner_id: Fixed[str]
    business_number: str
    month: Fixed[str]
    amount: Annotated[Money, Columns("supply", "vat")]
    sequence: int
    late: bool = False
    payments: int = 1
    document_key: str | None = None
    written_date: date | None = None
    issued_at: datetime | None = None
    order_id: Fixed[str | None] = None
    original_id: Fixed[UUID | None] = None
    modification: Fixed[Modification | None] = None
    refund_id: Fixed[str | None] = None
    also: tuple[str, ...] = ()

    @property
    def is_unissued(self) -> bool:
        """Whether the document is still to be issued."""
        return self.state in UNISSUED

    @property
    def reopened(self) -> "Document":
        """The document with its approval gone: what follows changes what was approved."""
        if self.state != "approved":
            return self
        return replace(self, state="draft", document_key=None, written_date=None)

    @property
    def partners(self) -> tuple[str, ...]:
        """Every partner with payments on it."""
        return (self.partner_id, *self.also)


def draft_said_by(payment: Payment) -> Document:
    """The own document of a payment as the payment says it; it has no row while it is nothing else."""
    if payment.draft_id is None:
        raise ValueError(f"order {payment.order_id} has no draft")
    is_there = payment.invoice_id == payment.draft_id
    state: DocumentState = ("draft" if payment.standing.total else "void") if is_there else "in_merge"
    return Document(
        payment.draft_id,
        "payment",
        state,
        payment.partner_id,
        payment.business_number,
        payment.month,
        payment.standing,
        sequence=1,
    )


class Approval(Struct, frozen=True, gc=False):
    """What a document was when it was approved under a key, by whom, when and why.

    The key belongs to the document from then on: approved anew under the same number, it keeps it. A document
    that is not as this says has drifted since.
    """

    document_key: Fixed[str]
    invoice_id: Fixed[UUID]
    business_number: Fixed[str]
    month: Fixed[str]
    amount: Annotated[Money, Columns("supply", "vat")]
    payments: int
    actor: str
    reason: str
    approved_at: datetime


class Transmission(Struct, frozen=True, gc=False):
    """What the tax authority made of an issued document: taken, under its approval number, or not.

    `sequence` is that of its last event; the document itself never changes. `detail` is why it was not taken.
    """

    invoice_id: Fixed[UUID]
    month: Fixed[str]
    state: TransmissionState
    sequence: int
    actor: str
    at: datetime
    approval_number: str | None = None
    detail: str = ""


class GivenUpKey(NamedTuple):
    """A key under which the tax agent is not given a document any more: why, and since when."""

    document_key: str
    reason: str
    at: datetime


class Submission(Struct, frozen=True, gc=False):
    """A document that a tax agent is given, under a key, and how far it is.

    `document_key` is the document's own until the agent has something else under it, or could not transmit
    what it had: then it is another number of the same business, and `given_up` names those before it.

    `sending`: a call was begun, and what became of it is not known until the agent was asked. `sent`: the
    agent has it. `issued`: it has an approval number, and its transmission is to come. `next_at` is when it
    is looked at again, after `tries` looks without news, or when it ended. `detail` is why it failed. `actor`
    had it sent for `reason`; `is_of_all`: with the whole month, which is closed with its last answer. `doubt`
    is why the agent's last answer is not believed, since `doubted_at`; empty where it is.
    """

    invoice_id: Fixed[UUID]
    document_key: str
    month: str
    state: SubmissionState
    actor: str
    reason: str
    is_of_all: bool
    next_at: datetime
    tries: int = 0
    approval_number: str | None = None
    detail: str = ""
    doubt: str = ""
    doubted_at: datetime | None = None
    given_up: Annotated[tuple[GivenUpKey, ...], JSON] = ()


class Refund(Struct, frozen=True, gc=False):
    """A refund of a payment, or the units that a cancellation took back (`cancellation`).

    `lines` are the units that went back, for printing, or that are asked for while it is open; None where
    they were not kept. `consumed` won by line were used up of them, and stay on the document. `heard_at` is
    when it took something off the payment; None before that, and of what came before that was kept.
    """

    refund_id: Fixed[str]
    order_id: Fixed[str]
    state: RefundState
    amount: Annotated[Money, Columns("supply", "vat")] = NOTHING
    cancellation: Fixed[bool] = False
    lines: Annotated[tuple[LineUnits, ...] | None, JSON] = None
    consumed: Annotated[dict[str, int], JSON] = msgspec.field(default_factory=dict)
    heard_at: datetime | None = None


class Preference(NamedTuple):
    """Since when a partner wants its months merged, or does not."""

    since: datetime
    always_merge: bool


class Partner(Struct, frozen=True, gc=False):
    """A partner as of its last change. `always_merge_since`: when its preference last changed.

    `preferences` are all that it has had, oldest first: what counts for a month is the one at its cut-off.
    `purged_at`: since then it has neither a name nor an address nor a number of its own here.
    """

    partner_id: Fixed[str]
    business_number: str
    name: str
    invoice_email: str
    always_merge: bool
    always_merge_since: datetime
    changed_at: datetime
    purged_at: datetime | None = None
    preferences: Annotated[tuple[Preference, ...], JSON] = ()

    @property
    def all_preferences(self) -> tuple[Preference, ...]:
        """Those that are kept, or the one that was before they were."""
        return self.preferences or (Preference(self.always_merge_since, self.always_merge),)

    def preferred_merging(self, at: datetime) -> bool:
        """Whether it wanted its months merged just before `at`."""
        before = [each for each in self.all_preferences if each.since < at]
        return bool(before) and before[-1].always_merge


class PartnerNumber(Struct, frozen=True, gc=False):
    """A business number that a partner has told, and since when it is the partner's."""

    partner_id: Fixed[str]
    since: Fixed[datetime]
    business_number: str


class BusinessRegistration(Struct, frozen=True, gc=False):
    """What stands on the registration of a business (사업자등록증), as a partner told it of its own.

    What was not told is empty. `told_at`: when the latest of it was true.
    """

    partner_id: Fixed[str]
    business_number: Fixed[str]
    told_at: datetime
    representative: str = ""
    address: str = ""
    business_type: str = ""
    business_item: str = ""
    branch_number: str = ""

    def after(self, known: "BusinessRegistration | None") -> "BusinessRegistration":
        """Both together: of the same thing what is true later counts, and what is empty says nothing."""
        if known is None:
            return self
        first, last = sorted((known, self), key=lambda each: each.told_at)
        said = {name: getattr(last, name) or getattr(first, name) for name in REGISTERED}
        return replace(last, **said)


REGISTERED = ("representative", "address", "business_type", "business_item", "branch_number")
"""What of a business is told beside its number and its name."""


class RightBuyer(NamedTuple):
    """What a corrected document says of its buyer otherwise than its payments; None: it says the same."""

    name: str | None = None
    representative: str | None = None
    address: str | None = None


class Correction(Struct, frozen=True, gc=False):
    """That an issued document names the wrong business; an operator decides whether it is corrected.

    `business_number` is the right one, `buyer` what else is right, where that was wrong. `reason`,
    `actor` and `decided_at` are the operator's.
    """

    invoice_id: Fixed[UUID]
    partner_id: Fixed[str]
    month: Fixed[str]
    business_number: str
    state: CorrectionState
    proposed_at: datetime
    reason: str | None = None
    actor: str | None = None
    decided_at: datetime | None = None
    buyer: Annotated[RightBuyer | None, JSON] = None


class WithdrawnPartner(Struct, frozen=True, gc=False):
    """A partner that has left: what it could see is kept, and hidden from it."""

    partner_id: Fixed[str]
    withdrawn_at: Fixed[datetime]


class OtherPayment(NamedTuple):
    """A payment of another partner of the same business number, as far as an answer names it."""

    payment_id: str
    order_id: str
    partner_id: str
    business_number: str
    month: str


class Verdict(NamedTuple):
    """What a merge makes of one payment. `payment` is None for an unknown id and for another partner's."""

    payment_id: str
    payment: Payment | None
    reason: Reason
    order_id: str | None


class MergeRequest(Struct, frozen=True, gc=False):
    """A wish to merge (or, `undo`, not to merge) a month.

    `payment_ids` is None for all payments of the month. The request is `standing` until a later one replaces
    it. `content` is the hash of what was asked for.
    """

    partner_id: Fixed[str]
    request_id: Fixed[str]
    undo: Fixed[bool]
    business_number: str
    month: Fixed[str]
    payment_ids: Fixed[Annotated[tuple[str, ...] | None, JSON]]
    requested_at: Fixed[datetime]
    standing: bool
    content: Fixed[bytes]


class Explanation(Struct, frozen=True, gc=False):
    """Why a payment is (`merged`) or is not in a merge. `order_id` is None for an unknown payment."""

    partner_id: Fixed[str]
    request_id: Fixed[str]
    payment_id: Fixed[str]
    order_id: str | None
    reason: Reason


class DocumentCounter(Struct, frozen=True, gc=False):
    """The number of the last document of a business. It goes on over months: document keys never repeat."""

    business_number: Fixed[str]
    last_number: int = 0

    def next(self) -> "DocumentCounter":
        """The counter after one more document."""
        return DocumentCounter(self.business_number, self.last_number + 1)


class MonthSummary(Struct, frozen=True, gc=False):
    """A closed month. Counts and won are of all issued documents of the month, modified ones not included;
    `already_issued` of the `documents` were issued before this close, `merged` are merged ones. `drafts` are
    still to be issued: a refund opened while the month was closed.
    """

    month: str
    documents: int
    payments: int
    supply: int
    vat: int
    total: int
    merged: int
    issue_failed: int
    already_issued: int
    drafts: int = 0


class Change(Struct, frozen=True, gc=False):
    """The state that a decision answers with: new values for what changed."""

    payments: tuple[Payment, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    documents: tuple[Document, ...] = ()
    refunds: tuple[Refund, ...] = ()
    partners: tuple[Partner, ...] = ()
    requests: tuple[MergeRequest, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    numbers: tuple[PartnerNumber, ...] = ()
    corrections: tuple[Correction, ...] = ()
    counters: tuple[DocumentCounter, ...] = ()
    approvals: tuple[Approval, ...] = ()
    transmissions: tuple[Transmission, ...] = ()
    submissions: tuple[Submission, ...] = ()
    registrations: tuple[BusinessRegistration, ...] = ()

    def plus(self, later: "Change") -> "Change":
        """Both changes; of the same thing the value of `later` counts."""
        return Change(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(later), strict=True)))


@dataclass(slots=True, frozen=True)
class Stored:
    """The rows of a batch as they were read."""

    payments: Mapping[str, Payment] = field(default_factory=dict)
    documents: Mapping[UUID, Document] = field(default_factory=dict)
    refunds: Mapping[str, Refund] = field(default_factory=dict)
    partners: Mapping[str, Partner] = field(default_factory=dict)
    requests: Mapping[tuple[str, str], MergeRequest] = field(default_factory=dict)
    numbers: Mapping[tuple[str, datetime], PartnerNumber] = field(default_factory=dict)
    corrections: Mapping[UUID, Correction] = field(default_factory=dict)
    counters: Mapping[str, DocumentCounter] = field(default_factory=dict)
    approvals: Mapping[tuple[UUID, str], Approval] = field(default_factory=dict)
    transmissions: Mapping[UUID, Transmission] = field(default_factory=dict)
    submissions: Mapping[UUID, Submission] = field(default_factory=dict)
    registrations: Mapping[tuple[str, str], BusinessRegistration] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """What one batch works on: everything that its events may touch, loaded under locks.

    `closed` maps every closed month to the logical time of its close, `closed_businesses` those months of
    businesses that are issued while the rest of the month is not. `counters` are those of the businesses
    that may be issued a document in this batch. `numbers` are all that were told of the loaded partners,
    `others` the payments of other partners of a business that a merge may have to name, `withdrawn` partners
    that have left. `stored` are the rows as they were read, to see what changed; `unwritten` are documents
    that have none, since they are what their payments say. `draft_rows`: here every draft has one.
    """

    policy: Policy = field(default_factory=Policy)
    payments: dict[str, Payment] = field(default_factory=dict)
    documents: dict[UUID, Document] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    partners: dict[str, Partner] = field(default_factory=dict)
    requests: dict[tuple[str, str], MergeRequest] = field(default_factory=dict)
    numbers: dict[tuple[str, datetime], PartnerNumber] = field(default_factory=dict)
    corrections: dict[UUID, Correction] = field(default_factory=dict)
    approvals: dict[tuple[UUID, str], Approval] = field(default_factory=dict)
    transmissions: dict[UUID, Transmission] = field(default_factory=dict)
    submissions: dict[UUID, Submission] = field(default_factory=dict)
    registrations: dict[tuple[str, str], BusinessRegistration] = field(default_factory=dict)
    others: list[OtherPayment] = field(default_factory=list)
    counters: dict[str, DocumentCounter] = field(default_factory=dict)
    closed: dict[str, datetime] = field(default_factory=dict)
    closed_businesses: dict[tuple[str, str], datetime] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)
    withdrawn: list[WithdrawnPartner] = field(default_factory=list)
    explanations: dict[tuple[str, str, str], Explanation] = field(default_factory=dict)
    stored: Stored = field(default_factory=Stored)
    unwritten: set[UUID] = field(default_factory=set)
    draft_rows: bool = False
    _orders_of_partner: dict[str, dict[str, None]] = field(default_factory=dict)
    _orders_of_document: dict[UUID, dict[str, None]] = field(default_factory=dict)
    _merges: dict[tuple[str, str, str], UUID] = field(default_factory=dict)

    def payments_of(self, partner_id: str) -> list[Payment]:
        """The loaded payments of a partner, in the order they were paid."""
        orders = self._orders_of_partner.get(partner_id, ())
        return sorted((self.payments[order_id] for order_id in orders), key=paid_order)

    def payments_in(self, document: Document) -> list[Payment]:
        """The loaded payments on a document that is not a modified one, in the order they were paid."""
        orders = self._orders_of_document.get(document.invoice_id, ())
        found = (self.payments[order_id] for order_id in orders)
        return sorted((p for p in found if p.invoice_id == document.invoice_id), key=paid_order)

    def numbers_of(self, partner_id: str) -> list[PartnerNumber]:
        """The numbers that a partner has told, oldest first."""
        found = (number for number in self.numbers.values() if number.partner_id == partner_id)
        return sorted(found, key=lambda number: number.since)

    def document_of(self, payment: Payment) -> Document | None:
        """The document that a payment is in; None for card slips and cash receipts."""
        return None if payment.invoice_id is None else self.documents[payment.invoice_id]

    def closed_at(self, month: str, business_number: str) -> datetime | None:
        """Since when what comes for a business's month is late; None while it is collected and reviewed."""
        return self.closed.get(month) or self.closed_businesses.get((month, business_number))

    def is_with_agent(self, document: Document) -> bool:
        """Whether a document is approved and given to the tax agent: it stays as it is until that answers."""
        submission = self.submissions.get(document.invoice_id)
        return document.state == "approved" and submission is not None and submission.state in WITH_AGENT

    def approval_of(self, document: Document, business_number: str) -> Approval | None:
        """The approval that a document has had under a number; None where there was none."""
        return self.approvals.get((document.invoice_id, business_number))

    def open_merge(self, partner_id: str, business_number: str, month: str) -> Document | None:
        """The merged document of a business's month that is not issued yet. There is at most one.

        One that is with the tax agent is as good as issued.
        """
        invoice_id = self._merges.get((partner_id, business_number, month))
        merge = None if invoice_id is None else self.documents[invoice_id]
        if merge is None or not merge.is_unissued or merge.business_number != business_number:
            return None
        if self.is_with_agent(merge):
            return None
        return merge

    def standing_requests(self, partner_id: str, business_number: str, month: str) -> list[MergeRequest]:
        """The wishes for a business's month that no later wish has replaced, oldest first."""
        scope = (partner_id, business_number, month)
        found = [
            r
            for r in self.requests.values()
            if r.standing and (r.partner_id, r.business_number, r.month) == scope
        ]
        return sorted(found, key=lambda request: (request.requested_at, request.request_id))

    def put(self, state: Change) -> None:
        """Keeps what a decision changed, to be saved with the batch."""
        for payment in state.payments:
            self._put_payment(payment)
        for document in state.documents:
            self._put_document(document)
        self.refunds.update((refund.refund_id, refund) for refund in state.refunds)
        self.partners.update((partner.partner_id, partner) for partner in state.partners)
        self.requests.update(((each.partner_id, each.request_id), each) for each in state.requests)
        self.explanations.update(
            ((each.partner_id, each.request_id, each.payment_id), each) for each in state.explanations
        )
        self.numbers.update(((number.partner_id, number.since), number) for number in state.numbers)
        self.corrections.update((each.invoice_id, each) for each in state.corrections)
        self.counters.update((counter.business_number, counter) for counter in state.counters)
        self.approvals.update(((each.invoice_id, each.business_number), each) for each in state.approvals)
        self.transmissions.update((each.invoice_id, each) for each in state.transmissions)
        self.submissions.update((each.invoice_id, each) for each in state.submissions)
        self.registrations.update(((r.partner_id, r.business_number), r) for r in state.registrations)
        self.snapshots.extend(state.snapshots)

    def _put_payment(self, payment: Payment) -> None:
        self.payments[payment.order_id] = payment
        self._orders_of_partner.setdefault(payment.partner_id, {})[payment.order_id] = None
        if payment.invoice_id is not None:
            self._orders_of_document.setdefault(payment.invoice_id, {})[payment.order_id] = None

    def _put_document(self, document: Document) -> None:
        self.documents[document.invoice_id] = document
        if document.kind == "merged" and document.is_unissued:
            scope = (document.partner_id, document.business_number, document.month)
            self._merges[scope] = document.invoice_id

    def copied(self) -> "World":
        """Another world of the same values, to try things out in."""
        tried = replace_fields(
            self,
            payments=dict(self.payments),
            documents=dict(self.documents),
            requests=dict(self.requests),
            partners=dict(self.partners),
        )
        tried._orders_of_partner = {key: dict(orders) for key, orders in self._orders_of_partner.items()}
        tried._orders_of_document = {key: dict(orders) for key, orders in self._orders_of_document.items()}
        tried._merges = dict(self._merges)
        return tried

    def mark_stored(self) -> None:
        """Notes that the rows are read: what is put from now on is to be saved."""
        self.stored = Stored(
            dict(self.payments),
            dict(self.documents),
            dict(self.refunds),
            dict(self.partners),
            dict(self.requests),
            dict(self.numbers),
            dict(self.corrections),
            dict(self.counters),
            dict(self.approvals),
            dict(self.transmissions),
            dict(self.submissions),
            dict(self.registrations),
        )


def paid_order(payment: Payment) -> tuple[datetime, str]:
    """Sorts payments by when they were paid."""
    return payment.paid_at, payment.order_id
