"""One order as an operator sees it. `reading` reads it, `waits` judges it, `timeline` shows it."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from shared.events.successors import newest
from shared.kst import wire_time

PAID_OUT = ("completed", "bounced", "repaying")
"""States of a refund that was paid out, whatever became of the money."""
CHECKOUT, OPERATOR = "checkout", "operator"
"""Who says the events that a service answers: the systems upstream, or who sent one of theirs right."""


@dataclass(slots=True)
class Line:
    """Where the units of a line are. `open`: neither issued nor refunded nor claimed for either."""

    line_id: str
    kind: str
    product_name: str
    paid: int
    issuing: int
    issued: int
    refunding: int
    refunded: int

    @property
    def open(self) -> int:
        return self.paid - self.issuing - self.issued - self.refunding - self.refunded


@dataclass(slots=True)
class Grant:
    """Units that serials issues, `last_fours` of a few serials, and how many became what."""

    grant_id: str
    line_id: str
    quantity: int
    issued: int
    state: str
    last_fours: list[str]
    registered: int = 0
    revoked: int = 0
    reissued: int = 0


@dataclass(slots=True)
class Refund:
    """`reason` says why it is in its state, or why it was asked for; `amount` is 0 before it is granted."""

    refund_id: str
    refund_request_id: str
    state: str
    reason: str
    amount: int
    expected_on: date | None


@dataclass(slots=True)
class Invoice:
    """A document that the payment stands on, or a modified invoice. The total is the document's own.

    `refused`: why a tax agent did not issue it. `doubted`: why what the agent says of it cannot be.
    """

    invoice_id: str
    kind: str
    document_key: str | None
    month: str
    state: str
    total: int
    refused: str | None = None
    doubted: str | None = None


@dataclass(slots=True)
class Case:
    """Won in quarantine, negative where they are missing."""

    payment_id: str
    reason: str
    amount: int


@dataclass(slots=True)
class Event:
    """An event of a service, or an event of checkout that a service answered.

    `time` is that of the business (RFC 3339), `recorded_at` the wall clock of the service that recorded it.
    `place` sorts what one transaction recorded. `refused` says why, for answers that refuse. `caused_by` is
    the id of the event that led to it, empty where nobody knows.
    """

    time: str
    service: str
    topic: str
    type: str
    id: str
    recorded_at: datetime
    place: tuple[int, int] = (0, 0)
    data: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    published: bool = True
    caused_by: str = ""

    def lines_told(self) -> dict[str, list[dict[str, Any]]]:
        """`lines`, with their units, of what is said of lines together: granted, issued, locked."""
        type_name, data = newest(self.type, self.data)
        if type_name not in ("issuance.granted.v2", "serials.issued.v2", "refund.locked.v2"):
            return {}
        told = data.get("grants") or data["lines"]
        names = ("line_id", "quantity", "grant_id", "reason")
        return {"lines": [{name: one[name] for name in names if name in one} for one in told]}


@dataclass(slots=True)
class Change:
    """What a person did about the order, by the audit log; `result` is `done` or why it was refused.

    `request` is the id of the event of checkout that told it, or of the request over HTTP in the logs, `id`
    the cause of the events that followed, empty where nothing can.
    """

    service: str
    recorded_at: datetime
    actor: str
    action: str
    target: str
    reason: str
    result: str
    request: str = ""
    id: str = ""

    def to_document(self) -> dict[str, Any]:
        """The change in the JSON document of `pawl order --json`."""
        return {
            "at": wire_time(self.recorded_at),
            "service": self.service,
            "actor": self.actor,
            "action": self.action,
            "target": self.target,
            "reason": self.reason,
            "result": self.result,
        }


@dataclass(slots=True)
class Parked:
    """An event that waits with the order's key in a service."""

    service: str
    row: int
    kind: str
    reason: str
    type: str
    event_id: str
    parked_at: datetime
    overdue: bool

    @property
    def name(self) -> str:
        """How `pawl dead` names it."""
        return f"{self.service}:p{self.row}"


@dataclass(slots=True)
class Dead:
    """A record of the order's key that a service refused.

    One that has ended says when, by whom (`pawl` where a later event made it good) and why; `edited_as` is
    the event that an operator sent in its place.
    """

    service: str
    row: int
    code: str
    pointer: str
    detail: str
    topic: str
    type: str
    event_id: str
    state: str
    dead_at: datetime
    closed_at: datetime | None = None
    closed_by: str | None = None
    close_reason: str | None = None
    edited_as: str | None = None

    @property
    def name(self) -> str:
        """How `pawl dead` names it."""
        return f"{self.service}:{self.row}"


@dataclass(slots=True, frozen=True)
class Wait:
    """Who has to do what before an order goes on, and the command for it, which may be empty."""

    says: str
    command: str = ""

    def __str__(self) -> str:
        return f"{self.says}; {self.command}" if self.command else self.says


@dataclass(slots=True)
class Story:
    """Everything that the four services know about one order. `state` is `unknown` until orders has a row.

    `events_since`: the order is older than this, and its events from before may be forgotten; rows never are.
    `know_payment`: the services that have read of the payment.
    """

    order_id: str
    partner_id: str | None = None
    state: str = "unknown"
    issue_policy: str | None = None
    payment_id: str | None = None
    amount: int = 0
    deposit_deadline: datetime | None = None
    events_since: datetime | None = None
    evidence: str | None = None
    standing: int = 0
    invoice_id: str | None = None
    know_payment: set[str] = field(default_factory=set)
    lines: list[Line] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)

    @property
    def waits_for(self) -> list[str]:
        """What it waits for, most urgent first, each with the command that moves it."""
        return [str(wait) for wait in self.waits]

    @property
    def refunded_won(self) -> int:
        """Won refunded, also where they came back and are owed, and the whole of a payment taken back."""
        paid_out = sum(refund.amount for refund in self.refunds if refund.state in PAID_OUT)
        return paid_out + (self.amount if self.state == "cancelled" else 0)

    @property
    def serials(self) -> dict[str, int]:
        """How many serials were issued, and what became of them."""
        names = ("issued", "registered", "revoked", "reissued")
        return {name: sum(getattr(grant, name) for grant in self.grants) for name in names}

    @property
    def invoiced_won(self) -> int:
        """Won of this order on issued tax invoices, modified ones included."""
        modified = sum(invoice.total for invoice in self.invoices if invoice.kind == "modified")
        standing = any(i.invoice_id == self.invoice_id and i.state == "issued" for i in self.invoices)
        return modified + (self.standing if standing else 0)

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `pawl order --json`."""
        return {
            "order_id": self.order_id,
            "partner_id": self.partner_id,
            "state": self.state,
            "lines": [
                {
                    "line_id": line.line_id,
                    "paid": line.paid,
                    "issuing": line.issuing,
                    "issued": line.issued,
                    "refunding": line.refunding,
                    "refunded": line.refunded,
                    "open": line.open,
                }
                for line in self.lines
            ],
            "serials": self.serials,
            "won": {"paid": self.amount, "refunded": self.refunded_won, "invoiced": self.invoiced_won},
            "refunds": [
                {
                    "refund_id": refund.refund_id,
                    "refund_request_id": refund.refund_request_id,
                    "state": refund.state,
                    "reason": refund.reason,
                    "amount": refund.amount,
                }
                for refund in self.refunds
            ],
            "invoices": [
                {
                    "invoice_id": invoice.invoice_id,
                    "document_key": invoice.document_key,
                    "month": invoice.month,
                    "state": invoice.state,
                    "total": invoice.total,
                }
                for invoice in self.invoices
            ],
            "events": [
                {
                    "time": event.time,
                    "service": event.service,
                    "topic": event.topic,
                    "type": event.type,
                    "id": event.id,
                    **event.lines_told(),
                }
                for event in self.events
            ],
            "changes": [change.to_document() for change in self.changes],
            "waits_for": self.waits_for,
            **({"told_since": self.events_since.isoformat()} if self.events_since else {}),
        }
