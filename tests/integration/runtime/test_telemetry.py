"""A service as a process, looked at from outside: its metrics over HTTP, its spans at a collector."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from ops.local.child import Child, last_lines
from ops.local.ports import HOST, Ports
from ops.setup.provision import Database
from ops.shell.http_client import fetch
from ops.shell.run_directory import RunDirectory
from shared.runtime.records import Record
from tests.support.collector import Collector, collecting
from tests.support.desk import payment
from tests.support.instances import until
from tests.support.keys import KEY_SETTINGS
from tests.support.servers import empty_all_topics
from tests.support.traces import TRACE, traced

STOP_SECONDS = 30
RECEIVED = "faststream_received_messages"
NEEDING = "pawl_todo_things"
BY_TOPIC = {"app_name": "pawl-orders", "broker": "kafka", "handler": "checkout.events"}


class Orders:
    """A process of the orders service."""

    def __init__(self, child: Child, url: str) -> None:
        self.child = child
        self._url = url

    async def received(self) -> float:
        """How many records of checkout it has received, as a scraper of its metrics sees it."""
        assert self.child.is_alive, last_lines(self.child.log)
        families = text_string_to_metric_families((await fetch(f"{self._url}/metrics")).text)
        samples = [sample for family in families if family.name == RECEIVED for sample in family.samples]
        return sum(sample.value for sample in samples if sample.labels == BY_TOPIC)

    async def needing(self, cause: str) -> float:
        """How many things need somebody for this cause, in the same way."""
        families = text_string_to_metric_families((await fetch(f"{self._url}/metrics")).text)
        samples = [sample for family in families if family.name == NEEDING for sample in family.samples]
        return sum(sample.value for sample in samples if sample.labels["cause"] == cause)

    async def stop(self) -> int | None:
        """Asks it to end, and returns its exit code; None when it did not end by itself."""
        return self.child.exit_code if await self.child.stop(signal.SIGTERM, STOP_SECONDS) else None


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def orders(
    kafka: str, database: Database, clean_schemas: None, run_directory: RunDirectory, collector: Collector
) -> AsyncIterator[Orders]:
    """One that sends spans to the collector, and none before it ends unless there are very many."""
    await empty_all_topics(kafka)
    port = Ports(run_directory.ports).take("traced-orders")
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "DATABASE_URL": database.service_url("orders"),
        "DATA_KEY": KEY_SETTINGS["DATA_KEY"],
        "HTTP_PORT": str(port),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    }
    command = [sys.executable, "-m", "services.orders"]
    child = Child(command, run_directory.logs / "traced-orders.log", environment)
    yield Orders(child, f"http://{HOST}:{port}")
    await child.stop(signal.SIGTERM, STOP_SECONDS)


async def publish(kafka: str, record: Record) -> None:
    """As checkout does it."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        await producer.send_and_wait(record.topic, record.value, key=record.key, headers=list(record.headers))
    finally:
        await producer.stop()


async def test_a_batch_is_seen_in_the_metrics_and_its_span_is_sent_before_the_service_ends(
    orders: Orders, collector: Collector, kafka: str, admin: asyncpg.Connection
) -> None:
    await publish(kafka, traced(payment("A-1")))

    async def is_paid() -> bool:
        assert orders.child.is_alive, last_lines(orders.child.log)
        query = "SELECT count(*) FROM orders.outbox WHERE type = 'order.paid.v1' AND traceparent = $1"
        return await admin.fetchval(query, TRACE) == 1

    await until(is_paid, "the payment is recorded")
    assert await orders.received() >= 1
    assert collector.posts == []

    assert await orders.stop() == 0

    assert {path for path, _ in collector.posts} == {"/v1/traces"}
    assert collector.has(TRACE)


async def test_what_needs_somebody_is_in_the_metrics(
    orders: Orders, kafka: str, admin: asyncpg.Connection
) -> None:
    await publish(kafka, payment("A-1", amount=1))

    async def is_a_case() -> bool:
        assert orders.child.is_alive, last_lines(orders.child.log)
        return await admin.fetchval("SELECT count(*) FROM orders.quarantine") == 1

    await until(is_a_case, "the payment is a case")

    assert await orders.needing("quarantine") == 1
    assert await orders.needing("dead_letter") == 0
