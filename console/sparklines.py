"""The last hour of a service's lag as a small line. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from console.keeping import Sample

HOUR: Final = timedelta(hours=1)
WIDTH, HEIGHT = 120, 24
LEAST: Final = 5.0
"""Seconds that fill the height at least, so that a quiet hour looks quiet."""
GAP: Final = timedelta(seconds=75)
"""Between samples that are further apart nothing is drawn: nobody knows."""


class Spark(NamedTuple):
    """A line for each stretch without a gap, as points of SVG; the most seconds, when, and the last ones."""

    lines: Sequence[str]
    most: float
    most_at: datetime
    last: float


def spark_of(samples: Iterable[Sample], at: datetime) -> Spark | None:
    """The hour up to `at`; None where nothing is known of it."""
    known = [
        (each.taken_at, seconds)
        for each in samples
        if at - HOUR <= each.taken_at <= at and (seconds := seconds_of(each)) is not None
    ]
    if not known:
        return None
    most_at, most = max(known, key=lambda point: point[1])
    scale = max(most, LEAST)
    stretches: list[list[str]] = []
    before: datetime | None = None
    for taken_at, seconds in known:
        if before is None or taken_at - before > GAP:
            stretches.append([])
        x = WIDTH * (1 - (at - taken_at) / HOUR)
        y = 1 + (HEIGHT - 2) * (1 - seconds / scale)
        stretches[-1].append(f"{x:.1f},{y:.1f}")
        before = taken_at
    # A line of one point is drawn as a dot when it ends where it begins.
    lines = [" ".join(points if len(points) > 1 else points * 2) for points in stretches]
    return Spark(lines, most, most_at, known[-1][1])


def seconds_of(sample: Sample) -> float | None:
    """How many seconds a service was behind with what it does worse: reading, or publishing."""
    return max((each for each in (sample.reading, sample.publishing) if each is not None), default=None)
