"""Won and value-added tax.

Every amount is integer Korean won. The VAT rate is 10 % (부가가치세법 제30조); the fraction of a won is
dropped. The VAT of a partial refund is VAT(remaining before) - VAT(remaining after), so that the refunds of a
payment, however it is split, give back exactly the VAT that was paid (domain.md section 5).
"""

from typing import NamedTuple

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
