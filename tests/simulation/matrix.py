"""Which check catches which planted bug, at which seed and step."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.bugs import Bug
from tests.simulation.checks import Violation
from tests.simulation.engine import run_seed

MOST_SEEDS = 40


@dataclass(slots=True, frozen=True)
class Caught:
    """How a bug was noticed; no violation when it never was."""

    bug: Bug
    seed: int
    step: int
    violation: Violation | None


def catch(bug: Bug) -> Caught:
    """Runs seeds with the bug in place until a check notices it."""
    with bug.planted():
        for seed in range(1, MOST_SEEDS + 1):
            outcome = run_seed(seed)
            if outcome.violation is not None:
                return Caught(bug, seed, outcome.step, outcome.violation)
    return Caught(bug, MOST_SEEDS, 0, None)


def table(caught: Iterable[Caught]) -> str:
    """The matrix as a Markdown table."""
    rows = ["| planted bug | caught by | seed | step |", "|---|---|---|---|"]
    for one in caught:
        check = one.violation.check if one.violation else "**nothing**"
        rows.append(f"| {one.bug.name} | {check} | {one.seed} | {one.step} |")
    return "\n".join(rows)
