"""Says what was measured: a table on the screen and in a file, a picture, and results.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import orjson

from benchmarks.goals import Result
from benchmarks.machine import sentence

HERE = Path(__file__).parent
REACHED, MISSED, INK = "#2a7f62", "#c2543c", "#333333"


def table(results: Sequence[Result]) -> str:
    """The goals as text, one a line."""
    lines = [f"{'goal':<18}{'median':>9}  {'wanted':<20}{'':<9}  {'runs':<34}  {'sides':<18}  what"]
    for result in results:
        goal = result.goal
        wanted = f"{'<=' if goal.at_most else '>='} {goal.goal:g} {goal.unit}".rstrip()
        runs = " ".join(f"{run:.3g}" for run in result.runs)
        verdict = "reached" if result.reached else "short"
        sides = " : ".join(f"{side:,.0f}" for side in result.document()["sides"])
        figures = f"{result.value:>9.3g}  {wanted:<20}{verdict:<9}  {runs:<34}  {sides:<18}"
        lines.append(f"{goal.name:<18}{figures}  {goal.says}")
    return "\n".join(lines)


def write(machine: dict[str, Any], results: Sequence[Result], directory: Path = HERE) -> None:
    """Writes results.json, results.txt and results.svg."""
    document = {"machine": machine, "goals": {r.goal.name: r.document() for r in results}}
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (directory / "results.json").write_bytes(orjson.dumps(document, option=options))
    (directory / "results.txt").write_text(f"{sentence(machine)}\n\n{table(results)}\n")
    _draw(machine, results, directory / "results.svg")


def _draw(machine: dict[str, Any], results: Sequence[Result], file: Path) -> None:
    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 0.62 * len(results) + 1.7))
    shown = list(reversed(results))
    for place, result in enumerate(shown):
        colour = REACHED if result.reached else MISSED
        axes.barh(place, _share(result, result.value), height=0.55, color=colour)
        axes.plot([_share(result, run) for run in result.runs], [place] * len(result.runs), "|", color=INK)
        sign, unit = ("≤" if result.goal.at_most else "≥"), result.goal.unit
        text = f"{result.value:.3g}{unit and ' ' + unit}  (goal {sign} {result.goal.goal:g})"
        axes.text(_share(result, result.value) * 1.04, place, text, va="center", color=INK, fontsize=9)
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.3), max(high * 4, 10))
    axes.set_yticks(range(len(shown)), [f"{r.goal.name}: {r.goal.says}" for r in shown], fontsize=9)
    axes.set_xlabel("times the goal (right of the dashed line it is reached)", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Pawl against its goals: medians; the small strokes are the single runs", fontsize=11)
    figure.text(0.01, 0.01, sentence(machine), fontsize=6.5, color=INK)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def _share(result: Result, value: float) -> float:
    return result.goal.goal / value if result.goal.at_most else value / result.goal.goal
