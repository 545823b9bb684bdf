"""Any redelivery is a no-op: whole topics are read again from their start, and published again."""

import asyncio
from typing import Any

import pytest

from ops.provision import SERVICES, Database
from ops.running import RunningSystem
from tests.support.driver import Checkout, Heard, facts_said, rewind, table_hashes, topic_dump
from tests.support.tour import tell_everything

pytestmark = pytest.mark.timeout(300)

TIMES = 3


async def test_topics_read_from_offset_zero_again_and_again_change_nothing(
    checkout: Checkout, system: RunningSystem, database: Database, close_month: Any
) -> None:
    await tell_everything(checkout, close_month, system)
    await checkout.drain()
    state, said = await table_hashes(database), await facts_said(database)

    for _ in range(TIMES):
        await asyncio.gather(*(system.services.stop(service) for service in SERVICES))
        await asyncio.gather(*(rewind(checkout.bootstrap_servers, service) for service in SERVICES))
        for service in SERVICES:
            system.services.start(service)
        await checkout.drain()

        assert await table_hashes(database) == state
        assert await facts_said(database) == said


async def test_every_record_of_every_topic_published_again_changes_nothing(
    checkout: Checkout, system: RunningSystem, database: Database, close_month: Any
) -> None:
    await tell_everything(checkout, close_month, system)
    await checkout.drain()
    state, said = await table_hashes(database), await facts_said(database)

    records = await topic_dump(checkout.bootstrap_servers)
    answered_by_position = {tuple(r.data["position"].values()) for r in records if _names_no_event(r)}
    await checkout.publish_all(
        record.raw
        for record in records
        if (record.topic, record.partition, record.offset) not in answered_by_position
    )
    await checkout.drain()

    assert await table_hashes(database) == state
    assert await facts_said(database) == said


def _names_no_event(record: Heard) -> bool:
    """An answer to a record, not to an event: no readable id, or the id of another event."""
    if record.type != "event.rejected.v1":
        return False
    return record.data["code"] == "duplicate_id" or "event" not in record.data
