"""What keeps a process from going on, since when, and what to do about it: for its health and its log."""

from dataclasses import dataclass, field
from typing import Any, Final

PATIENCE_SECONDS: Final = 3.0
"""What passes sooner is nobody's business."""


@dataclass(slots=True, frozen=True)
class Trouble:
    """Something that somebody has to mend: where, since when (seconds, monotonic), what is wrong, what to do.

    `said` is what the server answered.
    """

    part: str
    since: float
    wrong: str
    todo: str
    said: str

    def text(self, at: float) -> str:
        """One sentence for people."""
        return f"{self.part} repeats for {at - self.since:.0f} s: {self.wrong} ({self.said})"


@dataclass(slots=True)
class Troubles:
    """The troubles of one process. Each piece of work notes its own, by its own token, until it is over."""

    _current: dict[Any, Trouble] = field(default_factory=dict)

    def note(self, token: Any, part: str, wrong: str, todo: str, said: str, at: float) -> None:
        """A piece of work could not go on; how long it cannot counts from the first time."""
        before = self._current.get(token)
        since = before.since if before is not None else at
        self._current[token] = Trouble(part, since, wrong, todo, said)

    def over(self, token: Any) -> None:
        """That piece of work went on, or ended."""
        self._current.pop(token, None)

    def lasting(self, at: float) -> list[Trouble]:
        """What has lasted for a while, the oldest first, each fault of a part once."""
        found: dict[tuple[str, str], Trouble] = {}
        for trouble in sorted(self._current.values(), key=lambda trouble: trouble.since):
            if at - trouble.since >= PATIENCE_SECONDS:
                found.setdefault((trouble.part, trouble.wrong), trouble)
        return list(found.values())
