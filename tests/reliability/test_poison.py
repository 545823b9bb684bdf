"""Poison of every kind, on every input of every service: it ends in the dead letters, and holds up nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from statistics import median
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest

from ops.local.running import RunningSystem
from ops.setup.provision import Database
from ops.shell.http_client import fetch
from ops.shell.tokens import token_of
from shared.clock import monotonic
from shared.events.catalogue import UPSTREAM
from shared.events.envelope import write_headers
from shared.events.examples import golden
from shared.ids import uuid7
from shared.runtime.tasks import end_all
from tests.support.driver import Checkout
from tests.support.stories import ACCOUNT, BEGINS, Story

Raw = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
Spoil = Callable[[Raw], Raw]

ROUNDS, ORDERS = 3, 5
POISON_A_SECOND = 100
NO_LONGER = 3.0
"""Times as long as without poison: a batch with poison in it is larger, and this machine has other work."""

REQUIRED = ("quantity", "grants", "lines", "business_number", "payout_id", "payment_id")
"""Each type below requires the first of these that it has."""


def spoil_header(name: str, value: bytes | None) -> Spoil:
    """The record with another value of a header, or without it."""

    def spoil(raw: Raw) -> Raw:
        key, body, headers = raw
        kept = [(other, text) for other, text in headers if other != name]
        return key, body, kept if value is None else [*kept, (name, value)]

    return spoil


def spoil_body(value: bytes | None) -> Spoil:
    return lambda raw: (raw[0], value, raw[2])


def spoil_key(value: bytes | None) -> Spoil:
    return lambda raw: (value, raw[1], raw[2])


def spoil_field(raw: Raw) -> Raw:
    """The record without a field that its type requires."""
    data = orjson.loads(raw[1] or b"")
    del data[next(name for name in REQUIRED if name in data)]
    return raw[0], orjson.dumps(data), raw[2]


KINDS: Mapping[str, tuple[Spoil, str]] = {
    "a header that is not UTF-8": (spoil_header("ce_subject", b"\xff\xfe"), "unreadable"),
    "a body that is not UTF-8": (spoil_body(b'{"order_id": "\xff"}'), "unreadable"),
    "a body that is not JSON": (spoil_body(b"{"), "unreadable"),
    "a body of more than 1 MB": (spoil_body(b'{"x":"%b"}' % (b"x" * 1_100_000)), "unreadable"),
    "no body": (spoil_body(None), "unreadable"),
    "a missing field": (spoil_field, "missing_field"),
    "an unknown type": (spoil_header("ce_type", b"payment.imagined.v1"), "unknown_type"),
    "no type": (spoil_header("ce_type", None), "missing_field"),
    "a time without offset": (spoil_header("ce_time", b"2031-10-21T14:03:07"), "time_without_offset"),
    "another key": (spoil_key(b"another"), "wrong_key"),
    "no key": (spoil_key(None), "wrong_key"),
    "a key with NUL": (spoil_key(b"A\x00B"), "wrong_key"),
    "a key of 9,000 bytes": (spoil_key(b"A" * 9_000), "wrong_key"),
}
NOT_ITS_OWN = {"an unknown type", "no type"}
"""Kinds after which nobody knows whose event it was: orders answers."""

INPUTS = {
    "orders": "payment.cancelled.v1",
    "refunds": "refund.payout_failed.v1",
    "invoices": "merge.requested.v1",
}

OWN_INPUTS = {
    "issuance.granted.v2": ("serials", "refunds"),
    "serials.issued.v2": ("orders", "invoices"),
    "refund.completed.v1": ("orders", "invoices"),
    "invoice.issued.v1": ("orders",),
}
"""A type of each topic of ours, and the services that handle it."""
NO_SEQUENCE = (spoil_header("ce_sequence", None), "missing_field")
OWN_KINDS = {
    **{kind: spoiled for kind, spoiled in KINDS.items() if kind != "a body of more than 1 MB"},
    "no sequence": NO_SEQUENCE,
}


def whole(type_name: str, source: str) -> Raw:
    """A good record about an order or partner that nobody knows."""
    document = golden()[type_name]
    key = f"X-{uuid4().hex[:12]}"
    (named,) = [name for name in ("order_id", "partner_id") if document.data.get(name) == document.key]
    headers = write_headers(
        id=str(uuid7()), source=source, type=type_name, subject=key, time=BEGINS, sequence=1
    )
    data = {**document.data, named: key}
    return key.encode(), orjson.dumps(data), headers


async def dead_codes(database: Database, service: str, places: list[tuple[str, int, int]]) -> list[str]:
    """The codes of the dead letters that a service has of these records."""
    connection = await asyncpg.connect(database.admin_url)
    rows = await connection.fetch(
        f'SELECT topic, partition, "offset", code FROM {service}.dead_letters WHERE topic = ANY($1)',
        [topic for topic, _, _ in places],
    )
    await connection.close()
    codes = {(row["topic"], row["partition"], row["offset"]): row["code"] for row in rows}
    return [codes.get(place, "nothing") for place in places]


@pytest.mark.parametrize("service", INPUTS)
async def test_upstream_poison_is_answered_and_kept_while_other_orders_go_on(
    checkout: Checkout, database: Database, service: str
) -> None:
    places: dict[str, tuple[str, int, int]] = {}
    stories = [Story(checkout) for _ in range(4)]
    for number, (kind, (spoil, _)) in enumerate(KINDS.items()):
        places[kind] = await checkout.publish(*spoil(whole(INPUTS[service], "https://poison.example")))
        if number % 4 == 0:
            await stories[number // 4].pays(policy="automatic", quantity=2)
    await asyncio.gather(*(story.until("serials.issued.v2") for story in stories))
    await checkout.drain()

    for kind, place in places.items():
        owner = "orders" if kind in NOT_ITS_OWN else service
        (answer,) = checkout.answers_at(place)
        assert (answer.source, answer.data["code"]) == (f"/pawl/{owner}", KINDS[kind][1]), kind
        assert await dead_codes(database, owner, [place]) == [KINDS[kind][1]], kind


async def test_other_orders_take_no_longer_while_poison_comes(checkout: Checkout) -> None:
    """Poison of all kinds, a hundred records a second, against none: by turns."""
    await seconds_of_orders(checkout)  # the first orders find everything cold
    quiet, troubled = [], []
    for _ in range(ROUNDS):
        quiet += await seconds_of_orders(checkout)
        async with poison_coming(checkout):
            troubled += await seconds_of_orders(checkout)

    assert median(troubled) <= NO_LONGER * median(quiet), f"{troubled} s an order instead of {quiet}"


async def seconds_of_orders(checkout: Checkout) -> list[float]:
    """How long each order takes, from what checkout says to its serials and its lock."""
    seconds = []
    for _ in range(ORDERS):
        began = monotonic()
        await Story(checkout).is_issued(quantity=2)
        seconds.append(monotonic() - began)
    return seconds


@asynccontextmanager
async def poison_coming(checkout: Checkout) -> AsyncIterator[None]:
    """Records of one kind after the other, but for those so large that the network would be measured."""
    kinds = [spoil for kind, (spoil, _) in KINDS.items() if kind != "a body of more than 1 MB"]

    async def publish() -> None:
        for spoil in cycle(kinds):
            for type_name in INPUTS.values():
                await checkout.publish(*spoil(whole(type_name, "https://poison.example")))
                await asyncio.sleep(1 / POISON_A_SECOND)

    publishing = asyncio.create_task(publish())
    try:
        yield
        assert not publishing.done(), publishing.exception()
    finally:
        await end_all([publishing])


@pytest.mark.parametrize("type_name", OWN_INPUTS)
async def test_poison_on_a_topic_of_ours_is_kept_by_each_reader_and_answered_by_nobody(
    checkout: Checkout, database: Database, type_name: str
) -> None:
    topic = golden()[type_name].topic
    story = Story(checkout)
    await story.pays(policy="automatic", quantity=2)
    places = {}
    for kind, (spoil, _) in OWN_KINDS.items():
        record = spoil(whole(type_name, "https://intruder.example"))
        places[kind] = await checkout.publish(*record, topic=topic)
    await story.until("serials.issued.v2")
    await story.until("invoice.drafted.v1")
    await checkout.drain()

    for service in OWN_INPUTS[type_name]:
        codes = await dead_codes(database, service, list(places.values()))
        assert dict(zip(places, codes, strict=True)) == {kind: OWN_KINDS[kind][1] for kind in places}
    assert [place for place in places.values() if checkout.answers_at(place)] == []


async def test_a_dead_letter_is_handled_again_once_its_time_has_come(
    checkout: Checkout, system: RunningSystem, database: Database
) -> None:
    story = await Story(checkout).is_paid(quantity=10)
    await story.asks_refund(4, holder="홍길동")
    held = await story.until("refund.held.v1")
    refund_id = held.data["refund_id"]
    too_early = await story.answer_to(await story.is_reviewed(refund_id, "approve"))
    assert (too_early.data["code"], too_early.data["pointer"]) == ("inconsistent", "/decision")
    letter = await _letter_of(database, "refunds", story.order_id)

    assert (await _replay(system, "refunds", letter)).status == 409
    await story.answer_to(await story.attaches_proof(refund_id))
    checkout.answered_twice.update(story.events)
    assert (await _replay(system, "refunds", letter)).status == 200

    asked = await story.until("refund.payout_requested.v1")
    await story.is_paid_out(asked.data["refund_id"])
    await story.until("refund.completed.v1")
    assert (await _replay(system, "refunds", letter)).status == 409


async def test_a_wrong_request_ends_with_the_right_one_that_follows_it(
    checkout: Checkout, database: Database
) -> None:
    story = await Story(checkout).is_paid(quantity=10)
    asked = {"request_id": "iss-1", "lines": [{"line_id": "1", "quantity": 11_000_000}]}
    await story.answer_to(await story.says("issuance.requested.v1", **asked))
    letter = await _letter_of(database, "orders", story.order_id)

    asked["lines"] = [{"line_id": "1", "quantity": 5}]
    right = await story.says("issuance.requested.v1", **asked)
    await story.until("serials.issued.v2")

    connection = await asyncpg.connect(database.admin_url)
    row = await connection.fetchrow("SELECT * FROM orders.dead_letters WHERE id = $1", letter)
    await connection.close()
    assert (row["state"], row["closed_by"]) == ("resolved", "pawl")
    assert right in row["close_reason"]


async def test_a_replay_needs_somebody_who_asks_and_a_reason(system: RunningSystem) -> None:
    url = f"{system.system.service('orders').base_url}/v1/ops/dead/1/replay"

    nobody = await fetch(url, b"{}")
    no_reason = await fetch(url, b"{}", token=token_of(system.system, "ops:write"))

    assert (nobody.status, no_reason.status) == (401, 422)
    assert orjson.loads(no_reason.text)["pointer"] == "/reason"


async def test_a_bank_account_is_never_shown_by_the_dead_letters(
    checkout: Checkout, system: RunningSystem, database: Database
) -> None:
    story = await Story(checkout).is_paid(quantity=10)
    canary = "777123456789"
    wrong = await story.says(
        "refund.requested.v1",
        refund_request_id="rr-1",
        requested_by=story.buyer.id,
        role="nobody",
        reason="financial_burden",
        message="…",
        destination={**ACCOUNT, "account_number": canary, "holder": story.buyer.name},
    )
    await story.answer_to(wrong)
    letter = await _letter_of(database, "refunds", story.order_id)

    url = f"{system.system.service('refunds').base_url}/v1/ops/dead/{letter}"
    shown = await fetch(url, token=token_of(system.system, "ops:read"))

    assert shown.status == 200
    assert story.order_id in shown.text
    assert canary not in shown.text
    connection = await asyncpg.connect(database.admin_url)
    row = await connection.fetchrow("SELECT * FROM refunds.dead_letters WHERE id = $1", letter)
    await connection.close()
    assert canary not in str(dict(row))
    assert canary not in str([record.data for record in checkout.records if record.topic != UPSTREAM])


async def _letter_of(database: Database, service: str, key: str) -> int:
    connection = await asyncpg.connect(database.admin_url)
    letter = await connection.fetchval(
        f"SELECT id FROM {service}.dead_letters WHERE key = $1 ORDER BY id DESC", key
    )
    await connection.close()
    return int(letter)


async def _replay(system: RunningSystem, service: str, letter: int) -> Any:
    url = f"{system.system.service(service).base_url}/v1/ops/dead/{letter}/replay"
    token = token_of(system.system, "ops:write")
    return await fetch(url, orjson.dumps({"reason": "the proof is here"}), token=token)


async def test_a_repeated_record_without_an_id_is_answered_where_it_stands(checkout: Checkout) -> None:
    """Without an id there is no event to know again: each record has its own answer."""
    raw = spoil_header("ce_id", None)(whole("payment.cancelled.v1", "https://poison.example"))
    places = [await checkout.publish(*raw) for _ in range(2)]

    for place in places:
        (answer,) = await checkout.until(partial(checkout.answers_at, place), "an answer")
        assert "event" not in answer.data
        assert (answer.data["code"], answer.data["pointer"]) == ("missing_field", "/id")
