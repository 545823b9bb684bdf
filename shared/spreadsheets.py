"""Text for spreadsheets: rows of CSV whose cells stay the text that they are. Pure.

A spreadsheet that opens a CSV guesses: `=...` is computed, `00123` loses its zeros, `1-2` becomes a day. Text
that it would take for something else gets an apostrophe in front. CSV is that of RFC 4180, in UTF-8.
"""

import re
from collections.abc import Iterable
from typing import Final

BOM: Final = b"\xef\xbb\xbf"
"""Begins a file, so that a spreadsheet knows that it is UTF-8."""

_COMPUTED = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = r"[₩￦$€¥]?\s*[\d.,][\d.,\s]*(?:e[+-]?\d+)?\s*%?"
_DAY_OR_TIME = r"\d{1,4}(?:[-/.:]\s?\d{1,4}){1,2}(?:\s\d{1,2}(?::\d{1,2}){1,2})?"
_GUESSED = re.compile(rf"\s*(?:{_NUMBER}|{_DAY_OR_TIME}|true|false)\s*", re.IGNORECASE)
_TO_QUOTE = re.compile(r'[",\r\n]|^\s|\s$')


def as_text(cell: str) -> str:
    """The cell so that a spreadsheet takes it as text."""
    guessed = cell.startswith(_COMPUTED) or _GUESSED.fullmatch(cell)
    return f"'{cell}" if guessed else cell


def csv_row(cells: Iterable[str]) -> str:
    """One row of CSV with its end, each cell taken as text."""
    return csv_line(map(as_text, cells))


def csv_line(cells: Iterable[str]) -> str:
    """One row of CSV with its end, its cells as they are: numbers stay numbers."""
    return ",".join(map(_quoted, cells)) + "\r\n"


def _quoted(cell: str) -> str:
    return f'"{cell.replace(chr(34), chr(34) * 2)}"' if _TO_QUOTE.search(cell) else cell
