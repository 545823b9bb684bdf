"""The business in small: an order as the open units of its lines and the won that are left.

Written from the rules (domain.md sections 2, 4 and 5), not from the services: it shares no line with them.
Orders are values; `decisions` says what each operation may do to one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

UNKNOWN, UNPAID, PENDING, PAID, EXPIRED, CANCELLED = (
    "unknown",
    "unpaid",
    "pending",
    "paid",
    "expired",
    "cancelled",
)
WAITS_FOR_MONEY = (UNKNOWN, UNPAID, PENDING)

Outcome: TypeAlias = tuple[tuple[Any, ...], ...]
"""The events that follow from an operation, in their order: type without version, then what it decides."""
Units: TypeAlias = tuple[tuple[str, int], ...]
"""Units by line: (line id, quantity)."""


class Won(NamedTuple):
    """Supply value and VAT, in won."""

    supply: int = 0
    vat: int = 0

    @property
    def total(self) -> int:
        return self.supply + self.vat

    def plus(self, other: "Won") -> "Won":
        return Won(self.supply + other.supply, self.vat + other.vat)

    def minus(self, other: "Won") -> "Won":
        return Won(self.supply - other.supply, self.vat - other.vat)


NO_WON = Won()


class Operation(NamedTuple):
    """Something that was asked of an order. `id` is the id of the event that asks, `kind` its type."""

    kind: str
    id: str
    data: Mapping[str, Any]


class Line(NamedTuple):
    """A line of an order. `open` units are neither issued nor refunded nor claimed for either.

    `left` units are not refunded nor claimed for it, issued or not. `discount` won are off the whole line.
    `consumed` won of the price of the others were used up, and stay paid.
    """

    kind: str
    price: int
    quantity: int
    discount: int = 0
    open: int = 0
    left: int = 0
    consumed: int = 0

    @property
    def cost(self) -> int:
        """What the whole line costs, in won."""
        return self.price * self.quantity - self.discount


class Claim(NamedTuple):
    """A refund that holds units and won. `consumed` won by line were used up of the units."""

    refund_id: str
    units: Units
    won: Won
    consumed: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True, frozen=True)
class Order:
    """One order. `left` won are neither refunded nor claimed; `claims` are refunds that hold units.

    `quarantined` and `taken_back` are payment ids, `told` what payments said (id, amount, price, partner),
    `wrong` the won of payments in quarantine as `wrong_amount`, `parts` the won of its payment that went back
    before; `requests` are the ids of issuance requests.
    """

    status: str = UNKNOWN
    lines: tuple[tuple[str, Line], ...] = ()
    vat_mode: str = "exclusive"
    automatic: bool = False
    expected: int = 0
    deadline: datetime | None = None
    payment_id: str | None = None
    amount: int = 0
    left: Won = NO_WON
    quarantined: frozenset[str] = frozenset()
    taken_back: frozenset[str] = frozenset()
    told: frozenset[tuple[Any, ...]] = frozenset()
    wrong: tuple[tuple[str, int], ...] = ()
    parts: int = 0
    requests: frozenset[str] = frozenset()
    claims: tuple[Claim, ...] = ()

    def line(self, line_id: str) -> Line | None:
        return dict(self.lines).get(line_id)

    def open(self, line_id: str) -> int:
        """Open units of a line; none of a line that does not exist."""
        line = self.line(line_id)
        return line.open if line else 0

    def issuable(self, line_id: str) -> int:
        """Open units of a line that has serials."""
        line = self.line(line_id)
        return line.open if line is not None and line.kind == "serials" else 0

    def without(self, units: Units) -> "Order":
        """The order with these units no longer open."""
        taken = dict(units)
        lines = tuple((name, line._replace(open=line.open - taken.get(name, 0))) for name, line in self.lines)
        return replace(self, lines=lines)

    def refunding(self, units: Units) -> "Order":
        """The order with these open units going back."""
        taken = dict(units)
        after = self.without(units)
        lines = tuple(
            (name, line._replace(left=line.left - taken.get(name, 0))) for name, line in after.lines
        )
        return replace(after, lines=lines)

    def reopening(self, units: Units) -> "Order":
        """The order with these units of a refund open again."""
        return self.refunding(tuple((line_id, -quantity) for line_id, quantity in units))

    def consuming(self, consumed: Mapping[str, int], sign: int = 1) -> "Order":
        """The order of which so many won by line were used up; with the sign turned, were not after all."""
        lines = tuple(
            (name, line._replace(consumed=line.consumed + sign * consumed.get(name, 0)))
            for name, line in self.lines
        )
        return replace(self, lines=lines)

    def is_free(self, units: Units) -> bool:
        """Whether all of these units belong to lines that cost nothing."""
        costs = {name: line.cost for name, line in self.lines}
        return not any(costs.get(name, 0) for name, _ in units)

    def refund_price(self, units: Units, consumed: int = 0) -> int:
        """What a refund of these units takes of what is left, in won: all but what the other units are worth.
        What was used up of these, or of units that went before, stays too.

        Each line is worth its cost by its units, and a won that falls between two refunds goes to the next.
        """
        if self.is_free(units):
            return 0
        whole = self.left.total if self.vat_mode == "inclusive" else self.left.supply
        after = self.refunding(units)
        stays = sum(line.cost * line.left // line.quantity + line.consumed for _, line in after.lines)
        return max(whole - stays - consumed, 0)


def price_of_all(data: Mapping[str, Any]) -> int:
    """The price of all units of a snapshot, in won."""
    return sum(line["unit_price"] * line["quantity"] - (line.get("discount") or 0) for line in data["lines"])


def paid_won(vat_mode: str, price: int) -> Won:
    """The won of units at this price, by the VAT mode of the order."""
    if vat_mode == "inclusive":
        return Won(price - price // 11, price // 11)
    return Won(price, price // 10)


def refund_won(vat_mode: str, left: Won, price: int) -> Won:
    """The won that units at this price give back: the VAT of what is left before less that of what stays.

    Released refunds can leave the VAT a won beside that rule, so it is held between nothing and what is left.
    """
    if vat_mode == "inclusive":
        vat = max(left.vat - (left.total - price) // 11, 0, price - left.supply)
        vat = min(vat, price, left.vat)
        return Won(price - vat, vat)
    return Won(price, min(max(left.vat - (left.supply - price) // 10, 0), left.vat))


def consumed_of(data: Mapping[str, Any]) -> Mapping[str, int]:
    """The won by line that a document names as used up."""
    lines = data.get("lines") or ()
    return {line["line_id"]: line["consumed"] for line in lines if line.get("consumed")}


def units_of(data: Mapping[str, Any]) -> Units:
    """The units that a document names by line."""
    return tuple((line["line_id"], line["quantity"]) for line in data.get("lines") or ())
