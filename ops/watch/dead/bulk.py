"""Ending many at once: over a list that does not change, one first, and no further than so many failures."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from ops.shell.output import Tell, is_at_terminal
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.watch.dead.names import Name, parse_name
from shared.clock import monotonic

SHOWN = 50
"""So many of each part of a list are printed; the file has all of them."""
TELL_EVERY_SECONDS = 2.0

Act = Callable[[Name], Awaitable[dict[str, Any]]]
"""Ends one of them: what came of it. Raises Problem."""


@dataclass(slots=True, frozen=True)
class Plan:
    """What would be ended, in order, and what would not and why (`hindrance`). `done` is past of `verb`."""

    verb: str
    done: str
    eligible: Sequence[dict[str, Any]]
    hindered: Sequence[dict[str, Any]]

    @classmethod
    def of(cls, verb: str, done: str, listed: Sequence[dict[str, Any]]) -> "Plan":
        """The plan for these rows. Raises Problem (exit code 4) where there are none."""
        if not listed:
            raise Problem("Nothing matches.", "See what there is: pawl dead ls", Exit.NOTHING_MATCHED)
        eligible = [row for row in listed if not row["hindrance"]]
        return cls(verb, done, eligible, [row for row in listed if row["hindrance"]])

    def lines(self) -> list[str]:
        """The plan as a person reads it."""
        would = [f"would {self.verb} {_row_text(row)}" for row in self.eligible]
        not_these = [f"not {row['name']}: {row['hindrance']}" for row in self.hindered]
        return [*_shortened(would), *_shortened(not_these)]

    def to_document(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {f"would_{self.verb}": list(self.eligible), "not_eligible": list(self.hindered)}


@dataclass(slots=True)
class Result:
    """What became of a plan: an outcome for each that was tried, and what was not tried any more."""

    plan: Plan
    outcomes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [outcome for outcome in self.outcomes if not outcome[self.plan.done]]

    @property
    def untried(self) -> list[str]:
        return [row["name"] for row in self.plan.eligible[len(self.outcomes) :]]

    def counts(self) -> dict[str, int]:
        """How many went which way."""
        failed = len(self.failures)
        return {
            self.plan.done: len(self.outcomes) - failed,
            "failed": failed,
            "not_tried": len(self.untried),
            "not_eligible": len(self.plan.hindered),
        }

    def to_document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {**self.counts(), "outcomes": self.outcomes, "untried": self.untried}


def confirm(plan: Plan, count: int | None) -> None:
    """Asks how many there are, unless `count` says so. Raises Problem where it is not that many."""
    there = len(plan.eligible)
    if count is None and not is_at_terminal():
        raise Problem(
            f"Say how many you mean: --count {there}", "Look first: the same without --yes.", Exit.USAGE
        )
    if count is None:
        count = typer.prompt(f"Type {there} to {plan.verb} them", type=int, err=True)
    if count != there:
        raise Problem(
            f"There are {there:,} by now, not {count:,}: nothing was done.",
            "Look again: the same without --yes. --save FILE keeps a list that does not change.",
        )


async def run(plan: Plan, act: Act, stop_at: int, tell: Tell) -> Result:
    """Ends one, and when that went well the others, in order; stops at so many failures."""
    result = Result(plan)
    total, next_at = len(plan.eligible), monotonic() + TELL_EVERY_SECONDS
    for number, row in enumerate(plan.eligible, start=1):
        result.outcomes.append(await _try(act, parse_name(row["name"]), plan.done))
        failed = len(result.failures)
        if failed >= stop_at or (failed and number == 1):
            break
        if number == 1 and total > 1:
            tell(f"{row['name']} was {plan.done}; the other {total - 1:,} follow")
        elif monotonic() >= next_at:
            next_at += TELL_EVERY_SECONDS
            tell(f"{number:,} of {total:,} tried, {failed:,} failed")
    return result


async def _try(act: Act, name: Name, done: str) -> dict[str, Any]:
    try:
        return await act(name)
    except Problem as problem:
        return {"name": str(name), done: False, "detail": problem.message}


def save(plan: Plan, file: Path) -> None:
    """Writes the list into a file: a name at the beginning of each line. Raises Problem."""
    lines = [f"{_row_text(row)}\n" for row in plan.eligible]
    with explain_os_errors("writing the list", file, "name another file"):
        file.write_text("".join(lines), encoding="utf-8")


def read_list(file: Path) -> list[Name]:
    """The names in such a file. Raises Problem."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(
            f"The list in {file} cannot be read: {error}", "--save FILE writes one.", Exit.USAGE
        ) from None
    return [parse_name(line.split()[0]) for line in lines if line.strip()]


def _row_text(row: dict[str, Any]) -> str:
    return f"{row['name']}  {row['type']}  {row['code']} {row['pointer']}  key {row['key']}"


def _shortened(lines: list[str]) -> list[str]:
    left_out = len(lines) - SHOWN
    return lines if left_out <= 0 else [*lines[:SHOWN], f"and {left_out:,} more"]
