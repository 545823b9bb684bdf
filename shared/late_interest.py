"""What is owed on top of a refund that is paid late, when its buyer is a consumer.

15 % a year for the days after the legal day (전자상거래법 제18조 제2항, 같은 법 시행령 제21조의3): the day of
the payout counts, a year has 365 days, and the fraction of a won is dropped.
"""

from datetime import date
from typing import Final, NamedTuple

PERCENT_A_YEAR: Final = 15
DAYS_OF_A_YEAR: Final = 365


class LateInterest(NamedTuple):
    """So many days late, and the won of interest for them."""

    days: int
    won: int


def late_interest(amount: int, due: date, paid: date) -> LateInterest | None:
    """The interest of so many won that were due on one KST day and paid on another; None in time."""
    days = (paid - due).days
    if days <= 0:
        return None
    return LateInterest(days, amount * PERCENT_A_YEAR * days // (100 * DAYS_OF_A_YEAR))


def lateness(
    amount: int | None, state: str, due: date, completed_on: date | None, today: date
) -> LateInterest | None:
    """How late the money of a refund is, or was: until its payout where it is completed, else until today.

    None in time, and for what pays nothing: before the grant, and after it was given up.
    """
    if not amount or state == "released":
        return None
    paid = completed_on if state == "completed" and completed_on is not None else today
    return late_interest(amount, due, paid)
