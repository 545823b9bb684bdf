"""A checkout for tests: it says things on real topics, hears every answer and knows when all is quiet.

Nothing here sleeps to give the system time: `until` is woken by every record that arrives, and `drain`
returns when all that was said is handled, all that follows is published, and nothing is left to be done.
"""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.setup.provision import Database
from ops.shell.acls import topics_read
from shared.brokers import Brokers
from shared.clock import monotonic
from shared.events.catalogue import FEEDBACK, SERVICES, TOPICS, UPSTREAM, service_of
from shared.events.envelope import write_headers
from shared.kafka import COMMITTED_ONLY
from tests.support.patience import PATIENCE

T = TypeVar("T")
Headers = Sequence[tuple[str, bytes]]

SOURCE = "https://checkout.example/tests"
RUNTIME_TABLES = (
    "inbox",
    "cursors",
    "parked",
    "parked_again",
    "dead_letters",
    "dead_letters_again",
    "outbox",
    "relay",
    "unsent",
    "retention",
    "handled_offsets",
    "topics",
    "gaps",
    "schema_migrations",
)
# Added up from the others, some time after they changed. The auditor compares them (`months_kept`).
KEPT_TABLES = ("changed_months", "kept_stands", "kept_previews", "kept_left_out")
# A counter at zero has numbered no document: the row is there to be locked, and means what no row means.
MEANS_NOTHING = {"invoices.document_counters": "last_number = 0"}
WALL_CLOCK_COLUMNS = ("recorded_at", "tried_at", "parked_at", "dead_at", "heard_at", "expired")


@dataclass(slots=True, frozen=True)
class Heard:
    """One record of a topic. What cannot be read of it is empty; `raw` is what it was made from."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: Mapping[str, str]
    data: Any
    raw: Any = field(repr=False, compare=False)

    @property
    def type(self) -> str:
        return self.headers.get("ce_type", "")

    @property
    def id(self) -> str:
        return self.headers.get("ce_id", "")

    @property
    def subject(self) -> str:
        return self.headers.get("ce_subject", "")

    @property
    def source(self) -> str:
        return self.headers.get("ce_source", "")

    @property
    def is_ours(self) -> bool:
        """Whether a service said it, and on its own topic (or as an answer)."""
        own = f"{service_of(self.source)}.events"
        return self.source.startswith("/pawl/") and self.topic in (FEEDBACK, own)

    @property
    def sequence(self) -> int | None:
        written = self.headers.get("ce_sequence")
        return int(written) if written else None


def heard(record: Any) -> Heard:
    """A consumed record, read as far as it can be."""
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    data = None
    with suppress(orjson.JSONDecodeError, TypeError):
        data = orjson.loads(record.value)
    key = record.key.decode("utf-8", "replace") if record.key is not None else ""
    return Heard(record.topic, record.partition, record.offset, key, headers, data, record)


class Checkout:
    """Plays upstream on a running system, and remembers all six topics from the moment it starts."""

    def __init__(self, bootstrap_servers: str, database: Database) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.database = database
        self.records: list[Heard] = []
        self.by_key: dict[str, list[Heard]] = defaultdict(list)
        self.said: dict[str, int] = {}
        self.answered_twice: set[str] = set()
        self._seen: set[tuple[str, int, int]] = set()
        self._news = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connects, and begins to listen where the topics end now."""
        await self._connect()
        await self._consumer.seek_to_end()
        for place in self.places:
            await self._consumer.position(place)
        self._reading = asyncio.create_task(self._read())

    async def reconnect(self) -> None:
        """Connects anew and goes on listening from the first record; what was heard is not heard again."""
        await self.stop()
        await self._connect()
        await self._consumer.seek_to_beginning()
        self._reading = asyncio.create_task(self._read())

    async def _connect(self) -> None:
        brokers = Brokers.at(self.bootstrap_servers).client()
        self._producer = AIOKafkaProducer(
            **brokers,
            acks="all",
            enable_idempotence=True,
            max_request_size=4 * 1024 * 1024,
        )
        await self._producer.start()
        self._consumer = AIOKafkaConsumer(
            **brokers, enable_auto_commit=False, isolation_level=COMMITTED_ONLY, fetch_max_wait_ms=20
        )
        await self._consumer.start()
        self._admin = AIOKafkaAdminClient(**brokers)
        await self._admin.start()
        self.places = [
            TopicPartition(topic, partition)
            for topic in TOPICS
            for partition in sorted(await self._producer.partitions_for(topic))
        ]
        self._consumer.assign(self.places)

    async def stop(self) -> None:
        """Disconnects."""
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        await self._consumer.stop()
        await self._producer.stop()
        await self._admin.close()

    # -- saying ----------------------------------------------------------------------------------------------

    async def say(
        self,
        type_name: str,
        key: str,
        data: Mapping[str, Any],
        *,
        at: datetime | str,
        event_id: str,
        source: str = SOURCE,
        structured: bool = False,
    ) -> str:
        """Publishes one event of checkout; returns its id when the broker has it."""
        attributes = {
            "specversion": "1.0",
            "id": event_id,
            "source": source,
            "type": type_name,
            "subject": key,
            "time": at if isinstance(at, str) else at.isoformat(),
            "dataschema": f"urn:pawl:schema:{type_name}",
        }
        self.said[event_id] = self.said.get(event_id, 0) + 1
        if structured:
            body = orjson.dumps({**attributes, "datacontenttype": "application/json", "data": data})
            await self.publish(key.encode(), body, [("content-type", b"application/cloudevents+json")])
        else:
            headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
            await self.publish(
                key.encode(), orjson.dumps(data), [*headers, ("content-type", b"application/json")]
            )
        return event_id

    async def publish(
        self, key: bytes | None, value: bytes | None, headers: Headers, topic: str = UPSTREAM
    ) -> tuple[str, int, int]:
        """Publishes any record; returns where it stands."""
        sent = await self._producer.send_and_wait(topic, key=key, value=value, headers=list(headers))
        return sent.topic, sent.partition, sent.offset

    async def say_all(self, events: Iterable[tuple[str, str, Mapping[str, Any], datetime]]) -> list[str]:
        """Publishes many events (type, key, data, time) as fast as the broker takes them; their ids."""
        ids, sent = [], []
        for type_name, key, data, at in events:
            event_id = f"evt-{uuid4().hex}"
            headers = write_headers(id=event_id, source=SOURCE, type=type_name, subject=key, time=at)
            body = orjson.dumps(data)
            sent.append(await self._producer.send(UPSTREAM, key=key.encode(), value=body, headers=headers))
            ids.append(event_id)
            self.said[event_id] = 1
        await asyncio.gather(*sent)
        return ids

    async def publish_all(self, records: Iterable[Any]) -> None:
        """Publishes records again as they are, each to its own partition, in order."""
        sent = [
            await self._producer.send(
                r.topic, key=r.key, value=r.value, headers=list(r.headers), partition=r.partition
            )
            for r in records
        ]
        await asyncio.gather(*sent)

    # -- hearing ---------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=500, max_records=5_000)
            except KafkaError:
                continue
            found = [heard(record) for records in batches.values() for record in records]
            if found:
                async with self._news:
                    for record in found:
                        self._take(record)
                    self._news.notify_all()

    def _take(self, record: Heard) -> None:
        place = (record.topic, record.partition, record.offset)
        if place not in self._seen:
            self._seen.add(place)
            self.records.append(record)
            self.by_key[record.key].append(record)

    async def until(self, fact: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
        """Waits until `event` finds something in what was heard."""
        try:
            async with asyncio.timeout(seconds), self._news:
                while not (found := fact()):
                    await self._news.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"not within {seconds:.0f} s: {what}") from None

    def answers_to(self, event_id: str, source: str = SOURCE) -> list[Heard]:
        """The answers that an event of ours got; one that the relay published twice counts once."""
        found = {
            record.id: record
            for record in self.records
            if record.topic == FEEDBACK
            and (event := record.data.get("event")) is not None
            and (event["source"], event["id"]) == (source, event_id)
        }
        return list(found.values())

    def answers_at(self, place: tuple[str, int, int]) -> list[Heard]:
        """The answers that a record got, by its position."""
        found = {
            record.id: record
            for record in self.records
            if record.topic == FEEDBACK and tuple(record.data["position"].values()) == place
        }
        return list(found.values())

    # -- being quiet -----------------------------------------------------------------------------------------

    async def drain(self, seconds: float = PATIENCE) -> None:
        """Returns when nothing is left to be done anywhere. Raises AssertionError naming what is behind."""
        deadline, pause = monotonic() + seconds, 0.02
        while behind := await self._behind():
            if monotonic() > deadline:
                raise AssertionError(f"not quiet after {seconds:.0f} s: {behind}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.3)

    async def _behind(self) -> str:
        try:
            ends = await self._ends()
            # What follows from a record is committed before its offset: the outbox is looked at afterwards.
            behind = await self._unread(ends) or await self._unsaid() or await self._unheard(ends)
            return behind or ("" if ends == await self._ends() else "the topics still grow")
        except (OSError, asyncpg.PostgresError, KafkaError) as trouble:
            return f"{type(trouble).__name__}: {trouble}"

    async def _ends(self) -> dict[TopicPartition, int]:
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(self.places)
        return ends

    async def _unsaid(self) -> str:
        connection = await asyncpg.connect(self.database.admin_url)
        try:
            for service in SERVICES:
                left = await connection.fetchval(
                    f"SELECT count(*) FROM {service}.outbox "
                    f"WHERE id > (SELECT published FROM {service}.relay)"
                )
                if left:
                    return f"{service} has {left} facts to publish"
            grants = await connection.fetchval("SELECT count(*) FROM serials.grants WHERE state = 'issuing'")
            return f"serials has {grants} grants to issue" if grants else ""
        finally:
            await connection.close()

    async def _unread(self, ends: Mapping[TopicPartition, int]) -> str:
        begins = await self._consumer.beginning_offsets(self.places)
        for service, topics in topics_read().items():
            committed = await self._admin.list_consumer_group_offsets(f"pawl-{service}")
            read = {place: meta.offset for place, meta in committed.items()}
            left = sum(
                max(0, end - max(begins[place], read.get(place, 0)))
                for place, end in ends.items()
                if place.topic in topics
            )
            if left:
                return f"{service} has {left} records to handle"
        return ""

    async def _unheard(self, ends: Mapping[TopicPartition, int]) -> str:
        for place, end in ends.items():
            if await self._consumer.position(place) < end:
                return f"this checkout has not heard all of {place.topic} yet"
        return ""


async def topic_dump(bootstrap_servers: str) -> list[Heard]:
    """Every record of the six topics, from the first to the last there is now, by partition and offset."""
    consumer = AIOKafkaConsumer(
        **Brokers.at(bootstrap_servers).client(), enable_auto_commit=False, isolation_level=COMMITTED_ONLY
    )
    await consumer.start()
    try:
        await consumer._client.set_topics(list(TOPICS))
        places = [
            TopicPartition(topic, partition)
            for topic in TOPICS
            for partition in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        found: list[Heard] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            batches = await consumer.getmany(timeout_ms=200)
            found += [heard(record) for records in batches.values() for record in records]
    finally:
        await consumer.stop()
    return sorted(found, key=lambda record: (record.topic, record.partition, record.offset))


async def rewind(bootstrap_servers: str, service: str) -> None:
    """Sets the group of a service that is stopped back to the first record of all its topics."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, group_id=f"pawl-{service}", enable_auto_commit=False
    )
    await consumer.start()
    try:
        await consumer._client.set_topics(list(topics_read()[service]))
        places = [
            TopicPartition(topic, partition)
            for topic in topics_read()[service]
            for partition in consumer.partitions_for_topic(topic) or ()
        ]
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, 0))
    finally:
        await consumer.stop()


async def state_hash(database: Database) -> str:
    """One hash over every business table of the four schemas, whatever the order of rows."""
    hashes = await table_hashes(database)
    return hashlib.blake2b(orjson.dumps(hashes, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


async def table_hashes(database: Database) -> dict[str, str]:
    """A hash of each business table by its name.

    What only the wall clock decides is left out, and so is the runtime's own book-keeping, and what is kept
    of months.
    """
    connection = await asyncpg.connect(database.admin_url)
    try:
        tables = await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables "
            "WHERE schemaname = ANY($1) AND tablename <> ALL($2) ORDER BY 1, 2",
            list(SERVICES),
            [*RUNTIME_TABLES, *KEPT_TABLES],
        )
        return {
            f"{schema}.{table}": await connection.fetchval(
                f"SELECT md5(coalesce(string_agg(row, '' ORDER BY row), '')) FROM ("
                f"  SELECT md5((to_jsonb(t) - $1::text[])::text) AS row FROM {schema}.{table} t"
                f"  WHERE NOT {MEANS_NOTHING.get(f'{schema}.{table}', 'false')}) AS rows",
                list(WALL_CLOCK_COLUMNS),
            )
            for schema, table in tables
        }
    finally:
        await connection.close()


async def facts_said(database: Database) -> dict[str, int]:
    """How many events each service has ever appended to its outbox."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        return {
            service: await connection.fetchval(f"SELECT count(*) FROM {service}.outbox")
            for service in SERVICES
        }
    finally:
        await connection.close()


def broken_sequences(records: Iterable[Heard]) -> list[str]:
    """Subjects of our own events whose `ce_sequence` is not 1, 2, 3 ..., in that order within a partition.

    An event that the relay had to publish twice has the same id both times, and counts once. An invoice is
    published under its order first and under its partner later, in two partitions: only all of it is
    contiguous.
    """
    said: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    known: set[str] = set()
    for record in records:
        if record.topic == FEEDBACK or not record.is_ours or record.id in known:
            continue
        known.add(record.id)
        said[record.source, record.subject].append((record.partition, record.sequence or 0))
    return [
        f"{source} {subject}: {places}"
        for (source, subject), places in said.items()
        if sorted(sequence for _, sequence in places) != list(range(1, len(places) + 1))
        or sorted(places) != sorted(places, key=lambda place: place[0])
    ]


def answers_given(records: Iterable[Heard], source: str = SOURCE) -> Counter[str]:
    """How many answers each of our event ids got (the relay's repeats not counted)."""
    found = {
        record.id: record.data["event"]["id"]
        for record in records
        if record.topic == FEEDBACK and (record.data.get("event") or {}).get("source") == source
    }
    return Counter(found.values())
