"""What the broker refuses for good: batches become smaller, one key waits, everything else goes out once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import monotonic
from shared.runtime import relay as relay_module
from shared.runtime.outbox import Outbox
from shared.runtime.relay import SQL, Relay
from shared.runtime.sending import REMEMBER_SECONDS, Limits, Refused, shares
from shared.runtime.signals import Metrics
from shared.runtime.tasks import end_all
from shared.runtime.topic_events import SchemaBehind
from shared.runtime.troubles import PATIENCE_SECONDS, Troubles


class Broker:
    """Takes batches of so many bytes at most; an idempotent producer has to go after a refusal."""

    def __init__(self, most: int = 10**9) -> None:
        self.most = most
        self.log: list[int] = []
        self.producers = 0
        self.refused = 0
        self.fails: BaseException | None = None
        self.failing_partition: int | None = None

    def producer(self) -> AIOKafkaProducer:
        self.producers += 1
        return cast(AIOKafkaProducer, Producer(self))


class Producer:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lost_count: set[int] = set()

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1_000_000, 0)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        async def answer() -> None:
            await asyncio.sleep(0)
            broker = self._broker
            assert partition not in self._lost_count, "OutOfOrderSequenceNumber"
            if broker.fails is not None and broker.failing_partition in (None, partition):
                raise broker.fails
            content = batch._build()
            if len(content) > broker.most:
                self._lost_count.add(partition)
                broker.refused += 1
                raise MessageSizeTooLargeError("larger than the topic takes")
            broker.log += [int(bytes(r.value).split(b":")[0]) for r in DefaultRecordBatch(content)]

        return asyncio.ensure_future(answer())


class Session:
    """The rows of one outbox and what is set aside of them, as the leader's connection shows them."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = {row["id"]: row for row in rows}
        self.unsent: dict[int, dict[str, Any]] = {}
        self.published = 0
        self.due = False
        self.fails: BaseException | None = None

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        return arguments[1] == self.published if sql == SQL.is_still_led else True

    async def fetchrow(self, sql: str) -> dict[str, Any]:
        return {"epoch": 1, "published": self.published}

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        if self.fails is not None:
            raise self.fails
        if sql == SQL.unpublished:
            after, most, marked = arguments
            rows = [row for number, row in self.rows.items() if number > after]
            return rows[:most] if marked == self.published else []
        if sql == SQL.unsent_keys:
            return list(self.unsent.values())
        if sql == SQL.due_unsent:
            first: dict[Any, Any] = {}
            for each in sorted(self.unsent.values(), key=lambda each: each["id"]):
                first.setdefault((each["topic"], each["key"]), each)
            due = [key for key, each in first.items() if self.due or each["state"] == "behind"]
            return due[: arguments[0]]
        if sql == SQL.unsent_of_key:
            topic, key, most = arguments
            found = [n for n, each in self.unsent.items() if (each["topic"], each["key"]) == (topic, key)]
            return [self.rows[number] for number in sorted(found)][:most]
        raise AssertionError(sql)

    async def execute(self, sql: str, *arguments: Any) -> str:
        if sql == SQL.set_aside:
            for number, topic, key in zip(*arguments[:3], strict=True):
                state = {"id": number, "topic": topic, "key": key, "state": arguments[3]}
                self.unsent.setdefault(number, state)
        elif sql == SQL.refused_again:
            self.unsent[arguments[0]]["state"] = "refused"
            self.due = False
        elif sql == SQL.sent_at_last:
            for number in arguments[0]:
                del self.unsent[number]
        elif sql == SQL.mark_published:
            kept = [n for n in self.rows if self.published < n <= arguments[0]]
            self.published = arguments[0]
            self.marked = kept
        return "UPDATE 1"

    def terminate(self) -> None:
        """Nothing to close."""


def row(number: int, size: int, key: str = "A-1") -> dict[str, Any]:
    return {
        "id": number, "event_id": UUID(int=number), "topic": "orders.events", "partition": ord(key[-1]) % 3,
        "key": key, "type": "order.paid.v1", "subject": key, "sequence": number,
        "time": "2026-10-21T14:03:07+09:00", "correlation": key, "causation": "evt-1", "traceparent": None,
        "data": f"{number}:".encode().ljust(size, b"."),
    }  # fmt: skip


class Leader:
    """A relay that publishes until there is nothing more to do, as it would without an end."""

    def __init__(
        self, broker: Broker, session: Session, before_leading: Any = relay_module.nothing_to_require
    ) -> None:
        self.broker, self.session = broker, session
        self.troubles = Troubles()

        async def connect() -> Any:
            return session

        outbox = Outbox("orders", {})
        self.relay = Relay(
            connect,
            outbox,
            broker.producer,
            Metrics(),
            before_leading=before_leading,
            troubles=self.troubles,
        )

    async def until(self, settled: Any, seconds: float = 5.0) -> None:
        task = asyncio.create_task(self.relay.run())
        try:
            async with asyncio.timeout(seconds):
                while not settled():
                    assert not task.done(), task.exception()
                    await asyncio.sleep(0.001)
        finally:
            await end_all([task], again_seconds=0.05)

    async def until_all_is_done(self) -> None:
        await self.until(lambda: self.session.published == max(self.session.rows))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(relay_module, "LOOK_AT_UNSENT_SECONDS", 0.0)
    monkeypatch.setattr(relay_module, "LOOK_AT_LEAD_SECONDS", 0.0)
    monkeypatch.setattr(relay_module, "MARK_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(relay_module, "delay_before", lambda attempt: 0.001)


async def test_a_batch_larger_than_the_topic_takes_is_split_and_nothing_is_sent_twice() -> None:
    broker, session = Broker(most=20_000), Session([row(n, 1_000) for n in range(1, 401)])

    await Leader(broker, session).until_all_is_done()

    assert broker.log == list(range(1, 401))
    assert broker.refused <= 6
    assert session.unsent == {}


async def test_an_event_that_no_batch_can_take_waits_with_its_key_and_with_nothing_else() -> None:
    keys = ["A-1", "A-2", "A-3", "A-4"]
    rows = [row(n, 30_000 if n == 6 else 500, keys[n % 4]) for n in range(1, 41)]
    held = [each["id"] for each in rows if each["key"] == "A-3" and each["id"] >= 6]
    broker, session = Broker(most=20_000), Session(rows)

    await Leader(broker, session).until_all_is_done()

    assert sorted(broker.log) == [each["id"] for each in rows if each["id"] not in held]
    assert sorted(session.unsent) == held
    assert [session.unsent[n]["state"] for n in held] == ["refused", *["behind"] * (len(held) - 1)]


async def test_what_was_set_aside_goes_out_in_its_order_when_the_topic_takes_more() -> None:
    rows = [row(n, 30_000 if n in (2, 5) else 500) for n in range(1, 9)]
    broker, session = Broker(most=20_000), Session(rows)
    leader = Leader(broker, session)
    await leader.until_all_is_done()
    assert broker.log == [1]

    broker.most, session.due = 10**9, True
    await leader.until(lambda: not session.unsent)

    assert broker.log == list(range(1, 9))
    session.rows[9] = row(9, 100)
    await leader.until_all_is_done()
    assert broker.log == list(range(1, 10))


async def test_thousands_of_keys_that_were_set_aside_go_out_one_after_the_other_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [row(n, 30_000, f"A-{n}") for n in range(1, 101)]
    broker, session = Broker(most=20_000), Session(rows)
    leader = Leader(broker, session)
    await leader.until_all_is_done()
    assert broker.log == []

    monkeypatch.setattr(relay_module, "LOOK_AT_UNSENT_SECONDS", 1_000.0)
    broker.most, session.due = 10**9, True
    leader.relay._looked_at_unsent = 0.0
    await leader.until(lambda: not session.unsent)

    assert broker.log == list(range(1, 101))


async def test_another_leader_learns_what_was_set_aside() -> None:
    rows = [row(n, 30_000 if n == 2 else 500) for n in range(1, 5)]
    broker, session = Broker(most=20_000), Session(rows)
    await Leader(broker, session).until_all_is_done()

    session.rows[5] = row(5, 100)
    await Leader(broker, session).until_all_is_done()

    assert broker.log == [1]
    assert sorted(session.unsent) == [2, 3, 4, 5]


async def test_a_leader_whose_mark_was_set_back_publishes_nothing_before_it_is_compared_again() -> None:
    broker, session = Broker(), Session([row(n, 100) for n in range(1, 5)])
    compared: list[int] = []

    async def compare() -> None:
        compared.append(session.published)
        if session.published == 2:
            raise SchemaBehind("the topics know more")

    leader = Leader(broker, session, compare)
    await leader.until_all_is_done()
    leading = asyncio.create_task(leader.relay.run())
    while not leader.relay.leading:
        await asyncio.sleep(0.001)

    session.published, session.rows = 2, {n: row(n, 100) for n in range(1, 9)}

    with pytest.raises(SchemaBehind):
        await asyncio.wait_for(leading, 5)
    assert broker.log == [1, 2, 3, 4]
    assert compared == [0, 4, 2]


async def test_many_events_that_are_too_large_cost_the_broker_one_refusal_of_a_single_one() -> None:
    rows = [row(n, 50_000, f"A-{n}") for n in range(1, 200)]
    broker, session = Broker(most=20_000), Session(rows)

    await Leader(broker, session).until_all_is_done()

    assert len(session.unsent) == 199
    assert broker.refused < 20


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(10, 4_000), st.sampled_from("ABCDE")), min_size=1, max_size=60),
    st.integers(300, 5_000),
)
async def test_every_event_goes_out_once_and_in_the_order_of_its_key_or_is_set_aside(
    drawn: list[tuple[int, str]], most: int
) -> None:
    rows = [row(n, size, f"key-{key}") for n, (size, key) in enumerate(drawn, start=1)]
    broker, session = Broker(most=most), Session(rows)

    await Leader(broker, session).until_all_is_done()

    assert sorted([*broker.log, *session.unsent]) == [each["id"] for each in rows]
    for key in {each["key"] for each in rows}:
        of_key = [each["id"] for each in rows if each["key"] == key]
        out = [number for number in broker.log if number in of_key]
        assert out == of_key[: len(out)]


async def test_what_was_acknowledged_is_not_sent_again_while_another_partition_fails() -> None:
    broker, session = Broker(), Session([row(n, 100, f"A-{n}") for n in range(1, 301)])
    broker.fails, broker.failing_partition = KafkaConnectionError("gone"), 1
    leader = Leader(broker, session)

    await leader.until(lambda: broker.producers > 30)
    broker.fails = None
    await leader.until_all_is_done()

    assert max(Counter(broker.log).values()) == 1
    assert sorted(broker.log) == list(range(1, 301))


async def test_pauses_grow_while_nothing_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def note(attempt: int) -> float:
        attempts.append(attempt)
        return 0.0

    monkeypatch.setattr(relay_module, "delay_before", note)
    broker, session = Broker(), Session([row(1, 100)])
    broker.fails = KafkaConnectionError("gone")

    await Leader(broker, session).until(lambda: len(attempts) >= 8)

    assert attempts[:8] == list(range(1, 9))


async def test_a_right_that_is_missing_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, session = Broker(), Session([row(1, 100)])
    broker.fails = TopicAuthorizationFailedError("orders.events")
    leader = Leader(broker, session)

    await leader.until(lambda: broker.producers > 3)
    (trouble,) = leader.troubles.lasting(monotonic() + PATIENCE_SECONDS)
    assert (trouble.part, trouble.wrong) == ("the relay", "the broker does not let the service write")
    assert leader.relay.stands(-1) is not None

    broker.fails = None
    await leader.until_all_is_done()
    assert leader.troubles.lasting(monotonic() + PATIENCE_SECONDS) == []
    assert leader.relay.stands(-1) is None


async def test_a_database_that_lets_it_do_too_little_is_told_with_what_to_do() -> None:
    broker, session = Broker(), Session([row(1, 100)])
    session.fails = asyncpg.InsufficientPrivilegeError("permission denied for table relay")
    leader = Leader(broker, session)

    await leader.until(lambda: leader.relay.stands(-1) is not None)
    (trouble,) = leader.troubles.lasting(monotonic() + PATIENCE_SECONDS)
    assert trouble.part == "the relay"
    assert "pawl migrate" in trouble.todo

    session.fails = None
    await leader.until_all_is_done()
    assert leader.troubles.lasting(monotonic() + PATIENCE_SECONDS) == []


class TestLimits:
    def test_a_refused_batch_is_halved_until_it_fits_and_forgotten_after_a_while(self) -> None:
        limits = Limits()
        limits.learn("t", Refused([1, 2], 1_000, MessageSizeTooLargeError()), 0.0)
        assert limits.most("t", 1.0) == 500
        limits.learn("t", Refused([1, 2], 400, MessageSizeTooLargeError()), 1.0)
        assert (limits.most("t", 2.0), limits.most("u", 2.0)) == (200, None)
        assert limits.most("t", 1.0 + REMEMBER_SECONDS) is None

    def test_a_refusal_that_is_not_about_size_lets_rows_go_alone(self) -> None:
        limits = Limits()
        limits.learn("t", Refused([1, 2], 1_000, InvalidTimestampError()), 0.0)
        assert limits.most("t", 1.0) == 1
        limits.learn("t", Refused([1], 500, InvalidTimestampError()), 1.0)
        assert not limits.is_hopeless("t", 500, 2.0)

    def test_shares_have_so_many_bytes_or_one_row(self) -> None:
        assert [sizes([5, 5, 20, 1, 1, 9], most) for most in (10, None)] == [[2, 1, 2, 1], [6]]


def sizes(of: list[int], most: int | None) -> list[int]:
    return [share.stop - share.start for share in shares(of, most)]
