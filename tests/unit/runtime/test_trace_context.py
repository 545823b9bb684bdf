"""A trace context stays with its event: into the batch, through what waits, into what follows from it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.runtime.batch import WAITING, Batch, Parked, PriorState
from shared.runtime.consumer import MOST_LINKS, links_of
from shared.runtime.decisions import Wait
from shared.runtime.intake import InboundMessage
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import COLUMNS, OutboxRows
from shared.runtime.records import StoredRecord, pack, position_of, unpack
from shared.runtime.relay import Relay
from shared.runtime.signals import Metrics
from tests.support.toy import CONTEXT, World, message, own, said, toy
from tests.support.traces import OTHER_TRACE, TRACE, traced

PARTITIONS = {"orders.events": 12, "checkout.feedback": 12}


def structured(record: StoredRecord) -> StoredRecord:
    """The same event as one JSON object that names its trace context."""
    attributes = {name.removeprefix("ce_"): value.decode() for name, value in record.headers}
    del attributes["content-type"]
    body = orjson.dumps({**attributes, "traceparent": TRACE, "data": orjson.loads(record.value or b"")})
    return replace(record, value=body, headers=[("content-type", b"application/cloudevents+json")])


def taken(*messages: InboundMessage, prior: PriorState | None = None, world: World | None = None) -> Batch:
    """A batch that has taken these messages, all of them new."""
    prior = prior or PriorState()
    prior.fresh = {(each.source or "", each.event_id or "") for each in messages}
    batch = Batch(toy(), world or World(), prior, OutboxRows("orders", PARTITIONS), CONTEXT)
    batch.take_all(messages)
    return batch


def rows_of(batch: Batch) -> list[Mapping[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=False)) for row in batch.rows.rows]


def contexts(batch: Batch) -> list[tuple[str, str | None]]:
    """The type and the trace context of every event that goes out."""
    return [(row["type"], row["traceparent"]) for row in rows_of(batch)]


def headers_of(row: Mapping[str, Any]) -> dict[str, bytes]:
    """The headers that the relay writes."""
    relay = Relay(None, Outbox("orders", PARTITIONS), None, Metrics())  # type: ignore[arg-type]
    return dict(relay._headers({**row, "event_id": "0199f068-d1c5-771b-916d-1d3ae2ce9798"}))  # type: ignore[arg-type]


@pytest.mark.parametrize("record", [traced(said("pay-1")), structured(said("pay-1"))], ids=["binary", "json"])
def test_the_answer_and_what_follows_carry_the_context_of_their_event(record: StoredRecord) -> None:
    batch = taken(message(record))

    assert contexts(batch) == [("event.accepted.v1", TRACE), ("order.expired.v1", TRACE)]
    assert {headers_of(row)["traceparent"] for row in rows_of(batch)} == {TRACE.encode()}


def test_without_a_context_nothing_that_follows_has_one() -> None:
    batch = taken(message(said("pay-1")))

    assert contexts(batch) == [("event.accepted.v1", None), ("order.expired.v1", None)]
    assert not any("traceparent" in headers_of(row) for row in rows_of(batch))


def test_a_context_that_cannot_be_read_is_not_handed_on() -> None:
    batch = taken(message(traced(said("pay-1"), TRACE.upper())))

    assert contexts(batch) == [("event.accepted.v1", None), ("order.expired.v1", None)]


def test_each_event_of_a_batch_has_its_own_context() -> None:
    first, second = traced(said("pay-1")), traced(said("pay-2", "A-2"), OTHER_TRACE)

    batch = taken(message(first), message(second), message(said("pay-3", "A-3")))

    assert [context for _, context in contexts(batch)] == [TRACE, TRACE, OTHER_TRACE, OTHER_TRACE, None, None]


def test_an_event_of_our_own_hands_its_context_on_too() -> None:
    batch = taken(message(traced(own("r-1", 1))))

    assert contexts(batch) == [("order.expired.v1", TRACE)]


def test_an_event_that_waited_keeps_its_context_when_another_one_sets_it_free() -> None:
    waiting = traced(said("pay-1"))
    world = World(behave={"pay-1": Wait("order A-1 to be paid")})
    assert contexts(taken(message(waiting), world=world)) == [("event.accepted.v1", TRACE)]

    kept = message(unpack(position_of(waiting), pack(waiting)))
    prior = PriorState(parked={"A-1": [Parked(kept, WAITING, "order A-1 to be paid", 1)]})
    batch = taken(message(traced(said("pay-2"), OTHER_TRACE)), prior=prior)

    assert batch.world.applied == ["pay-2", "pay-1"]
    assert [context for _, context in contexts(batch)] == [OTHER_TRACE, OTHER_TRACE, TRACE]


@pytest.mark.parametrize(
    "record",
    [
        traced(said("pay-1", cancelled_at="yesterday")),
        traced(replace(said("pay-1"), value=None)),
        structured(said("pay-1", cancelled_at="yesterday")),
    ],
    ids=["wrong data", "no value", "wrong data in structured mode"],
)
def test_a_refused_record_keeps_its_context_for_the_answer(record: StoredRecord) -> None:
    refused = message(record)

    assert refused.fault is not None
    assert refused.traceparent == TRACE


def test_the_links_of_a_batch_are_the_different_contexts_of_its_records() -> None:
    records = [
        traced(said("pay-1")),
        said("pay-2"),
        traced(said("pay-3"), OTHER_TRACE),
        traced(said("pay-4")),
    ]

    assert [link["traceparent"] for link in links_of(records)] == [TRACE, OTHER_TRACE]


def test_a_span_has_no_more_links_than_opentelemetry_keeps() -> None:
    records = [traced(said("pay"), f"00-{number:032x}-b7ad6b7169203331-01") for number in range(1, 300)]

    links = links_of(records)

    assert len(links) == MOST_LINKS
    assert len({link["correlation_id"] for link in links}) == MOST_LINKS


def test_records_without_a_context_that_can_be_read_give_no_links() -> None:
    assert links_of([said("pay-1"), traced(said("pay-2"), "sampled")]) == []
