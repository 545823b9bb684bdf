"""What the orders service keeps: orders with their money, their units and who claimed them, and partners."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from shared.columns import JSON, Apart, Columns, Fixed
from shared.money import NOTHING, Money


class OrderState(StrEnum):
    """Where an order's money stands. The last three are terminal for money: nothing resurrects them."""

    UNKNOWN = "unknown"
    """Known only from a request that was cancelled before anything else of it came."""
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


class Line(Struct, frozen=True, gc=False):
    """One order line and where its units are. Product events are the snapshot at registration.

    `discount` is off the price of the whole line, in won of the same kind as `unit_price`.
    """

    order_id: Fixed[str]
    line_id: Fixed[str]
    position: Fixed[int]
    kind: Fixed[str]
    product_id: Fixed[str]
    product_name: Fixed[str]
    unit_price: Fixed[int]
    usage_days: Fixed[int | None]
    quantity: Fixed[int]
    discount: Fixed[int] = 0
    paid: int = 0
    issuing: int = 0
    issued: int = 0
    refunding: int = 0
    refunded: int = 0
    issue_claimed_at: datetime | None = None
    refund_claimed_at: datetime | None = None
    consumed: int = 0

    @property
    def open(self) -> int:
        """Units that are neither issued nor refunded nor claimed for either."""
        return self.paid - self.issuing - self.issued - self.refunding - self.refunded

    @property
    def left(self) -> int:
        """Units that are still paid for, issued or not: neither refunded nor claimed for it."""
        return self.paid - self.refunding - self.refunded


class Claim(Struct, frozen=True, gc=False):
    """Units of one line claimed under an id.

    A grant to issue is one claim. A refund of several lines is a claim for each of them, all under its id;
    they are settled together, and `money` (won) is in each of them that of the whole refund. `consumed` won
    of the price of the units were used up: they stay paid.
    """

    claim_id: Fixed[UUID]
    line_id: Fixed[str]
    order_id: Fixed[str]
    position: Fixed[int]
    purpose: Fixed[Purpose]
    quantity: Fixed[int]
    request_id: Fixed[str]
    money: Fixed[Annotated[Money, Columns("supply", "vat")]]
    claimed_at: Fixed[datetime]
    state: ClaimState = ClaimState.CLAIMED
    settled_at: datetime | None = None
    consumed: Fixed[int] = 0


class IssueRequest(Struct, frozen=True, gc=False):
    """A request to issue that was answered; `content` is the hash of what it asked for."""

    order_id: Fixed[str]
    request_id: Fixed[str]
    content: Fixed[bytes]


class Case(Struct, frozen=True, gc=False):
    """Money in quarantine, in won; negative where it is missing.

    `opened_at` is the instant at which the money came or went, `partner_id` whose money it is. `content` is
    what its payment said (see `Payment`), absent where money is missing or an older version did not keep it.
    Open until there is a `decision` (a `Settlement` of the published language).
    """

    order_id: Fixed[str]
    number: Fixed[int]
    payment_id: Fixed[str]
    reason: Fixed[str]
    amount: Fixed[int]
    opened_at: Fixed[datetime]
    partner_id: Fixed[str | None] = None
    content: Fixed[bytes | None] = None
    decision: str | None = None
    settled_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided about it and nothing has ended it."""
        return self.decision is None


class Payment(Struct, frozen=True, gc=False):
    """A payment that was heard of, and the one order that it can pay.

    `content` is a hash of its amount, its buyer and its goods, absent for payments of older versions.
    """

    payment_id: Fixed[str]
    order_id: str
    amount: int
    content: bytes | None


class Reversal(Struct, frozen=True, gc=False):
    """Upstream took a payment back at `at` (absent where an older version did not keep it).

    `amount` is the part that went back, in won; absent when nothing is left of the payment since then.
    `waits`: the money of which this is a part has not come yet.
    """

    at: datetime | None
    amount: int | None = None
    waits: bool = False


class Repeat(Struct, frozen=True, gc=False):
    """A known payment was said to be paid again, of `amount` won: new money once upstream says that it took
    the payment back before `at`.
    """

    at: datetime
    amount: int


class Order(Struct, frozen=True, gc=False):
    """One order: the snapshot it was bought under, its money in won, its units, its claims.

    `expected` is what its payment has to come to, `paid` what came, `remaining` what is left of it after the
    refunds that were granted, `taken_back` the won of it that upstream took back. `payment_ids` are all
    payments where several pay together, and `payment_id` is the last of them. `reversals` are what upstream
    took back, by payment; `repeats` the latest time that a payment was said to be paid again, which is new
    money when it was taken back in between. `registered_by` and `registered_at` name the event that
    registered it, while it is pending the newest one. `cases` are numbered from 0. `open_refunds` are refunds
    that have no claim here and are not at their end: held, in review, or owed again after a bounce.
    """

    order_id: Fixed[str]
    partner_id: str
    state: OrderState
    payment_method: str
    evidence: str
    issue_policy: str
    vat_mode: str
    partner: Annotated[dict[str, Any], JSON]
    expected: int
    registered_by: str
    registered_at: datetime
    deposit_deadline: datetime | None = None
    payment_id: str | None = None
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    amount: int = 0
    paid: Annotated[Money, Columns("supply", "vat")] = NOTHING
    remaining: Annotated[Money, Columns("remaining_supply", "remaining_vat")] = NOTHING
    sequence: int = 0
    taken_back: int = 0
    payment_ids: tuple[str, ...] = ()
    open_refunds: tuple[str, ...] = ()
    reversals: Annotated[dict[str, tuple[Reversal, ...]], JSON] = msgspec.field(default_factory=dict)
    repeats: Annotated[dict[str, Repeat], JSON] = msgspec.field(default_factory=dict)
    lines: Apart[dict[str, Line]] = msgspec.field(default_factory=dict)
    claims: Apart[dict[UUID, tuple[Claim, ...]]] = msgspec.field(default_factory=dict)
    requests: Apart[dict[str, IssueRequest]] = msgspec.field(default_factory=dict)
    cases: Apart[dict[int, Case]] = msgspec.field(default_factory=dict)

    @property
    def needs_money(self) -> bool:
        """Whether a payment that fits can still pay it."""
        return self.state in (OrderState.UNKNOWN, OrderState.UNPAID, OrderState.PENDING_DEPOSIT)

    @property
    def is_closed(self) -> bool:
        """Whether money that comes now can only go to quarantine."""
        return self.state in (OrderState.EXPIRED, OrderState.CANCELLED, OrderState.REFUNDED)


class Sale(Struct, frozen=True, gc=False):
    """That a paid order has this product, however many units and lines of it; `sold_at`: when it was paid."""

    order_id: Fixed[str]
    product_id: Fixed[str]
    sold_at: Fixed[datetime]


class WithdrawalRequest(Struct, frozen=True, gc=False):
    """A request to leave that was answered; `content` is the hash of the request."""

    partner_id: Fixed[str]
    request_id: Fixed[str]
    content: Fixed[bytes]


class Partner(Struct, frozen=True, gc=False):
    """A partner that once asked to leave. Withdrawn is for good.

    `purged_at`: since then nothing on its orders says who it was.
    """

    partner_id: Fixed[str]
    withdrawn_at: datetime | None = None
    sequence: int = 0
    purged_at: datetime | None = None
    requests: Apart[dict[str, WithdrawalRequest]] = msgspec.field(default_factory=dict)


class Blocker(NamedTuple):
    """Something unfinished that keeps a partner from leaving: units of a line, or money of an order."""

    kind: str
    order_id: str
    line_id: str | None = None
    quantity: int | None = None


@dataclass(slots=True)
class World:
    """What one batch works on.

    `stored_orders` and `stored_partners` are as they were read, to see what changed. `withdrawn` are those
    buyers of the batch that have left, `blockers` what keeps a partner that wants to leave, `invoiced` the
    payments whose tax invoice was issued, each with its order. `claimed` are the payments that the batch was
    the first to name, `payments` those of which it is known which order they pay, `contents` a hash of what
    each payment's event says.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    stored_orders: dict[str, Order] = field(default_factory=dict)
    partners: dict[str, Partner] = field(default_factory=dict)
    stored_partners: dict[str, Partner] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    blockers: dict[str, list[Blocker]] = field(default_factory=dict)
    invoiced: list[tuple[str, str | None]] = field(default_factory=list)
    claimed: dict[str, Payment] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    stored_payments: dict[str, Payment] = field(default_factory=dict)
    contents: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def put(self, state: Order | Partner) -> None:
        """Keeps the new state of an order or a partner, to be saved with the batch."""
        if isinstance(state, Order):
            self.orders[state.order_id] = state
        else:
            self.partners[state.partner_id] = state
            if state.withdrawn_at is not None:
                self.withdrawn.add(state.partner_id)

    def has_news_of(self, partner_id: str) -> bool:
        """Whether the batch changed what `blockers` were read from, before it is kept."""
        changed = (o for key, o in self.orders.items() if o is not self.stored_orders.get(key))
        return bool(self.invoiced) or any(
            order.partner_id == partner_id or any(c.partner_id == partner_id for c in order.cases.values())
            for order in changed
        )
