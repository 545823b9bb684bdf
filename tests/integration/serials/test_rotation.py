"""Keys are rotated on a real PostgreSQL, while serials are made, registered, reissued and revoked."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from services.serials.codes import grouped
from services.serials.rotating import Rotator
from services.serials.store import SQL
from services.serials.vault import SerialKeys, Vault
from shared.clock import now
from shared.crash_points import CrashPoint, OnCrashPoint, ignore_crash_point
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from tests.integration.serials.conftest import CHUNK, Desk, Process, RememberedBytes
from tests.support.desk import Crash
from tests.support.granted import granted
from tests.support.instances import until

FIRST = SerialKeys("test-1", bytes(range(32)), bytes(range(32, 64)))
SECOND = SerialKeys("test-2", b"n" * 32, b"t" * 32)
THIRD = SerialKeys("test-3", b"p" * 32, b"q" * 32)
OLD, NEW = Vault(FIRST, [SECOND]), Vault(SECOND, [FIRST])
"""What a process has that makes serials with the first key, and one with the second; each finds all."""
WINDOW = 500
NOBODYS = "0123-4567-89AB-CDE4"
"""Right in itself, and never issued."""
WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


def rotator(
    desk: Desk, vault: Vault = NEW, window: int = WINDOW, on_crash_point: OnCrashPoint = ignore_crash_point
) -> Rotator:
    """The rotating worker of one process."""
    outbox = Outbox("serials", desk.outbox.partitions, on_crash_point)
    return Rotator(Surroundings(desk.pool, outbox), vault, window)


@pytest.fixture
def process(desk: Desk) -> Process:
    """A process that was started with the new key."""
    return Process(desk, vault=NEW)


async def issued(desk: Desk, units: int) -> None:
    await desk.take(granted(units, time=now()))
    await desk.worker().drain()


async def rotate(process: Process, key_id: str = "test-2", *, apply: bool = True) -> httpx.Response:
    body = {"key_id": key_id, "reason": "a new year", "apply": apply}
    return await process.ask("serials/rotation", body)


async def under(desk: Desk) -> dict[str, int]:
    """How many serials are under each key."""
    return {row["key_id"]: row["serials"] for row in await desk.pool.fetch(SQL.count_by_key)}


async def key(desk: Desk, key_id: str = "test-1") -> Mapping[str, Any]:
    row: Mapping[str, Any] = await desk.pool.fetchrow("SELECT * FROM serial_keys WHERE key_id = $1", key_id)
    return row


async def readable(desk: Desk, vault: Vault) -> dict[UUID, str]:
    """Every serial with its characters. Raises WrongSerialError."""
    rows = await desk.pool.fetch("SELECT serial_id, key_id, text, lookup_tag FROM serials")
    return {row["serial_id"]: vault.open(row["key_id"], row["text"], row["lookup_tag"]) for row in rows}


async def rest(desk: Desk) -> list[dict[str, Any]]:
    """All that stands about serials beside what a rotation changes."""
    rows = await desk.pool.fetch("SELECT * FROM serials ORDER BY serial_id")
    changed = {"lookup_tag", "text", "key_id"}
    return [{name: value for name, value in row.items() if name not in changed} for row in rows]


async def waits_for_a_lock(pool: asyncpg.Pool, sessions: int = 1) -> None:
    """Returns when so many sessions of the service wait for a lock."""

    async def do_wait() -> bool:
        return bool(await pool.fetchval(WAITING) >= sessions)

    await until(do_wait, f"{sessions} sessions wait for a lock")


async def test_every_serial_is_put_under_the_new_key_and_nothing_else_of_it_changes(
    desk: Desk, process: Process
) -> None:
    await issued(desk, 2_600)
    before, texts = await rest(desk), await readable(desk, OLD)

    begun = (await rotate(process)).json()
    await rotator(desk).drain()

    assert (begun["applied"], begun["seconds"]) == (True, 1)
    assert begun["serials"] == [{"key_id": "test-1", "serials": 2_600}]
    assert (begun["before"], begun["after"]) == ({"test-1": None}, {"test-1": "test-2"})
    assert await under(desk) == {"test-2": 2_600}
    assert await rest(desk) == before
    assert await readable(desk, Vault(SECOND)) == texts
    retired = await key(desk)
    assert (retired["rekeyed"], retired["to_rekey"], retired["stands_at"]) == (2_600, 2_600, None)
    assert retired["retired_at"] is not None


async def test_serials_are_registered_reissued_and_revoked_between_any_two_windows(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    """By a process with the old key and one with the new. Then the old key is gone."""
    await issued(desk, 2_000)
    texts = await readable(desk, OLD)
    ids = sorted(texts)
    processes = [Process(desk, vault=OLD), process]
    await rotate(process)
    worker, ended = rotator(desk, window=200), {}

    for number, serial_id in enumerate(ids[::70]):
        await worker.step()
        either = processes[number % 2]
        if number % 3 == 0:
            answer = await either.register(grouped(texts[serial_id]))
        else:
            how = ("reissue", "revoke")[number % 3 - 1]
            answer = await either.ask(f"serials/{serial_id}/{how}", {"reason": "lost"}, f"k-{number}")
        assert answer.status_code == 200, answer.text
        ended[serial_id] = ("registered", "revoked", "revoked")[number % 3]
    await worker.drain()

    assert set(await under(desk)) == {"test-2"}
    assert (await key(desk))["retired_at"] is not None
    after = await readable(desk, Vault(SECOND))
    assert {serial_id: after[serial_id] for serial_id in ids} == texts
    states = dict(await desk.pool.fetch("SELECT serial_id, state FROM serials WHERE replaces IS NULL"))
    assert states == {**dict.fromkeys(ids, "active"), **ended}
    alone = Process(desk, vault=Vault(SECOND))
    asked = {
        serial_id: (await alone.register(grouped(texts[serial_id]), "acct-2")).json().get("code")
        for serial_id in ended
    }
    codes = {"registered": "already_registered", "revoked": "serial_revoked"}
    assert asked == {serial_id: codes[state] for serial_id, state in ended.items()}
    found = await alone.register(NOBODYS)
    assert found.json()["code"] == "unknown_serial", "no key is missing any more"


async def test_a_thousand_registrations_while_the_workers_run_all_succeed(
    desk: Desk, process: Process
) -> None:
    await issued(desk, 1_000)
    texts = await readable(desk, OLD)
    processes = [Process(desk, vault=OLD), process]
    await rotate(process)

    async def rotate_all() -> None:
        workers = [rotator(desk, window=40), rotator(desk, window=40)]
        while (await key(desk))["retired_at"] is None:
            await asyncio.gather(*(worker.drain() for worker in workers))

    async def register_some(number: int) -> list[int]:
        mine = list(texts.values())[number::20]
        async with processes[number % 2].client() as client:
            return [
                (
                    await client.post("/v1/registrations", json={"serial": each, "account": "acct-1"})
                ).status_code
                for each in mine
            ]

    answers = await asyncio.gather(*map(register_some, range(20)), rotate_all())

    assert Counter(status for some in answers[:-1] for status in some) == {200: 1_000}
    assert await under(desk) == {"test-2": 1_000}
    assert await readable(desk, Vault(SECOND)) == texts


async def test_a_serial_that_was_found_by_its_old_tag_is_registered_under_its_new_one(
    desk: Desk, owner: asyncpg.Connection, process: Process
) -> None:
    """It is found before the window commits, and locked afterwards."""
    await issued(desk, 10)
    await rotate(process)
    serial = next(iter((await readable(desk, OLD)).values()))
    holding = owner.transaction()
    await holding.start()
    await owner.execute("SELECT FROM serial_keys WHERE key_id = 'test-2' FOR UPDATE")

    window = asyncio.create_task(rotator(desk).step())
    await waits_for_a_lock(desk.pool)
    registration = asyncio.create_task(process.register(grouped(serial)))
    await waits_for_a_lock(desk.pool, 2)
    await holding.rollback()

    assert await window
    assert (await registration).status_code == 200
    row = await desk.pool.fetchrow("SELECT key_id FROM serials WHERE state = 'registered'")
    assert row["key_id"] == "test-2"


async def test_a_serial_that_somebody_works_on_is_passed_over_and_found_by_the_next_pass(
    desk: Desk, owner: asyncpg.Connection, process: Process
) -> None:
    await issued(desk, 10)
    await rotate(process)
    working = owner.transaction()
    await working.start()
    await owner.execute("SELECT FROM serials ORDER BY serial_id LIMIT 1 FOR UPDATE")

    async with asyncio.timeout(10):
        await rotator(desk).drain()
    assert await under(desk) == {"test-1": 1, "test-2": 9}
    assert (await key(desk))["retired_at"] is None
    await working.rollback()
    await rotator(desk).drain()

    assert await under(desk) == {"test-2": 10}
    assert (await key(desk))["retired_at"] is not None


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_REKEY_COMMIT, CrashPoint.AFTER_REKEY_COMMIT])
async def test_after_a_crash_another_process_goes_on_where_it_was(
    desk: Desk, process: Process, point: CrashPoint
) -> None:
    await issued(desk, 2_300)
    texts = await readable(desk, OLD)
    await rotate(process)
    reached: Counter[CrashPoint] = Counter()

    def die(at: CrashPoint) -> None:
        reached[at] += 1
        if at is point and reached[at] == 3:
            raise Crash(at)

    with pytest.raises(Crash):
        await rotator(desk, on_crash_point=die).drain()
    done = 2 * WINDOW if point is CrashPoint.BEFORE_REKEY_COMMIT else 3 * WINDOW
    assert await under(desk) == {"test-1": 2_300 - done, "test-2": done}
    assert await readable(desk, NEW) == texts
    await rotator(desk).drain()

    assert (await key(desk))["rekeyed"] == 2_300
    assert await readable(desk, Vault(SECOND)) == texts


async def test_two_workers_at_once_re_key_each_serial_once(desk: Desk, process: Process) -> None:
    await issued(desk, 2_000)
    texts = await readable(desk, OLD)
    await rotate(process)

    while (await key(desk))["retired_at"] is None:
        await asyncio.gather(*(rotator(desk, window=50).drain() for _ in range(3)))

    assert (await key(desk))["rekeyed"] == 2_000
    assert await readable(desk, Vault(SECOND)) == texts


async def test_a_process_with_the_old_key_re_keys_nothing_and_reads_everything(
    desk: Desk, process: Process
) -> None:
    """Neither does it put back what the others did: the rotation names its key."""
    await issued(desk, 1_000)
    await rotate(process)
    await rotator(desk).step()

    await rotator(desk, OLD).drain()

    assert await under(desk) == {"test-1": 500, "test-2": 500}
    assert len(await readable(desk, OLD)) == 1_000


async def test_a_key_that_serials_are_being_made_with_is_not_retired(desk: Desk, process: Process) -> None:
    """A process that was not started again yet makes serials with it, and has not committed them."""
    await issued(desk, 10)
    await rotate(process)
    worker = rotator(desk)
    async with desk.pool.acquire() as connection:
        issuing = connection.transaction()
        await issuing.start()
        event = granted(5, time=now(), order_id="A-2")
        await desk.write(connection, await desk.store.load(connection, [event]), event)

        retiring = asyncio.create_task(worker.drain())
        await waits_for_a_lock(desk.pool)
        await issuing.commit()
    await retiring

    assert await under(desk) == {"test-1": 5, "test-2": 10}
    assert (await key(desk))["retired_at"] is None
    await worker.drain()
    assert await under(desk) == {"test-2": 15}
    assert (await key(desk))["retired_at"] is not None


async def test_serials_that_are_made_while_their_key_is_retired_bring_it_back(
    desk: Desk, owner: asyncpg.Connection, process: Process
) -> None:
    await issued(desk, 10)
    await rotate(process)
    worker = rotator(desk)
    await worker.step()
    retiring = owner.transaction()
    await retiring.start()
    assert await owner.fetchval(SQL.lock_key_to_retire, "test-1", "test-2") == "test-1"

    issuing = asyncio.create_task(desk.take(granted(5, time=now(), order_id="A-2")))
    await waits_for_a_lock(desk.pool)
    assert not await owner.fetchval(SQL.is_key_used, "test-1")
    await owner.execute(SQL.retire_key, "test-1")
    await retiring.commit()
    await issuing

    assert (await key(desk))["retired_at"] is None
    assert (await process.see("serials/rotation")).json()["keys"][0]["rotated_to"] == "test-2"
    await worker.drain()  # the pass was at its end: it sees that there are more, and begins another one
    await worker.drain()
    assert await under(desk) == {"test-2": 15}
    assert (await key(desk))["retired_at"] is not None


async def test_a_process_that_goes_on_with_a_retired_key_brings_it_back(desk: Desk, process: Process) -> None:
    await issued(desk, 10)
    await rotate(process)
    await rotator(desk).drain()
    assert (await key(desk))["retired_at"] is not None

    old, mine = Process(desk, vault=OLD), min(await readable(desk, NEW))
    answer = await old.ask(f"serials/{mine}/reissue", {"reason": "lost"}, "k-1")

    assert answer.status_code == 200
    assert (await key(desk))["retired_at"] is None
    (waits,) = await desk.pool.fetch(SQL.todo_keys)
    assert (waits["key_id"], waits["rotated_to"]) == ("test-1", "test-2")
    await rotator(desk).drain()
    await rotator(desk).drain()
    assert await desk.pool.fetch(SQL.todo_keys) == []


async def test_many_processes_make_serials_at_once_with_a_key_that_is_watched(desk: Desk) -> None:
    """Whoever makes serials holds the row of their key, and none waits for another because of it."""
    await issued(desk, 1)
    async with desk.pool.acquire() as one, desk.pool.acquire() as other, one.transaction():
        await one.execute(SQL.note_key, "test-1")
        async with asyncio.timeout(5), other.transaction():
            await other.execute(SQL.note_key, "test-1")


async def test_a_wrong_row_stops_the_rotation_which_names_it_and_goes_on_when_it_is_right_again(
    desk: Desk, owner: asyncpg.Connection, process: Process
) -> None:
    await issued(desk, 1_200)
    texts = await readable(desk, OLD)
    wrong = sorted(texts)[700]
    right = await owner.fetchval("SELECT text FROM serials WHERE serial_id = $1", wrong)
    put = "UPDATE serials SET text = $2 WHERE serial_id = $1"
    await owner.execute(put, wrong, b"x" * 16)
    await rotate(process)

    with capture_logs() as logs:
        await rotator(desk).drain()

    assert await under(desk) == {"test-1": 700, "test-2": 500}
    (shown, _) = (await process.see("serials/rotation")).json()["keys"]
    assert (shown["stands_at"], shown["rekeyed"], shown["retired_at"]) == (str(wrong), 500, None)
    said = [(line["serial"], line["log_level"]) for line in logs if "stands still" in line["event"]]
    assert said == [(str(wrong), "error")]
    assert (await desk.pool.fetchrow(SQL.todo_keys))["stands_at"] == wrong

    await owner.execute(put, wrong, right)
    await rotator(desk).drain()
    assert (await under(desk))["test-1"] == 700, "nobody has asked again"
    await rotate(process)
    await rotator(desk).drain()

    assert await readable(desk, Vault(SECOND)) == texts
    assert (await key(desk))["rekeyed"] == 1_200


async def test_a_key_that_is_missing_is_named_and_nothing_begins(desk: Desk) -> None:
    await issued(desk, 10)
    process = Process(desk, vault=Vault(SECOND))

    refused = await rotate(process)

    assert (refused.status_code, refused.json()["code"]) == (503, "key_missing")
    assert "(test-1)" in refused.json()["detail"]
    assert (await key(desk))["rotated_to"] is None
    assert await desk.pool.fetchval("SELECT count(*) FROM serial_keys") == 1


async def test_a_worker_without_the_old_key_leaves_it_to_one_that_has_it(
    desk: Desk, process: Process
) -> None:
    await issued(desk, 10)
    await rotate(process)
    lacking = Vault(SECOND)

    await rotator(desk, lacking).drain()

    assert await under(desk) == {"test-1": 10}
    shown = (await Process(desk, vault=lacking).see("serials/rotation")).json()
    assert (shown["keys"][0]["key_id"], shown["keys"][0]["configured"]) == ("test-1", False)
    await rotator(desk).drain()
    assert await under(desk) == {"test-2": 10}


async def test_a_process_that_was_not_started_again_refuses_to_begin(desk: Desk) -> None:
    await issued(desk, 10)

    refused = await rotate(Process(desk, vault=OLD))

    assert (refused.status_code, refused.json()["code"]) == (409, "key_not_current")
    assert "key test-1, not test-2" in refused.json()["detail"]


async def test_it_is_shown_first_and_who_asked_and_why_is_kept(desk: Desk, process: Process) -> None:
    await issued(desk, 10)

    shown = (await rotate(process, apply=False)).json()
    rows = await desk.pool.fetch("SELECT key_id, rotated_to FROM serial_keys")
    audited = await desk.pool.fetchval("SELECT count(*) FROM audit_log")
    done = (await rotate(process)).json()

    assert ([tuple(row) for row in rows], audited) == ([("test-1", None)], 0)
    assert shown == {**done, "applied": False}
    row = await desk.pool.fetchrow("SELECT actor, action, target, reason, before, after FROM audit_log")
    assert tuple(row)[:4] == ("kim", "serial_keys.rotate", "key test-2", "a new year")
    assert orjson.loads(row["before"]) == {"test-1": None}
    assert orjson.loads(row["after"]) == {"test-1": "test-2"}


async def test_asked_again_it_goes_on_and_counts_nothing_anew(desk: Desk, process: Process) -> None:
    await issued(desk, 1_200)
    await rotate(process)
    await rotator(desk).step()
    before = dict(await key(desk))

    again = (await rotate(process)).json()

    assert again["before"] == again["after"] == {"test-1": "test-2"}
    assert dict(await key(desk)) == before


async def test_a_rotation_can_be_turned_round(desk: Desk, process: Process) -> None:
    await issued(desk, 1_000)
    texts = await readable(desk, OLD)
    await rotate(process)
    await rotator(desk).step()

    turned = (await rotate(Process(desk, vault=OLD), "test-1")).json()
    await rotator(desk).drain()
    await rotator(desk, OLD).drain()

    assert turned["before"] == {"test-2": None}
    assert await under(desk) == {"test-1": 1_000}
    assert await readable(desk, Vault(FIRST)) == texts
    assert (await key(desk, "test-2"))["retired_at"] is not None
    assert await desk.pool.fetch(SQL.todo_keys) == []


async def test_two_old_keys_are_rotated_one_after_the_other(desk: Desk, process: Process) -> None:
    await issued(desk, 600)
    await rotate(process)
    await rotator(desk, window=250).step()
    everything = Vault(THIRD, [FIRST, SECOND])

    answer = await rotate(Process(desk, vault=everything), "test-3")
    await rotator(desk).drain()
    await rotator(desk, everything).drain()

    assert answer.json()["before"] == {"test-1": "test-2", "test-2": None}
    assert await under(desk) == {"test-3": 600}
    keys = await desk.pool.fetch("SELECT key_id, rekeyed FROM serial_keys WHERE retired_at IS NOT NULL")
    assert dict(keys) == {"test-1": 350, "test-2": 250}


async def test_a_file_is_whole_in_the_middle_of_a_rotation(desk: Desk, process: Process) -> None:
    await desk.take(granted(CHUNK + 100, time=now()))
    await desk.worker().drain()
    await rotate(process)
    await rotator(desk, window=250).step()
    grant_id = await desk.pool.fetchval("SELECT grant_id FROM grants")

    files = [
        await either.see(f"issuances/{grant_id}/serials.csv?reason=sale", language="en")
        for either in (process, Process(desk, vault=OLD))
    ]

    assert [answer.status_code for answer in files] == [200, 200]
    rows = [answer.content.splitlines()[2:] for answer in files]
    assert rows[0] == rows[1]
    assert len(rows[0]) == CHUNK + 100


async def test_a_partner_neither_looks_at_keys_nor_rotates_them(desk: Desk, process: Process) -> None:
    seen = await process.see("serials/rotation", partner_id="P-17")
    asked = await process.ask(
        "serials/rotation", {"key_id": "test-2", "reason": "why", "apply": True}, partner_id="P-17"
    )
    looked = await process.see("serials/rotation", scope="serials:read")

    assert (seen.status_code, asked.status_code, looked.status_code) == (403, 403, 200)


async def test_a_window_reads_its_serials_through_their_ids(desk: Desk) -> None:
    await issued(desk, 1_000)
    first = UUID(int=0)

    async with desk.pool.acquire() as connection, connection.transaction():
        last = await connection.fetchval(SQL.end_of_window, first, 100)
        plans = [
            await connection.fetch(f"EXPLAIN {SQL.end_of_window}", first, 100),
            await connection.fetch(f"EXPLAIN {SQL.serials_to_rekey}", first, last, "test-1"),
            await connection.fetch(
                f"EXPLAIN {SQL.rekey_serials}", [last], [b"x" * 16], [b"y" * 16], "test-2"
            ),
        ]

    for plan in plans:
        text = "\n".join(row[0] for row in plan)
        assert "serials_pkey" in text
        assert "Seq Scan on serials" not in text
