"""Fresh identifiers and random bytes: the only place that asks the machine for either.

Ids are UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then 74 bits that start random and are
counted up while the millisecond stands still. Inside one process they strictly increase, so index inserts
append; between processes the random bits keep them apart.
"""

import os
import struct
import threading
import time
from uuid import UUID, SafeUUID

RUN_LIMIT = 1 << 24
"""The most ids that one run can hold."""

_RANDOM_BITS = 74
_LOW_BITS = 62
_LOW_MASK = (1 << _LOW_BITS) - 1
_MIDDLE_MASK = (1 << 12) - 1
_FIXED_BITS = (7 << 76) | (2 << 62)


class _Counter:
    """The 122 free bits of the last id handed out, guarded against other threads."""

    __slots__ = ("_last", "_lock")

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def take(self) -> int:
        with self._lock:
            self._last = self._fresh()
            return self._last

    def take_many(self, count: int) -> list[int]:
        steps = struct.unpack(f"<{count}I", os.urandom(4 * count))
        values = []
        with self._lock:
            value = self._fresh()
            for step in steps:
                value += step + 1
                values.append(value)
            self._last = value
        return values

    def take_run(self, count: int) -> int:
        with self._lock:
            first = (self._fresh() // RUN_LIMIT + 1) * RUN_LIMIT
            self._last = first + count - 1
            return first

    def _fresh(self) -> int:
        milliseconds = time.time_ns() // 1_000_000
        random = int.from_bytes(os.urandom(10), "big") >> (80 - _RANDOM_BITS)
        value = (milliseconds << _RANDOM_BITS) | random
        # Same millisecond, or a clock set back: count on from the last id, by a step nobody can foresee.
        return value if value > self._last else self._last + 1 + (random & 0xFFFF_FFFF)


_counter = _Counter()


def uuid7() -> UUID:
    """One new id, greater than every id this process has handed out."""
    return _uuid_of(_counter.take())


def uuid7_batch(count: int) -> list[UUID]:
    """`count` new ids, strictly increasing."""
    return [_uuid_of(value) for value in _counter.take_many(count)]


def uuid7_run(count: int) -> UUID:
    """Reserve `count` consecutive ids and return the first.

    The others are `UUID(int=first.int + n)` for n < count; the low 24 bits of the first are zero, so that no
    carry ever leaves them. Raises ValueError unless 1 <= count <= RUN_LIMIT.
    """
    if not 1 <= count <= RUN_LIMIT:
        raise ValueError(f"a run holds 1..{RUN_LIMIT} ids, not {count}")
    return _uuid_of(_counter.take_run(count))


def random_bytes(count: int) -> bytes:
    """`count` bytes from the operating system's cryptographic source."""
    return os.urandom(count)


def _uuid_of(value: int) -> UUID:
    number = (
        (value >> _RANDOM_BITS) << 80
        | ((value >> _LOW_BITS) & _MIDDLE_MASK) << 64
        | (value & _LOW_MASK)
        | _FIXED_BITS
    )
    # UUID() checks and converts its argument; this path makes a million ids in half the time.
    new = object.__new__(UUID)
    object.__setattr__(new, "int", number)
    object.__setattr__(new, "is_safe", SafeUUID.unknown)
    return new
