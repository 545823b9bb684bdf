"""Registering over HTTP on a real PostgreSQL: once, for one account, in its window, and no word too many."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from services.serials.codes import grouped
from services.serials.registering import Registrations
from services.serials.vault import SerialKeys, Vault
from shared.clock import now
from shared.ids import uuid7
from shared.kst import in_kst, window_end, wire_time
from tests.integration.serials.conftest import Desk, Process, RememberedBytes
from tests.support.granted import granted

NOBODYS = "0123-4567-89AB-CDE4"
"""Right in itself, and never issued."""
MISTYPED = "0123-4567-89AB-CDE5"


@pytest.fixture
def process(desk: Desk) -> Process:
    return Process(desk)


async def issued(
    desk: Desk, random: RememberedBytes, units: int = 3, *, granted_at: datetime | None = None, **more: Any
) -> list[str]:
    """The serials of a new grant, as only its partner may read them."""
    before = len(random.serials())
    await desk.take(granted(units, time=granted_at or now(), **more))
    return [grouped(serial) for serial in random.serials()[before:]]


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def events(pool: asyncpg.Pool, type_name: str = "serial.registered.v1") -> list[dict[str, Any]]:
    rows = await pool.fetch("SELECT * FROM outbox WHERE type = $1 ORDER BY id", type_name)
    return [{**row, "data": orjson.loads(row["data"])} for row in rows]


async def failures(pool: asyncpg.Pool) -> int:
    """Failures that are counted, of everybody: each is counted three times."""
    counted: int = await pool.fetchval("SELECT coalesce(sum(failures), 0) FROM failed_attempts")
    assert counted % 3 == 0
    return counted // 3


async def test_a_serial_is_registered_for_its_account_with_all_of_its_usage_period(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    (serial,) = await issued(desk, random, 1)
    began = now()

    answer = await process.register(serial)

    assert answer.status_code == 200
    said = answer.json()
    registered_at = datetime.fromisoformat(said["registered_at"])
    assert began <= registered_at <= now()
    assert said["state"] == "registered"
    assert said["product"] == {
        "product_id": "study-30", "product_name": "스터디 이용권 30일", "usage_days": 30
    }  # fmt: skip
    assert said["usage_ends_at"] == wire_time(window_end(registered_at, 30))
    row = await desk.pool.fetchrow("SELECT * FROM serials")
    assert (row["state"], row["registered_at"]) == ("registered", registered_at)
    assert str(row["serial_id"]) == said["serial_id"]


async def test_that_it_is_registered_is_told_as_an_event_of_its_order(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    event = granted(1, time=now(), order_id="A-7")
    await desk.take(event)

    said = (await process.register(random.serials()[0], "user-5")).json()

    (told_as,) = await events(desk.pool)
    assert (told_as["key"], told_as["subject"], told_as["sequence"]) == ("A-7", said["serial_id"], 1)
    assert told_as["correlation"] == event.correlation
    assert told_as["data"] == {
        "order_id": "A-7",
        "grant_id": event.data.grants[0].grant_id,
        "line_id": "1",
        "serial_id": said["serial_id"],
        "account": "user-5",
        "registered_at": said["registered_at"],
        "usage_ends_at": said["usage_ends_at"],
    }


async def test_the_same_account_gets_the_same_answer_and_another_one_is_refused_without_a_name(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    (serial,) = await issued(desk, random, 1)

    first = await process.register(serial, "acct-1")
    again = await process.register(f" {serial.lower()} ", "acct-1")
    other = await process.register(serial, "acct-2")

    assert (again.status_code, again.json()) == (200, first.json())
    assert told(other) == (409, "already_registered")
    assert "acct-1" not in other.text
    assert len(await events(desk.pool)) == 1


@pytest.mark.parametrize("around", ["", "buyer:{}", "{}-2"])
async def test_an_account_that_holds_the_serial_is_refused_since_it_is_told(
    desk: Desk, random: RememberedBytes, process: Process, around: str
) -> None:
    (serial,) = await issued(desk, random, 1)
    account = (around or "{}").format(serial.replace("-", "").lower())

    answer = await process.register(serial, account)

    assert told(answer) == (422, "out_of_range")
    assert answer.json()["pointer"] == "/account"
    assert await events(desk.pool) == []
    assert (await process.register(serial, "user-5")).status_code == 200


async def test_what_no_encoding_takes_is_no_serial(process: Process) -> None:
    """JSON can hold half of a surrogate pair."""
    async with process.client() as client:
        answer = await client.post(
            "/v1/registrations",
            content=rb'{"serial": "7KQ2-M0ZV-3XWJ-\ud800", "account": "acct-1"}',
            headers={"Content-Type": "application/json"},
        )

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_serial")


async def test_a_key_of_the_caller_gets_its_answer_again_and_stands_for_nothing_else(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    one, two, _ = await issued(desk, random, 3)

    first = await process.register(one, key="k-1")
    again = await process.register(one, key="k-1")
    other_account = await process.register(one, "acct-2", key="k-1")
    other_serial = await process.register(two, key="k-1")

    assert again.json() == first.json()
    assert told(other_account) == told(other_serial) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("granted_before", "expected"), [(timedelta(days=91), 200), (timedelta(days=92), 410)]
)
async def test_the_last_day_of_the_window_is_in_it(
    desk: Desk, random: RememberedBytes, process: Process, granted_before: timedelta, expected: int
) -> None:
    (serial,) = await issued(desk, random, 1, granted_at=now() - granted_before)

    answer = await process.register(serial)

    assert answer.status_code == expected
    if expected == 410:
        assert answer.json()["code"] == "registration_expired"
        assert str(in_kst(now() - timedelta(days=1)).date()) in answer.json()["detail"]
        assert await events(desk.pool) == []


async def test_what_there_is_not_what_is_mistyped_and_what_is_another_partners_are_answered_alike(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    (theirs,) = await issued(desk, random, 1)

    answers = [
        await process.register(typed, partner_id="P-99")
        for typed in (MISTYPED, NOBODYS, theirs, "", "x" * 5_000, "한글", "\0", "0123")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["code"] == "unknown_serial"
    own_headers = {"x-correlation-id", "traceparent"}
    assert len({frozenset(set(a.headers.multi_items()) - {
        (name, a.headers[name]) for name in own_headers}) for a in answers}) == 1  # fmt: skip
    assert await failures(desk.pool) == len(answers)


async def test_what_is_typed_at_the_same_time_is_looked_for_together_and_each_is_told_of_its_own(
    desk: Desk, random: RememberedBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    serials = await issued(desk, random, 20)
    together: list[int] = []
    look_up = Registrations._look_up

    async def watched(registrations: Registrations, attempts: Sequence[Any]) -> Sequence[Any]:
        together.append(len(attempts))
        return await look_up(registrations, attempts)

    monkeypatch.setattr(Registrations, "_look_up", watched)
    earlier = SerialKeys("test-1", bytes(range(32)), bytes(range(32, 64)))
    rotated = Process(desk, vault=Vault(SerialKeys("test-2", b"n" * 32, b"t" * 32), [earlier]))

    answers = await asyncio.gather(
        *(rotated.register(serial, f"acct-{number}") for number, serial in enumerate(serials)),
        *(rotated.register(typed, "acct-20") for typed in (MISTYPED, NOBODYS)),
        rotated.register(serials[0], "acct-21", partner_id="P-99"),
    )

    assert [answer.status_code for answer in answers] == [200] * 20 + [404] * 3
    owner = {event["data"]["account"]: event["data"]["serial_id"] for event in await events(desk.pool)}
    assert owner == {f"acct-{n}": answers[n].json()["serial_id"] for n in range(20)}
    assert sum(together) == 23
    assert len(together) < 23


async def test_the_partner_of_a_token_registers_its_own_serials(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    (serial,) = await issued(desk, random, 1)

    assert (await process.register(serial, partner_id="P-17")).status_code == 200


async def test_a_serial_whose_keys_are_missing_is_never_unknown(desk: Desk, random: RememberedBytes) -> None:
    (serial,) = await issued(desk, random, 1)
    process = Process(desk, vault=Vault(SerialKeys("test-2", b"n" * 32, b"t" * 32)))

    asked = [await process.register(typed) for typed in (serial, NOBODYS, MISTYPED)]

    assert [told(answer) for answer in asked] == [
        (503, "key_missing"), (503, "key_missing"), (404, "unknown_serial")
    ]  # fmt: skip
    assert "test-1" in asked[0].json()["detail"]
    assert await failures(desk.pool) == 1


async def test_a_serial_of_an_earlier_generation_is_found(desk: Desk, random: RememberedBytes) -> None:
    (serial,) = await issued(desk, random, 1)
    earlier = SerialKeys("test-1", bytes(range(32)), bytes(range(32, 64)))
    process = Process(desk, vault=Vault(SerialKeys("test-2", b"n" * 32, b"t" * 32), [earlier]))

    assert (await process.register(serial)).status_code == 200


async def test_two_hundred_clients_register_the_same_hundred_serials_at_once(
    desk: Desk, random: RememberedBytes
) -> None:
    """In two processes. Each serial is one account's, who is told so as often as it asks."""
    serials = await issued(desk, random, 100)
    processes = [Process(desk), Process(desk)]

    async def register_all(number: int) -> list[httpx.Response]:
        # Half of the clients begin at the other end, so that locks are wanted in every order.
        wanted = serials if number % 2 else serials[::-1]
        client = processes[number % 2].client()
        async with client:
            body = {"account": f"acct-{number}"}
            answers = [
                await client.post("/v1/registrations", json={**body, "serial": serial}) for serial in wanted
            ]
        return answers if number % 2 else answers[::-1]

    answered: Sequence[Sequence[httpx.Response]] = await asyncio.gather(*map(register_all, range(200)))

    for of_serial in zip(*answered, strict=True):
        assert sorted(answer.status_code for answer in of_serial) == [200] + [409] * 199
    registered = await events(desk.pool)
    assert len(registered) == 100
    owner = {event["data"]["serial_id"]: event["data"]["account"] for event in registered}
    assert len(owner) == 100
    for number, answers in enumerate(answered):
        won = {answer.json()["serial_id"] for answer in answers if answer.status_code == 200}
        assert won == {serial_id for serial_id, account in owner.items() if account == f"acct-{number}"}
    assert await desk.pool.fetchval("SELECT count(*) FROM serials WHERE state = 'registered'") == 100


@pytest.mark.parametrize("point", ["after_claim", "before_commit", "after_commit"])
@pytest.mark.parametrize("key", ["k-1", None])
async def test_a_process_that_dies_before_it_answers_has_registered_all_or_nothing(
    desk: Desk, random: RememberedBytes, point: str, key: str | None
) -> None:
    (serial,) = await issued(desk, random, 1)
    dying, other = Process(desk, point), Process(desk)

    unanswered = asyncio.create_task(dying.register(serial, key=key))
    await dying.died.wait()
    unanswered.cancel()
    kept = await desk.pool.fetchrow("SELECT state, registered_at FROM serials")
    again = await other.register(serial, key=key)
    stranger = await other.register(serial, "acct-2")

    assert (kept["state"] == "registered") == (point == "after_commit")
    assert again.status_code == 200
    if point == "after_commit":
        assert again.json()["registered_at"] == wire_time(kept["registered_at"])
    assert stranger.status_code == 409
    assert len(await events(desk.pool)) == 1


async def test_how_a_serial_stands_is_seen_and_its_account_not_by_a_partner(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    one, _ = await issued(desk, random, 2)
    said = (await process.register(one, "user-5")).json()
    path = f"registrations/{said['serial_id']}"

    everybody, partner, stranger = [
        await process.see(path, **who) for who in ({}, {"partner_id": "P-17"}, {"partner_id": "P-99"})
    ]

    shown = everybody.json()
    assert {name: shown[name] for name in said} == said
    assert (shown["account"], shown["revoked_at"], shown["replaced_by"]) == ("user-5", None, None)
    assert partner.json() == {**shown, "account": None}
    assert told(stranger) == told(await process.see(f"registrations/{uuid7()}")) == (404, "not_found")


async def test_support_sees_state_and_product_of_what_a_customer_reads_to_it_and_stands_in_the_log(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    (serial,) = await issued(desk, random, 1)

    checked = await process.ask("registrations/check", {"serial": serial}, partner_id="P-17")
    unknown = await process.ask("registrations/check", {"serial": NOBODYS}, sub="lee")

    assert checked.json().keys() == {"state", "product"}
    assert checked.json()["state"] == "active"
    assert told(unknown) == (404, "unknown_serial")
    rows = await desk.pool.fetch("SELECT actor, partner_id, first_unit, serials FROM custody ORDER BY 1")
    assert [tuple(row) for row in rows] == [("kim", "P-17", 1, 1), ("lee", None, None, 0)]


async def test_who_has_to_do_something_finds_which_serial_it_is(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    _, serial = await issued(desk, random, 2)

    found = await process.ask("serials/find", {"serial": serial, "reason": "a customer called"})
    hidden = await process.ask("serials/find", {"serial": serial, "reason": "curious"}, partner_id="P-99")

    said = found.json()
    assert (said["order_id"], said["last_four"], said["state"]) == ("A-1001", serial[-4:], "active")
    assert said["serial_id"] == str(
        await desk.pool.fetchval("SELECT serial_id FROM serials WHERE last_four = $1", serial[-4:])
    )
    assert told(hidden) == (404, "unknown_serial")
    reasons = await desk.pool.fetch("SELECT reason, first_unit FROM custody ORDER BY reason")
    assert [tuple(row) for row in reasons] == [("a customer called", said["unit"]), ("curious", None)]
