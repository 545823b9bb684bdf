"""Units of order lines: the one word for a line with a quantity."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class LineUnits(NamedTuple):
    """So many units of one order line."""

    line_id: str
    quantity: int

    def document(self) -> dict[str, str | int]:
        """As it stands in an event."""
        return {"line_id": self.line_id, "quantity": self.quantity}


class _NamesUnits(Protocol):
    @property
    def line_id(self) -> str: ...
    @property
    def quantity(self) -> int: ...


def line_units(lines: Iterable[_NamesUnits]) -> tuple[LineUnits, ...]:
    """The units that the lines of a document name, in their order."""
    return tuple(LineUnits(line.line_id, line.quantity) for line in lines)
