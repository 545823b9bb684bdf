"""What the runtime's own consumer, relay and recovery see of a broker and a database in memory."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

import shared.runtime.relay as relay_module
from shared.runtime.sending import size_of
from tests.simulation.memory import Broker, Connection, Database, Stuck, Table

Place = tuple[str, int]
BATCH_BYTES = 1_000_000
MOST_LOOKS = 2_000
"""So often a relay looks for what is to be published before it counts as one that gets nowhere."""


class Clock:
    """A clock that goes on by a second each time somebody looks at it."""

    def __init__(self) -> None:
        self._seconds = count(1_000)

    def __call__(self) -> float:
        return float(next(self._seconds))


class Client:
    """A client of Kafka for one group, or for none: what consumers ask of aiokafka's."""

    def __init__(self, broker: Broker, places: Sequence[Place], committed: dict[Place, int]) -> None:
        self._broker, self._committed = broker, committed
        self._owned = [TopicPartition(*place) for place in places]
        self._positions: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def stop(self) -> None:
        """There is nothing to close."""

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self._owned = list(places)

    def assignment(self) -> set[TopicPartition]:
        return set(self._owned)

    def pause(self, *places: TopicPartition) -> None:
        """Nothing is fetched here."""

    def resume(self, *places: TopicPartition) -> None:
        """Nothing is fetched here."""

    async def committed(self, place: TopicPartition) -> int | None:
        return self._committed.get((place.topic, place.partition))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._committed.update({(place.topic, place.partition): o for place, o in offsets.items()})

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self._broker.first[place.topic, place.partition] for place in places}

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: len(self._broker.logs[place.topic, place.partition]) for place in places}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._positions[place] = offset

    async def position(self, place: TopicPartition) -> int:
        return self._positions[place]

    def last_stable_offset(self, place: TopicPartition) -> int | None:
        """None, as before the first fetch: nothing is fetched here."""
        return None

    async def getmany(self, place: TopicPartition, *, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        at = self._positions[place]
        records = self._broker.logs[place.topic, place.partition][at : at + max_records]
        self._positions[place] = at + len(records)
        return {place: records}


class Savepoint:
    """Takes back everything since its start, but for the ids that were drawn."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._before: dict[str, Table] = {}
        self._changed = 0

    async def start(self) -> None:
        self._before = tables_of(self._database)
        self._changed = len(self._database.changed)

    async def commit(self) -> None:
        """What was done stays done."""

    async def rollback(self) -> None:
        put_back(self._database, self._before)
        del self._database.changed[self._changed :]

    async def __aenter__(self) -> "Savepoint":
        await self.start()
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            await self.rollback()


class AloneSession(Connection):
    """A session that nobody is beside: it sees its own writes, and its transactions have savepoints."""

    def transaction(self) -> Any:
        return Savepoint(self._database)


def tables_of(database: Database) -> dict[str, Table]:
    """What is committed. Rows are never changed in place, so they are shared."""
    return {name: dict(table) for name, table in database.tables.items()}


def put_back(database: Database, tables: Mapping[str, Table]) -> None:
    """Sets a schema back: rows go, but no id is drawn twice."""
    database.tables.clear()
    database.tables.update({name: dict(table) for name, table in tables.items()})


class Idle(Exception):
    """A relay has looked twice and found nothing to publish."""


class RelaySession(Connection):
    """The session of a relay's leader. It ends the lead once there is nothing left to do."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._looks = self._idle = 0

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        rows = await super().fetch(sql, *arguments)
        if sql == relay_module.SQL.unpublished:
            self._looks += 1
            self._idle = 0 if rows else self._idle + 1
            if self._looks > MOST_LOOKS:
                raise Stuck("the relay has published nothing for a long time")
            if self._idle > 1:
                raise Idle
        return rows

    def terminate(self) -> None:
        """The lead is given back."""


class Bundle:
    """Records on their way in one batch."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes, Sequence[tuple[str, bytes]]]] = []
        self.size = 0

    def append(
        self, *, key: bytes, value: bytes, timestamp: int | None, headers: Sequence[tuple[str, bytes]]
    ) -> Any:
        size = size_of(key, value, headers)
        if self.records and self.size + size > BATCH_BYTES:
            return None
        self.records.append((key, value, headers))
        self.size += size
        return self


class Producer:
    """An idempotent producer of a broker that takes batches of so many bytes of a topic and no more.

    `told` hears of each record before it is appended. After a refusal the producer has lost count of the
    partition, and whoever goes on with it is refused for that.
    """

    def __init__(self, broker: Broker, limits: Mapping[str, int], told: Callable[[str, bytes, str], None]):
        self._broker, self._limits, self._told = broker, limits, told
        self._lost_count: set[Place] = set()

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def stop(self) -> None:
        """There is nothing to close."""

    def create_batch(self) -> Bundle:
        return Bundle()

    async def send_batch(self, batch: Bundle, topic: str, *, partition: int) -> Any:
        async def answer() -> None:
            if (topic, partition) in self._lost_count:
                raise Stuck("a producer goes on that has lost count: out of order")
            if batch.size > self._limits.get(topic, batch.size):
                self._lost_count.add((topic, partition))
                raise MessageSizeTooLargeError("larger than the topic takes")
            for key, value, headers in batch.records:
                self._told(topic, key, event_id_of(headers))
                self._broker.append(topic, key, value, headers, partition)

        return answer()


def event_id_of(headers: Sequence[tuple[str, bytes]]) -> str:
    """The id of an event of ours by its headers."""
    return next(value.decode() for name, value in headers if name == "ce_id")
