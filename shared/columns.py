"""How the fields of a struct say which columns of a table they are (shared/rows.py). Pure: states use it."""

from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

V = TypeVar("V")

FIXED: Final = "fixed"
APART: Final = "apart"
JSON: Final = "json"
"""Marks a field whose values are kept as JSON: `Annotated[tuple[str, ...] | None, JSON]`; None is null."""
Fixed = Annotated[V, FIXED]
"""A field that never changes once its row is written."""
Apart = Annotated[V, APART]
"""A field without a column: its values are rows of a table of their own. These fields are a struct's last."""


@dataclass(slots=True, frozen=True, init=False)
class Columns:
    """The columns of a field that is a tuple of values, such as `Money`; None is null in all of them."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)
