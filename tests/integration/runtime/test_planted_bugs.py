"""The checks can fail: each promise is asked of the real code, and of the same code with one bug planted.

Every check below is one sentence about the outside of the system. It holds for the code as it is, and breaks
for the planted bug that its test names.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from ops.setup.provision import Database
from services.orders import store
from services.orders.decisions import issuance as issuing
from shared.clock import now
from shared.ids import uuid7
from shared.postgres import connect
from shared.queries import load
from shared.runtime import fold as fold_module
from shared.runtime import retention as retention_module
from shared.runtime.batch import Batch
from shared.runtime.consumer import PartitionConsumer
from shared.runtime.fold import Fold
from shared.runtime.intake import InboundMessage
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import Cause
from shared.runtime.records import Record
from shared.runtime.relay import Relay
from shared.runtime.signals import Metrics
from tests.integration.runtime.test_relay import append_some
from tests.support.audit import RULES
from tests.support.desk import (
    NOW,
    Crash,
    Desk,
    Patched,
    again,
    issuance,
    orders_service,
    payment,
    refund_accepted,
    refund_released,
)
from tests.support.patience import PATIENCE
from tests.support.retention import forget, grow_old, set_policy
from tests.support.servers import empty_all_tables

RUNTIME_SQL = load("shared.runtime")
StartOver = Callable[[], Awaitable[None]]
WAITS_FOR_THE_OUTBOX = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


def breaks(promise: str) -> Any:
    """The block ends with this promise broken."""
    return pytest.raises(AssertionError, match=promise)


@pytest.fixture
async def start_over(database: Database) -> AsyncIterator[StartOver]:
    """Empties every table, between the code as it is and the code with its bug."""
    admin = await asyncpg.connect(database.admin_url)

    async def empty() -> None:
        await empty_all_tables(admin)

    yield empty
    await admin.close()


MEETING_SECONDS = 3.0
"""So long the first waits for the second, which comes only when nothing keeps it from coming."""


# -- the promises --------------------------------------------------------------------------------------------


async def no_unit_is_claimed_twice(pool: asyncpg.Pool) -> None:
    """Two consumers decide at the same moment: one issues all units of the order, one refunds them."""
    meeting = asyncio.Barrier(2)

    class MeetingStore(store.Store):
        async def load(self, connection: Any, events: Sequence[Any]) -> Any:
            world = await super().load(connection, events)
            with suppress(TimeoutError, asyncio.BrokenBarrierError):
                await asyncio.wait_for(meeting.wait(), MEETING_SECONDS)
            return world

    one, other = (Desk(pool, orders_service(store=MeetingStore())) for _ in range(2))
    await Desk(pool).take(payment("A-1"))
    await asyncio.gather(one.take(issuance("A-1", 100)), other.take(refund_accepted("A-1", 100)))

    assert await Desk(pool).claimed("A-1") <= 100, "a unit is claimed twice"


class Broker:
    """The committed offset of one partition: what a process that starts again goes on from."""

    def __init__(self) -> None:
        self.offset = 0

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("checkout.events", 0)}

    def pause(self, *places: TopicPartition) -> None:
        """Nothing is fetched here."""

    resume = pause

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        (self.offset,) = offsets.values()


async def nothing_is_lost_in_a_crash(pool: asyncpg.Pool, kind: type[PartitionConsumer]) -> None:
    """The process dies in the middle of a batch; the next one goes on from the committed offset."""
    broker = Broker()
    log = [again(payment(f"A-{number}"), offset=number) for number in range(5)]
    for crashing_at in ("before_commit", ""):
        consumer = kind(Desk(pool, crashing_at=crashing_at).fold.handle, Metrics(), print)
        consumer.subscriber = SimpleNamespace(consumer=broker)
        if rest := log[broker.offset :]:
            with suppress(Crash):
                await consumer.take(rest)

    paid = await pool.fetchval("SELECT count(*) FROM orders WHERE state = 'paid'")
    assert paid == len(log), "an order is lost"


async def every_event_is_answered_once(pool: asyncpg.Pool) -> None:
    """The same events are read again, and published again."""
    records = [payment("A-1"), issuance("A-1", 60), issuance("A-2", 1)]
    for repeated in (records, records, [again(record) for record in records]):
        await Desk(pool).take(*repeated)

    assert set((await Desk(pool).answers()).values()) == {1}, "an event is answered twice"


async def facts_follow_each_other_over_batches(pool: asyncpg.Pool, kind: type[Fold]) -> None:
    """Two events of one refund come in two batches, and the first of them once more."""
    refund = uuid7()
    asked, released = refund_accepted("A-1", 40, refund, 1), refund_released("A-1", 40, refund, 2)
    for records in ([payment("A-1")], [asked], [again(asked)], [released]):
        await Desk(pool).use(kind).take(*records)

    assert await Desk(pool).waiting() == [], "a fact waits for one that was handled"
    assert await Desk(pool).line("A-1") == (100, 0, 0, 0, 0)


async def the_reader_passes_no_row(pool: asyncpg.Pool, outbox: Outbox) -> None:
    """One writer appends and is slow to commit; another appends; the relay reads forward by id."""
    async with pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        rows = outbox.rows()
        rows.add_feedback("event.accepted.v1", _cause("SLOW"), {})
        await outbox.append(slow, rows)
        fast = asyncio.create_task(append_some(pool, outbox, 1, times=1))
        async with asyncio.timeout(PATIENCE):
            while not fast.done() and not await pool.fetchval(WAITS_FOR_THE_OUTBOX):
                await asyncio.sleep(0.01)
        read = [row["id"] for row in await pool.fetch("SELECT id FROM outbox ORDER BY id")]
        await transaction.commit()
        await fast
    last = max(read, default=0)
    passed = await pool.fetchval(
        "SELECT count(*) FROM outbox WHERE id < $1 AND id <> ALL($2::bigint[])", last, read
    )
    assert passed == 0, "the reader passed a row"


async def a_fact_is_published_before_it_is_marked(
    pool: asyncpg.Pool, database: Database, kind: type[Relay]
) -> None:
    """The broker takes nothing in, and the relay dies; what it left behind is what a new relay reads."""
    await Desk(pool).take(payment("A-1"))
    relay = kind(
        lambda: connect(database.service_url("orders"), "orders"),
        Outbox("orders", {}),
        DeafProducer,
        Metrics(),
    )
    with suppress(Crash):
        await asyncio.wait_for(relay.run(), PATIENCE)

    left = await pool.fetchval("SELECT count(*) FROM outbox WHERE id > (SELECT published FROM relay)")
    assert left == await pool.fetchval("SELECT count(*) FROM outbox"), "a fact is marked and not published"


class DeafProducer:
    """A producer whose process dies while the broker has acknowledged nothing."""

    async def start(self) -> None:
        """Connected."""

    async def stop(self) -> None:
        """Gone."""

    def create_batch(self) -> Any:
        return SimpleNamespace(append=lambda **_: True)

    async def send_batch(self, batch: Any, topic: str, partition: int) -> Any:
        raise Crash("before the acknowledgement")


async def the_audit_is_clean(pool: asyncpg.Pool, database: Database) -> None:
    """An order with 100 units is asked for 150: by code that forgot to look at what is left."""
    await Desk(pool).take(payment("A-1"), issuance("A-1", 100), issuance("A-1", 50, "iss-2"))

    admin = await asyncpg.connect(database.admin_url)
    rule = "claims exceed what was paid"
    broken = [row["order_id"] for row in await admin.fetch(RULES[rule])]
    await admin.close()
    assert broken == [], rule


def _cause(key: str) -> Cause:
    return Cause(str(uuid7()), key, NOW, key)


# -- the bugs ------------------------------------------------------------------------------------------------


async def test_without_the_row_lock_a_unit_is_claimed_twice(
    start_over: StartOver, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await no_unit_is_claimed_twice(pool)
    await start_over()

    unlocked = store.SQL.lock_orders.replace("FOR UPDATE", "")
    monkeypatch.setattr(store, "SQL", Patched(store.SQL, lock_orders=unlocked))
    with breaks("claimed twice"):
        await no_unit_is_claimed_twice(pool)


class CommitsFirst(PartitionConsumer):
    """Tells Kafka before the effects are committed, as an acknowledgement up front does."""

    async def take(self, records: Sequence[Record]) -> None:
        consumer = self.consumer
        assert consumer is not None
        last = records[-1]
        await consumer.commit({TopicPartition(last.topic, last.partition): last.offset + 1})
        await super().take(records)


async def test_offsets_committed_before_the_effects_lose_an_order_in_a_crash(
    start_over: StartOver, pool: asyncpg.Pool
) -> None:
    await nothing_is_lost_in_a_crash(pool, PartitionConsumer)
    await start_over()

    with breaks("an order is lost"):
        await nothing_is_lost_in_a_crash(pool, CommitsFirst)


async def test_without_the_inbox_an_event_is_answered_twice(
    start_over: StartOver, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await every_event_is_answered_once(pool)
    await start_over()

    real = RUNTIME_SQL.begin_batch
    claims = real.partition("event_id, content)")[2].partition("ON CONFLICT")[0]
    forgetful = real[: real.index("INSERT INTO")] + claims + real[real.index("), letters") :]
    monkeypatch.setattr(fold_module, "SQL", Patched(RUNTIME_SQL, begin_batch=forgetful))
    with breaks("answered twice"):
        await every_event_is_answered_once(pool)


class AnswersAgain(Batch):
    """Answers a repeated event once more."""

    def _is_new(self, message: InboundMessage) -> bool:
        new = super()._is_new(message)
        if not new and message.event is not None:
            self._accept(message, Cause.of(message.event))
        return new


async def test_an_answer_to_a_duplicate_is_noticed(
    start_over: StartOver, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await every_event_is_answered_once(pool)
    await start_over()

    monkeypatch.setattr(fold_module, "Batch", AnswersAgain)
    with breaks("answered twice"):
        await every_event_is_answered_once(pool)


class ForgetsCursors(Fold):
    """Never writes down how far it has come with a subject."""

    async def _move_cursors(self, connection: Any, batch: Batch) -> None:
        """Forgotten."""


async def test_without_cursors_an_event_waits_for_ever(start_over: StartOver, pool: asyncpg.Pool) -> None:
    await facts_follow_each_other_over_batches(pool, Fold)
    await start_over()

    with breaks("waits for one that was handled"):
        await facts_follow_each_other_over_batches(pool, ForgetsCursors)


async def test_an_outbox_without_its_lock_lets_the_reader_pass_a_row(
    start_over: StartOver, desk: Desk, admin: asyncpg.Connection
) -> None:
    await the_reader_passes_no_row(desk.pool, desk.outbox)
    await start_over()

    await admin.execute("ALTER TABLE orders.outbox DISABLE TRIGGER lock_outbox")
    try:
        with breaks("passed a row"):
            await the_reader_passes_no_row(desk.pool, desk.outbox)
    finally:
        await admin.execute("ALTER TABLE orders.outbox ENABLE TRIGGER lock_outbox")


class MarksFirst(Relay):
    """Moves the mark before the broker has acknowledged."""

    async def _send(
        self,
        connection: Any,
        producer: Any,
        rows: Sequence[asyncpg.Record],
        acknowledged: set[int] | None = None,
    ) -> None:
        self._published = rows[-1]["id"]
        await super()._send(connection, producer, rows, acknowledged)


async def test_a_mark_before_the_acknowledgement_loses_an_event(
    start_over: StartOver, pool: asyncpg.Pool, database: Database
) -> None:
    await a_fact_is_published_before_it_is_marked(pool, database, Relay)
    await start_over()

    with breaks("marked and not published"):
        await a_fact_is_published_before_it_is_marked(pool, database, MarksFirst)


@pytest.fixture
async def without_the_constraint(database: Database) -> Any:
    """`claims_never_exceed_paid` is gone for as long as a block lasts."""
    owner = await connect(database.owner_url, "orders")
    definition = await owner.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'claims_never_exceed_paid'"
    )
    await owner.execute("ALTER TABLE order_lines DROP CONSTRAINT claims_never_exceed_paid")
    yield
    await owner.execute("TRUNCATE order_lines, claims")
    await owner.execute(f"ALTER TABLE order_lines ADD CONSTRAINT claims_never_exceed_paid {definition}")
    await owner.close()


def forgets_to_look(*_: Any) -> None:
    """A decision that grants whatever is asked for."""


async def test_the_database_stops_a_decision_that_forgets_to_look(
    pool: asyncpg.Pool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing, "_why_not_issuable", forgets_to_look)

    await the_audit_is_clean(pool, database)

    assert await Desk(pool).waiting() == [("A-1", "blocked")]


async def test_without_code_and_constraint_the_audit_names_the_order(
    pool: asyncpg.Pool, database: Database, monkeypatch: pytest.MonkeyPatch, without_the_constraint: None
) -> None:
    monkeypatch.setattr(issuing, "_why_not_issuable", forgets_to_look)

    with breaks("claims exceed what was paid"):
        await the_audit_is_clean(pool, database)


class BlocksNothing(Batch):
    """Goes on with a key whose earlier event failed."""

    def _is_blocked(self, key: str) -> bool:
        return False


async def test_a_key_that_is_not_held_back_runs_out_of_order(
    start_over: StartOver, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_failed_event_holds_back_its_key(pool)
    await start_over()

    monkeypatch.setattr(fold_module, "Batch", BlocksNothing)
    with breaks("overtook"):
        await a_failed_event_holds_back_its_key(pool)


async def a_failed_event_holds_back_its_key(pool: asyncpg.Pool) -> None:
    """The first claim of an order fails in the code; the second one comes right after it."""
    await Desk(pool).take(payment("A-1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(issuing, "issuance_granted", _fails)
        await Desk(pool).take(issuance("A-1", 60))
    await Desk(pool).take(issuance("A-1", 50, "iss-2"))

    assert await Desk(pool).claimed("A-1") == 0, "a later event overtook a failed one"


def _fails(*_: Any) -> None:
    raise RuntimeError("unforeseen")


# -- what is forgotten ---------------------------------------------------------------------------------------

KEEP = timedelta(days=100)


@pytest.fixture
async def a_hundred_days(admin: Any, pool: asyncpg.Pool) -> AsyncIterator[None]:
    """So long everything is kept; the usual policy afterwards."""
    await set_policy(admin, ["orders"], KEEP)
    yield
    await set_policy(admin, ["orders"])


async def no_duplicate_is_let_in_while_a_topic_holds_it(pool: asyncpg.Pool, admin: Any) -> None:
    """A topic holds a record and its repeat, then the repeat only; each time all of it is read again."""
    await set_policy(admin, ["orders"], KEEP)
    desk, bought = Desk(pool), payment("A-1")
    repeat, first_day = again(bought), now()
    await desk.take(bought)
    await grow_old(admin, ["orders"], KEEP * 2)
    await forget(pool, oldest_record=first_day - KEEP * 2)
    await desk.take(bought, repeat)
    await grow_old(admin, ["orders"], KEEP + timedelta(days=1))
    await forget(pool, oldest_record=first_day - KEEP)
    await desk.take(repeat)

    assert sum((await desk.answers()).values()) == 0, "a duplicate is let in: it was answered anew"


async def test_a_repeat_that_is_not_noted_is_let_in_when_the_first_is_forgotten(
    start_over: StartOver,
    pool: asyncpg.Pool,
    admin: Any,
    a_hundred_days: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await no_duplicate_is_let_in_while_a_topic_holds_it(pool, admin)
    await start_over()

    only_looks = (
        "SELECT source, event_id, content FROM inbox "
        "JOIN unnest($1::text[], $2::text[]) AS seen (source, event_id) USING (source, event_id)"
    )
    monkeypatch.setattr(fold_module, "SQL", Patched(RUNTIME_SQL, contents_of_ids=only_looks))
    with breaks("a duplicate is let in"):
        await no_duplicate_is_let_in_while_a_topic_holds_it(pool, admin)


async def test_a_horizon_that_does_not_ask_the_topics_lets_duplicates_in(
    start_over: StartOver,
    pool: asyncpg.Pool,
    admin: Any,
    a_hundred_days: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await no_duplicate_is_let_in_while_a_topic_holds_it(pool, admin)
    await start_over()

    asks_nobody = "SELECT move_horizon('infinity') WHERE $1::timestamptz IS NOT NULL"
    monkeypatch.setattr(retention_module, "SQL", Patched(RUNTIME_SQL, move_horizon=asks_nobody))
    with breaks("a duplicate is let in"):
        await no_duplicate_is_let_in_while_a_topic_holds_it(pool, admin)
