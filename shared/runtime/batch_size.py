"""How much one transaction takes: halved when time is short, doubled when one went well."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from shared.runtime.retry import TRANSIENT, meaning_of_trouble
from shared.sqlstates import Concern

T = TypeVar("T")
MOST: Final = 100_000
"""More messages than any poll gives out: no limit."""
CUTS_BEFORE_HALVING: Final = 2
"""A transaction_timeout that strikes between two statements looks like a connection that broke. So many
transactions in a row that broke after they had begun mean that time is short."""


class BatchSize:
    """What one transaction takes at most, never more than at first."""

    __slots__ = ("_ceiling", "most")

    def __init__(self, ceiling: int = MOST) -> None:
        self._ceiling = self.most = ceiling

    def halve(self, tried: int) -> None:
        """So many were too many."""
        self.most = max(1, min(self.most, tried // 2))

    def grow(self, done: int) -> None:
        """So many went well; only a full share says that more may go well too."""
        if done >= self.most:
            self.most = min(self._ceiling, self.most * 2)


class Attempts:
    """One piece of work that is repeated until it goes well: what its trouble was, and how far it came."""

    __slots__ = ("_cuts", "has_begun", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.has_begun = False
        self._cuts = 0

    def is_short_of_time(self, concern: Concern) -> bool:
        """Whether the last try, which ended with trouble of this kind, was too large."""
        if self.size < 2:
            return False
        self._cuts = self._cuts + 1 if self.has_begun and concern is Concern.CONNECTION else 0
        is_late = self.has_begun and concern is Concern.TIME
        self.has_begun = False
        return is_late or self._cuts >= CUTS_BEFORE_HALVING


class WorkSize:
    """How much a worker that never ends does in one transaction, at most `ceiling`.

    It says when a transaction has begun, what its trouble was, and how much went well.
    """

    __slots__ = ("_attempts", "_size")

    def __init__(self, ceiling: int) -> None:
        self._size, self._attempts = BatchSize(ceiling), Attempts(ceiling)

    @property
    def most(self) -> int:
        """So much for the next transaction."""
        return self._attempts.size

    def begin(self) -> None:
        """The database answers: what ends the transaction now is about what is done in it."""
        self._attempts.has_begun = True

    def note(self, trouble: BaseException) -> None:
        """The transaction ended with this trouble; where time is short the next one does half as much."""
        meaning = meaning_of_trouble(trouble)
        if meaning is not None and self._attempts.is_short_of_time(meaning.concern):
            self._size.halve(self._attempts.size)
            self._attempts = Attempts(self._size.most)

    def grow(self, done: int) -> None:
        """So much went well."""
        self._size.grow(done)
        self._attempts = Attempts(self._size.most)


async def by_halves(work: Callable[[Sequence[T]], Awaitable[None]], items: Sequence[T]) -> None:
    """Does the work, a transaction each, for all of these, or where time is short for each half of them.

    Raises what else it meets, and a lack of time with a single one. What is done by then stays done.
    """
    try:
        await work(items)
    except TRANSIENT as trouble:
        if len(items) < 2 or not is_late(trouble):
            raise
    else:
        return
    middle = len(items) // 2
    await by_halves(work, items[:middle])
    await by_halves(work, items[middle:])


def is_late(trouble: BaseException) -> bool:
    """Whether the database says that something took too long."""
    meaning = meaning_of_trouble(trouble)
    return meaning is not None and meaning.concern is Concern.TIME
