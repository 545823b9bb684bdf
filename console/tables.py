"""Tables: rows sorted, filtered and paged as the address says, and the same as CSV and JSON. Pure."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlencode

from console.masking import mask_text
from shared.kst import wire_time

Kind = Literal["text", "code", "id", "count", "won", "age", "instant", "command", "stand", "day"]
Row: TypeAlias = Mapping[str, Any]

PAGE: Final = 50
LONGEST_WORD: Final = 200
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins so as a formula; people and shops choose what stands here."""
RIGHT: Final = ("count", "won", "age")


class Column(NamedTuple):
    """One column: `name` in addresses, CSV and JSON, `title` as people read it (in English)."""

    name: str
    title: str
    kind: Kind = "text"

    @property
    def is_number(self) -> bool:
        return self.kind in RIGHT


class View(NamedTuple):
    """How a table is looked at: an address says it, so that it can be sent to a colleague."""

    sort: str = ""
    descending: bool = False
    word: str = ""
    page: int = 1
    others: tuple[tuple[str, str], ...] = ()

    def address(self, **changed: Any) -> str:
        """The query string of this view with something changed."""
        view = self._replace(**changed)
        said = [*view.others]
        if view.sort:
            said.append(("sort", f"{'-' if view.descending else ''}{view.sort}"))
        if view.word:
            said.append(("only", view.word))
        if view.page > 1:
            said.append(("page", str(view.page)))
        return f"?{urlencode(said)}"

    def as_file(self, kind: str) -> str:
        """The query string of all rows of this view as a file."""
        return f"{self.address(page=1)}&format={kind}"

    def sorted_by(self, column: Column) -> str:
        """The query string of this view, sorted by a column; the other way round where it is already."""
        same = self.sort == column.name
        descending = not self.descending if same else column.is_number
        return self.address(sort=column.name, descending=descending, page=1)


class Shown(NamedTuple):
    """A page of a table. `total` counts what the filter lets through, `all` everything."""

    rows: Sequence[Row]
    total: int
    all: int
    pages: int
    view: View


def masked(row: Row, columns: Sequence[Column]) -> Row:
    """A row whose texts show no account, address or number of somebody. What names a thing stays as it is."""
    texts = {column.name for column in columns if column.kind == "text"}
    return {
        name: mask_text(value) if name in texts and isinstance(value, str) else value
        for name, value in row.items()
    }


def view_of(query: Mapping[str, str], columns: Sequence[Column], others: Sequence[str] = ()) -> View:
    """What an address says; what it says wrong is left out. `others` are parameters of the page itself."""
    sort, names = query.get("sort", ""), {column.name for column in columns}
    name = sort.removeprefix("-")
    number = query.get("page", "1")
    page = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1
    kept = tuple((other, query[other]) for other in others if query.get(other))
    known = name in names
    return View(
        name if known else "",
        known and sort.startswith("-"),
        query.get("only", "").strip()[:LONGEST_WORD],
        max(1, page),
        kept,
    )


def page_of(rows: Sequence[Row], columns: Sequence[Column], view: View, size: int = PAGE) -> Shown:
    """The rows of a page. A page behind the last one is the last one."""
    found = arranged(rows, columns, view)
    pages = max(1, -(-len(found) // size))
    page = min(view.page, pages)
    return Shown(
        found[(page - 1) * size : page * size], len(found), len(rows), pages, view._replace(page=page)
    )


def arranged(rows: Sequence[Row], columns: Sequence[Column], view: View) -> list[Row]:
    """All rows that the filter lets through, in order; a row without a value in that column comes last."""
    found = [row for row in rows if _has(row, columns, view.word.casefold())]
    if not view.sort:
        return found
    valued = [row for row in found if row[view.sort] is not None]
    valued.sort(key=lambda row: _sortable(row[view.sort]), reverse=view.descending)
    return valued + [row for row in found if row[view.sort] is None]


def _sortable(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _has(row: Row, columns: Sequence[Column], word: str) -> bool:
    return not word or any(
        word in str(plain(row[column.name])).casefold() for column in columns if row[column.name] is not None
    )


def plain(value: Any) -> Any:
    """A value as JSON has it: instants in RFC 3339, ages in seconds."""
    if isinstance(value, datetime):
        return wire_time(value)
    if isinstance(value, timedelta):
        return max(0, int(value.total_seconds()))
    return value


def as_csv(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """The rows as CSV with a head, as Excel reads it (a byte order mark, CRLF), and without formulas."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column.name for column in columns])
    writer.writerows([[_cell(row[column.name]) for column in columns] for row in rows])
    return f"\ufeff{text.getvalue()}"


def _cell(value: Any) -> Any:
    shown = plain(value)
    return f"'{shown}" if isinstance(shown, str) and shown.startswith(FORMULA) else shown


def as_document(rows: Sequence[Row], columns: Sequence[Column], at: datetime) -> dict[str, Any]:
    """The rows as JSON, and when they were read."""
    return {
        "at": wire_time(at),
        "rows": [{column.name: plain(row[column.name]) for column in columns} for row in rows],
    }
