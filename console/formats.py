"""Won, instants and ages as a person reads them, in Korean and English. Pure."""

from datetime import datetime, timedelta
from typing import Final, Literal

from shared.kst import in_kst

Language = Literal["en", "ko"]
NOTHING: Final = "–"
_UNITS: Final = {
    "en": {"y": "y", "d": "d", "h": "h", "m": "m"},
    "ko": {"y": "년", "d": "일", "h": "시간", "m": "분"},
}
_YEAR: Final = timedelta(days=365)


def won(amount: int | None) -> str:
    """`₩55,000`, `−₩55,000`."""
    if amount is None:
        return NOTHING
    return f"{'−' if amount < 0 else ''}₩{abs(amount):,}"


def instant(at: datetime | str | None) -> str:
    """`2026-11-30 18:02:11 KST`, also of an instant of a document."""
    if at is None:
        return NOTHING
    read = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{in_kst(read):%Y-%m-%d %H:%M:%S} KST"


def clock(at: datetime) -> str:
    """`18:02`, in KST."""
    return f"{in_kst(at):%H:%M}"


def age(span: timedelta | None, language: Language) -> str:
    """`41m`, `5h`, `47d`, in Korean `41분`: the largest unit of which there is one, or two years."""
    if span is None:
        return NOTHING
    units, span = _UNITS[language], max(span, timedelta(0))
    if span >= 2 * _YEAR:
        return f"{span // _YEAR}{units['y']}"
    if span >= timedelta(days=1):
        return f"{span.days}{units['d']}"
    if span >= timedelta(hours=1):
        return f"{span // timedelta(hours=1)}{units['h']}"
    return f"{span // timedelta(minutes=1)}{units['m']}"


def words(code: str) -> str:
    """`refund_failed` as `refund failed`."""
    return code.replace("_", " ")
