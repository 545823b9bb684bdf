"""The gateway reads what refunds asked for and publishes each answer once, in time; without a broker."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from ops.gateway.answers import answers_to, behaviour_of
from ops.gateway.requests import ASKED, Requests
from ops.gateway.run import PAYOUTS, SOURCE, Gateway
from shared.events.envelope import write_headers
from shared.kst import KST
from tests.support.patience import PATIENCE

AT = datetime(2026, 10, 21, 14, 3, tzinfo=KST)
SEED = 7
PLACE = TopicPartition(PAYOUTS, 0)


def event(type_name: str, refund_id: str, **data: Any) -> Any:
    headers = write_headers(id="e", source="/pawl/refunds", type=type_name, subject=refund_id, time=AT)
    return SimpleNamespace(headers=headers, value=orjson.dumps({"refund_id": refund_id, **data}))


def asked(refund_id: str) -> Any:
    return event(ASKED, refund_id, order_id=f"A-{refund_id}", amount=55_000, idempotency_key=refund_id)


class Topics:
    """Stands in for consumer and producer. `backlog` is there at the start; `come` is what comes later."""

    def __init__(self, backlog: Sequence[Any]) -> None:
        self.records = list(backlog)
        self.end = len(self.records)
        self.read = 0
        self.published: list[tuple[str, bytes, Mapping[str, Any], dict[str, str]]] = []

    def come(self, record: Any) -> None:
        self.records.append(record)

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    async def end_offsets(self, places: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, self.end)

    async def position(self, place: TopicPartition) -> int:
        return self.read

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        new, self.read = self.records[self.read :], len(self.records)
        return {PLACE: new}

    async def send_and_wait(self, topic: str, value: bytes, key: bytes, headers: Any) -> None:
        attributes = {name: raw.decode() for name, raw in headers}
        self.published.append((topic, key, orjson.loads(value), attributes))


async def answered(topics: Topics, gateway: Gateway, answers: int) -> None:
    """Runs the gateway until it has published so many answers."""
    running = asyncio.create_task(gateway.run())
    async with asyncio.timeout(PATIENCE):
        while len(topics.published) < answers:
            assert not running.done() or running.result() is None
            await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def expected(*refund_ids: str) -> list[str]:
    """The ids of the events that answer these, whatever their order."""
    requests = Requests()
    found = [requests.record(ASKED, AT, orjson.loads(asked(each).value)) for each in refund_ids]
    return sorted(answer.id for each in found if each is not None for answer in answers_to(SEED, each))


async def test_what_nobody_has_answered_is_answered_at_the_start_and_then_what_comes() -> None:
    done = event("refund.completed.v1", "r1")
    topics = Topics([asked("r1"), asked("r2"), done])
    gateway = Gateway(topics, topics, SEED, pace=0.0)
    topics.come(asked("r3"))

    await answered(topics, gateway, len(expected("r2", "r3")))

    assert sorted(headers["ce_id"] for _, _, _, headers in topics.published) == expected("r2", "r3")
    assert gateway.counts.total() == 2


async def test_an_answer_is_an_event_of_checkout_about_its_order() -> None:
    topics = Topics([asked("r2")])

    await answered(topics, Gateway(topics, topics, SEED, pace=0.0), 1)

    topic, key, data, headers = topics.published[0]
    assert (topic, key, headers["ce_subject"]) == ("checkout.events", b"A-r2", "A-r2")
    assert headers["ce_source"] == f"{SOURCE}/{SEED}"
    assert data["refund_id"] == "r2"


async def test_answers_come_in_the_order_of_their_delays() -> None:
    refund_ids = [f"r{number}" for number in range(30)]
    topics = Topics([asked(each) for each in refund_ids])

    await answered(topics, Gateway(topics, topics, SEED, pace=0.001), len(expected(*refund_ids)))

    times = [headers["ce_time"] for _, _, _, headers in topics.published]
    assert times == sorted(times)
    assert "timed_out" in {behaviour_of(SEED, each) for each in refund_ids}


async def test_what_is_no_event_is_passed_over() -> None:
    nothing = SimpleNamespace(headers=[], value=b"{}")
    topics = Topics([nothing, asked("r2")])

    await answered(topics, Gateway(topics, topics, SEED, pace=0.0), 1)

    assert topics.published


@pytest.mark.parametrize("value", [b"\xff", b"[]", b"{}", b"5", b""])
async def test_a_record_that_refunds_cannot_have_said_is_passed_over(value: bytes) -> None:
    broken = SimpleNamespace(headers=asked("r0").headers, value=value)
    topics = Topics([broken, asked("r1")])

    await answered(topics, Gateway(topics, topics, SEED, pace=0.0), len(expected("r1")))

    assert sorted(headers["ce_id"] for _, _, _, headers in topics.published) == expected("r1")
