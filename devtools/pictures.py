"""README's pictures and the figures of docs/replay.md, most of them drawn from a recorded run of the demo.

    make demo ARGS="--record docs/images/demo.json"     # a new run
    make pictures                                       # draws what it recorded

A test draws them again and fails where they are not what the code prints.
"""

import io
import re
import sys
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from devtools.diagrams import architecture, race, serial_life
from ops.replay.recording import Recording
from ops.replay.result import print_result
from ops.watch.story.timeline import print_story

ROOT: Final = Path(__file__).parents[1]
RECORD: Final = ROOT / "docs" / "images" / "demo.json"
GUIDE: Final = ROOT / "docs" / "replay.md"
COLUMNS: Final = 80
"""As wide as a terminal that nobody has made wider."""
STORY_COLUMNS: Final = 110
"""The longest line of a story is not wrapped."""
STORY_LINES: Final = 44
"""Of a story its beginning: a picture of eighty lines is none."""
PAWL: Final = ".venv/bin/pawl"
"""How a shell calls it that has just run `make demo` in a new checkout."""

_OUTCOME: Final = re.compile(r"^(\| `[^|]+\|[^|]+\|)[^|]+\|$", re.MULTILINE)


def draw(recording: Recording) -> dict[str, str]:
    """Each picture, as SVG, by the name of its file."""
    figures, order, whole = _console(COLUMNS), _console(STORY_COLUMNS), _console(STORY_COLUMNS)
    print_result(figures, recording.result, PAWL, "", running=True)
    print_story(whole, recording.story)
    lines = whole.export_text(styles=True).splitlines()
    for line in lines[:STORY_LINES]:
        order.print(Text.from_ansi(line), highlight=False)
    order.print(f"... and {len(lines) - STORY_LINES} lines more", style="dim")
    return {
        "demo.svg": _exported(figures, "make demo"),
        "order.svg": _exported(order, f"pawl order {recording.story.order_id}"),
        "race.svg": race(),
        "architecture.svg": architecture(),
        "serials.svg": serial_life(),
    }


def with_figures(guide: str, recording: Recording) -> str:
    """The guide to replays with how many lines ended how; a row of several outcomes has their sum."""
    head, title, tables = guide.partition("## Where a line ends")
    outcomes = recording.result.summary.document["outcomes"]

    def counted(row: re.Match[str]) -> str:
        names = re.findall(r"`([^`]+)`", row[1].split("|")[1])
        return f"{row[1]} {sum(outcomes.get(name, 0) for name in names):,} |"

    tables, further, rest = tables.partition("\n## ")
    return head + title + _OUTCOME.sub(counted, tables) + further + rest


def _console(columns: int) -> Console:
    return Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )


def _exported(console: Console, title: str) -> str:
    """The picture, in a font that every reader has: what shows a page may fetch none."""
    own = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    own = own.replace("Fira Code, monospace", "monospace")
    return console.export_svg(title=title, code_format=own, unique_id="picture")


def main() -> None:
    """Draws everything again."""
    recording = Recording.read(RECORD)
    for name, picture in draw(recording).items():
        RECORD.with_name(name).write_text(picture, encoding="utf-8")
    GUIDE.write_text(with_figures(GUIDE.read_text(encoding="utf-8"), recording), encoding="utf-8")
    sys.stdout.write(f"Drawn from {RECORD.relative_to(ROOT)}.\n")


if __name__ == "__main__":
    main()
