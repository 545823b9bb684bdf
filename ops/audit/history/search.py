"""Is there an order of the deeds that explains everything told? Per-order linearizability, with backtracking.

A deed happened at some moment after it was asked and before the first fact that it caused was seen. Any order
that respects this and that the model allows is an explanation; none is a violation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ops.audit.history.model import Deed, Order, Outcome, decide

MOST_STEPS = 50_000


@dataclass(slots=True, frozen=True)
class Happening:
    """A deed, when it may have happened, and what was told of it. `end` None: nothing was told."""

    deed: Deed
    begin: datetime
    end: datetime | None
    outcome: Outcome
    whole: bool = True


@dataclass(slots=True)
class Explained:
    """The result. `final` are the orders that may have come out, `why` what spoils the best attempt."""

    finals: list[Order] = field(default_factory=list)
    why: str = ""
    undecided: bool = False
    deepest: int = -1


def explain(happenings: Sequence[Happening]) -> Explained:
    """Searches an order. Gives up undecided after MOST_STEPS."""
    explained = Explained()
    seen: set[tuple[Order, frozenset[int]]] = set()
    stack: list[tuple[Order, frozenset[int]]] = [(Order(), frozenset(range(len(happenings))))]
    while stack and len(seen) < MOST_STEPS:
        order, rest = stack.pop()
        if (order, rest) in seen:
            continue
        seen.add((order, rest))
        if all(happenings[index].end is None for index in rest):
            explained.finals.append(order)
        reasons = []
        for index in _possible(happenings, rest):
            after = _after(order, happenings[index])
            if isinstance(after, str):
                reasons.append(after)
            else:
                stack.append((after, rest - {index}))
        _note(explained, len(happenings) - len(rest), reasons)
    explained.undecided = bool(stack) and not explained.finals
    return explained


def _possible(happenings: Sequence[Happening], rest: frozenset[int]) -> list[int]:
    """What may have happened next: nothing that was asked after something else was already told."""
    ends = [end for index in rest if (end := happenings[index].end) is not None]
    first = min(ends, default=None)
    return [i for i in sorted(rest, reverse=True) if first is None or happenings[i].begin <= first]


def _after(order: Order, happening: Happening) -> Order | str:
    outcomes = []
    for after, outcome in decide(order, happening.deed):
        if outcome == happening.outcome or (
            not happening.whole and outcome[: len(happening.outcome)] == happening.outcome
        ):
            return after
        outcomes.append(outcome)
    return _complaint(order, happening, outcomes)


def _complaint(order: Order, happening: Happening, outcomes: Sequence[Outcome]) -> str:
    right = " or ".join(_said(outcome) for outcome in outcomes) or "nothing yet"
    left = ", ".join(f"{bag.open} of line {name}" for name, bag in order.bags) or "no units"
    state = f"the order is {order.status} with {left} and {order.left.total} won left"
    what = f"{happening.deed.kind} {happening.deed.id}"
    return f"{what} led to {_said(happening.outcome)}; {state}, so right would be {right}"


def _said(outcome: Outcome) -> str:
    return ", ".join(" ".join(str(part) for part in told) for told in outcome) or "no fact"


def _note(explained: Explained, depth: int, reasons: Sequence[str]) -> None:
    if reasons and depth > explained.deepest:
        explained.deepest, explained.why = depth, reasons[-1]
