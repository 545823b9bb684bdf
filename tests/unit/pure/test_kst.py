"""Days and months in Seoul."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kst import (
    KST,
    end_of_day,
    kst_date,
    month_end,
    month_of,
    next_month,
    parse_month,
    window_end,
    wire_time,
)

INSTANTS = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    max_value=datetime(2090, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, KST, timezone(timedelta(hours=-8))]),
)
MONTHS = st.builds(lambda year, month: f"{year:04d}-{month:02d}", st.integers(1000, 9998), st.integers(1, 12))


def test_an_evening_in_london_is_the_next_day_and_month_in_seoul() -> None:
    instant = datetime(2026, 10, 31, 15, 0, tzinfo=UTC)

    assert kst_date(instant) == date(2026, 11, 1)
    assert month_of(instant) == "2026-11"


def test_the_last_microsecond_of_a_day_still_belongs_to_it() -> None:
    last = end_of_day(date(2026, 10, 31))

    assert last.isoformat() == "2026-10-31T23:59:59.999999+09:00"
    assert kst_date(last) == date(2026, 10, 31)
    assert kst_date(last + timedelta(microseconds=1)) == date(2026, 11, 1)


def test_ninety_one_days_to_register_end_with_the_ninety_first_day() -> None:
    issued_at = datetime.fromisoformat("2026-10-23T09:00:01+09:00")

    assert wire_time(window_end(issued_at, 91)) == "2027-01-22T23:59:59.999999+09:00"


def test_seven_days_including_the_first_end_six_days_later() -> None:
    activated_at = datetime.fromisoformat("2026-10-21T23:59:59+09:00")

    assert kst_date(window_end(activated_at, 6)) == date(2026, 10, 27)


@given(INSTANTS, st.integers(0, 400))
def test_a_window_ends_the_same_whatever_the_hour_it_began(instant: datetime, days: int) -> None:
    end = window_end(instant, days)

    assert end == window_end(end_of_day(kst_date(instant)), days)
    assert (kst_date(end) - kst_date(instant)).days == days
    assert instant <= end


@given(INSTANTS)
def test_a_time_on_the_wire_is_the_same_instant_in_seoul(instant: datetime) -> None:
    text = wire_time(instant)

    assert text.endswith("+09:00")
    assert datetime.fromisoformat(text) == instant


@given(MONTHS)
def test_the_day_after_a_month_is_the_first_of_the_next(month: str) -> None:
    assert month_end(month) + timedelta(days=1) == parse_month(next_month(month))
    assert parse_month(month) <= month_end(month)


def test_february_knows_leap_years_and_december_the_new_year() -> None:
    assert month_end("2012-02") == date(2012, 2, 29)
    assert month_end("2011-02") == date(2011, 2, 28)
    assert next_month("2011-12") == "2012-01"


def test_the_last_instants_in_utc_that_an_event_may_carry_lie_in_the_next_millennium_in_seoul() -> None:
    month = month_of(datetime(2999, 12, 31, 20, tzinfo=UTC))

    assert month == "3000-01"
    assert month_end(month) == date(3000, 1, 31)


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "26-10", "2026-10-01", "0000-01", "", "２０２６-10"]
)
def test_anything_else_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="2026-10"):
        parse_month(text)


def test_a_time_without_offset_has_no_day() -> None:
    with pytest.raises(ValueError, match="offset"):
        kst_date(datetime(2026, 10, 31, 12, 0))  # noqa: DTZ001 (that is the point)
