"""Won and value-added tax.

Every amount is integer Korean won. The VAT rate is 10 % (부가가치세법 제30조); the fraction of a won is
dropped. The VAT of a partial refund is VAT(remaining before) - VAT(remaining after), so that the refunds of a
payment, however it is split, give back exactly the VAT that was paid (domain.md section 5). What the units of
a line are worth follows the same idea (domain.md, "What units are worth").
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

EXCLUSIVE = "exclusive"
INCLUSIVE = "inclusive"


class Money(NamedTuple):
    """A supply value (공급가액) and its VAT (세액), both in won."""

    supply: int
    vat: int

    @property
    def total(self) -> int:
        """What is paid: supply value and VAT together, in won."""
        return self.supply + self.vat

    def plus(self, other: "Money") -> "Money":
        """Both amounts together."""
        return Money(self.supply + other.supply, self.vat + other.vat)

    def minus(self, other: "Money") -> "Money":
        """What is left when `other` is taken away; its parts may be negative."""
        return Money(self.supply - other.supply, self.vat - other.vat)


NOTHING = Money(0, 0)


class Priced(Protocol):
    """A line with its price: `quantity` units at `unit_price` won each, less `discount` won for all."""

    @property
    def unit_price(self) -> int: ...
    @property
    def quantity(self) -> int: ...
    @property
    def discount(self) -> int | None: ...


class Sold(Priced, Protocol):
    """A line that was paid. `left` units of it are neither refunded nor claimed for a refund.

    `consumed` won of the price of the others were used up, and stay paid.
    """

    @property
    def left(self) -> int: ...
    @property
    def consumed(self) -> int: ...


def line_worth(line: Priced) -> int:
    """What a whole line costs, in won: supply value or gross, as the VAT mode of its order says."""
    return line.unit_price * line.quantity - (line.discount or 0)


def price_sum(lines: Iterable[Priced]) -> int:
    """What whole lines cost together, in won: the `price_sum` of `payment_money`."""
    return sum(map(line_worth, lines))


def left_worth(line: Sold, left: int) -> int:
    """What a line is worth of which `left` units are left, in won: its worth by units, floor.

    A refund of k of the r units left is worth `left_worth(r) - left_worth(r - k)`; so the refunds of a line,
    however it is cut, are worth what the line is worth. Without a discount that is k times the unit price.
    """
    return line_worth(line) * left // line.quantity


def vat_exclusive(supply: int) -> int:
    """The VAT on top of `supply` won. Raises ValueError when negative."""
    return _amount(supply) // 10


def vat_inclusive(gross: int) -> int:
    """The VAT contained in `gross` won. Raises ValueError when negative."""
    return _amount(gross) // 11


def payment_money(vat_mode: str, price_sum: int) -> Money:
    """The supply value and VAT of a payment.

    `price_sum` is the sum of unit price x quantity over all lines: supply value when `vat_mode` is
    `exclusive`, gross when it is `inclusive`. Raises ValueError for any other mode or a negative sum.
    """
    if vat_mode == EXCLUSIVE:
        return Money(price_sum, vat_exclusive(price_sum))
    if vat_mode == INCLUSIVE:
        vat = vat_inclusive(price_sum)
        return Money(price_sum - vat, vat)
    raise ValueError(f"vat_mode is exclusive or inclusive, not {vat_mode!r}")


def units_money(
    vat_mode: str,
    remaining: Money,
    lines: Mapping[str, Sold],
    units: Iterable[tuple[str, int]],
    consumed: int = 0,
) -> Money:
    """The supply value and VAT of a refund of these units (line id, quantity) of a payment with these lines.

    `remaining` is what is left of the payment. The refund takes it down to what the units that stay are
    worth, as the VAT does: a refund that was released may have left it some won beside that, and the last one
    takes exactly the rest. Units of lines that cost nothing are worth nothing. `consumed` won of the price of
    the units were used up, and stay paid.
    Raises KeyError for a line that is not there.
    """
    taken = dict(units)
    if not any(line_worth(lines[line_id]) for line_id in taken):
        return NOTHING
    whole = remaining.supply if vat_mode == EXCLUSIVE else remaining.total
    stays = consumed + sum(
        left_worth(line, line.left - taken.get(line_id, 0)) + line.consumed for line_id, line in lines.items()
    )
    return refund_money(vat_mode, remaining, max(whole - stays, 0))


def refund_money(vat_mode: str, remaining: Money, price_sum: int) -> Money:
    """The supply value and VAT of a refund of units worth `price_sum` won.

    `remaining` is what is left of the payment after the refunds granted before this one. `price_sum` is the
    units at their unit price: supply value for `exclusive`, gross for `inclusive`.
    Refunds that are released come back in another order than they were granted, which can leave the remaining
    VAT one won beside VAT(remaining); the bounds keep every refund between nothing and what remains, and the
    last one takes exactly the rest.
    Raises ValueError when it exceeds what remains, is negative, or the mode is unknown.
    """
    whole = remaining.supply if vat_mode == EXCLUSIVE else remaining.total
    if _amount(price_sum) > whole:
        raise ValueError(f"a refund of {price_sum} won exceeds the {whole} won that remain")
    vat = remaining.vat - payment_money(vat_mode, whole - price_sum).vat
    if vat_mode == EXCLUSIVE:
        return Money(price_sum, min(max(vat, 0), remaining.vat))
    vat = min(max(vat, 0, price_sum - remaining.supply), price_sum, remaining.vat)
    return Money(price_sum - vat, vat)


def _amount(won: int) -> int:
    if won < 0:
        raise ValueError(f"an amount is never negative, got {won} won")
    return won
