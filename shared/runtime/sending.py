"""What a topic takes: batches of its size, one after the other, and what it refuses for good. No connection.

The broker says only that a batch is too large, never how large one may be. So a refused batch is halved until
its halves go through, and the size is remembered for a while: the next rounds begin with what fits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    KafkaStorageError,
    MessageSizeTooLargeError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
)

TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
REFUSALS: Final = (
    *TOO_LARGE,
    CorruptRecordException,
    InvalidTimestampError,
    PolicyViolationError,
    UnsupportedForMessageFormatError,
)
"""The broker took nothing of the batch, and never will as it is."""
REMEMBER_SECONDS: Final = 600.0
"""So long a topic counts as one that takes no more; somebody may have raised its limit since."""
RECORD_OVERHEAD: Final = 100
"""More than the bytes of a record beside its key, its value and its headers."""

Key = tuple[str, str]


class Fault(NamedTuple):
    """What is wrong with a broker, and what somebody does about it."""

    wrong: str
    todo: str


_RIGHTS: Final = Fault(
    "the broker does not let the service write",
    "grant it WRITE and DESCRIBE; deploy/kafka/acls.yaml has the rights",
)
_REPLICAS: Final = Fault(
    "fewer replicas are in sync than the topic wants",
    "bring the brokers back; see min.insync.replicas of the topic",
)
FAULTS: Final[tuple[tuple[type[KafkaError], Fault], ...]] = (
    (TopicAuthorizationFailedError, _RIGHTS),
    (ClusterAuthorizationFailedError, _RIGHTS),
    (NotEnoughReplicasError, _REPLICAS),
    (NotEnoughReplicasAfterAppendError, _REPLICAS),
    (UnknownTopicOrPartitionError, Fault("a topic is gone", "create it: deploy/kafka/topics.yaml")),
    (InvalidTopicError, Fault("a topic cannot be written", "create it anew: deploy/kafka/topics.yaml")),
    (KafkaStorageError, Fault("the disk of a broker fails", "look into the log of the broker")),
)


def fault_of(trouble: BaseException) -> Fault | None:
    """What is wrong with the broker, where it says so itself; None for trouble that passes."""
    return next((fault for kind, fault in FAULTS if isinstance(trouble, kind)), None)


class Refused(Exception):
    """The broker refuses these rows of one partition for good; nothing of them is in the log."""

    def __init__(self, rows: Sequence[Any], size: int, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.rows, self.size, self.error = rows, size, error

    @property
    def is_too_large(self) -> bool:
        return isinstance(self.error, TOO_LARGE)


@dataclass(slots=True)
class _Limit:
    most: int
    refuses_from: int | None
    until: float


@dataclass(slots=True)
class Limits:
    """What each topic was found to take, in bytes, for a while. `at` is always the monotonic clock."""

    _topics: dict[str, _Limit] = field(default_factory=dict)

    def most(self, topic: str, at: float) -> int | None:
        """The largest batch that is worth a try; None where nothing was refused lately."""
        limit = self._limit(topic, at)
        return limit.most if limit is not None else None

    def knows(self, topic: str) -> bool:
        """Whether something of this topic was ever refused."""
        return topic in self._topics

    def is_hopeless(self, topic: str, size: int, at: float) -> bool:
        """Whether a single record of this size was refused lately."""
        limit = self._limit(topic, at)
        return limit is not None and limit.refuses_from is not None and size >= limit.refuses_from

    def learn(self, topic: str, refused: Refused, at: float) -> None:
        """A batch was refused: the next one is half as large, or of one row."""
        limit = self._limit(topic, at) or _Limit(refused.size, None, 0.0)
        alone = len(refused.rows) == 1
        most = limit.most if alone else min(limit.most, refused.size // 2) if refused.is_too_large else 1
        least = limit.refuses_from
        if alone and refused.is_too_large:
            least = refused.size if least is None else min(least, refused.size)
        self._topics[topic] = _Limit(most, least, at + REMEMBER_SECONDS)

    def forget(self, topic: str) -> None:
        """Somebody says that the topic takes more by now."""
        self._topics.pop(topic, None)

    def _limit(self, topic: str, at: float) -> _Limit | None:
        limit = self._topics.get(topic)
        return limit if limit is not None and at < limit.until else None


def size_of(key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> int:
    """At least as many bytes as a record takes in a batch."""
    return len(key) + len(value) + RECORD_OVERHEAD + sum(len(name) + len(text) + 10 for name, text in headers)


def shares(sizes: Sequence[int], most: int | None) -> Iterator[slice]:
    """Consecutive shares of at most so many bytes, or of one row."""
    begin, total = 0, 0
    for number, size in enumerate(sizes):
        if number > begin and most is not None and total + size > most:
            yield slice(begin, number)
            begin, total = number, 0
        total += size
    if begin < len(sizes):
        yield slice(begin, len(sizes))
