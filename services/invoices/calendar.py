"""When an invoice is dated, due and no longer mergeable. Pure; months are KST months written `2026-10`."""

from datetime import date, datetime, time
from functools import lru_cache

from shared.business_days import next_business_day
from shared.kst import KST, month_end, next_month, parse_month

_DUE_DAY = 10


@lru_cache(maxsize=512)
def due_on(month: str) -> date:
    """The last day to issue the invoices of `month`: the 10th of the next month, or the next business day.

    부가가치세법 제34조 제3항 (the 10th), 국세기본법 제5조 제1항 (moved past weekends and holidays).
    """
    return next_business_day(parse_month(next_month(month)).replace(day=_DUE_DAY))


def written_date(month: str) -> date:
    """The written date (작성일자) of the invoices of `month`: its last day.

    부가가치세법 제34조 제3항 제1호.
    """
    return month_end(month)


@lru_cache(maxsize=512)
def ends_at(month: str) -> datetime:
    """The first instant that no longer belongs to `month` in Seoul."""
    return datetime.combine(parse_month(next_month(month)), time(0), tzinfo=KST)


@lru_cache(maxsize=512)
def cut_off(month: str, day: int, hour: int) -> datetime:
    """The first instant at which merges of `month` are no longer asked for (policy: the 5th, 18:00 KST)."""
    return datetime.combine(parse_month(next_month(month)).replace(day=day), time(hour), tzinfo=KST)
