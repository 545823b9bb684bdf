"""When what was used of a line was used: the running totals of checkout as single uses."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from services.refunds.state import Reading


class Use(NamedTuple):
    """So much was used until `at`: units, or won of a balance."""

    at: datetime
    used: int


def uses(readings: Iterable[Reading]) -> Iterator[Use]:
    """What each reading adds to those before it, in the order of their own times.

    A running total never falls: a reading that is not higher than an earlier one adds nothing.
    """
    total = 0
    for reading in sorted(readings, key=lambda each: each.recorded_at):
        if reading.used > total:
            yield Use(reading.recorded_at, reading.used - total)
            total = reading.used
