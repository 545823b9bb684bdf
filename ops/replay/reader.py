"""Reads an order history line by line: CSV, plain or gzip, UTF-8 or (line by line) Windows-1252.

A line break inside quotes is not part of this format: one physical line is one source line, so a stray quote
spoils its own line and never the rest of the file.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, cast

from shared.kst import KST

COLUMNS = {
    "InvoiceNo": ("invoiceno", "invoice"),
    "StockCode": ("stockcode",),
    "Description": ("description",),
    "Quantity": ("quantity",),
    "InvoiceDate": ("invoicedate",),
    "UnitPrice": ("unitprice", "price"),
    "CustomerID": ("customerid",),
    "Country": ("country",),
}
TIME_FORMATS = (
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
)
YEARS = range(1970, 9000)  # leaves room for what happens later
LONGEST_ID = 100  # leaves room for what is appended to it, within the 128 characters of an id


class UnknownFile(Exception):
    """The file is not an order history; the message says why and what is expected."""


@dataclass(slots=True, frozen=True)
class Line:
    """One readable source line. `number` counts physical lines from 1, the header included.

    `at` is the time of the file, taken as Asia/Seoul time, for it names no zone. `price` is pounds a unit.
    `customer` is empty where the file has none.
    """

    number: int
    document: str
    product: str
    name: str
    quantity: int
    at: datetime
    price: Decimal
    customer: str

    @property
    def cancels(self) -> bool:
        """Whether the line belongs to a cancellation."""
        return self.document[:1] in ("C", "c")


@dataclass(slots=True, frozen=True)
class Unreadable:
    """A source line without anything usable, and why."""

    number: int
    why: str


def read_lines(path: Path) -> Iterator[Line | Unreadable]:
    """Every source line after the header, in the order of the file.

    Raises UnknownFile when the file cannot be opened as an order history.
    """
    with _opened(path) as raw:
        numbered = enumerate(map(_decoded, raw), start=1)
        try:
            _, header = next(numbered)
            places = _places(header, path)
            for number, text in numbered:
                yield _line(number, text, places)
        except StopIteration:
            raise UnknownFile(f"{path} is empty; expected a header line: {','.join(COLUMNS)}") from None
        except (EOFError, OSError, zlib.error) as error:
            raise UnknownFile(f"{path} cannot be read to its end: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnknownFile(f"{path} cannot be opened: {error.strerror or error}") from error
    with file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield cast(IO[bytes], gzip.GzipFile(fileobj=file)) if compressed else file


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _fields(text: str) -> list[str]:
    return next(csv.reader([text.rstrip("\r\n")], strict=True), [])


def _places(header: str, path: Path) -> list[int]:
    """Where each of COLUMNS stands in this file; case, spaces and order of the header are free."""
    names = [_clean(name).strip('"') for name in header.split(",")]
    found = {name.replace(" ", "").lower(): place for place, name in enumerate(names)}
    places = [next((found[a] for a in aliases if a in found), -1) for aliases in COLUMNS.values()]
    missing = [name for name, place in zip(COLUMNS, places, strict=True) if place < 0]
    if missing:
        raise UnknownFile(
            f"{path} has no column {', '.join(missing)}; expected a comma-separated header "
            f"{','.join(COLUMNS)} (in any order), found {','.join(names)[:200] or 'an empty line'}"
        )
    return places


def _line(number: int, text: str, places: Sequence[int]) -> Line | Unreadable:
    if not text.strip():
        return Unreadable(number, "an empty line")
    try:
        fields = _fields(text)
        document, product, name, quantity, at, price, customer, _ = (
            _clean(fields[place]) for place in places
        )
        return Line(
            number=number,
            document=_identifier(document, "InvoiceNo"),
            product=_identifier(product, "StockCode"),
            name=name[:200] or product,
            quantity=int(quantity),
            at=_instant(at),
            price=_pounds(price),
            customer=_identifier(customer.removesuffix(".0"), "CustomerID") if customer else "",
        )
    except IndexError:
        return Unreadable(number, "too few columns")
    except (ValueError, csv.Error) as error:
        return Unreadable(number, str(error))


def _clean(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).strip()


def _identifier(text: str, column: str) -> str:
    if not 1 <= len(text) <= LONGEST_ID:
        raise ValueError(f"{column} has {len(text)} characters")
    return text


def _instant(text: str) -> datetime:
    for pattern in TIME_FORMATS:
        try:
            at = datetime.strptime(text, pattern).replace(tzinfo=KST)
        except ValueError:
            continue
        if YEARS.start <= at.year < YEARS.stop:
            return at
    raise ValueError(f"InvoiceDate is {text!r}, expected month/day/year hour:minute")


def _pounds(text: str) -> Decimal:
    try:
        price = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"UnitPrice is {text!r}") from None
    if not price.is_finite():
        raise ValueError(f"UnitPrice is {text!r}")
    return price
