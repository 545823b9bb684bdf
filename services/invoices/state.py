"""What the invoices service knows: values that decisions read and answer with. Nothing here is ever mutated
but the `World`, and that only by `World.apply`.

Money is won, instants are aware datetimes, months are KST months written `2026-10`.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from shared.money import Money
from shared.runtime.decisions import NewEvent

Evidence = Literal["tax_invoice", "card_slip", "cash_receipt"]
DocumentKind = Literal["payment", "merged", "modified"]
DocumentState = Literal["draft", "in_merge", "undone", "void", "issue_failed", "issued"]
Modification = Literal["contract_cancelled", "supply_value_changed"]
RefundState = Literal["open", "completed", "rejected", "denied", "released"]

NOTHING = Money(0, 0)
UNISSUED: tuple[DocumentState, ...] = ("draft", "issue_failed")


class Contradiction(Exception):
    """A fact that cannot be true together with those already recorded. It parks the event for an operator."""


def plus(left: Money, right: Money) -> Money:
    """Both amounts together."""
    return Money(left.supply + right.supply, left.vat + right.vat)


def minus(whole: Money, part: Money) -> Money:
    """What is left of `whole`. Raises Contradiction when `part` exceeds it in supply value or VAT."""
    left = Money(whole.supply - part.supply, whole.vat - part.vat)
    if left.supply < 0 or left.vat < 0:
        raise Contradiction(
            f"{part.supply} + {part.vat} won exceed the {whole.supply} + {whole.vat} that are left"
        )
    return left


@dataclass(slots=True, frozen=True)
class Policy:
    """What the operator may choose (domain.md, "Policies")."""

    card_is_slip: bool = True
    cut_off_day: int = 5
    cut_off_hour: int = 18


@dataclass(slots=True, frozen=True)
class Payment:
    """One paid order and where its won stand.

    `standing` is the part of it on its evidence: on the document `invoice_id`, on the card slip or on the
    cash receipt. It follows refunds until the document is issued, and is then fixed for ever: later refunds
    are modified invoices. `draft_id` is the payment's own document, `invoice_id` the one it is in at present.
    Units count lines of kind `serials` only; `other_lines` names the lines of all other kinds.
    """

    order_id: str
    payment_id: str
    partner_id: str
    business_number: str
    month: str
    evidence: Evidence
    paid_at: datetime
    paid: Money
    refunded: Money
    standing: Money
    serial_units: int
    issued_units: int
    returned_units: int
    other_lines: tuple[str, ...]
    open_refunds: int
    draft_id: UUID | None
    invoice_id: UUID | None


@dataclass(slots=True, frozen=True)
class Document:
    """One tax invoice, from its draft on.

    `payments` counts the payments with won on it, once it is issued. The last four fields belong to modified
    invoices only.
    """

    invoice_id: UUID
    kind: DocumentKind
    state: DocumentState
    partner_id: str
    business_number: str
    month: str
    amount: Money
    sequence: int
    late: bool = False
    payments: int = 1
    document_key: str | None = None
    written_date: date | None = None
    issued_at: datetime | None = None
    order_id: str | None = None
    original_id: UUID | None = None
    modification: Modification | None = None
    refund_id: str | None = None


@dataclass(slots=True, frozen=True)
class Refund:
    """A refund of a payment, or the units that a cancellation took back (`cancellation`)."""

    refund_id: str
    order_id: str
    state: RefundState
    amount: Money = NOTHING
    cancellation: bool = False


@dataclass(slots=True, frozen=True)
class Partner:
    """A partner as its last change says. `always_merge_since`: when its preference last changed."""

    partner_id: str
    business_number: str
    name: str
    invoice_email: str
    always_merge: bool
    always_merge_since: datetime
    changed_at: datetime


@dataclass(slots=True, frozen=True)
class MergeRequest:
    """A wish to merge (or, `undo`, not to merge) a month. `standing` until a later wish replaces it."""

    partner_id: str
    request_id: str
    undo: bool
    business_number: str
    month: str
    payment_ids: tuple[str, ...] | None
    requested_at: datetime
    standing: bool
    content: bytes


@dataclass(slots=True, frozen=True)
class Explanation:
    """Why a payment is (`merged`) or is not in a merge. `order_id` is None for a payment nobody knows."""

    partner_id: str
    request_id: str
    payment_id: str
    order_id: str | None
    reason: str


@dataclass(slots=True, frozen=True)
class Snapshot:
    """The lines of a payment as they were sold (JSON, one array a line), from which documents are printed."""

    order_id: str
    vat_mode: str
    lines: str


@dataclass(slots=True)
class Change:
    """What a decision answers: new values for what changed, and the events that follow."""

    payments: list[Payment] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    partners: list[Partner] = field(default_factory=list)
    requests: list[MergeRequest] = field(default_factory=list)
    explanations: list[Explanation] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    emits: list[NewEvent] = field(default_factory=list)


@dataclass(slots=True)
class Dirty:
    """The keys of what must be written, in the order it changed first."""

    payments: dict[str, None] = field(default_factory=dict)
    documents: dict[UUID, None] = field(default_factory=dict)
    refunds: dict[str, None] = field(default_factory=dict)
    partners: dict[str, None] = field(default_factory=dict)
    requests: dict[tuple[str, str], None] = field(default_factory=dict)
    counters: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """Everything that one batch of events may touch, loaded under locks.

    `closed` maps every closed month to the logical time of its close. `counters` holds the last document
    number of each business number that may be issued in this batch. `stored` holds the order ids and invoice
    ids that are rows already.
    """

    policy: Policy = field(default_factory=Policy)
    payments: dict[str, Payment] = field(default_factory=dict)
    documents: dict[UUID, Document] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    partners: dict[str, Partner] = field(default_factory=dict)
    requests: dict[tuple[str, str], MergeRequest] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    closed: dict[str, datetime] = field(default_factory=dict)
    explanations: dict[tuple[str, str, str], Explanation] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)
    dirty: Dirty = field(default_factory=Dirty)
    stored: set[str | UUID] = field(default_factory=set)
    _orders_of_partner: dict[str, dict[str, None]] = field(default_factory=dict)
    _open_merges: dict[tuple[str, str, str], UUID] = field(default_factory=dict)

    def learn_payment(self, payment: Payment) -> None:
        """Takes in a payment as it stands."""
        self.payments[payment.order_id] = payment
        self._orders_of_partner.setdefault(payment.partner_id, {})[payment.order_id] = None

    def learn_document(self, document: Document) -> None:
        """Takes in a document as it stands."""
        self.documents[document.invoice_id] = document
        if document.kind == "merged":
            scope = (document.partner_id, document.business_number, document.month)
            if document.state in UNISSUED:
                self._open_merges[scope] = document.invoice_id
            elif self._open_merges.get(scope) == document.invoice_id:
                del self._open_merges[scope]

    def payments_of(self, partner_id: str) -> list[Payment]:
        """The loaded payments of a partner, in the order they were paid."""
        orders = self._orders_of_partner.get(partner_id, ())
        return sorted((self.payments[order_id] for order_id in orders), key=paid_order)

    def payments_in(self, document: Document) -> list[Payment]:
        """The loaded payments on a document that is not a modified one, in the order they were paid."""
        return [p for p in self.payments_of(document.partner_id) if p.invoice_id == document.invoice_id]

    def document_of(self, payment: Payment) -> Document | None:
        """The document that a payment is in; None for card slips and cash receipts."""
        return None if payment.invoice_id is None else self.documents[payment.invoice_id]

    def open_merge(self, partner_id: str, business_number: str, month: str) -> Document | None:
        """The merged document of a business's month that is not issued yet. There is at most one."""
        invoice_id = self._open_merges.get((partner_id, business_number, month))
        return None if invoice_id is None else self.documents[invoice_id]

    def standing_requests(self, partner_id: str, business_number: str, month: str) -> list[MergeRequest]:
        """The wishes for a business's month that no later wish has replaced, oldest first."""
        scope = (partner_id, business_number, month)
        found = [
            r
            for r in self.requests.values()
            if r.standing and (r.partner_id, r.business_number, r.month) == scope
        ]
        return sorted(found, key=lambda request: (request.requested_at, request.request_id))

    def apply(self, change: Change) -> None:
        """Takes a decision over into the world, to be saved."""
        dirty = self.dirty
        for payment in change.payments:
            self.learn_payment(payment)
            dirty.payments[payment.order_id] = None
        for document in change.documents:
            self.learn_document(document)
            dirty.documents[document.invoice_id] = None
        for refund in change.refunds:
            self.refunds[refund.refund_id] = refund
            dirty.refunds[refund.refund_id] = None
        for partner in change.partners:
            self.partners[partner.partner_id] = partner
            dirty.partners[partner.partner_id] = None
        for request in change.requests:
            self.requests[request.partner_id, request.request_id] = request
            dirty.requests[request.partner_id, request.request_id] = None
        for business_number, number in change.counters.items():
            self.counters[business_number] = number
            dirty.counters[business_number] = None
        for explanation in change.explanations:
            key = (explanation.partner_id, explanation.request_id, explanation.payment_id)
            self.explanations[key] = explanation
        self.snapshots.extend(change.snapshots)


def is_unissued(document: Document) -> bool:
    """Whether the document is still to be issued."""
    return document.state in UNISSUED


def paid_order(payment: Payment) -> tuple[datetime, str]:
    """Sorts payments by when they were paid."""
    return payment.paid_at, payment.order_id
