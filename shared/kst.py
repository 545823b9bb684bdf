"""Korean days and months of instants.

Every business day and month is a day and month in Seoul, taken from the instant the event happened. Korea has
kept UTC+9 without daylight saving since 1988, so a fixed offset is exact for every date this system knows.
Instants are aware datetimes; a naive one raises ValueError. Months are written `2026-10`.
"""

import re
from calendar import monthrange
from datetime import date, datetime, time, timedelta, timezone

KST = timezone(timedelta(hours=9), "KST")

_MONTH = re.compile(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])", re.ASCII)
_LAST_MICROSECOND = time(23, 59, 59, 999_999, tzinfo=KST)


def in_kst(instant: datetime) -> datetime:
    """The same instant on a clock in Seoul. Its `isoformat()` is how times are written on the wire."""
    if instant.tzinfo is None:
        raise ValueError("a time without offset has no day in Seoul")
    return instant.astimezone(KST)


def wire_time(instant: datetime) -> str:
    """The instant as RFC 3339 in +09:00, microseconds only where there are any."""
    return in_kst(instant).isoformat()


def kst_date(instant: datetime) -> date:
    """The day in Seoul."""
    return in_kst(instant).date()


def month_of(instant: datetime) -> str:
    """The month in Seoul, `2026-10`."""
    local = in_kst(instant)
    return f"{local.year:04}-{local.month:02}"


def parse_month(text: str) -> date:
    """The first day of a month written `2026-10`. Raises ValueError for anything else."""
    match = _MONTH.fullmatch(text)
    if match is None:
        raise ValueError(f"a month is written like 2026-10, not {text!r}")
    return date(int(match[1]), int(match[2]), 1)


def next_month(month: str) -> str:
    """The month after `month`."""
    first = parse_month(month)
    return (first + timedelta(days=31)).strftime("%Y-%m")


def month_end(month: str) -> date:
    """The last day of `month`."""
    first = parse_month(month)
    return first.replace(day=monthrange(first.year, first.month)[1])


def months_before(day: date, months: int) -> date:
    """The same day so many months before, or the last day of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    last = monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


def start_of_day(day: date) -> datetime:
    """The first instant of a day in Seoul."""
    return datetime.combine(day, time(tzinfo=KST))


def end_of_day(day: date) -> datetime:
    """The last microsecond of a day in Seoul."""
    return datetime.combine(day, _LAST_MICROSECOND)


def window_end(instant: datetime, days: int) -> datetime:
    """The last instant of a window of `days` days from `instant`: the end of (its day in Seoul + days).

    Days count by date, whatever the hour (events.md, "Amounts on the wire"). A window of seven days including
    the first one is `window_end(instant, 6)`.
    """
    return end_of_day(kst_date(instant) + timedelta(days=days))
