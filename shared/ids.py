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

_RANDOM_BITS = 74
_LOW_BITS = 62
_LOW_MASK = (1 << _LOW_BITS) - 1
_MIDDLE_MASK = (1 << 12) - 1
_FIXED_BITS = (7 << 76) | (2 << 62)
RUN_LIMIT = 1 << 24
"""The most ids that one run can hold."""

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """One new id, greater than every id this process has handed out."""
    global _last
    with _lock:
        _last = _fresh_value(_last)
        return _uuid_of(_last)


def uuid7_batch(count: int) -> list[UUID]:
    """`count` new ids, strictly increasing."""
    global _last
    steps = struct.unpack(f"<{count}I", os.urandom(4 * count))
    with _lock:
        value = _fresh_value(_last)
        values = []
        for step in steps:
            value += step + 1
            values.append(value)
        _last = value
    return [_uuid_of(value) for value in values]


def uuid7_run(count: int) -> UUID:
    """Reserve `count` consecutive ids and return the first.

    The others are `UUID(int=first.int + n)` for n < count; no carry ever leaves the low 24 bits.

    Raises ValueError unless 1 <= count <= RUN_LIMIT.
    """
    global _last
    if not 1 <= count <= RUN_LIMIT:
        raise ValueError(f"a run holds 1..{RUN_LIMIT} ids, not {count}")
    with _lock:
        first = (_fresh_value(_last) // RUN_LIMIT + 1) * RUN_LIMIT
        _last = first + count - 1
    return _uuid_of(first)


def random_bytes(count: int) -> bytes:
    """`count` bytes from the operating system's cryptographic source."""
    return os.urandom(count)


def _fresh_value(last: int) -> int:
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big") >> (80 - _RANDOM_BITS)
    value = (milliseconds << _RANDOM_BITS) | random
    if value > last:
        return value
    return last + 1 + (random & 0xFFFF_FFFF)


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
