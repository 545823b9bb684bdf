"""How many messages one transaction takes: halved when time is short, doubled when one went well. No I/O."""

from dataclasses import dataclass
from typing import Final

MOST: Final = 100_000
"""More than any poll gives out: no limit."""


@dataclass(slots=True)
class BatchSize:
    """What one transaction of a process takes at most."""

    most: int = MOST

    def halve(self, tried: int) -> None:
        """So many were too many."""
        self.most = max(1, min(self.most, tried // 2))

    def grow(self, done: int) -> None:
        """So many went well; only a full share says that more may go well too."""
        if done >= self.most:
            self.most = min(MOST, self.most * 2)
