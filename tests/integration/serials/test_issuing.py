"""Exactly one serial for each unit granted, whatever is repeated, interrupted or done twice at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import orjson
import pytest

from ops.setup.provision import Database
from services.serials.decisions import start_issuing
from services.serials.issuing import Issuer
from services.serials.state import Policy
from services.serials.store import GRANTS, Store
from services.serials.writer import SerialWriter
from shared.ids import random_bytes, uuid7, uuid7_run
from shared.postgres import Connection, connect, open_pool
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import OutboxRows
from shared.runtime.surroundings import Surroundings
from shared.runtime.tasks import end_all
from tests.integration.serials.conftest import CHUNK, SEALER, Desk
from tests.support.granted import GRANTED_AT, granted
from tests.support.patience import PATIENCE

SOMEBODY_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)"


class PowerCut(Exception):
    """Stands for a process that ends in the middle of a transaction."""


class FailingOutbox(Outbox):
    """Lets so many chunks commit, then cuts the power with the serials written and nothing committed."""

    chunks_left = 2

    async def append(self, connection: Connection, rows: OutboxRows) -> None:
        if not self.chunks_left:
            raise PowerCut
        self.chunks_left -= 1
        await super().append(connection, rows)


def repeating(*blocks: bytes) -> Callable[[int], bytes]:
    """A random source that gives these bytes first."""
    left = list(blocks)
    return lambda count: left.pop(0)[:count] if left else random_bytes(count)


async def test_small_grants_are_issued_with_their_batch(desk: Desk) -> None:
    first, second = uuid7(), uuid7()

    await desk.take(granted(60, grant_id=first), granted(200, grant_id=second, order_id="A-1002"))

    assert [await desk.serials_of(first), await desk.serials_of(second)] == [60, 200]
    (event,) = await desk.events_of(first)
    assert (event["type"], event["key"], event["sequence"]) == ("serials.issued.v2", "A-1001", 1)
    assert event["time"] == GRANTED_AT.isoformat()
    assert event["data"]["registration_deadline"] == "2027-01-22T23:59:59.999999+09:00"


async def test_a_repeated_grant_makes_no_second_set(desk: Desk, owner: asyncpg.Connection) -> None:
    small, large = uuid7(), uuid7()
    events = [granted(60, grant_id=small), granted(1_200, grant_id=large)]

    await desk.take(*events, *events)
    await desk.worker().drain()
    await desk.take(*events)
    await desk.worker().drain()

    assert [await desk.serials_of(small), await desk.serials_of(large)] == [60, 1_200]
    assert len(await desk.events_of(small)) == 1


async def test_two_consumers_of_one_grant_cannot_both_record_it(desk: Desk) -> None:
    grant_id = uuid7()

    outcomes = await asyncio.gather(
        desk.take(granted(60, grant_id=grant_id)),
        desk.take(granted(60, grant_id=grant_id)),
        return_exceptions=True,
    )

    refused = [outcome for outcome in outcomes if outcome is not None]
    assert all(isinstance(outcome, asyncpg.UniqueViolationError) for outcome in refused)
    assert await desk.serials_of(grant_id) == 60


async def test_a_large_grant_is_issued_in_chunks_that_tell_how_far_they_are(desk: Desk) -> None:
    grant_id = uuid7()
    await desk.take(granted(2 * CHUNK + 300, grant_id=grant_id))
    assert desk.store.large_granted.is_set()

    assert await desk.worker().drain() == 2 * CHUNK + 300

    events = await desk.events_of(grant_id)
    assert [(event["type"], event["sequence"]) for event in events] == [
        ("issuance.progressed.v1", 1),
        ("issuance.progressed.v1", 2),
        ("serials.issued.v2", 1),
    ]
    assert [event["data"].get("issued") for event in events] == [CHUNK, 2 * CHUNK, None]
    assert {event["time"] for event in events} == {GRANTED_AT.isoformat()}
    grant = await desk.pool.fetchrow("SELECT state, issued, issued_at FROM grants")
    assert tuple(grant) == ("issued", 2 * CHUNK + 300, GRANTED_AT)


async def test_a_grant_of_exactly_one_chunk_speaks_once(desk: Desk) -> None:
    grant_id = uuid7()
    await desk.take(granted(CHUNK, grant_id=grant_id))

    await desk.worker().drain()

    assert [event["type"] for event in await desk.events_of(grant_id)] == ["serials.issued.v2"]


async def test_what_one_decision_grants_is_told_together_as_it_becomes_whole(desk: Desk) -> None:
    """Two small grants at once, two middling ones by the worker in one chunk, a large one by itself."""
    await desk.take(granted(60, more=[201, 150, 250, CHUNK + 1]))
    await desk.worker().drain()

    rows = await desk.pool.fetch("SELECT sequence, data FROM outbox WHERE subject = 'A-1001' ORDER BY id")
    told = [(row["sequence"], [g["line_id"] for g in orjson.loads(row["data"])["grants"]]) for row in rows]
    assert told == [(1, ["1", "3"]), (2, ["2", "4"]), (3, ["5"])]


async def test_a_worker_goes_on_with_an_order_that_an_earlier_version_recorded(
    desk: Desk, owner: asyncpg.Connection
) -> None:
    """It has a large grant, and no row of its order."""
    grant_id = uuid7()
    await desk.take(granted(CHUNK + 1, grant_id=grant_id))
    await owner.execute("DELETE FROM orders")

    await desk.worker().drain()

    assert [event["sequence"] for event in await desk.events_of(grant_id)] == [1, 1]
    assert await desk.pool.fetchval("SELECT sequence FROM orders") == 1


async def test_many_middling_grants_share_a_transaction_and_do_not_wait_for_a_large_one(desk: Desk) -> None:
    large, middling = uuid7(), [uuid7() for _ in range(5)]
    await desk.take(granted(3 * CHUNK, grant_id=large), *(granted(201, grant_id=each) for each in middling))
    worker = desk.worker()

    assert await worker.issue_chunk() == 402

    assert await desk.serials_of(large) == 0
    await worker.drain()
    assert [await desk.serials_of(each) for each in (large, *middling)] == [3 * CHUNK, *[201] * 5]


async def test_after_a_power_cut_in_the_middle_the_rest_is_issued_and_no_unit_twice(desk: Desk) -> None:
    grant_id = uuid7()
    await desk.take(granted(4 * CHUNK, grant_id=grant_id))

    with pytest.raises(PowerCut):
        await desk.worker(FailingOutbox("serials", {"serials.events": 12})).drain()
    assert await desk.serials_of(grant_id) == 2 * CHUNK

    assert await desk.worker().drain() == 2 * CHUNK
    assert await desk.serials_of(grant_id) == 4 * CHUNK
    assert [event["sequence"] for event in await desk.events_of(grant_id)] == [1, 2, 3, 1]


async def test_two_workers_at_once_make_exactly_what_was_granted(desk: Desk) -> None:
    grants = [uuid7() for _ in range(4)]
    await desk.take(*(granted(3 * CHUNK + 7, grant_id=each) for each in grants))
    workers = [desk.worker(), desk.worker()]

    while sum(await asyncio.gather(*(worker.issue_chunk() for worker in workers))):
        pass

    assert [await desk.serials_of(each) for each in grants] == [3 * CHUNK + 7] * 4


@pytest.mark.parametrize("units", [201, 3 * CHUNK], ids=["small", "large"])
async def test_a_grant_in_the_hands_of_one_worker_is_passed_over_by_the_next(desk: Desk, units: int) -> None:
    first, second = sorted([uuid7(), uuid7()])
    await desk.take(granted(units, grant_id=first), granted(units, grant_id=second, order_id="A-1002"))
    async with desk.pool.acquire() as one, one.transaction(), desk.pool.acquire() as other:
        held = await desk.store.lock_grants(one, 1, CHUNK)
        async with asyncio.timeout(PATIENCE), other.transaction():
            found = await desk.store.lock_grants(other, 1, CHUNK)

    assert [[grant.grant_id for grant in grants] for grants in (held, found)] == [[first], [second]]


async def test_a_worker_and_a_batch_that_speak_of_one_order_number_their_events_in_turn(desk: Desk) -> None:
    """Each waits for the other, so that no number is given twice."""
    await desk.take(granted(60), granted(201, grant_id=uuid7()))
    batch = granted(70, grant_id=uuid7())
    async with desk.pool.acquire() as connection, connection.transaction():
        world = await desk.store.load(connection, [batch])
        worker = asyncio.create_task(desk.worker().drain())
        while not worker.done() and not await desk.pool.fetchval(SOMEBODY_WAITS):
            await asyncio.sleep(0.01)
        await desk.write(connection, world, batch)

    assert await worker == 201
    rows = await desk.pool.fetch("SELECT sequence FROM outbox WHERE subject = 'A-1001' ORDER BY id")
    assert [row["sequence"] for row in rows] == [1, 2, 3]


async def test_a_worker_that_runs_issues_what_was_left_before_it_started_and_what_comes(desk: Desk) -> None:
    before, after = uuid7(), uuid7()
    await desk.take(granted(CHUNK + 1, grant_id=before))
    running = asyncio.create_task(desk.worker().run())

    await desk.take(granted(CHUNK + 2, grant_id=after))
    async with asyncio.timeout(PATIENCE):
        while await desk.serials_of(after) < CHUNK + 2:
            await asyncio.wait_for(asyncio.shield(desk.outbox.appended.wait()), PATIENCE)
            desk.outbox.appended.clear()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert await desk.serials_of(before) == CHUNK + 1


async def test_without_the_lock_the_schema_still_refuses_a_second_set(
    desk: Desk, owner: asyncpg.Connection
) -> None:
    event = granted(100, grant_id=uuid7())
    grant = start_issuing(event, event.data.grants[0], uuid7_run(1 << 24), 91)
    async with desk.pool.acquire() as connection:
        await GRANTS.save(connection, [(grant, None)])
        await desk.writer.write(connection, [grant.next_part(100)], await desk.writer.make(100))

        with pytest.raises(asyncpg.UniqueViolationError, match="serials_pkey"):
            await desk.writer.write(connection, [grant.next_part(100)], await desk.writer.make(100))

    assert await desk.serials_of(grant.grant_id) == 100
    await owner.execute("DELETE FROM serials; DELETE FROM grants")


async def test_when_chance_repeats_a_serial_the_chunk_is_made_anew(desk: Desk) -> None:
    first, second = uuid7(), uuid7()
    block = random_bytes(15 * CHUNK)
    await desk.take(granted(CHUNK, grant_id=first), granted(CHUNK, grant_id=second))
    worker = desk.worker(writer=SerialWriter(desk.vault, repeating(block, block)))

    await worker.drain()

    assert [await desk.serials_of(first), await desk.serials_of(second)] == [CHUNK, CHUNK]
    assert await desk.pool.fetchval("SELECT count(DISTINCT lookup_tag) FROM serials") == 2 * CHUNK


async def test_a_broken_random_source_stops_the_worker_and_issues_nothing(desk: Desk) -> None:
    await desk.take(granted(CHUNK))
    worker = desk.worker(writer=SerialWriter(desk.vault, bytes))

    with pytest.raises(RuntimeError, match="random source"):
        await worker.drain()

    assert await desk.pool.fetchval("SELECT count(*) FROM serials") == 0


async def test_all_serials_are_different_and_their_ids_belong_to_their_grants(
    desk: Desk,
) -> None:
    await desk.take(*(granted(100, grant_id=uuid7()) for _ in range(12)))
    await desk.worker().drain()

    rows = await desk.pool.fetch(
        "SELECT s.serial_id, s.lookup_tag, g.batch_id FROM serials s JOIN grants g USING (grant_id)"
    )

    assert len({row["lookup_tag"] for row in rows}) == len(rows) == 1_200
    assert all(UUID(int=row["serial_id"].int & ~0xFFFFFF) == row["batch_id"] for row in rows)


MUCH = 100_000


@pytest.mark.parametrize("limit", ["statement_timeout", "transaction_timeout"])
async def test_a_chunk_for_which_time_is_too_short_is_halved_until_it_fits(
    desk: Desk, database: Database, limit: str
) -> None:
    """A hundred thousand serials take longer than this on any machine, and a few thousand do not."""
    grant_id = uuid7()
    desk.policy = Policy(small_grant=200, at_once=1_000, chunk=MUCH, home_from=MUCH)
    desk.store = Store(desk.writer, desk.policy, SEALER)
    await desk.take(granted(MUCH + 1, grant_id=grant_id))

    async with hurried(database, limit) as pool:
        running = asyncio.create_task(Issuer(Surroundings(pool, desk.outbox), desk.store, 0.05).run())
        async with asyncio.timeout(PATIENCE):
            while await desk.serials_of(grant_id) < MUCH + 1:
                await desk.outbox.appended.wait()
                desk.outbox.appended.clear()
        await end_all([running])

    assert (await desk.events_of(grant_id))[-1]["type"] == "serials.issued.v2"


@asynccontextmanager
async def hurried(database: Database, limit: str) -> AsyncIterator[asyncpg.Pool]:
    """Sessions of the service whose statements or transactions the database ends soon."""
    admin = await connect(database.admin_url, "serials")
    await admin.execute(f"ALTER ROLE pawl_serials SET {limit} = '250ms'")
    try:
        pool = await open_pool(database.service_url("serials"), "serials", 6)
    finally:
        await admin.execute(f"ALTER ROLE pawl_serials RESET {limit}")
        await admin.close()
    yield pool
    await pool.close()
