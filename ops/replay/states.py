"""What the system has answered about one order: its payment, lines, refunds and tax documents. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from shared.money import Money

NOTHING = Money(0, 0)
RETURN_AWAITED = "return_awaited"
"""The reason of a refund that is held until its goods are back."""
UNANSWERED = ("timeout", "unknown")
"""Reasons of a failed payout of which nobody knows yet whether it was made."""


@dataclass(slots=True, frozen=True)
class Answer:
    """One record of an answer topic. `time` is its ce_time, `data` its body."""

    key: str
    type: str
    time: datetime
    data: dict[str, Any]


class Verdict(NamedTuple):
    """The answer on checkout.feedback; `code` is empty when the event was accepted."""

    accepted: bool
    code: str


@dataclass(slots=True)
class RefundState:
    """One refund as far as it has come. `state` is the word of the event type that led here.

    `money` is the supply value and VAT that went back, `amount` what was paid out (less the fee), in won.
    """

    refund_id: str
    request_id: str | None = None
    state: str = "requested"
    reason: str = ""
    granted: dict[str, int] = field(default_factory=dict)
    completed: dict[str, int] = field(default_factory=dict)
    money: Money = NOTHING
    amount: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it by itself, or by what the replay says: goods come back."""
        if self.state == "failed":
            return self.reason not in UNANSWERED
        is_held = self.state == "held" and self.reason != RETURN_AWAITED
        return is_held or self.state in ("completed", "rejected", "denied", "released")


@dataclass(slots=True)
class LineState:
    """The units of one order line: grants to issue, and which of them have their serials."""

    granted: dict[str, int] = field(default_factory=dict)
    issued: dict[str, int] = field(default_factory=dict)
    denied: bool = False
    locked: bool = False

    @property
    def units_issued(self) -> int:
        """Units that have a serial."""
        return sum(self.issued.values())

    @property
    def complete(self) -> bool:
        """Whether every grant has its serials and the refunds service knows that the line is closed to it."""
        return bool(self.granted) and self.granted.keys() <= self.issued.keys() and self.locked


@dataclass(slots=True)
class OrderState:
    """One order of the plan as the system sees it.

    `paid` is the recorded payment, `nothing_left` that an issuance of everything left was denied as a whole.
    """

    paid: Money | None = None
    quarantined: str = ""
    nothing_left: bool = False
    lines: dict[str, LineState] = field(default_factory=dict)
    refunds: dict[str, RefundState] = field(default_factory=dict)

    def line(self, line_id: str) -> LineState:
        """The state of a line, a new one where no answer named it."""
        found = self.lines.get(line_id)
        if found is None:
            found = self.lines[line_id] = LineState()
        return found

    def grant(self, grants: Iterable[Mapping[str, Any]]) -> None:
        """Orders has granted units of lines to issue."""
        for one in grants:
            self.line(one["line_id"]).granted[one["grant_id"]] = one["quantity"]

    def issue(self, grants: Iterable[Mapping[str, Any]]) -> None:
        """The units of grants have their serials."""
        for one in grants:
            self.line(one["line_id"]).issued[one["grant_id"]] = one["quantity"]

    def lock(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Nothing of these lines can be refunded any more."""
        for one in lines:
            self.line(one["line_id"]).locked = True

    def deny(self, line_id: str | None) -> None:
        """Orders issues nothing of a line, or of the whole order."""
        if line_id is None:
            self.nothing_left = True
        else:
            self.line(line_id).denied = True

    def refund(self, refund_id: str) -> RefundState:
        """The state of a refund, a new one where no answer named it."""
        return self.refunds.setdefault(refund_id, RefundState(refund_id))

    def requested(self, request_id: str) -> RefundState | None:
        """The refund that answers a request, once it has an id."""
        return next((r for r in self.refunds.values() if r.request_id == request_id), None)

    def refunded(self, line_id: str) -> int:
        """Units of a line paid back."""
        return sum(refund.completed.get(line_id, 0) for refund in self.refunds.values())

    def claimed(self, line_id: str) -> int:
        """Units of a line that refunds hold or have paid back."""
        holding = (refund for refund in self.refunds.values() if refund.state not in ("released", "denied"))
        return sum((refund.completed or refund.granted).get(line_id, 0) for refund in holding)


class Payout(NamedTuple):
    """A payout that the refunds service asked for and nobody has answered."""

    order_id: str
    refund_id: str
    asked_at: datetime


class Return(NamedTuple):
    """Goods that a refund waits for, and nobody has sent back."""

    order_id: str
    refund_id: str
    awaited_since: datetime


@dataclass(slots=True)
class Books:
    """The tax documents of the plan's payments, by id, so that a repeated record counts once."""

    drafts: set[str] = field(default_factory=set)
    merged: dict[str, frozenset[str]] = field(default_factory=dict)
    issued: dict[str, tuple[frozenset[str], Money]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    modified: dict[str, Money] = field(default_factory=dict)
    closed: dict[str, dict[str, Any]] = field(default_factory=dict)
