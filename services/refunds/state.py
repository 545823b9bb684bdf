"""What the refunds service keeps: an order as refunds sees it, with its lines and its refunds.

Money is integer won, instants are aware. `remaining` is what is left of the payment after every refund that
was granted and not released: `remaining + sum(claimed refunds) == paid`, always.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from shared.columns import JSON, Apart, Columns, Fixed
from shared.events.checkout import Evidence
from shared.money import NOTHING, Money, line_worth
from shared.units import LineUnits


class Policy(Struct, frozen=True, gc=False):
    """What the operator may choose (domain.md, "Policies").

    A refund in review that pays `second_approval_from` won or more needs two people to approve it; 0: none
    does. `asks_bank`: the bank is asked whose an account is before orders is asked for the units.
    """

    second_approval_from: int = 0
    asks_bank: bool = False


OrderState = Literal["registered", "paid", "expired", "cancelled"]
RefundState = Literal[
    "requested",
    "held",
    "in_review",
    "accepted",
    "granted",
    "paying_out",
    "unknown",
    "failed",
    "completed",
    "bounced",
    "repaying",
    "rejected",
    "denied",
    "released",
]
PAID_OUT: frozenset[RefundState] = frozenset({"completed", "bounced", "repaying"})
"""The states of a refund whose money went out, even if it came back: its units and documents are final."""
CLAIMED: frozenset[RefundState] = frozenset({"granted", "paying_out", "unknown", "failed", *PAID_OUT})
"""The states in which a refund holds units and money of its order."""

USED_KINDS: frozenset[str] = frozenset({"metered", "prepaid"})
"""The kinds of lines that are used up, as running totals tell."""

PayoutState = Literal["paid", "bounced", "twice", "returned"]

DestinationKind = Literal["bank_account", "original_card", "mycash", "app_store"]
"""Where money goes back to. `app_store` is nowhere: only that store can refund it."""


class Reading(Struct, frozen=True, gc=False):
    """The running total of what was used of a line, as of `recorded_at`: units, or won of a balance."""

    order_id: Fixed[str]
    line_id: Fixed[str]
    recorded_at: Fixed[datetime]
    used: int


class Bonus(Struct, frozen=True, gc=False):
    """Bonus cash of a line in won, granted at `granted_at`, which expires with the KST day of `expires_at`.

    `position` counts from 0: a line may get the same bonus twice.
    """

    order_id: Fixed[str]
    line_id: Fixed[str]
    position: Fixed[int]
    bonus: Fixed[int]
    granted_at: Fixed[datetime]
    expires_at: Fixed[datetime]


class Line(Struct, frozen=True, gc=False):
    """One line of the order and where its units are.

    `unit_price` and `discount` (off the whole line) are won, supply or gross by the VAT mode.

    `granted` are units that orders has granted to issue (issuing or issued), `refunding` and `refunded` are
    claimed by refunds, `taken_back` went when upstream cancelled the payment. A `locked` line was said to
    have nothing left to refund. `activated_at` and `delivered_at` are the earliest instants that checkout
    said; None where it said nothing, then the payment's instant counts. `readings` are those of its usage
    that raised the running total when they were told, in the order of their times. `bonuses` are in the order
    in which they were told. `consumed` won of the price of its refunded units were used up, and stay paid;
    `overpaid` won of it went back, and had been used as well, as far as that was told or approved, and
    `underpaid` won more would have gone back, as far as that was told.
    """

    order_id: Fixed[str]
    line_id: Fixed[str]
    position: Fixed[int]
    kind: Fixed[str]
    unit_price: Fixed[int]
    paid: Fixed[int]
    discount: Fixed[int] = 0
    granted: int = 0
    refunding: int = 0
    refunded: int = 0
    taken_back: int = 0
    locked: bool = False
    last_granted_at: datetime | None = None
    activated_at: datetime | None = None
    delivered_at: datetime | None = None
    consumed: int = 0
    overpaid: int = 0
    underpaid: int = 0
    readings: Apart[tuple[Reading, ...]] = ()
    bonuses: Apart[tuple[Bonus, ...]] = ()

    @property
    def open(self) -> int:
        """Units that nobody has claimed and nothing has taken back."""
        return self.paid - self.granted - self.refunding - self.refunded - self.taken_back

    @property
    def left(self) -> int:
        """Units that are still paid for, issued or not: no refund and no cancellation has them."""
        return self.paid - self.refunding - self.refunded - self.taken_back

    @property
    def quantity(self) -> int:
        """Units that the price of the line is for."""
        return self.paid

    @property
    def is_free(self) -> bool:
        """Whether its units go back for nothing."""
        return line_worth(self) == 0


class Change(Struct, frozen=True, gc=False):
    """One step of a refund's life, kept for ever: who, when, why. `position` counts from 1."""

    refund_id: Fixed[UUID]
    position: Fixed[int]
    state: Fixed[RefundState]
    at: Fixed[datetime]
    actor: Fixed[str]
    reason: Fixed[str]
    note: Fixed[str | None] = None


class Payout(Struct, frozen=True, gc=False):
    """Money that went out for a refund: `amount` won at `paid_out_at`, said in an event of `told_at`.
    `position` counts from 0.

    `paid` is the one payout that the refund stands on, `bounced` is one that came back. `twice` is money that
    nobody was owed, `returned` when it came back. Amount and instants are None in rows that are older than
    these columns: they are those of the refund.
    """

    refund_id: Fixed[UUID]
    payout_id: Fixed[str]
    position: Fixed[int]
    state: PayoutState = "paid"
    amount: Fixed[int | None] = None
    paid_out_at: Fixed[datetime | None] = None
    told_at: Fixed[datetime | None] = None


class Failure(Struct, frozen=True, gc=False):
    """The latest word that a payout surely did not reach anybody: at `failed_at`, for this reason.

    A payout that was made before that, and is heard of later, has bounced.
    """

    refund_id: Fixed[UUID]
    payout_id: Fixed[str]
    failed_at: datetime
    reason: str


class Destination(NamedTuple):
    """Where the money goes, as it may be shown. `reference` names the sealed details.

    `masked` is None when a bank account is needed and none was given.
    """

    kind: DestinationKind
    reference: UUID
    masked: str | None


class BankAccount(NamedTuple):
    """Never in an event, a log line or an unsealed column."""

    bank_code: str
    account_number: str
    holder: str


class Details(NamedTuple):
    """What is kept sealed under a refund's reference: the account and the free text of its request."""

    account: BankAccount | None
    message: str


class Refund(Struct, frozen=True, gc=False):
    """One refund request and what became of it.

    `content` is the hash of the request's document; `everything` says that it named no lines, and `lines`
    are then filled when it is accepted. `fee` and `consumed`, the won by line that were used up of its
    units, are set when it is accepted, `money` by the grant; all are kept afterwards. `why` is the reason
    of the state (held, rejected, denied, failed ...), `why_at` the moment something was lost. `deadline` is
    by when what it waits for has to come, `returned_at` when its goods were back, `reviewed_at` when an
    operator approved what the rule of its kind does not give back by itself. `mismatch` is how the holder
    differs while a proof of that is needed. Who approved first (`approved_by`), and so many won
    (`approved_won`), are kept until somebody else approves them too. `sequence` counts the events
    about it, `steps` its changes. `payouts` are those that were made, in their order, `failures` those that
    failed, by payout id. `changes` and `details` are those that are not saved yet.
    """

    refund_id: Fixed[UUID]
    order_id: Fixed[str]
    refund_request_id: Fixed[str]
    content: Fixed[bytes]
    state: RefundState
    requested_by: Fixed[str]
    role: Fixed[str]
    reason: Fixed[str]
    everything: Fixed[bool]
    requested_at: Fixed[datetime]
    destination: Fixed[
        Annotated[Destination, Columns("destination_kind", "destination_reference", "destination_masked")]
    ]
    why: str | None = None
    why_at: datetime | None = None
    money: Annotated[Money | None, Columns("supply", "vat")] = None
    fee: int = 0
    expected_on: date | None = None
    completed_at: datetime | None = None
    deadline: datetime | None = None
    returned_at: datetime | None = None
    reviewed_at: datetime | None = None
    mismatch: str | None = None
    approved_by: str | None = None
    approved_won: int | None = None
    consumed: Annotated[dict[str, int], JSON] = msgspec.field(default_factory=dict)
    known_use: Annotated[dict[str, int], JSON] = msgspec.field(default_factory=dict)
    sequence: int = 0
    steps: int = 0
    lines: Apart[tuple[LineUnits, ...]] = ()
    payouts: Apart[tuple[Payout, ...]] = ()
    failures: Apart[tuple[Failure, ...]] = ()
    changes: Apart[tuple[Change, ...]] = ()
    details: Apart[Details | None] = None

    @property
    def amount(self) -> int:
        """What is paid out, in won: supply value and VAT less the fee. 0 before the grant."""
        return 0 if self.money is None else self.money.total - self.fee

    @property
    def bounces(self) -> int:
        """How often its money went out and came back."""
        return sum(payout.state == "bounced" for payout in self.payouts)

    def payout(self, payout_id: str) -> Payout | None:
        """The payout of this id, if it was made."""
        return next((each for each in self.payouts if each.payout_id == payout_id), None)

    def failure(self, payout_id: str) -> Failure | None:
        """The latest failure of the payout of this id, if it failed."""
        return next((each for each in self.failures if each.payout_id == payout_id), None)


class Order(Struct, frozen=True, gc=False):
    """An order with its payment, its lines and its refunds.

    How it was bought is as it was registered until it is paid, and from then on as it was paid.
    `business_number` is None in rows that are older than it.
    `paid` is what came, `remaining` what is left of it. `ended_at` is when it expired or was cancelled.
    `evidence` is the one that was asked for; None in rows that are older than that column.
    `sequence` counts the events about the order itself: its `refund.locked`.
    """

    order_id: Fixed[str]
    state: OrderState
    payment_method: str
    vat_mode: str
    partner_id: str
    partner_name: str
    business_number: str | None = None
    payment_id: str | None = None
    paid: Annotated[Money, Columns("paid_supply", "paid_vat")] = NOTHING
    remaining: Annotated[Money, Columns("remaining_supply", "remaining_vat")] = NOTHING
    paid_at: datetime | None = None
    ended_at: datetime | None = None
    sequence: int = 0
    evidence: Evidence | None = None
    lines: Apart[dict[str, Line]] = msgspec.field(default_factory=dict)
    refunds: Apart[dict[UUID, Refund]] = msgspec.field(default_factory=dict)


class WithdrawnPartner(Struct, frozen=True, gc=False):
    """A partner that has left: what it could see is kept, and hidden from it."""

    partner_id: Fixed[str]
    withdrawn_at: Fixed[datetime]


class PurgedPartner(NamedTuple):
    """A partner that left years ago, and that nothing names any more since this instant."""

    partner_id: str
    purged_at: datetime


class InvoicedPayment(NamedTuple):
    """A payment whose tax invoice was issued: its key, the won of all of it, and its written date."""

    payment_id: str
    document_key: str
    supply: int
    vat: int
    written_date: date


class ReplacedInvoice(NamedTuple):
    """A tax invoice that was corrected: the key of the one that says the same; None for a duplicate."""

    document_key: str
    replaced_by: str | None


@dataclass(slots=True)
class World:
    """What one batch works on. `stored` are the orders as they were read, to see what changed.

    `withdrawn` are partners that have left, `purged` those that are to be named no more, `invoiced` payments
    whose tax invoice was issued, `replaced` tax invoices that were corrected. Decisions are made by `policy`.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    stored: Mapping[str, Order] = field(default_factory=dict)
    withdrawn: list[WithdrawnPartner] = field(default_factory=list)
    purged: list[PurgedPartner] = field(default_factory=list)
    invoiced: list[InvoicedPayment] = field(default_factory=list)
    replaced: list[ReplacedInvoice] = field(default_factory=list)
    policy: Policy = field(default_factory=Policy)

    def put(self, state: Order) -> None:
        """Keeps the new state of an order, to be saved with the batch."""
        self.orders[state.order_id] = state
