"""A real broker that takes less than a batch, or less than an event: one key waits, nothing is doubled."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.events.catalogue import FEEDBACK
from tests.integration.runtime.test_relay import (  # noqa: F401 - fixtures
    Listener,
    Publishing,
    assert_in_order,
    ids,
    listener,
    publishing,
)
from tests.support.desk import Desk, payment
from tests.support.instances import until

USUAL = "2097152"


@asynccontextmanager
async def at_most(kafka: str, size: int) -> AsyncIterator[None]:
    """While this lasts the topics of orders take no larger batches."""
    await _limit(kafka, str(size))
    try:
        yield
    finally:
        await _limit(kafka, USUAL)


async def _limit(kafka: str, size: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        for topic in ("orders.events", FEEDBACK):
            configs = {
                "max.message.bytes": size,
                "message.timestamp.type": "LogAppendTime",
                "segment.bytes": "134217728",
                "retention.ms": "31536000000",
            }
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
    finally:
        await admin.close()
    await asyncio.sleep(1)  # a broker takes over a new configuration by itself


async def until_set_aside(desk: Desk, events: int) -> None:
    """Returns when so many events are set aside."""

    async def are_set_aside() -> bool:
        return bool(await desk.pool.fetchval("SELECT count(*) FROM unsent") == events)

    await until(are_set_aside, f"{events} events are set aside")


async def test_a_batch_that_is_too_large_is_split(
    desk: Desk,
    publishing: Publishing,  # noqa: F811
    listener: Listener,  # noqa: F811
    kafka: str,
) -> None:
    async with at_most(kafka, 20_000):
        await desk.take(*(payment(f"A-{n}") for n in range(300)))
        publishing.start(publishing.relay())
        heard = await listener.until(await ids(desk.pool))

    assert max(Counter(headers["ce_id"] for headers in heard).values()) == 1
    assert_in_order(heard)
    assert await desk.pool.fetchval("SELECT count(*) FROM unsent") == 0


async def test_an_event_that_is_too_large_waits_with_its_key_until_the_topic_takes_it(
    desk: Desk,
    publishing: Publishing,  # noqa: F811
    listener: Listener,  # noqa: F811
    kafka: str,
    admin: Any,
) -> None:
    async with at_most(kafka, 20_000):
        await desk.take(payment("A-1"), payment("A-2"))
        await admin.execute(
            "UPDATE orders.outbox SET data = data || convert_to(repeat(' ', 40000), 'UTF8') WHERE id ="
            " (SELECT min(id) FROM orders.outbox WHERE key = 'A-1' AND topic = 'orders.events')"
        )
        publishing.start(publishing.relay())
        others = {
            str(row["event_id"])
            for row in await desk.pool.fetch(
                "SELECT event_id FROM outbox WHERE NOT (key = 'A-1' AND topic = 'orders.events')"
            )
        }
        await listener.until(others)
        await until_set_aside(desk, 1)

    await desk.pool.execute("UPDATE unsent SET retry_at = now() WHERE state = 'refused'")
    heard = await listener.until(await ids(desk.pool))
    assert_in_order(heard)
    await until_set_aside(desk, 0)
