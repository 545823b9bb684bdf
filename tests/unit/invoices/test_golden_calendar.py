"""The calendar of 2024 to 2028: holidays with substitute days, due days, final returns, transmission."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.invoices.calendar import due_on, final_return_on, transmit_by
from shared.business_days import is_business_day
from tests.unit.invoices.test_golden_cases import expected, given

CALENDAR: Any = orjson.loads((Path(__file__).parents[2] / "golden" / "calendar_kr.json").read_bytes())
YEARS = range(2024, 2029)
HOLIDAYS = [date.fromisoformat(text) for text in CALENDAR["holidays"]]


def is_weekday(day: date) -> bool:
    """From Monday to Friday, but for the first of May: Workers' Day moves a tax deadline in every year."""
    return day.weekday() < 5 and (day.month, day.day) != (5, 1)


@pytest.mark.parametrize("year", YEARS)
def test_nobody_works_on_holidays_and_everybody_on_other_weekdays(year: int) -> None:
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    weekdays = [day for day in days if day.year == year and is_weekday(day)]
    off = [day for day in weekdays if not is_business_day(day)]
    assert off == [day for day in HOLIDAYS if day.year == year and is_weekday(day)]


@pytest.mark.parametrize("month", CALENDAR["due_on"])
def test_each_month_is_due_and_returned_on_its_day(month: str) -> None:
    assert str(due_on(month)) == CALENDAR["due_on"][month]
    assert str(final_return_on(month)) == CALENDAR["final_return_due"][month]


def test_what_is_issued_is_transmitted_on_the_next_business_day() -> None:
    cases = zip(given("C6")["issued"], expected("C6")["due"], strict=True)
    golden = {**CALENDAR["transmit_due_by_issue_day"], **dict(cases)}
    assert {day: str(transmit_by(date.fromisoformat(day))) for day in golden} == golden
