"""Inbox and outbox forget under load what the topics no longer hold, and let no duplicate in.

Days pass in seconds here: little is kept, and the topics lose their beginning as soon as it was read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from ops.local.running import RunningSystem
from ops.shell.acls import topics_read
from shared.events.catalogue import SERVICES, UPSTREAM
from tests.reliability.conftest import Begin
from tests.support.driver import Checkout, rewind
from tests.support.instances import until, until_healthy
from tests.support.retention import USUAL, keep_for, rows_left

ORDERS = 1_000
KEEP = timedelta(seconds=2)
HURRY = {"FORGET_EVERY_SECONDS": "0.2"}


@pytest.fixture
async def forgetful(system: RunningSystem, checkout: Checkout, admin: Any) -> AsyncIterator[RunningSystem]:
    """Services that keep next to nothing; the usual ones afterwards, before the closing audit."""
    await restart(system, HURRY)
    await keep_for(admin, SERVICES, KEEP)
    yield system
    await keep_for(admin, SERVICES, USUAL)
    await restart(system, {})


async def restart(system: RunningSystem, environment: Mapping[str, str]) -> None:
    await asyncio.gather(*(system.services.stop(service) for service in SERVICES))
    for service in SERVICES:
        system.services.start(service, environment)
    await asyncio.gather(*(until_healthy(system, service) for service in SERVICES))


@asynccontextmanager
async def topics_that_lose_their_beginning(checkout: Checkout) -> AsyncIterator[None]:
    """While this lasts, what every reader has read is deleted again and again."""

    async def lose() -> None:
        while True:
            await cut(checkout, await read_by_all(checkout))
            await asyncio.sleep(0.2)

    losing = asyncio.create_task(lose())
    try:
        yield
    finally:
        losing.cancel()
        await asyncio.wait([losing])
    assert losing.cancelled(), losing.exception()


async def read_by_all(checkout: Checkout) -> dict[TopicPartition, int]:
    """How far each partition was read by every service that reads it, and by this checkout."""
    reached = {place: await checkout._consumer.position(place) for place in checkout.places}
    for service, topics in topics_read().items():
        committed = await checkout._admin.list_consumer_group_offsets(f"pawl-{service}")
        for place in checkout.places:
            if place.topic in topics:
                read = max(0, committed[place].offset) if place in committed else 0
                reached[place] = min(reached[place], read)
    return reached


async def cut(checkout: Checkout, until_offsets: Mapping[TopicPartition, int]) -> None:
    """Deletes what stands before these offsets, as retention does."""
    begins = await checkout._consumer.beginning_offsets(list(until_offsets))
    wanted = {p: RecordsToDelete(offset) for p, offset in until_offsets.items() if offset > begins[p]}
    if wanted:
        await checkout._admin.delete_records(wanted)


async def until_forgotten(admin: Any, tables: Callable[[str], bool]) -> None:
    """Returns when none of these tables has a row left."""

    async def are_empty() -> bool:
        left = await rows_left(admin, SERVICES)
        return not any(rows for table, rows in left.items() if tables(table))

    await until(are_empty, f"everything is forgotten, not {await rows_left(admin, SERVICES)}")


async def until_repeats_are_noted(admin: Any) -> None:
    """Returns when every id was claimed a tenth of `keep` ago: one that comes again sooner is not noted."""

    async def are_old_enough() -> bool:
        newest = [await admin.fetchval(f"SELECT max(recorded_at) FROM {name}.inbox") for name in SERVICES]
        return await admin.fetchval("SELECT now() - $1::interval / 10", KEEP) > max(filter(None, newest))

    await until(are_old_enough, "no event is new any more")


async def newest_facts(admin: Any) -> dict[str, int]:
    """The number of the newest event of each service, which may be forgotten already."""
    newest = "SELECT greatest(forgotten, (SELECT max(id) FROM {0}.outbox)) FROM {0}.retention"
    return {name: await admin.fetchval(newest.format(name)) for name in SERVICES}


@pytest.mark.faults
async def test_rotation_under_load_loses_and_doubles_nothing(
    begin: Begin, forgetful: RunningSystem, checkout: Checkout, admin: Any
) -> None:
    """Orders come and come until all that was said of the first ones is forgotten."""
    pids = forgetful.services.pids()

    async def are_forgotten(facts: Mapping[str, int]) -> bool:
        far = {name: await admin.fetchval(f"SELECT forgotten FROM {name}.retention") for name in facts}
        return all(far[name] >= newest for name, newest in facts.items())

    async with topics_that_lose_their_beginning(checkout):
        loads = [await begin(ORDERS)]
        await loads[0].until("refund.payout_requested.v1", 1)
        first = await newest_facts(admin)
        while len(loads) == 1 or not await are_forgotten(first):
            loads.append(await begin(ORDERS // 10))
            await loads[-1].until("serials.issued.v2", 0.5)
        for load in loads:
            await load.end()
        await until_forgotten(admin, lambda table: True)

    assert all(first.values()), "a service had said nothing"
    for load in loads:
        load.assert_complete()
    assert forgetful.services.pids() == pids


@pytest.mark.smoke
async def test_a_duplicate_on_the_other_side_of_the_horizon_is_still_known(
    begin: Begin, forgetful: RunningSystem, checkout: Checkout, admin: Any
) -> None:
    """Each event came twice. The first record and what followed from it are gone, and all is read again."""
    load = await begin(ORDERS // 10)
    await load.end()
    keys = {story.order_id for story in load.stories}
    said = [record for record in checkout.records if record.topic == UPSTREAM and record.key in keys]
    await until_repeats_are_noted(admin)
    ends = {place: await checkout._consumer.position(place) for place in checkout.places}
    await checkout.publish_all(record.raw for record in said)
    await checkout.drain()
    heard = len(checkout.records)

    await cut(checkout, ends)
    await until_forgotten(admin, lambda table: table.endswith(".outbox"))
    await asyncio.gather(*(forgetful.services.stop(service) for service in SERVICES))
    await asyncio.gather(*(rewind(checkout.bootstrap_servers, service) for service in SERVICES))
    for service in SERVICES:
        forgetful.services.start(service, HURRY)
    await checkout.drain()

    assert len(checkout.records) == heard, "an event was handled again: it was answered"
