"""What the topics of a service are, while it runs: more partitions, another of the same name, compacted.

A producer finds the partition of a key by their number, so a key moves when the number grows; and offsets
begin again in a topic that was created anew. Every id and number that was ever seen stands in the schema.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import asyncpg
import structlog

from shared.brokers import Brokers
from shared.clock import monotonic
from shared.queries import load
from shared.runtime.retry import TRANSIENT
from shared.runtime.topic_ids import Topic, TopicAsker
from shared.runtime.troubles import Troubles

SQL = load("shared.runtime")
LOOK_SECONDS = 2.0
PART = "the look at topics"
COMPACTED = "a topic is compacted: the broker deletes records of a key that nobody has read yet"
DO_NOT_COMPACT = (
    "set cleanup.policy=delete, as deploy/kafka/topics.yaml has it; then run `pawl check --topics`, which"
    " reads what is left, and have what others wrote meanwhile sent again"
)

log = structlog.get_logger("pawl.topics")


class Topics:
    """The topics that one process reads and writes.

    `partitions` are their numbers now, changed in place; `earlier` are all numbers that they ever had.
    `gone` are those that the broker has not. `troubles` are told of those that it compacts.
    `begin_anew` is told which are others of the same name by now.
    """

    def __init__(
        self,
        brokers: Brokers,
        partitions: dict[str, int],
        pool: asyncpg.Pool,
        begin_anew: Callable[[set[str]], Awaitable[None]],
        troubles: Troubles | None = None,
    ) -> None:
        self.partitions = partitions
        self.earlier: dict[str, set[int]] = {topic: set() for topic in partitions}
        self._asker = TopicAsker(brokers, partitions)
        self._pool = pool
        self._begin_anew = begin_anew
        self._seen: dict[str, Topic] = {}
        self.gone: set[str] = set()
        self._troubles = Troubles() if troubles is None else troubles
        self._compacted: list[str] = []
        self._unseen: set[str] = set()

    async def begin(self) -> None:
        """Compares the topics with what the schema has seen of them. Raises what passes."""
        await self._look()

    async def watch(self) -> None:
        """Looks every LOOK_SECONDS, until cancelled."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    await self._look()
                except TRANSIENT as trouble:
                    log.info("topics not looked at", trouble=f"{type(trouble).__name__}: {trouble}"[:200])
        finally:
            await self._asker.close()

    async def _look(self) -> None:
        found = await self._asker.ask()
        self._tell_gone(set(self.partitions) - found.keys())
        self._tell_compacted(found.keys(), await self._asker.ask_policies())
        changed = {name: topic for name, topic in found.items() if self._seen.get(name) != topic}
        if not changed:
            return
        anew = await self._note(changed)
        for name, topic in changed.items():
            before = self._seen.get(name)
            if before is not None and before.id != topic.id:
                anew.add(name)
            if self.partitions[name] != topic.partitions:
                log.warning(
                    "topic has another number of partitions",
                    topic=name,
                    partitions=topic.partitions,
                    before=self.partitions[name],
                )
            self.partitions[name] = topic.partitions
        self._seen.update(changed)
        if anew:
            log.warning(
                "topic was created anew", topics=sorted(anew), todo="docs/backup.md: a topic created anew"
            )
            await self._begin_anew(anew)

    async def _note(self, changed: Mapping[str, Topic]) -> set[str]:
        """Keeps what is new of these topics; which of them the schema knew by another id until now."""
        anew = set()
        async with self._pool.acquire() as connection, connection.transaction():
            for name, topic in sorted(changed.items()):
                rows = await connection.fetch(SQL.topic_seen, name)
                if rows and rows[-1]["topic_id"] != topic.id:
                    anew.add(name)
                    await connection.execute(SQL.begin_offsets_anew, name)
                await connection.execute(SQL.note_topic, name, topic.id, topic.partitions)
                numbers = {row["partitions"] for row in rows if row["topic_id"] == topic.id}
                self.earlier[name] = numbers - {topic.partitions}
        return anew

    def _tell_compacted(self, there: Collection[str], policies: Mapping[str, str]) -> None:
        """A hole in a topic is legal, so what compaction takes is missed by nobody: it must not begin."""
        if unseen := set(there) - policies.keys() - self._unseen:
            log.warning(
                "settings of topics not seen",
                topics=sorted(unseen),
                todo="let this login describe them: `pawl migrate` with an administrator's address",
            )
        self._unseen = set(there) - policies.keys()
        compacted = sorted(name for name, policy in policies.items() if "compact" in policy)
        if compacted:
            said = f"cleanup.policy of {', '.join(compacted)}"
            self._troubles.note(PART, PART, COMPACTED, DO_NOT_COMPACT, said, monotonic())
        else:
            self._troubles.over(PART)
        if compacted != self._compacted:
            tell = log.error if compacted else log.info
            tell("topics are compacted", topics=compacted, todo=DO_NOT_COMPACT if compacted else "")
        self._compacted = compacted

    def _tell_gone(self, gone: set[str]) -> None:
        for name in gone - self.gone:
            log.error("topic is gone", topic=name, todo="create it: deploy/kafka/topics.yaml")
        self.gone = gone
