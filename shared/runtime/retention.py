"""Forgets what no topic holds any more, so that inbox and outbox do not grow with the history.

The leader of the relay does it for all instances, from time to time: it asks the broker how far back the
topics go, moves the horizon, and takes away what was recorded before it, in short steps with rests between
them. What may be forgotten, and how late, is decided by functions of the schema
(migrations/20261128000001_retention.sql): the service itself may delete nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from shared.clock import monotonic
from shared.queries import load
from shared.runtime.batch_size import WorkSize
from shared.runtime.retry import TRANSIENT
from shared.runtime.signals import Metrics

SQL = load("shared.runtime")
EVENTS_A_STEP = 5_000
PAGES_A_STEP = 1_000
# The inbox is walked from its first page to its last so many times while `keep` passes, so what stays longer
# than it has to is this small part of the table.
WALKS = 100
# Nothing waits for room to be made: a failure is told and tried again at the next round.
FAILURES: tuple[type[BaseException], ...] = (*TRANSIENT, asyncpg.PostgresError, KafkaError)

log = structlog.get_logger("pawl.retention")


class Retention:
    """Forgets for one service.

    `oldest_record` asks the broker; `leads` says whether this process is the one that does it.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        oldest_record: Callable[[], Awaitable[datetime]],
        leads: Callable[[], bool],
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._oldest_record = oldest_record
        self._leads = leads
        self._metrics = metrics
        self._walked_at: float | None = None
        self._events, self._pages = WorkSize(EVENTS_A_STEP), WorkSize(PAGES_A_STEP)

    async def run(self, every_seconds: float) -> None:
        """A round every so often, until it is cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            if not self._leads():
                continue
            try:
                await self.forget()
            except FAILURES as failure:
                log.warning("nothing forgotten", trouble=f"{type(failure).__name__}: {failure}"[:200])

    async def forget(self) -> None:
        """One round: everything recorded before the horizon, as far as that can move now."""
        horizon = await self._pool.fetchval(SQL.move_horizon, await self._oldest_record())
        events = await self._forget_events()
        ids = await self._forget_ids() if await self._is_time_to_walk() else 0
        if events or ids:
            log.info("forgotten", events=events, ids=ids, horizon=horizon.isoformat())

    async def _forget_events(self) -> int:
        total = 0
        while gone := await self._step("facts", self._events, SQL.forget_events):
            total += gone
        return total

    async def _forget_ids(self) -> int:
        """One walk over the inbox. Pages that are added meanwhile hold nothing old."""
        started, total, first = monotonic(), 0, 0
        end = await self._pool.fetchval(SQL.pages_of_inbox)
        while first < end:
            pages = self._pages.most
            total += await self._step("ids", self._pages, SQL.forget_ids, first)
            first += pages
        self._walked_at = started
        return total

    async def _is_time_to_walk(self) -> bool:
        keep = await self._pool.fetchval(SQL.kept_for)
        return self._walked_at is None or monotonic() - self._walked_at >= keep.total_seconds() / WALKS

    async def _step(self, what: str, size: WorkSize, query: str, *arguments: int) -> int:
        """One short transaction, and a rest as long as it took, so that work goes on between two of them.

        One for which there is too little time raises, and the next round takes half as much.
        """
        started, most = monotonic(), size.most
        size.begin()
        try:
            gone: int = await self._pool.fetchval(query, *arguments, most)
        except FAILURES as failure:
            size.note(failure)
            raise
        size.grow(most)
        self._metrics.forgotten.labels(what).inc(gone)
        await asyncio.sleep(monotonic() - started)
        return gone
