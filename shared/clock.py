"""The only place that asks the machine for the time.

Decisions never call this module: a decision happens at the time of the event that causes it.
"""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, UTC and aware."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back. Only differences mean anything."""
    return time.monotonic()
