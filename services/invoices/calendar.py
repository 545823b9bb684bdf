"""When an invoice is dated, due and no longer mergeable. Pure; months are KST months written `2026-10`."""

from datetime import date, datetime, time
from functools import lru_cache

from shared.business_days import add_business_days, next_business_day
from shared.kst import KST, kst_date, month_end, next_month, parse_month
from shared.tax_documents import due_on


@lru_cache(maxsize=512)
def final_return_on(month: str) -> date:
    """The day of the final VAT return for `month`: 25 July or 25 January, moved to a business day.

    부가가치세법 제49조 제1항, 국세기본법 제5조 제1항.
    """
    first = parse_month(month)
    day = date(first.year, 7, 25) if first.month <= 6 else date(first.year + 1, 1, 25)
    return next_business_day(day)


def written_date(paid_at: datetime) -> date:
    """The written date (작성일자) of the invoice of a single payment: its own day in Seoul.

    부가가치세법 제34조 제3항 제3호.
    """
    return kst_date(paid_at)


def written_date_of_merge(month: str) -> date:
    """The written date of a merged invoice: the last day of its month (부가가치세법 제34조 제3항 제1호)."""
    return month_end(month)


def transmit_by(issued_on: date) -> date:
    """The last day to transmit what is issued on a day: the next business day.

    부가가치세법 제32조 제3항, 시행령 제68조 제7항 (the day after), 국세기본법 제5조 제1항.
    """
    return add_business_days(issued_on, 1)


def is_late(month: str, issued_at: datetime) -> bool:
    """Whether a document of `month` is issued after its due day, by the day of issue in Seoul."""
    return kst_date(issued_at) > due_on(month)


def late_percent(month: str, day: date) -> int:
    """The penalty of a late document of `month` issued on `day` in Seoul, in percent of its supply value.

    1 up to the day of the final VAT return (부가가치세법 제60조 제2항 제1호, 지연발급), 2 after it
    (제2호, 미발급).
    """
    return 1 if day <= final_return_on(month) else 2


def penalty_of_percent(supply: int, percent: int) -> int:
    """So many percent of a supply value, in won (floor)."""
    return supply * percent // 100


def estimated_penalty(month: str, issued_at: datetime, supply: int) -> int | None:
    """The penalty to expect for a late invoice over `supply` won, in won (floor); None when it is in time."""
    if not is_late(month, issued_at):
        return None
    return penalty_of_percent(supply, late_percent(month, kst_date(issued_at)))


@lru_cache(maxsize=512)
def ends_at(month: str) -> datetime:
    """The first instant that no longer belongs to `month` in Seoul."""
    return datetime.combine(parse_month(next_month(month)), time(0), tzinfo=KST)


@lru_cache(maxsize=512)
def cut_off(month: str, day: int, hour: int) -> datetime:
    """The first instant at which merges of `month` are no longer asked for (policy: the 5th, 18:00 KST)."""
    return datetime.combine(parse_month(next_month(month)).replace(day=day), time(hour), tzinfo=KST)
