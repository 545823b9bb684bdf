"""Where the minutes of `.ci/run` go, drawn from what it has measured.

    python -m tests.support.minutes .ci/steps.jsonl     (make minutes)

writes docs/images/minutes.json and docs/images/minutes.svg. A step inside another is drawn below it,
in a lighter colour; what runs in the background has a line of its own.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import orjson

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
WIDTH, LEFT, RIGHT, ROW, TOP = 880, 270, 70, 24, 34
OUTER, INNER, BACKGROUND = "#2f5d8a", "#9dbbd8", "#c9a227"


@dataclass(slots=True, frozen=True)
class Step:
    """One step: from which second of the run on, and for how many seconds."""

    name: str
    began: int
    seconds: int

    @property
    def ended(self) -> int:
        return self.began + self.seconds

    def holds(self, other: "Step") -> bool:
        """Whether the other runs inside this one."""
        return self.began <= other.began and other.ended <= self.ended and self.seconds > other.seconds

    @property
    def is_in_the_background(self) -> bool:
        return "(in the background)" in self.name


def measured(lines: Iterable[str]) -> list[Step]:
    """What tests/support/step.sh has written, in the order in which the steps began."""
    told = [orjson.loads(line) for line in lines if line.strip()]
    first = min(one["began"] for one in told)
    steps = [Step(one["step"], one["began"] - first, one["seconds"]) for one in told]
    return sorted(steps, key=lambda step: (step.began, -step.seconds))


def draw(steps: Sequence[Step]) -> str:
    """The picture as SVG: a line for each step, from left to right."""
    total = max(step.ended for step in steps)
    scale = (WIDTH - LEFT - RIGHT) / total
    height = TOP + ROW * len(steps) + 12
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for minute in range(0, total // 60 + 1, 5):
        x = LEFT + minute * 60 * scale
        parts.append(f'<path d="M{x:.1f} {TOP - 8}V{height - 8}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{x:.1f}" y="18" text-anchor="middle" fill="#666">{minute} min</text>')
    for row, step in enumerate(steps):
        parts += _line(step, steps, TOP + ROW * row, scale)
    return "\n".join([*parts, "</svg>", ""])


def _line(step: Step, steps: Sequence[Step], y: int, scale: float) -> list[str]:
    inside = _is_inside(step, steps)
    colour = BACKGROUND if step.is_in_the_background else INNER if inside else OUTER
    x, width = LEFT + step.began * scale, max(step.seconds * scale, 1)
    indent = 24 if inside else 8
    return [
        f'<text x="{indent}" y="{y + 15}" fill="{"#555" if inside else "#111"}">{escape(step.name)}</text>',
        f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 7}" rx="2" fill="{colour}"/>',
        f'<text x="{x + width + 6:.1f}" y="{y + 15}" fill="#333">{_duration(step.seconds)}</text>',
    ]


def _is_inside(step: Step, steps: Sequence[Step]) -> bool:
    return not step.is_in_the_background and any(
        other.holds(step) for other in steps if not other.is_in_the_background
    )


def _duration(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"


def kept() -> list[Step]:
    """The steps of the run that docs/testing.md shows."""
    return [Step(**one) for one in orjson.loads((IMAGES / "minutes.json").read_bytes())]


def main(file: str) -> None:
    steps = measured(Path(file).read_text().splitlines())
    document = orjson.dumps(
        [asdict(step) for step in steps], option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
    (IMAGES / "minutes.json").write_bytes(document)
    (IMAGES / "minutes.svg").write_text(draw(steps))


if __name__ == "__main__":
    main(sys.argv[1])
