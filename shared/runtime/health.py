"""Health means progress: a process that has work and does nothing with it is not healthy.

The verdict is also acted upon. An event loop that stands still cannot say so itself, hence the thread.
"""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.clock import monotonic
from shared.runtime.consumer import PartitionConsumer
from shared.runtime.troubles import Trouble, Troubles

STALLED_EXIT_CODE = 70


@dataclass(slots=True)
class Health:
    """What is known about the progress of this process. `details` are what its agents tell beside it.

    `troubles` are what somebody outside has to mend: the process is not well, and a restart mends nothing.
    `relay_stands` says why nothing was published for so many seconds though there is something, `unsent` of
    how many keys events are set aside.
    """

    service: str
    consumers: Sequence[PartitionConsumer]
    stall_seconds: float
    relay_leads: Callable[[], bool]
    details: Mapping[str, Any] = field(default_factory=dict)
    troubles: Troubles = field(default_factory=Troubles)
    relay_stands: Callable[[float], str | None] = lambda seconds: None
    unsent: Callable[[], int] = lambda: 0
    started: bool = False
    stopping: bool = False
    troubled_since: float | None = None
    heartbeat: float = field(default_factory=monotonic)

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether this process is well, and why (not)."""
        lag = sum(consumer.lag() for consumer in self.consumers)
        stalled, at = self.stalled(), monotonic()
        lasting = self.troubles.lasting(at)
        ready = self.started and not self.stopping and stalled is None and not lasting
        return ready, {
            "service": self.service,
            "status": "ok"
            if ready
            else "stopping"
            if self.stopping
            else "starting"
            if not self.started
            else "troubled"
            if lasting
            else "stalled",
            "why": "; ".join(trouble.text(at) for trouble in lasting) or stalled or "",
            "todo": "; ".join(trouble.todo for trouble in lasting),
            "lag": lag,
            "relay_leads": self.relay_leads(),
            "keys_set_aside": self.unsent(),
            "seconds_since_progress": round(
                monotonic() - max(consumer.progressed_at for consumer in self.consumers), 1
            ),
            **self.details,
        }

    def lasting_troubles(self) -> list[Trouble]:
        """What somebody has to mend, the oldest first."""
        return self.troubles.lasting(monotonic())

    def stalled(self) -> str | None:
        """What has had work and made no progress for too long, or cannot know whether it has any; or None."""
        now = monotonic()
        for number, consumer in enumerate(self.consumers):
            waits_since = consumer.busy_since if consumer.busy_since is not None else consumer.progressed_at
            has_work = consumer.busy_since is not None or consumer.lag() > 0
            if has_work and now - max(waits_since, consumer.progressed_at) > self.stall_seconds:
                why = f" ({consumer.trouble})" if consumer.trouble else ""
                return f"consumer {number} has work and made no progress for {now - waits_since:.0f} s{why}"
            answered_at = consumer.answered_at()
            if consumer.busy_since is None and answered_at is not None:
                silence = now - max(answered_at, consumer.progressed_at)
                if silence > self.stall_seconds:
                    return (
                        f"consumer {number} asks for records and no broker has answered for {silence:.0f} s"
                    )
        return self.relay_stands(self.stall_seconds)


def watch_loop(health: Health) -> threading.Thread:
    """Ends the process when the event loop stands still for too long; the supervisor starts it again."""

    def watch() -> None:
        pause = threading.Event()
        while not pause.wait(1.0):
            if monotonic() - health.heartbeat > health.stall_seconds:
                faulthandler.dump_traceback(file=sys.stderr)
                os._exit(STALLED_EXIT_CODE)

    thread = threading.Thread(target=watch, name="watch-loop", daemon=True)
    thread.start()
    return thread
