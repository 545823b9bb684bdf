"""Pages of a list: an opaque cursor, a limit, a stable order.

A cursor holds the values of the columns that a list is ordered by, those of the last row that was shown;
the next page begins behind them. So rows that come meanwhile neither repeat nor hide others.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

import orjson
from fastapi import Query
from pydantic import BaseModel, Field

from shared.web.problems import WRONG_PARAMETER, Problem

T = TypeVar("T")
MOST: Final = 1_000
USUAL: Final = 100

Limit = Annotated[int, Query(ge=1, le=MOST, description="how many at most")]
Cursor = Annotated[str | None, Query(max_length=1_000, description="`next` of the page before")]


class Page(BaseModel, Generic[T]):
    """Some of a list. `next` is the cursor of the page after it; null at the end."""

    items: list[T]
    next: str | None = Field(default=None, description="the cursor of the next page; null at the end")


def cursor_of(*values: str | int) -> str:
    """The cursor behind a row whose ordering columns have these values."""
    return urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def after(cursor: str | None, first: Sequence[str | int]) -> list[Any]:
    """The values that the page begins behind; `first` are those of the first page. Raises Problem (400)."""
    if cursor is None:
        return list(first)
    try:
        values = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (Base64Error, ValueError):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != [type(value) for value in first]:
        raise Problem(WRONG_PARAMETER, name="cursor", place="query", rule="send `next` of the page before")
    return values


def page_of(rows: Sequence[T], limit: int, values: Callable[[T], Sequence[str | int]]) -> dict[str, Any]:
    """A page of the rows of a query that was asked for `limit + 1` of them."""
    shown = list(rows[:limit])
    return {"items": shown, "next": cursor_of(*values(shown[-1])) if len(rows) > limit else None}
