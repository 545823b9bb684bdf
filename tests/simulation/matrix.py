"""Which check catches which planted bug, at which seed and step."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.bug import Bug
from tests.simulation.promises import Violation
from tests.simulation.seeds import is_tampered, run_seed

MOST_SEEDS = 200
OF_A_KIND = {
    kind: [seed for seed in range(1, 9 * MOST_SEEDS) if is_tampered(seed) is kind][:MOST_SEEDS]
    for kind in (True, False)
}
"""The seeds that are tried for a bug that shows in histories that are tampered with, and for others."""


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
        seeds = OF_A_KIND[bug.is_of_tampering]
        for seed in seeds:
            outcome = run_seed(seed)
            if outcome.violation is not None:
                return Caught(bug, seed, outcome.step, outcome.violation)
    return Caught(bug, seeds[-1], 0, None)


HEAD = ("| planted bug | caught by | seed | step |", "|---|---|---|---|")


def row(caught: Caught) -> str:
    """One line of the matrix."""
    check = caught.violation.check if caught.violation else "**nothing**"
    return f"| {caught.bug.name} | {check} | {caught.seed} | {caught.step} |"


def table(caught: Iterable[Caught]) -> str:
    """The matrix as a Markdown table."""
    return "\n".join([*HEAD, *map(row, caught)])
