"""Units of order lines: the one word for a line with a quantity."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol


class LineUnits(NamedTuple):
    """So many units of one order line."""

    line_id: str
    quantity: int

    def document(self) -> dict[str, str | int]:
        """As it stands in an event."""
        return {"line_id": self.line_id, "quantity": self.quantity}


def refunded_lines(units: Iterable[LineUnits], consumed: Mapping[str, int]) -> list[dict[str, str | int]]:
    """Units that go back as they stand in an event, with the won of their price that were used up."""
    return [
        each.document() | ({"consumed": consumed[each.line_id]} if consumed.get(each.line_id) else {})
        for each in units
    ]


def consumed_won(lines: Iterable["_NamesConsumed"]) -> dict[str, int]:
    """The won by line that the lines of a document name as used up; those with none are left out."""
    return {line.line_id: line.consumed for line in lines if line.consumed}


class _NamesUnits(Protocol):
    @property
    def line_id(self) -> str: ...
    @property
    def quantity(self) -> int: ...


class _NamesConsumed(Protocol):
    @property
    def line_id(self) -> str: ...
    @property
    def consumed(self) -> int | None: ...


def line_units(lines: Iterable[_NamesUnits]) -> tuple[LineUnits, ...]:
    """The units that the lines of a document name, in their order."""
    return tuple(LineUnits(line.line_id, line.quantity) for line in lines)
