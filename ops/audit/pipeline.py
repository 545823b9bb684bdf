"""Tells whether any event is on its way between the services, and waits until all readers have read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ops.audit.books import SQL
from ops.shell.databases import Connections, Urls, connected
from ops.shell.output import Tell
from ops.shell.topic_reader import Offsets, TopicReader, reading_topics
from shared.clock import monotonic

LOOK_EVERY = 0.1


@dataclass(slots=True, frozen=True)
class LastEvents:
    """The id of the last event in each outbox at some moment, by service."""

    ids: dict[str, int]


class Pipeline:
    """The way of events from outboxes through the broker to their readers.

    Without a broker (`topics` is None) only the outboxes are visible, and nobody knows what was read.
    """

    def __init__(self, connections: Connections, topics: TopicReader | None) -> None:
        self._connections = connections
        self._topics = topics

    async def last_events(self) -> LastEvents:
        """The ends of the outboxes now."""
        return LastEvents({name: await c.fetchval(SQL.newest_event) for name, c in self._connections.items()})

    async def idle(self) -> bool:
        """Whether all events are published and read, and no serials are being issued."""
        before = await self.last_events()
        if not await self._published(before) or await self._issuing():
            return False
        if self._topics is None:
            return True
        return await self._topics.are_past(await self._topics.ends()) and await self.last_events() == before

    async def read_by_all(self, events: LastEvents, deadline: float) -> bool:
        """Waits until every reader has read these events; False when the deadline comes first."""
        if self._topics is None:
            return False
        while not await self._published(events):
            if not await _pause_before(deadline):
                return False
        ends: Offsets = await self._topics.ends()
        while not await self._topics.are_past(ends):
            if not await _pause_before(deadline):
                return False
        return True

    async def until_idle(self, seconds: float, tell: Tell) -> bool:
        """Waits up to `seconds` for the pipeline to be idle; whether it is."""
        if await self.idle():
            return True
        deadline = monotonic() + seconds
        tell(f"Work is going on; waiting up to {seconds:g} s for it to end.")
        while await _pause_before(deadline):
            if await self.idle():
                return True
        return False

    async def _issuing(self) -> bool:
        return bool(await self._connections["serials"].fetchval(SQL.unfinished_grants))

    async def _published(self, events: LastEvents) -> bool:
        for service, newest in events.ids.items():
            if await self._connections[service].fetchval(SQL.published) < newest:
                return False
        return True


async def _pause_before(deadline: float) -> bool:
    """Waits a moment; False when the deadline has come."""
    if monotonic() >= deadline:
        return False
    await asyncio.sleep(LOOK_EVERY)
    return True


@asynccontextmanager
async def open_pipeline(urls: Urls, kafka: str) -> AsyncIterator[Pipeline]:
    """The pipeline of these databases and, when its address is known, this broker. Raises Problem."""
    async with AsyncExitStack() as stack:
        connections = await stack.enter_async_context(connected(urls))
        topics = await stack.enter_async_context(reading_topics(kafka)) if kafka else None
        yield Pipeline(connections, topics)
