"""`make packages` draws docs/images/packages.svg: who imports whom, from the imports as they are.

`ops` and `services` stand side by side on `shared`. Each room of ops is a box; orders is drawn open, because
the four services have one shape. Arrows point from the importer down to what it imports.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import grimp

from devtools.layers import BOX_HEIGHT, CHARACTER, Edge, Layout, lay_out
from shared.events.catalogue import SERVICES

ROOT: Final = Path(__file__).parents[1]
DRAWING: Final = ROOT / "docs" / "images" / "packages.svg"
PACKAGES: Final = ("ops", "services", "shared")
OPEN: Final = "services.orders"
PAD: Final = 18.0
TITLE: Final = 30.0
GAP: Final = 56.0

STYLE: Final = """\
    .page { fill: #ffffff }
    .area { fill: #f6f8fa; stroke: #d0d7de }
    .box { fill: #ffffff; stroke: #8c959f }
    text { fill: #1f2328; font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
    .title { font-weight: 600; font-size: 13px }
    .small { fill: #59636e; font-size: 11px }
    .arrow { fill: none; stroke: #8c959f; stroke-width: 1.2 }
    .between { fill: none; stroke: #0969da; stroke-width: 3 }
    .head { fill: #8c959f }
    .thick { fill: #0969da }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117 }
      .area { fill: #151b23; stroke: #3d444d }
      .box { fill: #212830; stroke: #656c76 }
      text { fill: #f0f6fc }
      .small { fill: #9198a1 }
      .arrow { stroke: #656c76 }
      .between { stroke: #4493f8 }
      .head { fill: #656c76 }
      .thick { fill: #4493f8 }
    }"""


@dataclass(slots=True)
class Area:
    """A package as a frame with its parts inside; `lines` stand below them as text."""

    name: str
    title: str
    layout: Layout
    lines: Sequence[str] = ()
    x: float = 0.0
    y: float = 0.0
    least: float = 0.0

    @property
    def width(self) -> float:
        text = max((len(line) for line in (self.title, *self.lines)), default=0) * CHARACTER
        return max(self.layout.width, text, self.least - 2 * PAD) + 2 * PAD

    @property
    def height(self) -> float:
        return TITLE + (self.layout.height + PAD if self.layout.height else 0) + 16 * len(self.lines) + 6


def part_of(module: str, package: str) -> str | None:
    """The part of a package that a module belongs to, None where it belongs elsewhere or is the package."""
    inner = module.removeprefix(f"{package}.")
    return inner.partition(".")[0] if inner != module else None


def imports_inside(graph: grimp.ImportGraph, package: str) -> tuple[set[str], set[Edge]]:
    """The parts of a package, and which of them imports which."""
    parts = {module: part for module in graph.modules if (part := part_of(module, package)) is not None}
    edges = {
        (part, parts[imported])
        for module, part in parts.items()
        for imported in graph.find_modules_directly_imported_by(module)
        if imported in parts and parts[imported] != part
    }
    return set(parts.values()), edges


def imports_between(graph: grimp.ImportGraph) -> Counter[Edge]:
    """How many imports lead from one of PACKAGES to another one."""
    pairs = (
        (module.partition(".")[0], imported.partition(".")[0])
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    )
    return Counter((of, to) for of, to in pairs if of != to)


def draw(graph: grimp.ImportGraph) -> str:
    """The whole drawing as SVG."""
    ops = _area(graph, "ops", "ops: the command pawl")
    opened = _area(graph, OPEN, f"{OPEN}, drawn open")
    closed = [_closed(graph, name) for name in SERVICES if f"services.{name}" != OPEN]
    shared = _area(graph, "shared", "shared: what every service needs")
    services = _arrange(ops, opened, closed, shared)
    areas = [ops, services, opened, *closed, shared]
    width, height = services.x + services.width + PAD, shared.y + shared.height + PAD
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        "  <title>Who imports whom in Pawl</title>",
        f"  <style>\n{STYLE}\n  </style>",
        "  <defs>",
        _marker("head", 7),
        _marker("thick", 4),
        "  </defs>",
        f'  <rect class="page" width="{width:.0f}" height="{height:.0f}"/>',
        *(line for area in areas for line in _draw_area(area)),
        *_draw_between(imports_between(graph), {"ops": ops, "services": services, "shared": shared}),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the drawing anew."""
    text = draw(grimp.build_graph(*PACKAGES))
    changed = not DRAWING.exists() or DRAWING.read_text(encoding="utf-8") != text
    DRAWING.write_text(text, encoding="utf-8")
    print(f"{DRAWING.relative_to(ROOT)}: {'drawn anew' if changed else 'nothing to change'}")
    return 0


def _area(graph: grimp.ImportGraph, package: str, title: str) -> Area:
    parts, edges = imports_inside(graph, package)
    return Area(package, title, lay_out(parts, edges))


def _closed(graph: grimp.ImportGraph, service: str) -> Area:
    """A service as the list of its parts."""
    package = f"services.{service}"
    parts, _ = imports_inside(graph, package)
    return Area(package, package, Layout(), list(_wrapped(sorted(parts), 30)))


def _wrapped(words: Iterable[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 2 + len(word) > width:
            yield f"{line},"
            line = word
        else:
            line = f"{line}, {word}" if line else word
    yield line


def _arrange(ops: Area, opened: Area, closed: Sequence[Area], shared: Area) -> Area:
    """ops at the left, services in a frame at the right, shared below both; the frame of the services."""
    ops.x, ops.y = PAD, PAD
    frame_x = ops.x + ops.width + 2 * PAD
    opened.x, opened.y = frame_x + PAD, PAD + TITLE
    column, y = max(area.width for area in closed), opened.y
    for area in closed:
        area.x, area.y, area.least = opened.x + opened.width + PAD, y, column
        y += area.height + PAD
    inner = Layout(opened.width + PAD + column, max(opened.height, y - PAD - opened.y))
    services = Area("services", "services: four folds of one shape, which never import each other", inner)
    services.x, services.y = frame_x, PAD
    shared.x, shared.y = PAD, max(ops.y + ops.height, services.y + services.height) + GAP
    shared.least = services.x + services.width - PAD
    return services


def _draw_area(area: Area) -> Iterator[str]:
    yield f'  <g transform="translate({area.x:.1f} {area.y:.1f})">'
    yield f'    <rect class="area" width="{area.width:.1f}" height="{area.height:.1f}" rx="8"/>'
    yield f'    <text class="title" x="{PAD:.0f}" y="20">{escape(area.title)}</text>'
    left = (area.width - area.layout.width) / 2
    yield f'    <g transform="translate({left:.1f} {TITLE:.0f})">'
    for edge in sorted(area.layout.arrows):
        yield f'      <path class="arrow" marker-end="url(#head)" d="{area.layout.arrows[edge]}"/>'
    for name, box in sorted(area.layout.boxes.items()):
        yield (
            f'      <rect class="box" x="{box.x:.1f}" y="{box.y:.1f}" '
            f'width="{box.width:.1f}" height="{box.height:.0f}" rx="4"/>'
        )
        x, y = box.middle, box.y + BOX_HEIGHT / 2 + 4
        yield f'      <text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(name)}</text>'
    yield "    </g>"
    for number, line in enumerate(area.lines):
        y = area.layout.height + TITLE + 12 + 16 * number
        yield f'    <text class="small" x="{PAD:.0f}" y="{y:.1f}">{escape(line)}</text>'
    yield "  </g>"


def _draw_between(between: Counter[Edge], areas: dict[str, Area]) -> Iterator[str]:
    """One thick arrow for each pair of which one imports the other, with the number of imports."""
    for (of, to), count in sorted(between.items()):
        start, end = areas[of], areas[to]
        x, y = start.x + start.width / 2, start.y + start.height
        below = f"V{end.y - 4:.1f}"
        aside = f"V{y + GAP / 3:.1f} H{end.x + end.width / 3:.1f} v-{GAP / 3 - 4:.1f}"
        way = below if end.y > y else aside
        yield f'  <path class="between" marker-end="url(#thick)" d="M{x:.1f} {y:.1f} {way}"/>'
        yield f'  <text class="small" x="{x + 8:.1f}" y="{y + 14:.1f}">{count} imports</text>'


def _marker(name: str, size: int) -> str:
    return (
        f'    <marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="{size}" '
        f'markerHeight="{size}" orient="auto"><path class="{name}" d="M0 0 L8 4 L0 8 z"/></marker>'
    )


if __name__ == "__main__":
    sys.exit(main())
