"""The aggregate of this service: one order as refunds sees it. Immutable; every change makes a new one.

Money is integer won, instants are aware. `remaining` is what is left of the payment after every refund that
was granted and not released: `remaining + sum(claimed refunds) == paid`, always.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal, NamedTuple
from uuid import UUID

from services.refunds.policies import DestinationKind, Units
from shared.money import Money, refund_money

NOTHING = Money(0, 0)

PaymentState = Literal["registered", "paid", "expired", "cancelled"]
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
    "rejected",
    "denied",
    "released",
]
CLAIMED: frozenset[RefundState] = frozenset({"granted", "paying_out", "unknown", "failed", "completed"})
"""The states in which a refund holds units and money of its order."""


class Share(NamedTuple):
    """So many units of one line."""

    line_id: str
    quantity: int


class Change(NamedTuple):
    """One step of a refund's life, kept for ever: who, when, why. `position` counts from 1."""

    position: int
    state: RefundState
    at: datetime
    actor: str
    reason: str
    note: str | None = None


class Destination(NamedTuple):
    """Where the money goes, as it may be said aloud. `reference` names the sealed details.

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


@dataclass(slots=True, frozen=True)
class Line:
    """One line of the order. `unit_price` is supply or gross won, as the order's VAT mode says.

    `locks` counts how often the line was locked: the sequence of its `refund.locked` events.
    """

    line_id: str
    position: int
    kind: str
    unit_price: int
    units: Units
    locked: bool = False
    locks: int = 0


@dataclass(slots=True, frozen=True)
class Payment:
    """The payment of the order. `ended_at` is when it expired or was cancelled."""

    state: PaymentState
    method: str
    vat_mode: str
    partner_id: str
    partner_name: str
    payment_id: str | None = None
    paid: Money = NOTHING
    remaining: Money = NOTHING
    paid_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(slots=True, frozen=True)
class Refund:
    """One refund request and what became of it.

    `content` is the hash of the request's document; `everything` says that it named no lines, and `lines` are
    then filled when it is accepted. `money` is set by the grant and kept afterwards. `why` is the reason
    of the state (held, rejected, denied, failed ...), `why_at` the moment something was lost. `payouts` are
    the payouts that were made: the first completes the refund, any other is money out without a claim.
    `sequence` counts the facts told about it, `steps` its changes; `changes` are those not saved yet.
    """

    refund_id: UUID
    request_id: str
    content: bytes
    state: RefundState
    requested_by: str
    role: str
    reason: str
    everything: bool
    lines: tuple[Share, ...]
    requested_at: datetime
    destination: Destination
    why: str | None = None
    why_at: datetime | None = None
    money: Money | None = None
    fee: int = 0
    expected_on: date | None = None
    payouts: tuple[str, ...] = ()
    completed_at: datetime | None = None
    sequence: int = 0
    steps: int = 0
    changes: tuple[Change, ...] = ()

    @property
    def amount(self) -> int:
        """What is paid out, in won: supply value and VAT less the fee. 0 before the grant."""
        return 0 if self.money is None else self.money.total - self.fee

    def enter(
        self, state: RefundState, at: datetime, actor: str, reason: str, note: str | None = None
    ) -> "Refund":
        """The refund in `state`, with the step kept in its history."""
        change = Change(self.steps + 1, state, at, actor, reason, note)
        return replace(self, state=state, steps=change.position, changes=(*self.changes, change))


@dataclass(slots=True, frozen=True)
class RefundOrder:
    """An order with its payment, its lines and its refunds."""

    order_id: str
    payment: Payment
    lines: Mapping[str, Line]
    refunds: Mapping[UUID, Refund] = field(default_factory=dict)

    def refund_of_request(self, request_id: str) -> Refund | None:
        """The refund that a request id stands for. A late duplicate never takes it over."""
        for refund in self.refunds.values():
            if refund.request_id == request_id and refund.why != "duplicate_request":
                return refund
        return None

    def find_refund(self, refund_id: str) -> Refund | None:
        """The refund that upstream names; an id that is none of ours names nothing."""
        try:
            return self.refunds.get(UUID(refund_id))
        except ValueError:
            return None

    def asked(self) -> Mapping[str, int]:
        """Units by line that were asked of orders and are not answered yet."""
        asked: dict[str, int] = {}
        for refund in self.refunds.values():
            if refund.state == "accepted":
                for share in refund.lines:
                    asked[share.line_id] = asked.get(share.line_id, 0) + share.quantity
        return asked

    def price_of(self, shares: Iterable[Share]) -> int:
        """The units at their price, in won (supply or gross, as the VAT mode says)."""
        return sum(self.lines[share.line_id].unit_price * share.quantity for share in shares)

    def worth(self, shares: Iterable[Share]) -> Money:
        """What a refund of these units would give back now (events.md, "Amounts on the wire")."""
        return refund_money(self.payment.vat_mode, self.payment.remaining, self.price_of(shares))

    def with_refund(self, refund: Refund) -> "RefundOrder":
        return replace(self, refunds={**self.refunds, refund.refund_id: refund})

    def with_lines(self, lines: Iterable[Line]) -> "RefundOrder":
        return replace(self, lines={**self.lines, **{line.line_id: line for line in lines}})

    def with_remaining(self, remaining: Money) -> "RefundOrder":
        assert remaining.supply >= 0, "refunds exceed the supply value that was paid"
        assert remaining.vat >= 0, "refunds exceed the VAT that was paid"
        return replace(self, payment=replace(self.payment, remaining=remaining))

    def claim(self, shares: Iterable[Share], money: Money) -> "RefundOrder":
        """Units and money leave for a refund that orders has granted."""
        changed = [self._moved(share, refunding=share.quantity) for share in shares]
        left = self.payment.remaining
        return self.with_lines(changed).with_remaining(
            Money(left.supply - money.supply, left.vat - money.vat)
        )

    def confirm(self, shares: Iterable[Share]) -> "RefundOrder":
        """The money has arrived: claimed units are refunded for ever."""
        return self.with_lines(
            [self._moved(share, refunding=-share.quantity, refunded=share.quantity) for share in shares]
        )

    def void(self, shares: Iterable[Share], money: Money) -> "RefundOrder":
        """A claim is given up. Its units are open again, or gone when the payment was taken back."""
        gone = self.payment.state == "cancelled"
        changed = [
            unlocked(self._moved(share, refunding=-share.quantity, taken_back=share.quantity if gone else 0))
            for share in shares
        ]
        left = self.payment.remaining
        return self.with_lines(changed).with_remaining(
            Money(left.supply + money.supply, left.vat + money.vat)
        )

    def _moved(self, share: Share, refunding: int = 0, refunded: int = 0, taken_back: int = 0) -> Line:
        line = self.lines[share.line_id]
        units = replace(
            line.units,
            refunding=line.units.refunding + refunding,
            refunded=line.units.refunded + refunded,
            taken_back=line.units.taken_back + taken_back,
        )
        return replace(line, units=units)


def unlocked(line: Line) -> Line:
    """A line with open units is not locked; its next lock is a new fact."""
    return replace(line, locked=False) if line.locked and line.units.open else line
