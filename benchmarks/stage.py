"""The stage of a measurement: a fresh broker and a fresh database in a temporary directory, on 127.0.0.1.

Every run gets empty topics and empty tables, so that no run pays for the rows of another.
"""

import asyncio
import base64
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from ops.local.kafka import EmbeddedKafka
from ops.local.ports import Ports
from ops.local.postgres import EmbeddedPostgres, wipe
from ops.setup.provision import Database, kept_passwords, migrate, provision
from ops.setup.topics import create_topics, wanted_topics
from shared.events.catalogue import SERVICES
from shared.partitioner import partition_for

USUAL = Path(__file__).parent / "usual" / "tables.sql"
OURS = """
    SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables
    WHERE schemaname = ANY($1) AND tablename NOT IN ('schema_migrations', 'relay', 'retention')
"""
HOMES = """
    SELECT array_agg(inhrelid::regclass::text) FROM pg_inherits
    WHERE inhparent = 'serials.serials'::regclass AND inhrelid <> 'serials.serials_0'::regclass
"""
Headers = Sequence[tuple[str, bytes]]
Message = tuple[str, bytes, Headers]


@dataclass(slots=True)
class Stage:
    """Addresses of the servers, and what makes them fresh."""

    directory: Path
    kafka: str
    database: Database
    partitions: dict[str, int]

    async def clear(self) -> None:
        """Empty topics and empty tables; what the servers still have to write is written now."""
        await self._empty_topics()
        async with self.connected() as connection:
            for name in await connection.fetchval(HOMES) or ():
                await connection.execute(f"DROP TABLE {name}")
            tables = await connection.fetchval(OURS, [*SERVICES, "usual"])
            # As a replica: a trigger keeps the audit log from everybody else.
            emptying = f"TRUNCATE {tables} RESTART IDENTITY CASCADE"
            await connection.execute(f"SET LOCAL session_replication_role = replica; {emptying}")
            for service in SERVICES:
                await connection.execute(f"UPDATE {service}.relay SET published = 0")
                await connection.execute(f"UPDATE {service}.retention SET keep = '400 days', forgotten = 0")
            await connection.execute("CHECKPOINT")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        """A connection of the administrator."""
        connection = await asyncpg.connect(self.database.admin_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def load(self, topic: str, messages: Sequence[Message]) -> None:
        """Puts messages into a topic, each in the partition of its key, before the clock starts."""
        count = self.partitions[topic]
        shares: dict[int, list[Message]] = {}
        for message in messages:
            shares.setdefault(partition_for(message[0], count), []).append(message)
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka, acks="all", max_batch_size=1_000_000, max_request_size=4_000_000
        )
        await producer.start()
        try:
            sent = [await self._load_partition(producer, topic, p, share) for p, share in shares.items()]
            await asyncio.gather(*(future for futures in sent for future in futures))
        finally:
            await producer.stop()

    async def count(self, topic: str) -> int:
        """How many messages a topic holds."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka)
        await consumer.start()
        try:
            places = [TopicPartition(topic, number) for number in range(self.partitions[topic])]
            ends, starts = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
            return int(sum(ends.values()) - sum(starts.values()))
        finally:
            await consumer.stop()

    def environment(self, service: str) -> dict[str, str]:
        """What a service is told by the environment, on this stage."""
        keys = ("DATA_KEY", "SERIAL_LOOKUP_KEY", "SERIAL_TEXT_KEY")
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "DATABASE_URL": self.database.service_url(service),
            "LOG_LEVEL": "warning",
            **{name: base64.b64encode(sha256(name.encode()).digest()).decode() for name in keys},
        }

    async def _load_partition(
        self, producer: AIOKafkaProducer, topic: str, partition: int, messages: Sequence[Message]
    ) -> list[Any]:
        futures, batch = [], producer.create_batch()
        for key, value, headers in messages:
            if batch.append(key=key.encode(), value=value, timestamp=None, headers=list(headers)) is None:
                futures.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key.encode(), value=value, timestamp=None, headers=list(headers))
        futures.append(await producer.send_batch(batch, topic, partition=partition))
        return futures

    async def _empty_topics(self) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await consumer.start()
        await admin.start()
        try:
            places = [
                TopicPartition(topic, number)
                for topic, count in self.partitions.items()
                for number in range(count)
            ]
            ends = await consumer.end_offsets(places)
            await admin.delete_records({p: RecordsToDelete(before_offset=end) for p, end in ends.items()})
        finally:
            await admin.close()
            await consumer.stop()


@asynccontextmanager
async def fresh_stage(postgres_settings: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """Real Kafka and real PostgreSQL with the settings of `pawl up`, gone when the block ends."""
    directory = _new_directory()
    ports = Ports(directory / "ports.json")
    kafka = EmbeddedKafka(directory / "kafka", ports)
    postgres = EmbeddedPostgres(directory / "postgres", ports, settings=postgres_settings)
    try:
        await asyncio.gather(kafka.start(), postgres.start())
        url = postgres.url()
        database = await provision(url, kept_passwords(directory / "passwords.json", url))
        await migrate(database)
        await create_topics(kafka.bootstrap_servers)
        counts = {topic.name: topic.partitions for topic in wanted_topics()}
        stage = Stage(directory, kafka.bootstrap_servers, database, counts)
        async with stage.connected() as connection:
            await connection.execute(USUAL.read_text())
        yield stage
    finally:
        await asyncio.gather(kafka.stop(), postgres.stop(), return_exceptions=True)
        wipe(directory / "postgres")
        shutil.rmtree(directory, ignore_errors=True)


def set_environment(environment: Mapping[str, str]) -> None:
    """Gives this process the environment of a service."""
    os.environ.update(environment)


def _new_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="pawl-bench-"))
    directory.chmod(0o755)  # the account that runs PostgreSQL must get in
    return directory
