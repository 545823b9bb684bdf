"""Rows of files for spreadsheets: text that stays text, and many rows at once. Pure.

A spreadsheet that opens a CSV guesses: `=...` is computed, `00123` loses its zeros, `1-2` becomes a day. Text
that it would take for something else gets an apostrophe in front. CSV is that of RFC 4180, in UTF-8.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.serials.codes import LENGTH
from services.serials.notices import MARK

BOM: Final = b"\xef\xbb\xbf"
GROUPED: Final = LENGTH + 3
"""The characters of a serial as it is printed, hyphens included."""

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
    return ",".join(_quoted(as_text(cell)) for cell in cells) + "\r\n"


def _quoted(cell: str) -> str:
    return f'"{cell.replace(chr(34), chr(34) * 2)}"' if _TO_QUOTE.search(cell) else cell


def grouped_rows(serials: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Serials as they are printed, four groups of four: one row of `GROUPED` ASCII characters each."""
    rows = np.full((len(serials), GROUPED), ord("-"), dtype=np.uint8)
    for group in range(4):
        rows[:, group * 5 : group * 5 + 4] = serials[:, group * 4 : group * 4 + 4]
    return rows


def grouped_texts(serials: NDArray[np.uint8]) -> list[str]:
    """The same as texts."""
    texts: list[str] = grouped_rows(serials).view(f"S{GROUPED}").astype(f"U{GROUPED}").ravel().tolist()
    return texts


def filled(template: str, serials: NDArray[np.uint8]) -> bytes:
    """The template once for each serial, with the serial wherever it has a `MARK`; one behind the other."""
    grouped, parts = grouped_rows(serials), [part.encode() for part in template.split(MARK)]
    columns: list[NDArray[np.uint8]] = []
    for number, part in enumerate(parts):
        columns += [grouped] * bool(number) + [_repeated(part, len(serials))]
    return np.hstack(columns).tobytes()


def filled_texts(template: str, grouped: Sequence[str]) -> Sequence[str]:
    """The template for each of these printed serials, as texts."""
    if MARK not in template:
        return [template] * len(grouped)
    return [template.replace(MARK, serial) for serial in grouped]


def _repeated(part: bytes, times: int) -> NDArray[np.uint8]:
    return np.broadcast_to(np.frombuffer(part, dtype=np.uint8), (times, len(part)))
