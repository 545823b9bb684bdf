"""Which check catches which planted bug, at which seed and step."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.bug import Bug
from tests.simulation.promises import Violation
from tests.simulation.seeds import is_in_steps, is_tampered, run_seed

MOST_SEEDS = 200


def seeds_for(bug: Bug) -> list[int]:
    """The seeds that are tried for a bug: those of the kind of histories that it shows in."""
    if bug.is_in_steps:
        return [seed for seed in range(1, 9 * MOST_SEEDS) if is_in_steps(seed)][:MOST_SEEDS]
    return [seed for seed in range(1, 9 * MOST_SEEDS) if is_tampered(seed) is bug.is_of_tampering][
        :MOST_SEEDS
    ]


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
        seeds = seeds_for(bug)
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
