"""README's diagrams, as SVG: who reads and writes which topic, a race for one unit, the life of a serial.

The first is drawn from the catalogue and deploy/kafka/acls.yaml. `make pictures` writes them.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from xml.sax.saxutils import escape

from devtools.packages import STYLE
from ops.shell.acls import acls
from shared.events.catalogue import SERVICES, TOPICS

COLOURS: Final = """
    .good { fill: #1a7f37; font-weight: 600 }
    .bad { fill: #cf222e; font-weight: 600 }
    .rail { stroke: #d0d7de; stroke-width: 2 }
    .writes { fill: #0969da }
    .reads { fill: #ffffff; stroke: #0969da; stroke-width: 2 }
    @media (prefers-color-scheme: dark) {
      .good { fill: #3fb950 }
      .bad { fill: #f85149 }
      .rail { stroke: #3d444d }
      .writes { fill: #4493f8 }
      .reads { fill: #0d1117; stroke: #4493f8 }
    }"""
HEAD: Final = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="head" d="M0 0 L8 4 L0 8 z"/></marker>'
)
WIDTH: Final = 800
DECIDES: Final = {
    "checkout": ("your shop", "pays and asks"),
    "orders": ("who gets a unit", "under one lock"),
    "serials": ("one serial", "for each unit"),
    "refunds": ("may it go back?", "payout, lock"),
    "invoices": ("drafts, merges,", "the month"),
}


def architecture() -> str:
    """A column for each service, a row for each topic: filled where it writes, open where it reads."""
    names = ("checkout", *SERVICES)
    places = {name: 228 + 128 * place for place, name in enumerate(names)}
    rows = {topic: 138 + 38 * place for place, topic in enumerate(TOPICS)}
    bottom = 138 + 38 * len(TOPICS)
    return _picture(
        "The four services, their topics and their schemas",
        bottom + 96,
        [
            *(part for name, x in places.items() for part in _service(name, x, bottom)),
            *(part for topic, y in rows.items() for part in _topic(topic, y, places)),
            f'<circle class="writes" cx="30" cy="{bottom + 76}" r="6"/>',
            _text(42, bottom + 80, "writes", "small"),
            f'<circle class="reads" cx="110" cy="{bottom + 76}" r="6"/>',
            _text(122, bottom + 80, "reads", "small"),
            _text(
                190,
                bottom + 80,
                "Kafka topics, keyed by order, partner or month. No service reads another's schema.",
                "small",
            ),
        ],
    )


def _service(name: str, x: int, bottom: int) -> Iterator[str]:
    yield f'<path class="rail" d="M{x} 86 V{bottom + 4}"/>'
    yield from _box(x - 58, 22, 116, 64, (name, *DECIDES[name]))
    if name in SERVICES:
        yield from _box(x - 58, bottom + 4, 116, 42, ("Postgres", f"schema {name}"))


def _topic(topic: str, y: int, places: dict[str, int]) -> Iterator[str]:
    writers = TOPICS[topic].writers
    readers = [name for name in places if topic in acls()[f"pawl_{name}"]["reads"]]
    touched = [places[name] for name in (*writers, *readers)]
    yield _text(18, y + 4, topic)
    yield f'<path class="between" d="M{min(touched)} {y} H{max(touched)}"/>'
    for kind, its in (("writes", writers), ("reads", readers)):
        yield from (f'<circle class="{kind}" cx="{places[name]}" cy="{y}" r="7"/>' for name in its)


def race() -> str:
    """One paid unit, asked to be issued and to be refunded at the same moment."""
    return _picture(
        "Two requests for one unit",
        352,
        [
            *_panel(18, "The usual way: look, then act"),
            *_box(38, 62, 150, 44, ("refunds", "its own table")),
            *_box(218, 62, 150, 44, ("serials", "its own table")),
            *_said(113, 138, "issued yet? no", "pays ₩1,760 back"),
            *_said(293, 138, "refunded yet? no", "issues the serial"),
            _arrow("M113 106 V120"),
            _arrow("M293 106 V120"),
            _arrow("M113 150 V196"),
            _arrow("M293 150 V196"),
            _middle(203, 262, "The serial is out, and the money is back.", "bad"),
            _middle(203, 286, "Both were right when they looked, and", "small"),
            _middle(203, 302, "no lock spans two services: each of them", "small"),
            _middle(203, 318, "passes all of its own tests.", "small"),
            *_panel(410, "Pawl: one row decides"),
            *_box(430, 62, 104, 44, ("refunds", "asks")),
            *_box(648, 62, 114, 44, ("checkout", "asks to issue")),
            *_box(486, 140, 220, 44, ("orders: the line's row", "paid 1  issuing 1  refunding 0")),
            _arrow("M482 106 V132 H540 V138"),
            _arrow("M705 106 V132 H652 V138"),
            _arrow("M540 184 V222"),
            _arrow("M652 184 V222"),
            _middle(506, 238, "refund.denied", ""),
            _middle(506, 254, "issued, 14:03:07", "small"),
            _middle(686, 238, "issuance.granted", ""),
            _middle(686, 254, "→ serials: one serial", "small"),
            _middle(595, 280, "One of both; the other learns why.", "good"),
            _middle(595, 304, "issuing + issued + refunding + refunded ≤ paid", "small"),
            _middle(595, 320, "is a CHECK of the database, under one lock.", "small"),
        ],
    )


def serial_life() -> str:
    """What becomes of a serial, who does it, and what stays."""
    return _picture(
        "The life of a serial",
        330,
        [
            *_box(18, 40, 132, 60, ("a paid unit", "can be refunded", "until it is granted")),
            *_box(246, 40, 150, 60, ("active", "stored as a hash", "and a cipher text")),
            *_box(606, 18, 176, 62, ("registered", "by one account,", "for 30 or 60 days")),
            *_box(606, 128, 176, 46, ("expired", "nobody registered it")),
            *_box(606, 226, 176, 46, ("revoked", "for ever: its hash stays")),
            *_box(246, 226, 150, 60, ("partner's file", "CSV or a workbook,", "with a watermark")),
            *_box(18, 226, 150, 60, ("custody log", "who took which,", "written first")),
            _arrow("M150 70 H242"),
            _middle(196, 62, "issued", "small"),
            _arrow("M396 58 H602"),
            _middle(498, 50, "a customer types it", "small"),
            _arrow("M396 76 H470 V151 H602"),
            _middle(538, 144, "91 days are over", "small"),
            _arrow("M396 90 H440 V249 H602"),
            _middle(522, 242, "leaked, or lost", "small"),
            _arrow("M694 226 V200 H346 V104"),
            _middle(516, 194, "reissued: another in its place, same deadline", "small"),
            _arrow("M296 100 V222"),
            _middle(262, 168, "handed out", "small"),
            _arrow("M246 256 H172"),
            _middle(
                400,
                312,
                "Live serials = units issued - revoked + reissued, which the auditor counts.",
                "good",
            ),
        ],
    )


def _panel(x: int, title: str) -> Iterator[str]:
    yield f'<rect class="area" x="{x}" y="18" width="372" height="316" rx="8"/>'
    yield _text(x + 18, 44, title, "title")


def _said(x: int, y: int, looks: str, acts: str) -> Iterator[str]:
    yield _middle(x, y, looks, "")
    yield _middle(x, y + 76, acts, "title")


def _box(x: int, y: int, width: int, height: int, lines: Iterable[str]) -> Iterator[str]:
    yield f'<rect class="box" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'
    for place, line in enumerate(lines):
        yield _middle(x + width // 2, y + 19 + 17 * place, line, "small" if place else "title")


def _arrow(path: str) -> str:
    return f'<path class="arrow" d="{path}" marker-end="url(#head)"/>'


def _middle(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'


def _picture(title: str, height: int, parts: Iterable[str]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"  <title>{escape(title)}</title>",
        f"  <style>\n{STYLE}{COLOURS}\n  </style>",
        f"  <defs>{HEAD}</defs>",
        f'  <rect class="page" width="{WIDTH}" height="{height}"/>',
        *(f"  {part}" for part in parts),
        "</svg>",
        "",
    ]
    return "\n".join(lines)
