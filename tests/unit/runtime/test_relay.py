"""What the relay hands to its producer: every row, in order, whatever fits into one batch."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime import relay as relay_module
from shared.runtime.outbox import Outbox
from shared.runtime.relay import LEASE, SIGN_OF_LIFE_SECONDS, SQL, Relay
from shared.runtime.sending import Refused
from shared.runtime.signals import Metrics
from shared.runtime.topic_events import SchemaBehind

BATCH_BYTES = 2_000
Place = tuple[str, int]


class Producer:
    """Takes real batches of `BATCH_BYTES` and acknowledges each, unless its place refuses."""

    def __init__(self, refusing: Place | None = None, after: float = 0.0) -> None:
        self.sent: dict[Place, list[bytes]] = {}
        self.sizes: list[int] = []
        self._refusing = refusing
        self._after = after

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(BATCH_BYTES, 0)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        records = list(DefaultRecordBatch(batch._build()))
        self.sent.setdefault((topic, partition), []).extend(cast(bytes, r.value) for r in records)
        self.sizes.append(batch.size())
        return asyncio.ensure_future(self._acknowledge((topic, partition)))

    async def _acknowledge(self, place: Place) -> None:
        await asyncio.sleep(self._after)
        if place == self._refusing:
            raise MessageSizeTooLargeError("larger than the topic takes")


class Session:
    """A session that remembers what it was asked, and has no rows but those given."""

    def __init__(self, rows: Sequence[dict[str, Any]] = ()) -> None:
        self.rows = list(rows)
        self.asked: list[str] = []

    async def fetch(self, sql: str, after: int, most: int) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["id"] > after][:most]

    async def execute(self, sql: str, *arguments: Any) -> str:
        self.asked.append(sql)
        return "UPDATE 1"


def row(number: int, size: int, place: Place = ("orders.events", 0)) -> dict[str, Any]:
    """A row of the outbox whose data has so many bytes and begins with its number."""
    return {
        "id": number, "event_id": UUID(int=number), "topic": place[0], "partition": place[1], "key": "A-1",
        "type": "order.paid.v1", "subject": "A-1", "sequence": number, "time": "2026-10-21T14:03:07+09:00",
        "correlation": "A-1", "causation": "evt-1", "traceparent": None,
        "data": f"{number}:".encode().ljust(size, b"."),
    }  # fmt: skip


def new_relay() -> Relay:
    return Relay(None, Outbox("orders", {}), None, Metrics())  # type: ignore[arg-type]


async def test_a_relay_that_may_not_lead_publishes_nothing_and_ends() -> None:
    """The schema was restored from a backup: what it would publish was published before, otherwise."""

    class Leading(Session):
        async def fetchval(self, sql: str) -> bool:
            return True

        def terminate(self) -> None:
            self.asked.append("terminated")

    session = Leading()

    async def connect() -> Any:
        return session

    async def refuse() -> None:
        raise SchemaBehind("the topics know more")

    relay = Relay(connect, Outbox("orders", {}), cast(Any, pytest.fail), Metrics(), before_leading=refuse)

    with pytest.raises(SchemaBehind):
        await relay.run()

    assert session.asked == ["terminated"]
    assert not relay.leading


async def send(rows: Sequence[dict[str, Any]], producer: Producer, session: Session | None = None) -> None:
    session = session or Session()
    await new_relay()._send(cast(Any, session), cast(AIOKafkaProducer, producer), cast(Any, rows))


places = st.sampled_from([("orders.events", 0), ("orders.events", 1), ("checkout.feedback", 0)])
sizes = st.one_of(st.integers(4, 200), st.integers(600, 700), st.integers(BATCH_BYTES, 3 * BATCH_BYTES))


@given(st.lists(st.tuples(sizes, places), min_size=1, max_size=40))
async def test_every_row_is_sent_once_and_in_the_order_of_its_partition(
    drawn: list[tuple[int, Place]],
) -> None:
    rows = [row(number, size, place) for number, (size, place) in enumerate(drawn, start=1)]
    producer = Producer()

    await send(rows, producer)

    expected: dict[Place, list[bytes]] = {}
    for each in rows:
        expected.setdefault((each["topic"], each["partition"]), []).append(each["data"])
    assert producer.sent == expected


async def test_the_row_that_does_not_fit_any_more_begins_the_next_batch() -> None:
    rows = [row(number, 500) for number in range(1, 101)]
    producer = Producer()

    await send(rows, producer)

    assert producer.sent["orders.events", 0] == [each["data"] for each in rows]
    assert len(producer.sizes) > 30
    assert max(producer.sizes) <= BATCH_BYTES


async def test_a_row_larger_than_any_batch_is_sent_by_itself() -> None:
    producer = Producer()

    await send([row(1, 100), row(2, 5 * BATCH_BYTES), row(3, 100)], producer)

    assert [len(data) for data in producer.sent["orders.events", 0]] == [100, 5 * BATCH_BYTES, 100]
    assert len(producer.sizes) == 3


class Full:
    """A batch that takes nothing in, not even its first record."""

    def append(self, **record: Any) -> None:
        """Says that it did not take the record."""


async def test_a_row_that_not_even_an_empty_batch_takes_is_never_passed_over() -> None:
    class Strict(Producer):
        def create_batch(self) -> Any:
            return super().create_batch() if not self.sizes else Full()

    relay = new_relay()

    with pytest.raises(Refused) as refused:
        await relay._send_all(
            cast(AIOKafkaProducer, Strict()),
            cast(Any, [row(1, 1_500), row(2, 1_500), row(3, 10)]),
            relay._acknowledged,
        )

    assert [each["id"] for each in refused.value.rows] == [2]
    assert relay._acknowledged == {1}


async def test_a_leader_that_waits_for_the_broker_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "SIGN_OF_LIFE_SECONDS", 0.01)
    session = Session()

    await send([row(1, 10)], Producer(after=0.2), session)

    assert set(session.asked) == {SQL.sign_of_life}
    assert len(session.asked) >= 3


async def test_a_send_without_an_answer_ends_and_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "SEND_TIMEOUT", 0.05)

    with pytest.raises(TimeoutError):
        await send([row(1, 10)], Producer(after=60))


def test_a_lease_outlives_several_signs_of_life() -> None:
    """One that comes late, on a machine with much to do, does not cost the lead."""
    assert timedelta(seconds=3 * SIGN_OF_LIFE_SECONDS) < LEASE
