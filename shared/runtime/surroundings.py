"""What the agents and HTTP routes of a service work with, beside the fold."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from starlette.responses import Response

from shared.crash_points import OnCrashPoint, ignore_crash_point
from shared.runtime.outbox import Outbox
from shared.runtime.signals import Metrics
from shared.runtime.troubles import Troubles

SendCommand = Callable[..., Awaitable[Response]]
"""`CommandQueue.send` or `send_alone`."""


async def no_commands(*command: Any, **more: Any) -> Response:
    """What sends a command where no fold takes any."""
    raise LookupError("no command is taken here")


@dataclass(slots=True, frozen=True)
class Surroundings:
    """The pool of the service, its outbox, the crash points of tests, and what has a command decided.

    `metrics` are those of the process. What an agent puts into `health` is told with the rest of it;
    `troubles` hear what keeps an agent from its work.
    """

    pool: asyncpg.Pool
    outbox: Outbox
    on_crash_point: OnCrashPoint = ignore_crash_point
    send: SendCommand = no_commands
    send_alone: SendCommand = no_commands
    metrics: Metrics = field(default_factory=Metrics)
    health: dict[str, Any] = field(default_factory=dict)
    troubles: Troubles = field(default_factory=Troubles)
