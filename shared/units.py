"""Units of order lines: the one word for a line with a quantity."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from shared.money import Sold, line_worth


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


class _Claimable(Sold, Protocol):
    @property
    def open(self) -> int: ...


def with_given_up(lines: Mapping[str, _Claimable], units: Sequence[LineUnits]) -> Sequence[LineUnits]:
    """These units; and where no priced unit of the order stays beside them, its open free units too.

    Nobody keeps what was given with goods that went back whole
    (docs/decisions/0016-free-units-go-with-the-priced-ones.md).
    """
    going = dict(units)
    priced = {line_id: line.left for line_id, line in lines.items() if line_worth(line)}
    if not priced or any(left > going.get(line_id, 0) for line_id, left in priced.items()):
        return units
    free = {line_id: line.open for line_id, line in lines.items() if not line_worth(line) and line.open}
    return [LineUnits(*each) for each in {**going, **free}.items()]
