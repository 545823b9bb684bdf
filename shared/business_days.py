"""Korean business days: neither Saturday, Sunday, public holiday (substitute days included) nor Workers' Day.

Public holidays follow 관공서의 공휴일에 관한 규정 and, since 2022, 공휴일에 관한 법률, as the library
`holidays` keeps them (statutory, substitute, election and government-declared days). Workers' Day became a
public holiday in 2026 only, but banks never pay on it and 국세기본법 제5조 제1항 moves a tax deadline past
it, so it is no business day in any year.
"""

from datetime import date, timedelta
from functools import lru_cache

import holidays

_ONE_DAY = timedelta(days=1)
_SATURDAY = 5
_LEGAL_REFUND_DAYS = 3


@lru_cache(maxsize=4096)
def is_business_day(day: date) -> bool:
    """Whether banks and tax offices work on that day in Seoul."""
    if day.weekday() >= _SATURDAY or (day.month, day.day) == (5, 1):
        return False
    return day not in _public_holidays(day.year)


def next_business_day(day: date) -> date:
    """The day itself when it is a business day, else the first one after it."""
    while not is_business_day(day):
        day += _ONE_DAY
    return day


def add_business_days(day: date, count: int) -> date:
    """The `count`-th business day after `day`; `day` itself is not counted.

    Raises ValueError when `count` is negative.
    """
    if count < 0:
        raise ValueError(f"business days are counted forwards, not {count}")
    for _ in range(count):
        day = next_business_day(day + _ONE_DAY)
    return day


def legal_refund_day(owed_since: date) -> date:
    """The day by which the law wants money back that is owed since a day: three business days after it.

    전자상거래법 제18조 제2항: counted from the request; a review does not stop it.
    """
    return add_business_days(owed_since, _LEGAL_REFUND_DAYS)


def last_overdue_day(today: date) -> date:
    """The last day on which money became owed whose legal day is before `today`."""
    day = today
    while legal_refund_day(day) >= today:
        day -= _ONE_DAY
    return day


@lru_cache(maxsize=64)
def _public_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("KR", years=year))
