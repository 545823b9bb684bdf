"""The alarm: so many serials are typed that there are not, by everybody together, that somebody is guessing.

Nobody is held up by it, since nobody guesses 75 bits. It is told where operators look: a metric, the log, and
the health of each process.
"""

import asyncio
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge

from services.serials.attempts import Limits, everybody, window_of
from services.serials.store import SQL
from services.serials.vault import Vault
from shared.clock import now
from shared.kst import wire_time
from shared.runtime.retry import TRANSIENT, note_fault
from shared.runtime.surroundings import Surroundings

LOOK_EVERY_SECONDS: Final = 5.0
PART: Final = "the alarm"

log = structlog.get_logger("pawl.serials.alarm")


class AttemptGauges:
    """What every process tells of them; all tell the same."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.failures = Gauge(
            "pawl_serials_failed_attempts",
            "Serials that were typed and are none, by everybody, in the present window.",
            registry=registry,
        )
        self.alarm = Gauge("pawl_serials_alarm", "1 while there are too many of those.", registry=registry)


class Alarm:
    """Watches the failures of everybody in the present window."""

    def __init__(self, surroundings: Surroundings, vault: Vault, limits: Limits) -> None:
        self._pool, self._health = surroundings.pool, surroundings.health
        self._troubles = surroundings.troubles
        self._everybody, self._limits = everybody(vault.pseudonym), limits
        self._raised_in: datetime | None = None
        self._gauges = AttemptGauges(surroundings.metrics.registry)

    async def run(self) -> None:
        """Looks again and again."""
        while True:
            try:
                await self.look(now())
                self._troubles.over(PART)
            except TRANSIENT as trouble:
                more = note_fault(self._troubles, PART, trouble)
                log.info("look repeated", trouble=f"{type(trouble).__name__}: {trouble}"[:200], **more)
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def look(self, at: datetime) -> bool:
        """Counts, and tells; whether the alarm is raised. It is logged once in each window."""
        window = window_of(at, self._limits.seconds)
        failures = await self._pool.fetchval(SQL.failures_in_window, window, self._everybody)
        is_raised: bool = failures >= self._limits.alarm
        self._gauges.failures.set(failures)
        self._gauges.alarm.set(is_raised)
        self._health["failed_attempts"] = {
            "since": wire_time(window),
            "failures": failures,
            "alarm_at": self._limits.alarm,
            "alarm": is_raised,
        }
        if is_raised and self._raised_in != window:
            self._raised_in = window
            log.warning("serials are guessed", failures=failures, since=wire_time(window))
        return is_raised
