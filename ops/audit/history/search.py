"""Finds an order of the operations that explains every event: linearizability of one order, by backtracking.

An operation took effect at some moment after it was asked for and before the first event that it caused was
seen. Any order that respects this and that the model allows is an explanation; none is a violation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ops.audit.history.decisions import decide
from ops.audit.history.model import Operation, Order, Outcome

MOST_STEPS = 50_000


@dataclass(slots=True, frozen=True)
class Observed:
    """An operation, when it may have taken effect, and the events that followed.

    `end` is None where no event followed. Unless it is `complete`, more events may follow later.
    """

    operation: Operation
    begin: datetime
    end: datetime | None
    outcome: Outcome
    complete: bool = True


@dataclass(slots=True)
class Explained:
    """The result. `finals` are the orders that may have come out, `why` what spoils the best attempt."""

    finals: list[Order] = field(default_factory=list)
    why: str = ""
    undecided: bool = False
    deepest: int = -1


def explain(observed: Sequence[Observed]) -> Explained:
    """Searches for an order of the operations. Gives up undecided after MOST_STEPS."""
    explained = Explained()
    seen: set[tuple[Order, frozenset[int]]] = set()
    stack: list[tuple[Order, frozenset[int]]] = [(Order(), frozenset(range(len(observed))))]
    while stack and len(seen) < MOST_STEPS:
        order, rest = stack.pop()
        if (order, rest) in seen:
            continue
        seen.add((order, rest))
        if all(observed[index].end is None for index in rest):
            explained.finals.append(order)
        reasons = []
        for index in _possible(observed, rest):
            after = _after(order, observed[index])
            if isinstance(after, str):
                reasons.append(after)
            else:
                stack.append((after, rest - {index}))
        _note(explained, len(observed) - len(rest), reasons)
    explained.undecided = bool(stack) and not explained.finals
    return explained


def _possible(observed: Sequence[Observed], rest: frozenset[int]) -> list[int]:
    """What may have come next: nothing that was asked for after the effect of another one was seen."""
    ends = [end for index in rest if (end := observed[index].end) is not None]
    first = min(ends, default=None)
    return [i for i in sorted(rest, reverse=True) if first is None or observed[i].begin <= first]


def _after(order: Order, observed: Observed) -> Order | str:
    """The order after the operation, or what is wrong with the events that followed it."""
    outcomes = []
    for after, outcome in decide(order, observed.operation):
        begins_so = outcome[: len(observed.outcome)] == observed.outcome
        if outcome == observed.outcome or (not observed.complete and begins_so):
            return after
        outcomes.append(outcome)
    return _complaint(order, observed, outcomes)


def _complaint(order: Order, observed: Observed, outcomes: Sequence[Outcome]) -> str:
    right = " or ".join(_text(outcome) for outcome in outcomes) or "nothing yet"
    left = ", ".join(f"{line.open} of line {name}" for name, line in order.lines) or "no units"
    state = f"the order is {order.status} with {left} and {order.left.total} won left"
    what = f"{observed.operation.kind} {observed.operation.id}"
    return f"{what} led to {_text(observed.outcome)}; {state}, so right would be {right}"


def _text(outcome: Outcome) -> str:
    return ", ".join(" ".join(str(part) for part in event) for event in outcome) or "no event"


def _note(explained: Explained, depth: int, reasons: Sequence[str]) -> None:
    if reasons and depth > explained.deepest:
        explained.deepest, explained.why = depth, reasons[-1]
