"""Named moments at which a crash or a long pause would hurt most, so that tests can hit exactly those.

A service asked with PAWL_CRASH_AT or PAWL_PAUSE_AT ends or halts itself there, as a power cut or a stalled
machine would do it: `before_commit`, or `before_commit:20` for the twentieth time. Nobody else sets them.
"""

import signal
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from os import getpid, kill


class CrashPoint(StrEnum):
    """A moment of the runtime; the names are what the settings take."""

    AFTER_CLAIM = "after_claim"
    """The ids of a batch are claimed and its aggregates locked; nothing is decided."""
    BEFORE_COMMIT = "before_commit"
    """A batch is decided and written, and not committed."""
    AFTER_COMMIT = "after_commit"
    """A batch is committed; neither the relay nor the group knows of it."""
    BEFORE_CHUNK_COMMIT = "before_chunk_commit"
    """The issuing worker has written a chunk of serials and not committed it."""
    AFTER_CHUNK_COMMIT = "after_chunk_commit"
    """A chunk of serials is committed, and more of its grant is to come."""
    BEFORE_HOME_INDEX = "before_home_index"
    """All serials of a grant are in a table of their own, the last of them not committed; it has no index."""
    BEFORE_HOME_OPEN = "before_home_open"
    """That table is indexed, and not attached to the others."""
    BEFORE_REKEY_COMMIT = "before_rekey_commit"
    """Some serials are put under another key, and that is not committed."""
    AFTER_REKEY_COMMIT = "after_rekey_commit"
    """Some serials are under another key, and others are still to be put there."""
    BEFORE_EXPIRY_COMMIT = "before_expiry_commit"
    """Orders without a deposit are expired, and that is not committed."""
    BEFORE_CLOSE_COMMIT = "before_close_commit"
    """Some partners' month is merged and issued, and that is not committed."""
    AFTER_CLOSE_COMMIT = "after_close_commit"
    """Some partners' month is closed, and the others' is not."""
    BEFORE_SEND = "before_send"
    """The relay has read events and sent none of them."""
    AFTER_SEND = "after_send"
    """The relay has handed events to the broker and knows of no acknowledgement."""
    AFTER_ACKNOWLEDGEMENT = "after_acknowledgement"
    """The broker has acknowledged events that are not marked as published."""
    BEFORE_MARK = "before_mark"
    """The mark of what is published is about to move."""
    AFTER_MARK = "after_mark"
    """The mark has moved."""
    BEFORE_OFFSET_COMMIT = "before_offset_commit"
    """Handled records are about to be told to the group."""
    AFTER_OFFSET_COMMIT = "after_offset_commit"
    """The group knows how far the partition consumer came."""


OnCrashPoint = Callable[[CrashPoint], None]


def ignore_crash_point(_: CrashPoint) -> None:
    """What a service does at every point when nobody tests its faults: it goes on."""


def parse(text: str) -> tuple[CrashPoint, int] | None:
    """A setting `point` or `point:count`; None when it is empty. Raises ValueError naming the points."""
    if not text:
        return None
    name, _, count = text.partition(":")
    try:
        point, times = CrashPoint(name), int(count or 1)
        if times < 1:
            raise ValueError
    except ValueError:
        points = ", ".join(CrashPoint)
        raise ValueError(f"must be a point or point:count, of the points {points}; got {text!r}") from None
    return point, times


def crash_at_points(crash_at: str, pause_at: str) -> OnCrashPoint:
    """What kills (SIGKILL) or halts (SIGSTOP) the process at the point of that name."""
    wanted = [(parse(crash_at), signal.SIGKILL), (parse(pause_at), signal.SIGSTOP)]
    plans = {place: number for place, number in wanted if place}
    if not plans:
        return ignore_crash_point
    seen: Counter[CrashPoint] = Counter()

    def on_crash_point(point: CrashPoint) -> None:
        seen[point] += 1
        number = plans.get((point, seen[point]))
        if number is not None:
            kill(getpid(), number)

    return on_crash_point
