"""What the orders service knows about an order: its snapshot, its money, its units and who claimed them."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from shared.money import Money
from shared.runtime.decisions import NewEvent


class OrderState(StrEnum):
    """Where an order's money stands. The last three are terminal for money: nothing resurrects them."""

    UNPAID = "unpaid"
    """Known only from money that did not fit it."""
    PENDING_DEPOSIT = "pending_deposit"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class Purpose(StrEnum):
    """What units are claimed for."""

    ISSUE = "issue"
    REFUND = "refund"


class ClaimState(StrEnum):
    """Claim -> confirm or void."""

    CLAIMED = "claimed"
    CONFIRMED = "confirmed"
    VOID = "void"


class Asked(NamedTuple):
    """So many units of a line."""

    line_id: str
    quantity: int


@dataclass(slots=True)
class Line:
    """One order line and where its units are. Product facts are the snapshot at registration."""

    line_id: str
    position: int
    kind: str
    product_id: str
    product_name: str
    unit_price: int
    usage_days: int | None
    quantity: int
    paid: int = 0
    issuing: int = 0
    issued: int = 0
    refunding: int = 0
    refunded: int = 0
    issue_claimed_at: datetime | None = None
    refund_claimed_at: datetime | None = None

    @property
    def open(self) -> int:
        """Units that are neither issued nor refunded nor claimed for either."""
        return self.paid - self.issuing - self.issued - self.refunding - self.refunded

    def with_(self, **changes: Any) -> "Line":
        """The line with some fields changed. `dataclasses.replace` takes three times as long."""
        line = Line(*_LINE_FIELDS(self))
        for name, value in changes.items():
            setattr(line, name, value)
        return line


_LINE_FIELDS = attrgetter(*(each.name for each in fields(Line)))


@dataclass(slots=True)
class Claim:
    """Units of an order claimed under one id: a grant to issue (one line) or a refund (several)."""

    claim_id: UUID
    purpose: Purpose
    lines: tuple[Asked, ...]
    state: ClaimState
    request_id: str
    supply: int
    vat: int
    claimed_at: datetime
    settled_at: datetime | None = None


@dataclass(slots=True)
class Case:
    """Money in quarantine. `taken_back` once upstream has cancelled that payment."""

    payment_id: str
    reason: str
    amount: int
    opened_at: datetime
    taken_back: bool = False


@dataclass(slots=True)
class Order:
    """One order: the snapshot it was bought under, its money, its units, its claims."""

    order_id: str
    partner_id: str
    state: OrderState
    payment_method: str
    evidence: str
    issue_policy: str
    vat_mode: str
    partner: dict[str, Any]
    expected: int
    registered_by: str
    registered_at: datetime
    deposit_deadline: datetime | None = None
    payment_id: str | None = None
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    amount: int = 0
    supply: int = 0
    vat: int = 0
    remaining_supply: int = 0
    remaining_vat: int = 0
    sequence: int = 0
    lines: dict[str, Line] = field(default_factory=dict)
    claims: dict[UUID, Claim] = field(default_factory=dict)
    requests: dict[str, bytes] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    cancelled_payments: frozenset[str] = frozenset()

    def copy(self) -> "Order":
        """A copy to decide upon: what a decision changes is replaced in it, never in the original."""
        order = Order(*_ORDER_FIELDS(self))
        order.lines, order.claims = dict(self.lines), dict(self.claims)
        order.requests, order.cases = dict(self.requests), list(self.cases)
        return order

    def fact(self, type_name: str, data: dict[str, Any]) -> NewEvent:
        """The next fact about this order."""
        self.sequence += 1
        return NewEvent(type_name, self.order_id, self.sequence, {"order_id": self.order_id, **data})

    @property
    def remaining(self) -> Money:
        """What is left of the payment after the refunds that were granted, in won."""
        return Money(self.remaining_supply, self.remaining_vat)

    @property
    def is_closed(self) -> bool:
        """Whether money that comes now can only go to quarantine."""
        return self.state in (OrderState.EXPIRED, OrderState.CANCELLED, OrderState.REFUNDED)


_ORDER_FIELDS = attrgetter(*(each.name for each in fields(Order)))
