"""The relay publishes what was committed: all of it, each key in order, from where its predecessor came."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from structlog.testing import capture_logs

from ops.setup.provision import Database
from shared.events.catalogue import FEEDBACK
from shared.ids import uuid7
from shared.kafka import LARGEST_RECORD, new_producer
from shared.postgres import connect
from shared.runtime import relay as relay_module
from shared.runtime.decisions import NewEvent
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import Cause
from shared.runtime.relay import LostLead, Relay
from shared.runtime.signals import Metrics
from shared.runtime.tasks import end_all
from tests.support.desk import NOW, Crash, Desk, issuance, payment
from tests.support.patience import PATIENCE
from tests.support.traces import TRACE, traced

KEYS = tuple(f"A-{number}" for number in range(20))


class Listener:
    """Everything that orders publishes from now on."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, fetch_max_wait_ms=20)
        self.heard: list[dict[str, str]] = []

    async def start(self) -> None:
        await self._consumer.start()
        await self._consumer._client.set_topics(["orders.events", FEEDBACK])
        places = [
            TopicPartition(topic, partition)
            for topic in ("orders.events", FEEDBACK)
            for partition in self._consumer.partitions_for_topic(topic)
        ]
        self._consumer.assign(places)
        await self._consumer.seek_to_end()
        for place in places:
            await self._consumer.position(place)

    async def stop(self) -> None:
        await self._consumer.stop()

    async def until(self, ids: set[str]) -> list[dict[str, str]]:
        """Listens until all these events were heard."""
        async with asyncio.timeout(PATIENCE):
            while not ids <= {headers["ce_id"] for headers in self.heard}:
                batches = await self._consumer.getmany(timeout_ms=1000)
                for records in batches.values():
                    self.heard += [
                        {name: value.decode() for name, value in record.headers} for record in records
                    ]
        return self.heard


@pytest.fixture
async def listener(kafka: str) -> AsyncIterator[Listener]:
    listener = Listener(kafka)
    await listener.start()
    yield listener
    await listener.stop()


class Publishing:
    """Relays of the orders service, as many processes have them."""

    def __init__(self, database: Database, bootstrap_servers: str, outbox: Outbox) -> None:
        self._url = database.service_url("orders")
        self._servers = bootstrap_servers
        self._outbox = outbox
        self._running: list[asyncio.Task[None]] = []

    def relay(self, crashing_at: str = "", kind: type[Relay] = Relay) -> Relay:
        points = iter([crashing_at])

        def crash(point: str) -> None:
            if point == crashing_at and next(points, ""):
                raise Crash(point)

        return kind(
            lambda: connect(self._url, "orders"),
            self._outbox,
            lambda: new_producer(self._servers, "orders"),
            Metrics(),
            crash,
        )

    def start(self, relay: Relay) -> "asyncio.Task[None]":
        task = asyncio.create_task(_until_it_crashes(relay))
        self._running.append(task)
        return task

    async def stop(self) -> None:
        await end_all(self._running)


async def _until_it_crashes(relay: Relay) -> None:
    with suppress(Crash):
        await relay.run()


@pytest.fixture
async def publishing(database: Database, kafka: str, desk: Desk) -> AsyncIterator[Publishing]:
    publishing = Publishing(database, kafka, desk.outbox)
    yield publishing
    await publishing.stop()


async def ids(pool: asyncpg.Pool) -> set[str]:
    return {str(row["event_id"]) for row in await pool.fetch("SELECT event_id FROM outbox")}


def assert_in_order(heard: list[dict[str, str]]) -> None:
    """Events of each subject appear in sequence; a repeat may restart an earlier stretch, never skip."""
    seen: dict[str, int] = {}
    for headers in heard:
        if "ce_sequence" not in headers:
            continue
        subject, sequence = headers["ce_subject"], int(headers["ce_sequence"])
        assert sequence <= seen.get(subject, 0) + 1, f"{subject} jumps to {sequence}"
        seen[subject] = max(sequence, seen.get(subject, 0))


async def sell(desk: Desk, keys: tuple[str, ...] = KEYS) -> None:
    """Four events about each order: paid, granted, granted, denied."""
    await desk.take(*(payment(key) for key in keys))
    for number in range(3):
        await desk.take(*(issuance(key, 50, f"iss-{number}") for key in keys))


async def test_everything_is_published_once_and_in_the_order_of_its_key(
    desk: Desk, publishing: Publishing, listener: Listener
) -> None:
    await sell(desk)

    publishing.start(publishing.relay())
    heard = await listener.until(await ids(desk.pool))

    assert len(heard) == len(await ids(desk.pool)) == 8 * len(KEYS)
    assert_in_order(heard)
    assert {headers["ce_source"] for headers in heard} == {"/pawl/orders"}


async def test_a_trace_context_is_published_with_what_follows_from_its_event_and_with_nothing_else(
    desk: Desk, publishing: Publishing, listener: Listener
) -> None:
    await desk.take(traced(payment("A-1")), payment("A-2"))

    publishing.start(publishing.relay())
    published = await listener.until(await ids(desk.pool))

    contexts = {(headers["ce_correlationid"], headers.get("traceparent")) for headers in published}
    assert contexts == {("A-1", TRACE), ("A-2", None)}


@pytest.mark.parametrize("point", ["before_send", "after_acknowledgement", "before_mark", "after_mark"])
async def test_a_relay_that_dies_is_followed_by_one_that_leaves_nothing_out(
    desk: Desk, publishing: Publishing, listener: Listener, point: str
) -> None:
    await sell(desk)
    await asyncio.wait_for(publishing.start(publishing.relay(point)), PATIENCE)

    publishing.start(publishing.relay())
    heard = await listener.until(await ids(desk.pool))

    assert_in_order(heard)
    assert await _published_up_to(desk.pool) == await desk.pool.fetchval("SELECT max(id) FROM outbox")


async def append_large(desk: Desk, sizes: Sequence[int], key: str = "L-1") -> None:
    """Events about one key, each with so many bytes of data."""
    rows = desk.outbox.rows()
    cause = Cause(str(uuid7()), key, NOW, key)
    for number, size in enumerate(sizes, start=1):
        rows.add(NewEvent("order.expired.v1", key, number, {"order_id": key, "padding": "x" * size}), cause)
    async with desk.pool.acquire() as connection, connection.transaction():
        await desk.outbox.append(connection, rows)


async def test_more_than_fits_into_a_batch_of_the_producer_is_heard_whole_and_in_order(
    desk: Desk, publishing: Publishing, listener: Listener
) -> None:
    """1,500 events of 1 KiB about one key: half as much again as a batch takes, read in one piece."""
    await append_large(desk, [1_024] * 1_500)

    publishing.start(publishing.relay())
    heard = await listener.until(await ids(desk.pool))

    assert [int(headers["ce_sequence"]) for headers in heard] == list(range(1, 1_501))


async def test_an_event_larger_than_the_topic_takes_is_never_passed_over(
    desk: Desk, publishing: Publishing, listener: Listener, admin: asyncpg.Connection
) -> None:
    """It is set aside with all that follows for its key: loudly, and heard in order once it fits."""
    await append_large(desk, [10, LARGEST_RECORD * 3 // 4, 10])
    relay = publishing.relay()

    with capture_logs() as logs:
        publishing.start(relay)
        last = await _published_up_to(desk.pool)
    rows = await desk.pool.fetch("SELECT id, state FROM unsent ORDER BY id")
    assert [tuple(row) for row in rows] == [(last - 1, "refused"), (last, "behind")]
    assert any("MessageSizeTooLarge" in str(entry) for entry in logs if entry["log_level"] == "error")

    padding = b'{"order_id": "L-1", "padding": ""}'
    await admin.execute("UPDATE orders.outbox SET data = $1 WHERE sequence = 2", padding)
    await desk.pool.execute("UPDATE unsent SET retry_at = now() WHERE state = 'refused'")
    heard = await listener.until(await ids(desk.pool))

    assert_in_order(heard)


async def test_a_leader_whose_broker_is_slow_keeps_the_lead(
    desk: Desk, publishing: Publishing, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives signs of life while it waits, longer than a lease lasts; another one stands by."""
    monkeypatch.setattr(relay_module, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(relay_module, "SIGN_OF_LIFE_SECONDS", 0.1)
    monkeypatch.setattr(relay_module, "LEADER_POLL_SECONDS", 0.2)
    await sell(desk, ("A-1",))
    slow = publishing.relay(kind=SlowRelay)
    publishing.start(slow)
    async with asyncio.timeout(PATIENCE):
        while not slow.leading:
            await asyncio.sleep(0.01)
    publishing.start(publishing.relay())

    heard = await listener.until(await ids(desk.pool))

    assert len(heard) == 8
    assert slow.leading
    assert await desk.pool.fetchval("SELECT epoch FROM relay") == slow._epoch


class SlowRelay(Relay):
    """Its broker takes three leases to answer."""

    async def _send_all(self, producer: Any, rows: Sequence[asyncpg.Record], acknowledged: set[int]) -> None:
        await asyncio.sleep(3)
        await super()._send_all(producer, rows, acknowledged)


async def test_a_mark_never_goes_back(desk: Desk, publishing: Publishing, database: Database) -> None:
    """Not even for the leader of this epoch: what is marked may be forgotten, and cannot be sent again."""
    await sell(desk)
    relay = publishing.relay()
    connection = await connect(database.service_url("orders"), "orders")
    row = await connection.fetchrow("UPDATE relay SET epoch = epoch + 1 RETURNING epoch, published")
    relay._epoch, relay._published, relay._marked = row["epoch"], row["published"] + 5, row["published"]
    await relay._mark(connection)

    relay._published = row["published"] + 2
    with pytest.raises(LostLead):
        await relay._mark(connection)

    assert await connection.fetchval("SELECT published FROM relay") == row["published"] + 5
    await connection.close()


async def _published_up_to(pool: asyncpg.Pool) -> int:
    """The mark, once it has reached the end of the outbox."""
    async with asyncio.timeout(PATIENCE):
        while await pool.fetchval("SELECT count(*) FROM outbox WHERE id > (SELECT published FROM relay)"):
            await asyncio.sleep(0.02)
    return int(await pool.fetchval("SELECT published FROM relay"))


async def test_a_new_relay_goes_on_where_the_last_one_marked(
    desk: Desk, publishing: Publishing, listener: Listener
) -> None:
    await sell(desk)
    first = publishing.start(publishing.relay())
    await listener.until(await ids(desk.pool))
    await _published_up_to(desk.pool)
    await end_all([first])
    before = len(listener.heard)

    await sell(desk, ("B-1",))
    publishing.start(publishing.relay())
    heard = await listener.until(await ids(desk.pool))

    assert len(heard) == before + 8


async def test_two_relays_take_turns_and_one_leads(
    desk: Desk, publishing: Publishing, listener: Listener
) -> None:
    relays = [publishing.relay(), publishing.relay()]
    for relay in relays:
        publishing.start(relay)
    await sell(desk)
    await listener.until(await ids(desk.pool))

    assert [relay.leading for relay in relays].count(True) == 1
    assert len(listener.heard) == 8 * len(KEYS)


async def test_a_leader_that_was_overtaken_moves_no_mark(
    desk: Desk, publishing: Publishing, database: Database
) -> None:
    """It lost its lock without noticing: paused past its session, then resumed."""
    await sell(desk)
    paused = publishing.relay()
    connection = await connect(database.service_url("orders"), "orders")
    row = await connection.fetchrow("UPDATE relay SET epoch = epoch + 1 RETURNING epoch, published")
    paused._epoch, paused._published, paused._marked = row["epoch"], row["published"] + 5, row["published"]
    await connection.execute("UPDATE relay SET epoch = epoch + 1")

    with pytest.raises(LostLead):
        await paused._mark(connection)

    assert await connection.fetchval("SELECT published FROM relay") == row["published"]
    await connection.close()


async def test_a_relay_that_stops_under_load_publishes_what_was_committed_before_and_waits_for_no_more(
    desk: Desk, publishing: Publishing, listener: Listener
) -> None:
    """Others go on writing to the same outbox, so that it is never empty; the next leader publishes that."""
    await sell(desk)
    relay = publishing.relay()
    publishing.start(relay)
    others = asyncio.create_task(append_some(desk.pool, desk.outbox, 1, times=100_000))
    await listener.until(await ids(desk.pool))
    before = await ids(desk.pool)

    await asyncio.wait_for(relay.drain(desk.pool), PATIENCE)

    assert not others.done()
    await end_all([others])
    await publishing.stop()
    assert before <= {headers["ce_id"] for headers in await listener.until(before)}


async def test_ids_become_visible_in_their_order_whoever_writes(desk: Desk) -> None:
    """A reader that goes forward by id never passes a row that is committed later."""
    done = asyncio.Event()
    missed = asyncio.create_task(read_forward(desk.pool, done))
    await asyncio.gather(*(append_some(desk.pool, desk.outbox, writer) for writer in range(6)))
    done.set()

    assert await missed == []


async def append_some(pool: asyncpg.Pool, outbox: Any, writer: int, times: int = 40) -> None:
    """Small transactions, one after another, each appending two events."""
    for number in range(times):
        rows = outbox.rows()
        cause = Cause(str(uuid7()), f"W-{writer}", NOW, f"W-{writer}")
        for step in (1, 2):
            rows.add(NewEvent("order.expired.v1", f"W-{writer}", 2 * number + step, {}), cause)
        async with pool.acquire() as connection, connection.transaction():
            await outbox.append(connection, rows)
            await asyncio.sleep(0)


async def read_forward(pool: asyncpg.Pool, done: asyncio.Event) -> list[int]:
    """Reads by id as the relay does; returns what became visible behind its back."""
    seen: list[int] = []
    last = 0
    while True:
        finished = done.is_set()
        rows = await pool.fetch("SELECT id FROM outbox WHERE id > $1 ORDER BY id", last)
        seen += [row["id"] for row in rows]
        last = seen[-1] if seen else 0
        if finished and not rows:
            everything = await pool.fetch("SELECT id FROM outbox ORDER BY id")
            return sorted({row["id"] for row in everything} - set(seen))
