"""Hometax's list of what a supplier has issued there (매출전자세금계산서목록), read line by line. Pure.

Whoever has no tax agent uploads sheets at hometax.go.kr, and takes this list from there afterwards: it says
which approval number (승인번호) each document got. Headers stand in row 6, columns are found by their place.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from shared.business_number import normalise

HEADER_ROW: Final = 6
"""Counted from 1, as the sheet shows it; lines follow."""
APPROVAL_NUMBER_LENGTH: Final = 24

_WRITTEN, _APPROVAL, _ISSUED, _BUYER_NUMBER, _TOTAL = 0, 1, 2, 9, 14
_PLACES: Final[Mapping[int, str]] = {
    _WRITTEN: "작성일자",
    _APPROVAL: "승인번호",
    _ISSUED: "발급일자",
    _BUYER_NUMBER: "등록번호",
    _TOTAL: "합계",
}


class ListedDocument(NamedTuple):
    """One line of the list: a document of so many won in all. `issued_on` is the day of its issue."""

    written_date: date
    approval_number: str
    issued_on: date | None
    buyer_number: str
    total: int

    @property
    def scope(self) -> tuple[date, str, int]:
        """What a line and a document have in common, since the list knows no keys of ours."""
        return self.written_date, self.buyer_number, self.total


class UnreadableList(Exception):
    """Why a file is not Hometax's list, in words for whoever has sent it."""


def lines_of_list(rows: Iterable[Sequence[Any]]) -> list[ListedDocument]:
    """The lines of the list, whose first row is row 1 of its sheet. Raises UnreadableList."""
    listed = [list(row) for row in rows]
    header = [str(cell) for cell in listed[HEADER_ROW - 1]] if len(listed) >= HEADER_ROW else []
    for place, name in _PLACES.items():
        if len(header) <= place or name not in header[place].replace(" ", ""):
            raise UnreadableList(
                f"column {place + 1} of row {HEADER_ROW} is not {name}: send the list as Hometax gives it"
            )
    told = enumerate(listed[HEADER_ROW:], start=HEADER_ROW + 1)
    return [_line(number, row) for number, row in told if len(row) > _TOTAL and str(row[_APPROVAL]).strip()]


def _line(number: int, row: Sequence[Any]) -> ListedDocument:
    buyer, approval = normalise(str(row[_BUYER_NUMBER])), str(row[_APPROVAL]).replace("-", "").strip()
    try:
        written, issued = _day(row[_WRITTEN]), _day(row[_ISSUED])
        total = int(str(row[_TOTAL]).replace(",", "").removesuffix(".0"))
    except ValueError as error:
        raise UnreadableList(f"row {number}: {error}; send the list as Hometax gives it") from None
    if written is None or buyer is None or not _is_approval_number(approval):
        raise UnreadableList(
            f"row {number} has no date, buyer or approval number; send the list as Hometax gives it"
        )
    return ListedDocument(written, approval, issued, buyer, total)


def _is_approval_number(text: str) -> bool:
    return len(text) == APPROVAL_NUMBER_LENGTH and text.isascii() and text.isalnum() and text[:8].isdigit()


def _day(cell: Any) -> date | None:
    """A day as a sheet has it: a date, `2026-10-31`, `2026/10/31` or `20261031`; None for an empty cell."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    digits = "".join(c for c in str(cell)[:10] if c.isdigit())
    return date.fromisoformat(digits) if digits else None
