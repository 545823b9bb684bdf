"""Whether draws look like chance: no repeats, and every bit set in half of them.

The bounds are so wide that a right source crosses one less than once in 10^12 runs, so a failure means a
broken source. By Bernstein's inequality a count of n draws is off by DEVIATIONS standard deviations with a
chance below 2 * exp(-DEVIATIONS^2 / 2.2) < 10^-15, and no test here looks at more than 500 counts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DEVIATIONS = 9.0


def assert_no_repeats(draws: NDArray[np.uint8]) -> None:
    """No row stands there twice."""
    rows = [row.tobytes() for row in draws]
    assert len(set(rows)) == len(rows), f"{len(rows) - len(set(rows))} of {len(rows)} draws are repeats"


def assert_fair_bits(draws: NDArray[np.uint8], places: Sequence[int] | slice = slice(None)) -> None:
    """Each bit (of these places) of a row is set in half of the rows, and changes half of the time."""
    bits = np.unpackbits(draws, axis=1)[:, places]
    _assert_shares(bits.sum(axis=0, dtype=np.int64), len(bits), 0.5, "is set")
    changes = bits[1:] != bits[:-1]
    _assert_shares(changes.sum(axis=0, dtype=np.int64), len(changes), 0.5, "changes")


def assert_even(values: NDArray[np.uint8], kinds: int) -> None:
    """In each column every one of so many kinds of values is as frequent as the others."""
    for column in values.T:
        counts = np.bincount(column, minlength=kinds)
        assert len(counts) == kinds
        _assert_shares(counts, len(column), 1 / kinds, "comes")


def _assert_shares(counts: NDArray[np.int64], draws: int, share: float, what: str) -> None:
    allowed = DEVIATIONS * (draws * share * (1 - share)) ** 0.5
    off = np.abs(counts - draws * share)
    worst = int(off.argmax())
    assert off[worst] <= allowed, f"place {worst} {what} {counts[worst]} times in {draws} draws"
