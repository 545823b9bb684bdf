"""The story of an order drawn: which step led to which, as lines between the places where they happened.

Every row of the drawing is a strip of its own, as high as its text: a turn of fixed height, in which lines
bend, and a rest that stretches. Places stand beside each other, from 0 to 100. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from shared.events.catalogue import SERVICES

PLACES: Final = ("checkout", *SERVICES)
"""Who says something of an order, in the order in which it goes through them."""
X: Final[Mapping[str, float]] = {
    place: 100 / len(PLACES) * (number + 0.5) for number, place in enumerate(PLACES)
}
TURN, MIDDLE = 28, 14
BESIDE: Final = (4.0, -4.0, 7.0, -7.0)
"""Where a line goes down that would else run through the steps of others at its place."""
LONGEST_CYCLE, LEAST_TIMES = 4, 3


class Strip(NamedTuple):
    """The lines of one row: those that bend, as paths of SVG, and where lines go on down through its rest."""

    paths: tuple[str, ...] = ()
    rests: tuple[str, ...] = ()


class Line(NamedTuple):
    """From a step down to the last one that it led to, at `x`."""

    place: str
    first: int
    last: int
    x: float


def strips_of(places: Sequence[str], causes: Sequence[int | None]) -> list[Strip]:
    """The strip of each row; `causes` are the rows, from 0, of what led to each."""
    lines = _lines(places, causes)
    return [_strip(row, place, causes[row], lines) for row, place in enumerate(places)]


def _lines(places: Sequence[str], causes: Sequence[int | None]) -> dict[int, Line]:
    lasts = {cause: row for row, cause in enumerate(causes) if cause is not None and cause < row}
    lines: dict[int, Line] = {}
    for first, last in sorted(lasts.items()):
        place = places[first]
        is_free = all(places[row] != place for row in range(first + 1, last))
        taken = {line.x for line in lines.values() if line.place == place and line.last > first}
        ways = ([0.0] if is_free else []) + [*BESIDE]
        x = next((X[place] + way for way in ways if X[place] + way not in taken), X[place] + BESIDE[-1])
        lines[first] = Line(place, first, last, x)
    return lines


def _strip(row: int, place: str, cause: int | None, lines: Mapping[int, Line]) -> Strip:
    paths, rests = [], []
    for line in lines.values():
        if line.first < row < line.last:
            paths.append(f"M{line.x:g} 0V{TURN}")
        if line.first <= row < line.last:
            rests.append(f"{line.x:g}")
    at = X[place]
    if cause is not None and cause in lines and cause < row:
        paths.append(_bend(lines[cause].x, 0, at, MIDDLE))
    if row in lines:
        paths.append(_bend(at, MIDDLE, lines[row].x, TURN))
    return Strip(tuple(paths), tuple(rests))


def _bend(x1: float, y1: float, x2: float, y2: float) -> str:
    if x1 == x2:
        return f"M{x1:g} {y1}V{y2}"
    return f"M{x1:g} {y1}C{x1:g} {y2} {x2:g} {y1} {x2:g} {y2}"


def groups_of(names: Sequence[object]) -> list[tuple[int, ...]]:
    """Rows taken together where a few names repeat at least three times one after the other.

    Of `A B A B A B C` these are the three A, the three B, and C. None is a row that is never taken together
    with others.
    """
    groups: list[tuple[int, ...]] = []
    row = 0
    while row < len(names):
        length, times = max(
            ((length, _times(names, row, length)) for length in range(1, LONGEST_CYCLE + 1)),
            key=lambda found: (found[1] >= LEAST_TIMES, found[0] * found[1], -found[0]),
        )
        if times < LEAST_TIMES:
            length = times = 1
        end = row + length * times
        groups += [tuple(range(row + place, end, length)) for place in range(length)]
        row = end
    return groups


def _times(names: Sequence[object], start: int, length: int) -> int:
    """How often the `length` names from `start` on stand there one after the other."""
    cycle = names[start : start + length]
    if None in cycle or len(cycle) < length:
        return 1
    times = 1
    while names[start + times * length : start + (times + 1) * length] == cycle:
        times += 1
    return times
