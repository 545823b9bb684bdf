"""Korean business days, checked against the government's calendars."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.business_days import (
    add_business_days,
    is_business_day,
    last_overdue_day,
    legal_refund_day,
    next_business_day,
)

DAYS = st.dates(date(2010, 12, 1), date(2030, 12, 31))

SUBSTITUTE_DAYS = [
    "2014-09-10", "2015-09-29", "2016-02-10", "2017-01-30", "2017-10-06", "2018-05-07", "2018-09-26",
    "2019-05-06", "2020-01-27", "2021-08-16", "2021-10-04", "2021-10-11", "2022-09-12", "2022-10-10",
    "2023-01-24", "2023-05-29", "2024-02-12", "2024-05-06", "2025-03-03", "2025-05-06", "2025-10-08",
    "2026-03-02", "2026-05-25", "2026-08-17", "2026-10-05", "2027-02-09", "2027-08-16", "2027-10-04",
    "2027-10-11", "2027-12-27", "2028-10-05", "2029-05-07", "2029-05-21", "2029-09-24", "2030-02-05",
    "2030-05-06",
]  # fmt: skip
GOVERNMENT_DECLARED_DAYS = [
    "2015-08-14", "2016-05-06", "2017-10-02", "2020-08-17", "2023-10-02", "2024-10-01", "2025-01-27",
]  # fmt: skip
ELECTION_DAYS = [
    "2012-04-11", "2012-12-19", "2014-06-04", "2016-04-13", "2017-05-09", "2018-06-13", "2020-04-15",
    "2022-03-09", "2022-06-01", "2024-04-10", "2025-06-03", "2026-06-03",
]  # fmt: skip
NOT_YET_SUBSTITUTED = ["2011-05-02", "2013-02-12", "2020-10-05", "2021-12-27", "2022-05-09", "2022-12-26"]


@pytest.mark.parametrize("day", SUBSTITUTE_DAYS + GOVERNMENT_DECLARED_DAYS + ELECTION_DAYS)
def test_nobody_works_on_substitute_declared_and_election_days(day: str) -> None:
    assert not is_business_day(date.fromisoformat(day))


@pytest.mark.parametrize("day", NOT_YET_SUBSTITUTED)
def test_a_holiday_without_a_right_to_a_substitute_gives_none(day: str) -> None:
    assert is_business_day(date.fromisoformat(day))


@pytest.mark.parametrize("year", range(2011, 2031))
def test_the_fixed_holidays_hold_in_every_year(year: int) -> None:
    for month, day in [(1, 1), (3, 1), (5, 1), (5, 5), (6, 6), (8, 15), (10, 3), (12, 25)]:
        assert not is_business_day(date(year, month, day))


def test_three_business_days_after_a_thursday_pass_over_the_weekend() -> None:
    assert add_business_days(date(2026, 10, 22), 3) == date(2026, 10, 27)


def test_the_tenth_of_october_2026_moves_past_a_saturday() -> None:
    assert next_business_day(date(2026, 10, 10)) == date(2026, 10, 12)


def test_the_long_chuseok_of_2017_is_passed_over_whole() -> None:
    assert next_business_day(date(2017, 9, 30)) == date(2017, 10, 10)


def test_no_day_added_leaves_the_day_and_counting_back_is_refused() -> None:
    assert add_business_days(date(2026, 10, 24), 0) == date(2026, 10, 24)
    with pytest.raises(ValueError, match="forwards"):
        add_business_days(date(2026, 10, 24), -1)


@given(DAYS)
def test_the_next_business_day_is_the_first_one_not_before(day: date) -> None:
    found = next_business_day(day)

    assert is_business_day(found)
    assert not any(is_business_day(day + timedelta(days=n)) for n in range((found - day).days))
    assert (found - day).days <= 11


@given(DAYS, st.integers(0, 30), st.integers(0, 30))
def test_business_days_add_up(day: date, some: int, more: int) -> None:
    assert add_business_days(add_business_days(day, some), more) == add_business_days(day, some + more)


@given(DAYS, st.integers(0, 30))
def test_money_is_overdue_that_is_owed_since_the_last_overdue_day_or_before(today: date, before: int) -> None:
    owed_since = today - timedelta(days=before)
    assert (owed_since <= last_overdue_day(today)) is (legal_refund_day(owed_since) < today)
