"""The orders service as a process whose schema is set back: it refuses, says why, and is brought forward."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ops.setup.provision import Database
from ops.shell.run_directory import RunDirectory
from shared.events.catalogue import UPSTREAM
from shared.runtime.records import StoredRecord
from tests.support.desk import issuance, payment, upstream
from tests.support.instances import until
from tests.support.restored import Backup, OneService
from tests.support.servers import empty_all_topics

TYPES = "SELECT type, key, data FROM outbox ORDER BY key, topic, sequence, event_id"
OF_OTHER = {
    "partner_id": "P-18",
    "business_number": "1168200276",
    "name": "가나다 주식회사",
    "invoice_email": "tax@ganada.example",
}
COUNTED = "SELECT key, type, subject, sequence, event_id FROM outbox ORDER BY key, topic, sequence, event_id"


@pytest.fixture
async def orders(
    kafka: str, database: Database, clean_schemas: None, run_directory: RunDirectory
) -> AsyncIterator[OneService]:
    await empty_all_topics(kafka)
    service = OneService(kafka, database, run_directory)
    yield service
    await service.stop()


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database.admin_url, server_settings={"search_path": "orders"})
    yield connection
    await connection.close()


async def say(kafka: str, *records: StoredRecord) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for record in records:
        await producer.send_and_wait(UPSTREAM, record.value, key=record.key, headers=list(record.headers))
    await producer.stop()


async def until_said(reader: Any, events: int) -> None:
    """Returns when so many events are published."""

    async def published() -> bool:
        row = await reader.fetchrow("SELECT published, (SELECT count(*) FROM outbox) AS said FROM relay")
        last = await reader.fetchval("SELECT coalesce(max(id), 0) FROM outbox")
        return bool(row["said"] >= events and row["published"] == last)

    await until(published, f"{events} events are published")


async def test_a_restored_schema_refuses_is_brought_forward_and_goes_on(
    orders: OneService, kafka: str, database: Database, reader: Any
) -> None:
    backup = Backup(database)
    await orders.start()
    await say(kafka, payment("R-1"), payment("R-2"))
    await until_said(reader, 4)
    await backup.take()
    await say(kafka, issuance("R-1", 5), payment("R-3", 5, "automatic"), issuance("R-2", 7, "iss-2"))
    await until_said(reader, 11)
    said = await reader.fetch(COUNTED)
    claims = await reader.fetch("SELECT * FROM claims ORDER BY claim_id")
    await orders.stop()
    await backup.restore()

    refusal = await orders.refusal()
    assert "the schema orders is older than its topics" in refusal
    for order in ("R-1", "R-2", "R-3"):
        assert order in refusal
    assert "pawl recover orders" in refusal

    code, shown = await orders.recover(apply=False)
    assert (code, shown["lost"], shown["applied"]) == (0, [], False)
    assert len(await reader.fetch(COUNTED)) < len(said)

    code, done = await orders.recover(apply=True)
    assert (code, done["lost"], done["applied"], done["fresh"]) == (0, [], True, 0)
    assert await reader.fetch(COUNTED) == said
    assert await reader.fetch("SELECT * FROM claims ORDER BY claim_id") == claims
    assert (await orders.recover(apply=True))[1]["told"] == 0

    await orders.start()
    await say(kafka, issuance("R-1", 100, "too-many"))
    await until_said(reader, len(said) + 2)
    assert await reader.fetchval("SELECT count(*) FROM gaps") == 0
    assert await reader.fetchval("SELECT sum(quantity) FROM claims WHERE order_id = 'R-1'") == 5


def wants_to_leave(partner: str, request: str) -> StoredRecord:
    said = upstream(
        "partner.withdrawal_requested.v1", partner, {"partner_id": partner, "request_id": request}
    )
    body = {key: value for key, value in orjson.loads(said.value or b"").items() if key != "order_id"}
    return replace(said, value=orjson.dumps(body))


async def test_what_a_partner_was_answered_is_brought_forward_with_all_of_its_orders(
    orders: OneService, kafka: str, database: Database, reader: Any
) -> None:
    """Its orders stand in other partitions than what it asks: each answer follows from those before it."""
    backup = Backup(database)
    await orders.start()
    await say(kafka, *(payment(f"L-{number}") for number in range(6)))
    await until_said(reader, 12)
    await backup.take()
    await say(kafka, *(payment(f"M-{number}") for number in range(12)))
    await until_said(reader, 36)
    await say(kafka, wants_to_leave("P-17", "wd-1"))
    await until_said(reader, 38)
    await say(kafka, payment("N-1"), wants_to_leave("P-18", "wd-2"))
    await until_said(reader, 42)
    await say(kafka, payment("N-2", partner=OF_OTHER), wants_to_leave("P-17", "wd-3"))
    await until_said(reader, 45)
    said = await reader.fetch(COUNTED)
    told = await reader.fetch(TYPES)
    assert {"partner.withdrawal_refused.v1", "partner.withdrawn.v1"} < {row["type"] for row in told}
    await orders.stop()
    await backup.restore()

    code, shown = await orders.recover(apply=False)
    assert (code, shown["lost"], shown["applied"]) == (0, [], False)
    code, done = await orders.recover(apply=True)

    assert (code, done["lost"], done["applied"], done["fresh"]) == (0, [], True, 0)
    assert await reader.fetch(COUNTED) == said
    assert await reader.fetch(TYPES) == told
    await orders.start()


async def test_a_schema_that_is_set_back_under_a_running_service_ends_it(
    orders: OneService, kafka: str, database: Database, reader: Any
) -> None:
    backup = Backup(database)
    await orders.start()
    await say(kafka, payment("R-4"))
    await until_said(reader, 2)
    await backup.take()
    await say(kafka, issuance("R-4", 5))
    await until_said(reader, 4)

    await backup.restore()
    await say(kafka, issuance("R-4", 5, "iss-2"))

    async def ended() -> bool:
        assert orders.child is not None
        return orders.child.exit_code is not None

    await until(ended, "orders has ended")
    assert await topic_keys(kafka, "orders.events") == {"R-4"}


async def topic_keys(kafka: str, topic: str) -> set[str]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    found = await consumer.getmany(timeout_ms=2_000)
    await consumer.stop()
    return {record.key.decode() for records in found.values() for record in records}
