"""Any redelivery is a no-op: whole topics are read again from their start, and published again."""

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

import pytest

from ops.local.running import RunningSystem
from ops.setup.provision import Database
from shared.events.catalogue import SERVICES
from tests.support.driver import Checkout, Heard, facts_said, rewind, table_hashes, topic_dump
from tests.support.tour import tell_everything

AGAIN = pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.faults)])
SEED = 20_261_122


@AGAIN
async def test_topics_read_from_offset_zero_again_and_again_change_nothing(
    checkout: Checkout, system: RunningSystem, database: Database, close_month: Any, times: int
) -> None:
    await tell_everything(checkout, close_month, system)
    await checkout.drain()
    state, said = await table_hashes(database), await facts_said(database)

    for _ in range(times):
        await asyncio.gather(*(system.services.stop(service) for service in SERVICES))
        await asyncio.gather(*(rewind(checkout.bootstrap_servers, service) for service in SERVICES))
        for service in SERVICES:
            system.services.start(service)
        await checkout.drain()

        assert await table_hashes(database) == state
        assert await facts_said(database) == said


@AGAIN
async def test_every_topic_published_again_in_another_order_of_keys_changes_nothing(
    checkout: Checkout, system: RunningSystem, database: Database, close_month: Any, times: int
) -> None:
    await tell_everything(checkout, close_month, system)
    await checkout.drain()
    state, said = await table_hashes(database), await facts_said(database)

    records = await topic_dump(checkout.bootstrap_servers)
    answered_by_position = {tuple(r.data["position"].values()) for r in records if _names_no_event(r)}
    again = [r for r in records if (r.topic, r.partition, r.offset) not in answered_by_position]
    dice = random.Random(SEED)
    for _ in range(times):
        await checkout.publish_all(record.raw for record in shuffled_across_keys(again, dice))
        await checkout.drain()

        assert await table_hashes(database) == state
        assert await facts_said(database) == said


def shuffled_across_keys(records: Iterable[Heard], dice: random.Random) -> list[Heard]:
    """The records in an order of chance, those of one key in one partition in their own."""
    lanes: dict[tuple[str, int, str], deque[Heard]] = defaultdict(deque)
    for record in records:
        lanes[record.topic, record.partition, record.key].append(record)
    turns = [lane for lane, waiting in lanes.items() for _ in waiting]
    dice.shuffle(turns)
    return [lanes[lane].popleft() for lane in turns]


def _names_no_event(record: Heard) -> bool:
    """An answer to a record, not to an event: no readable id, or the id of another event."""
    if record.type != "event.rejected.v1":
        return False
    return record.data["code"] == "duplicate_id" or "event" not in record.data
