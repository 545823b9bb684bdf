"""Places the nodes of a directed graph in rows, so that arrows point down: what imports stands above.

The same graph always gives the same drawing: wherever a choice is left, names decide.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

Edge = tuple[str, str]

ROW_GAP: Final = 34.0
COLUMN_GAP: Final = 14.0
BOX_HEIGHT: Final = 26.0
CHARACTER: Final = 7.4
"""Width of a character of the label, in pixels."""
BEND: Final = 6.0
"""Width that an arrow takes where it passes a row."""
DIP: Final = 20.0
"""How far an arrow of a circle leaves its row to pass a box."""
SWEEPS: Final = 12


@dataclass(slots=True, frozen=True)
class Box:
    """Where a node stands: its left upper corner, in pixels, and its size."""

    x: float
    y: float
    width: float
    height: float = BOX_HEIGHT

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(slots=True)
class Layout:
    """Boxes by node, and each arrow as the path of SVG. Members of a circle stand in one row."""

    width: float = 0.0
    height: float = 0.0
    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: dict[Edge, str] = field(default_factory=dict)


def lay_out(nodes: Iterable[str], edges: Iterable[Edge], labels: Mapping[str, str] | None = None) -> Layout:
    """Rows from the importers down. An arrow that follows from two others is left out."""
    names = sorted(nodes)
    kept = reduced(names, sorted(edges))
    rows, chains = _with_bends(_rows(names, kept), kept)
    _order(rows, [pair for chain in chains.values() for pair in pairwise(chain)])
    widths = {name: _width((labels or {}).get(name, name)) for name in names}
    return _place(rows, chains, widths)


def reduced(names: Iterable[str], edges: Iterable[Edge]) -> list[Edge]:
    """The arrows without those that a longer way says too. Arrows within a circle all stay."""
    edges = list(edges)
    reach = reachable(names, edges)
    follows = {name: sorted({to for of, to in edges if of == name}) for name in reach}

    def is_said_already(edge: Edge) -> bool:
        of, to = edge
        if of in reach[to]:
            return False
        others = (via for via in follows[of] if via != to and of not in reach[via] and via not in reach[to])
        return any(to in reach[via] for via in others)

    return [edge for edge in edges if not is_said_already(edge)]


def reachable(names: Iterable[str], edges: Iterable[Edge]) -> dict[str, set[str]]:
    """For each node what it leads to, by however many arrows."""
    edges = list(edges)
    reach = {name: {to for of, to in edges if of == name} for name in names}
    for via in reach:
        for name in reach:
            if via in reach[name]:
                reach[name] |= reach[via]
    return reach


def _rows(names: list[str], edges: list[Edge]) -> dict[str, int]:
    """The row of each node: below everything that leads to it; a circle stands in one row."""
    reach = reachable(names, edges)
    circle = {name: {other for other in reach[name] if name in reach[other]} | {name} for name in names}
    rows: dict[str, int] = {}

    def row_of(name: str) -> int:
        if name not in rows:
            above = {of for of, to in edges if to in circle[name] and of not in circle[name]}
            rows.update(dict.fromkeys(circle[name], max((row_of(of) + 1 for of in sorted(above)), default=0)))
        return rows[name]

    for name in names:
        row_of(name)
    return rows


def _with_bends(rows: dict[str, int], edges: list[Edge]) -> tuple[list[list[str]], dict[Edge, list[str]]]:
    """The rows with a place for each arrow that passes them, and each arrow as the places on its way."""
    filled: list[list[str]] = [[] for _ in range(max(rows.values(), default=0) + 1)]
    for name, row in rows.items():
        filled[row].append(name)
    chains = {}
    for of, to in edges:
        bends = {row: f"{of}>{to}>{row}" for row in range(rows[of] + 1, rows[to])}
        for row, bend in bends.items():
            filled[row].append(bend)
        chains[of, to] = [of, *bends.values(), to]
    return [sorted(row) for row in filled], chains


def _order(rows: list[list[str]], links: list[Edge]) -> None:
    """Sorts each row by where its neighbours stand, down and up again, so that few arrows cross."""
    beside: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for of, to in links:
        beside[of].append(to)
        beside[to].append(of)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        order = range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1)
        for number in order:
            fixed = rows[number - 1 if downwards else number + 1]
            place = {name: (at + 0.5) / len(fixed) for at, name in enumerate(fixed)}
            own = {name: (at + 0.5) / len(rows[number]) for at, name in enumerate(rows[number])}
            rows[number].sort(key=lambda name: (_mean(beside[name], place, own[name]), name))


def _mean(neighbours: list[str], place: dict[str, float], otherwise: float) -> float:
    found = [place[name] for name in neighbours if name in place]
    return sum(found) / len(found) if found else otherwise


def _place(rows: list[list[str]], chains: dict[Edge, list[str]], widths: dict[str, float]) -> Layout:
    lengths = [sum(widths.get(n, BEND) for n in row) + COLUMN_GAP * (len(row) - 1) for row in rows]
    layout = Layout(max(lengths, default=0.0), len(rows) * (BOX_HEIGHT + ROW_GAP) - ROW_GAP)
    points: dict[str, Box] = {}
    for number, row in enumerate(rows):
        x, y = (layout.width - lengths[number]) / 2, number * (BOX_HEIGHT + ROW_GAP)
        for name in row:
            points[name] = Box(x, y, widths.get(name, BEND))
            x += points[name].width + COLUMN_GAP
    layout.boxes = {name: points[name] for name in widths}
    for edge, chain in chains.items():
        layout.arrows[edge] = _way([points[name] for name in chain])
    return layout


def _way(boxes: list[Box]) -> str:
    first, *between, last = boxes
    if first.y == last.y:
        return _beside(first, last)
    passing = [(box.middle, y) for box in between for y in (box.y, box.y + BOX_HEIGHT)]
    x, y = first.middle, first.y + BOX_HEIGHT
    parts = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in [*passing, (last.middle, last.y)]:
        half = (y + next_y) / 2
        parts.append(f"C{x:.1f} {half:.1f} {next_x:.1f} {half:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
    return " ".join(parts)


def _beside(first: Box, last: Box) -> str:
    """An arrow of a circle: forth in or below the row, back in or above it."""
    ahead = first.x < last.x
    left, right = (first, last) if ahead else (last, first)
    if right.x - (left.x + left.width) <= COLUMN_GAP + BEND:
        begin, end = (first.x + first.width, last.x) if ahead else (first.x, last.x + last.width)
        return f"M{begin:.1f} {first.y + BOX_HEIGHT / 2 + (4 if ahead else -4):.1f} H{end:.1f}"
    side, beyond = (first.y + BOX_HEIGHT, DIP) if ahead else (first.y, -DIP)
    a, b, out = first.middle, last.middle, side + beyond
    return f"M{a:.1f} {side:.1f} C{a:.1f} {out:.1f} {b:.1f} {out:.1f} {b:.1f} {side:.1f}"


def _width(label: str) -> float:
    return len(label) * CHARACTER + 18
