"""What the agents and HTTP routes of a service work with, beside the fold."""

from dataclasses import dataclass

import asyncpg

from shared.crash_points import OnCrashPoint, ignore_crash_point
from shared.runtime.outbox import Outbox


@dataclass(slots=True, frozen=True)
class Surroundings:
    """The pool of the service, its outbox, and the crash points that fault tests use."""

    pool: asyncpg.Pool
    outbox: Outbox
    on_crash_point: OnCrashPoint = ignore_crash_point
