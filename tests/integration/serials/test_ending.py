"""Serials that die over HTTP on a real PostgreSQL: revoked or reissued, once, and told of."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson
import pytest

from services.serials.codes import grouped
from shared.clock import now
from shared.ids import uuid7
from tests.integration.serials.conftest import CHUNK, Desk, Process, RememberedBytes
from tests.support.granted import granted

LOST = {"reason": "lost in the mail"}


@pytest.fixture
def process(desk: Desk) -> Process:
    return Process(desk)


async def serial_ids(pool: asyncpg.Pool) -> list[UUID]:
    return [row[0] for row in await pool.fetch("SELECT serial_id FROM serials ORDER BY serial_id")]


async def end(process: Process, how: str, serial_id: Any, key: str = "k-1", **more: Any) -> httpx.Response:
    body = {**LOST, **more.pop("body", {})}
    return await process.ask(f"serials/{serial_id}/{how}", body, key, **more)


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def said(pool: asyncpg.Pool) -> list[tuple[str, str, int, Any]]:
    """Type, subject, number and data of the events about serials, in their order."""
    rows = await pool.fetch("SELECT * FROM outbox WHERE type LIKE 'serial.%' ORDER BY id")
    return [(row["type"], row["subject"], row["sequence"], orjson.loads(row["data"])) for row in rows]


async def counts(pool: asyncpg.Pool) -> tuple[int, int, int, int]:
    """Quantity, issued, revoked and reissued of the only grant."""
    row = await pool.fetchrow("SELECT quantity, issued, revoked, reissued FROM grants")
    return tuple(row)


async def test_a_reissued_serial_dies_and_another_one_that_can_be_registered_takes_its_place(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    await desk.take(granted(3, time=now()))
    first, old = (await serial_ids(desk.pool))[0], grouped(random.serials()[0])
    mine = await desk.pool.fetchval("SELECT serial_id FROM serials WHERE last_four = $1", old[-4:])

    answer = await end(process, "reissue", mine)

    done = answer.json()
    assert (answer.status_code, done["applied"], done["new_unit"]) == (200, True, 4)
    assert (done["revoked"], done["reissued"], done["reissue_quota"]) == (1, 1, 5)
    assert UUID(done["new_serial_id"]).int == first.int + 3
    new = grouped(random.serials()[-1])
    assert (await process.register(old)).json()["code"] == "serial_revoked"
    registered = await process.register(new)
    assert registered.json()["serial_id"] == done["new_serial_id"]
    assert await counts(desk.pool) == (3, 3, 1, 1)
    shown = (await process.see(f"registrations/{mine}")).json()
    assert (shown["state"], shown["replaced_by"]) == ("revoked", done["new_serial_id"])


async def test_that_it_died_is_told_first_and_then_what_took_its_place(desk: Desk, process: Process) -> None:
    await desk.take(granted(1, time=now(), order_id="A-7"))
    (old,) = await serial_ids(desk.pool)

    new = (await end(process, "reissue", old)).json()["new_serial_id"]
    await end(process, "revoke", new, "k-2")

    revoked, reissued, revoked_too = await said(desk.pool)
    assert (revoked[:3], revoked[3]["reason"]) == (("serial.revoked.v1", str(old), 1), "reissued")
    assert reissued[:3] == ("serial.reissued.v1", new, 1)
    assert reissued[3] == {
        "order_id": "A-7",
        "grant_id": revoked[3]["grant_id"],
        "line_id": "1",
        "serial_id": new,
        "replaces": str(old),
        "reason": "lost in the mail",
        "actor": "kim",
    }
    assert revoked_too[:3] == ("serial.revoked.v1", new, 2)


async def test_a_look_leaves_nothing_and_the_key_stays_free(desk: Desk, process: Process) -> None:
    await desk.take(granted(1, time=now()))
    (mine,) = await serial_ids(desk.pool)

    shown = await end(process, "reissue", mine, body={"apply": False})
    before = await counts(desk.pool), await said(desk.pool), await serial_ids(desk.pool)
    done = await end(process, "reissue", mine)

    assert before == ((1, 1, 0, 0), [], [mine])
    events = [event["type"] for event in shown.json()["events"]]
    assert events == ["serial.revoked.v1", "serial.reissued.v1"]
    assert {**shown.json(), "applied": True} == done.json()


@pytest.mark.parametrize("how", ["reissue", "revoke"])
async def test_what_is_registered_stays(
    desk: Desk, random: RememberedBytes, process: Process, how: str
) -> None:
    await desk.take(granted(1, time=now()))
    mine = (await process.register(random.serials()[0])).json()["serial_id"]

    answer = await end(process, how, mine)

    assert told(answer) == (409, "registered")
    assert await counts(desk.pool) == (1, 1, 0, 0)


async def test_who_let_it_die_and_why_stands_in_the_audit_log_also_where_it_was_refused(
    desk: Desk, process: Process
) -> None:
    await desk.take(granted(1, time=now(), order_id="A-7"))
    (mine,) = await serial_ids(desk.pool)

    await end(process, "revoke", mine)
    await end(process, "reissue", mine, "k-2", sub="lee")

    rows = await desk.pool.fetch("SELECT actor, action, target, reason, result FROM audit_log ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("kim", "serial.revoke", f"A-7 {mine}", "lost in the mail", "done"),
        ("lee", "serial.reissue", f"A-7 {mine}", "lost in the mail", "serial_revoked"),
    ]


async def test_a_partner_ends_its_own_serials_within_its_quota_and_an_operator_beyond(
    desk: Desk, process: Process
) -> None:
    await desk.take(granted(7, time=now()))
    mine = await serial_ids(desk.pool)

    answers = [
        await end(process, "reissue", each, f"k-{number}", partner_id="P-17")
        for number, each in enumerate(mine[:6])
    ]
    stranger = await end(process, "revoke", mine[6], "k-6", partner_id="P-99")
    operator = await end(process, "reissue", mine[6], "k-7")

    assert [answer.status_code for answer in answers] == [200] * 5 + [409]
    assert told(answers[5]) == (409, "reissue_quota")
    assert told(stranger) == told(await end(process, "revoke", uuid7(), "k-8")) == (404, "not_found")
    assert operator.json()["reissued"] == 6


async def test_of_two_at_once_one_wins_and_whoever_repeats_it_is_answered_the_same(desk: Desk) -> None:
    await desk.take(granted(1, time=now()))
    (mine,) = await serial_ids(desk.pool)
    processes = [Process(desk) for _ in range(4)]

    repeated = await asyncio.gather(*(end(each, "reissue", mine) for each in processes))
    others = await asyncio.gather(
        *(end(each, how, mine, f"other-{how}") for each in processes for how in ("reissue", "revoke"))
    )

    assert {answer.status_code for answer in repeated} == {200}
    assert len({answer.text for answer in repeated}) == 1
    assert {told(answer) for answer in others} == {(410, "serial_revoked")}
    assert await counts(desk.pool) == (1, 1, 1, 1)
    assert len(await serial_ids(desk.pool)) == 2


async def test_of_a_registration_and_a_revocation_at_once_one_wins(
    desk: Desk, random: RememberedBytes
) -> None:
    await desk.take(granted(20, time=now()))
    typed = {serial[-4:]: serial for serial in random.serials()}
    rows = await desk.pool.fetch("SELECT serial_id, last_four FROM serials")
    one, other = Process(desk), Process(desk)

    ended, registered = await asyncio.gather(
        asyncio.gather(*(end(one, "revoke", row["serial_id"], f"k-{row['serial_id']}") for row in rows)),
        asyncio.gather(*(other.register(typed[row["last_four"]]) for row in rows)),
    )

    for death, birth in zip(ended, registered, strict=True):
        assert {told(death), told(birth)} in (
            {(200, ""), (410, "serial_revoked")},
            {(409, "registered"), (200, "")},
        )


async def test_a_serial_is_reissued_while_its_grant_is_still_being_issued(
    desk: Desk, process: Process
) -> None:
    await desk.take(granted(CHUNK + 1, time=now()))
    worker = desk.worker()
    await worker.issue_chunk()
    first = (await serial_ids(desk.pool))[0]

    done = await end(process, "reissue", first)
    await worker.drain()

    assert done.json()["new_unit"] == CHUNK + 2
    assert await counts(desk.pool) == (CHUNK + 1, CHUNK + 1, 1, 1)


@pytest.mark.parametrize("point", ["after_claim", "before_commit", "after_commit"])
async def test_a_process_that_dies_has_reissued_all_or_nothing_and_a_repeat_tells_which(
    desk: Desk, point: str
) -> None:
    await desk.take(granted(1, time=now()))
    (mine,) = await serial_ids(desk.pool)
    dying, other = Process(desk, point), Process(desk)

    unanswered = asyncio.create_task(end(dying, "reissue", mine))
    await dying.died.wait()
    unanswered.cancel()
    kept = await serial_ids(desk.pool)
    again = await end(other, "reissue", mine)

    assert len(kept) == (2 if point == "after_commit" else 1)
    assert again.json()["new_serial_id"] == str((await serial_ids(desk.pool))[1])
    assert [event[0] for event in await said(desk.pool)] == ["serial.revoked.v1", "serial.reissued.v1"]


async def test_a_reason_that_holds_a_serial_is_refused_before_it_is_kept(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    await desk.take(granted(1, time=now()))
    (mine,) = await serial_ids(desk.pool)
    serial = grouped(random.serials()[0])

    answer = await end(process, "revoke", mine, body={"reason": f"{serial} was posted in a forum"})

    assert told(answer) == (422, "out_of_range")
    assert answer.json()["pointer"] == "/reason"
    assert serial not in answer.text
    assert await desk.pool.fetchval("SELECT count(*) FROM audit_log") == 0


@pytest.mark.parametrize("said", ["said {}x", "{}lost", "123{}", "{}, who called"])
async def test_a_serial_in_a_reason_is_noticed_whatever_stands_around_it(
    desk: Desk, random: RememberedBytes, process: Process, said: str
) -> None:
    await desk.take(granted(1, time=now()))
    (mine,) = await serial_ids(desk.pool)
    serial = random.serials()[0]

    for form in (serial, grouped(serial).replace("-", ","), grouped(serial).replace("-", "/")):
        assert told(await end(process, "reissue", mine, body={"reason": said.format(form)})) == (
            422,
            "out_of_range",
        )

    assert await desk.pool.fetchval("SELECT count(*) FROM audit_log") == 0


@pytest.mark.parametrize(
    "reason", [" ", "lost\n2026-11-30 06:18  kim took 60 serials", "\x1b[31mred", "\u202eturned"]
)
async def test_a_reason_is_one_line_and_not_blank(desk: Desk, process: Process, reason: str) -> None:
    """It stands in lists between what others did."""
    await desk.take(granted(1, time=now()))
    (mine,) = await serial_ids(desk.pool)

    assert told(await end(process, "revoke", mine, body={"reason": reason})) == (422, "out_of_range")


async def test_a_serial_as_the_key_of_a_request_is_not_kept(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    await desk.take(granted(1, time=now()))
    (mine,) = await serial_ids(desk.pool)
    serial = random.serials()[0]

    first = await process.ask(f"serials/{mine}/revoke", {"reason": "leaked"}, serial)
    again = await process.ask(f"serials/{mine}/revoke", {"reason": "leaked"}, serial)

    assert (first.status_code, again.json()) == (200, first.json())
    for table in ("inbox", "audit_log", "outbox"):
        rows = await desk.pool.fetch(f"SELECT {table}::text AS said FROM {table}")
        assert serial not in " ".join(row["said"] for row in rows)


async def test_what_needs_a_key_is_not_done_without(desk: Desk, process: Process) -> None:
    await desk.take(granted(1, time=now()))
    (mine,) = await serial_ids(desk.pool)

    assert told(await process.ask(f"serials/{mine}/revoke", LOST)) == (400, "idempotency_key_missing")
