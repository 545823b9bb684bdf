"""What a refund that is paid late owes to a consumer (golden S6)."""

from datetime import date, timedelta

import pytest

from shared.late_interest import LateInterest, late_interest, lateness

DUE = date(2026, 11, 5)


@pytest.mark.parametrize(
    ("amount", "days", "won"),
    [
        (176_000, 1, 72),
        (176_000, 15, 1_084),
        (176_000, 365, 26_400),
        (1, 365, 0),
        (7, 365, 1),
        (100_000, 73, 3_000),
    ],
)
def test_fifteen_percent_a_year_by_days_without_the_fraction(amount: int, days: int, won: int) -> None:
    assert late_interest(amount, DUE, DUE + timedelta(days=days)) == LateInterest(days, won)


@pytest.mark.parametrize("days", [0, -1, -30])
def test_in_time_there_is_none(days: int) -> None:
    assert late_interest(176_000, DUE, DUE + timedelta(days=days)) is None


@pytest.mark.parametrize(
    ("amount", "state", "completed", "days"),
    [
        (176_000, "paying_out", None, 20),
        (176_000, "completed", 15, 15),
        (176_000, "completed", 0, None),
        (176_000, "bounced", 15, 20),
        (176_000, "released", None, None),
        (None, "in_review", None, None),
        (0, "completed", 15, None),
    ],
)
def test_it_counts_to_the_payout_and_while_the_money_is_owed_to_today(
    amount: int | None, state: str, completed: int | None, days: int | None
) -> None:
    paid_on = None if completed is None else DUE + timedelta(days=completed)

    late = lateness(amount, state, DUE, paid_on, DUE + timedelta(days=20))

    assert (None if late is None else late.days) == days
