"""Is anything on its way between the services, and has everything said until now been heard?"""

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
class Mark:
    """The last fact in the outbox of each service at some moment."""

    facts: dict[str, int]


class Pipeline:
    """The way of facts from outboxes through the broker to their readers.

    Without a broker (`topics` is None) only the outboxes can be seen, and nothing is ever known to be heard.
    """

    def __init__(self, connections: Connections, topics: TopicReader | None) -> None:
        self._connections = connections
        self._topics = topics

    async def mark(self) -> Mark:
        return Mark({name: await c.fetchval(SQL.newest_fact) for name, c in self._connections.items()})

    async def idle(self) -> bool:
        """Whether all facts are published and heard, and no serials are being issued."""
        before = await self.mark()
        if not await self._published(before) or await self._issuing():
            return False
        if self._topics is None:
            return True
        return await self._topics.are_past(await self._topics.ends()) and await self.mark() == before

    async def heard(self, mark: Mark, deadline: float) -> bool:
        """Waits until every reader is past this mark; False when the deadline comes first."""
        if self._topics is None:
            return False
        while not await self._published(mark):
            if not await _later(deadline):
                return False
        ends: Offsets = await self._topics.ends()
        while not await self._topics.are_past(ends):
            if not await _later(deadline):
                return False
        return True

    async def until_idle(self, seconds: float, tell: Tell) -> bool:
        """Waits up to `seconds` for the pipeline to be idle; whether it is."""
        if await self.idle():
            return True
        deadline = monotonic() + seconds
        tell(f"Work is going on; waiting up to {seconds:g} s for it to end.")
        while await _later(deadline):
            if await self.idle():
                return True
        return False

    async def _issuing(self) -> bool:
        return bool(await self._connections["serials"].fetchval(SQL.unfinished_grants))

    async def _published(self, mark: Mark) -> bool:
        for service, newest in mark.facts.items():
            if await self._connections[service].fetchval(SQL.published) < newest:
                return False
        return True


async def _later(deadline: float) -> bool:
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
