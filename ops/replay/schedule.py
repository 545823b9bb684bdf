"""Which steps of a history may be published now, and which months may be closed. Pure.

Order matters within one record key only. Refund requests that follow each other go together: a key's events
keep their order on every topic, so they are decided in the order of the history, however many are on their
way. Anything else waits until everything that follows from the steps before is settled: a refund travels from
the refunds service to orders, while an issuance goes to orders at once, so side by side the faster one would
win, and no two replays would end alike.

A close takes the payments of its month as they are. It waits for what their orders did before the cut-off,
and what these do afterwards waits for the close; nobody else does.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile

from ops.replay.plan import Close, Step, StepKind
from shared import kst


@dataclass(slots=True)
class _Key:
    """What one record key has left, as groups of steps that go together; `month` is that of its first step.

    The last `after_close` groups wait for the close of that month.
    """

    month: str
    groups: deque[list[Step]] = field(default_factory=deque)
    after_close: int = 0

    def goes_along(self, step: Step) -> bool:
        """Whether the step may go with those before it."""
        return bool(self.groups) and {step.kind, self.groups[-1][-1].kind} == {StepKind.REFUND}


class Schedule:
    """A history while it is played. `ready` are the keys that may go on, those that have begun first."""

    def __init__(self, history: Iterable[Step | Close]) -> None:
        self.ready: deque[str] = deque()
        self._keys: dict[str, _Key] = {}
        self._closes: deque[Close] = deque()
        self._open: Counter[str] = Counter()
        self._held: dict[str, list[str]] = {}
        for entry in history:
            if isinstance(entry, Close):
                self._closes.append(entry)
                self._held[entry.month] = []
            else:
                self._add(entry)

    @property
    def next_close(self) -> Close | None:
        """The close of the earliest month that is still open."""
        return self._closes[0] if self._closes else None

    @property
    def due(self) -> list[Close]:
        """The next closes of which everything that they take is settled."""
        return list(takewhile(lambda close: not self._open[close.month], self._closes))

    def take(self, key: str) -> list[Step]:
        """The steps of a key that go next and together; none when it has none left or waits for a close."""
        left = self._keys[key]
        if not left.groups:
            return []
        if len(left.groups) <= left.after_close and left.month in self._held:
            self._held[left.month].append(key)
            return []
        return left.groups.popleft()

    def settle(self, step: Step) -> None:
        """Everything that follows from a step is answered."""
        month = self._keys[step.key].month
        if self._open[month]:
            self._open[month] -= 1

    def close(self) -> None:
        """The next month is closed: the keys that waited for it go on before others begin."""
        self.ready.extendleft(self._held.pop(self._closes.popleft().month))

    def _add(self, step: Step) -> None:
        key = self._keys.get(step.key)
        if key is None:
            key = self._keys[step.key] = _Key(kst.month_of(step.time))
            self.ready.append(step.key)
        closed = key.month in self._held
        if not key.goes_along(step) or (closed and not key.after_close):
            key.groups.append([])
            key.after_close += closed
        key.groups[-1].append(step)
        self._open[key.month] += not closed
