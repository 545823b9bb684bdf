"""Whoever types too many serials that there are not has to wait, in every process and after a restart."""

import asyncio
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

import pytest
from structlog.testing import capture_logs

from services.serials.alarm import Alarm
from services.serials.attempts import SHARES, Limits, window_of
from services.serials.codes import grouped
from services.serials.expiry import sweep
from services.serials.store import SQL
from shared.clock import now
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from tests.integration.serials.conftest import Desk, Process, RememberedBytes
from tests.integration.serials.test_registering import MISTYPED, NOBODYS, failures, issued, told

LONG = 10**9
LIMITS = Limits(LONG, account=3, address=5, alarm=8)
"""A window of thirty years, so that none ends during a test."""


@pytest.fixture
async def process(desk: Desk) -> Process:
    return Process(desk, limits=LIMITS)


async def test_an_account_that_fails_too_often_waits_wherever_it_asks_from_and_whatever_it_types(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    (serial,) = await issued(desk, random, 1)
    restarted = Process(desk, limits=LIMITS)

    tried = [await process.register(typed) for typed in (NOBODYS, MISTYPED, "")]
    waits = await process.register(serial)
    elsewhere = await restarted.register(serial, address="192.0.2.9")
    another = await process.register(serial, "acct-2")

    assert [told(answer)[0] for answer in tried] == [404] * 3
    assert told(waits) == told(elsewhere) == (429, "too_many_requests")
    left = int(waits.headers["retry-after"])
    assert left == waits.json()["retry_after"] <= LONG
    assert told(another)[0] == 200
    assert await failures(desk.pool) == 3


async def test_an_address_that_fails_too_often_waits_whichever_account_it_names(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    (serial,) = await issued(desk, random, 1)

    for number in range(LIMITS.address):
        await process.register(NOBODYS, f"acct-{number}", address="192.0.2.7")
    waits = await process.register(serial, "acct-9", address="192.0.2.7")
    check = await process.ask("registrations/check", {"serial": serial}, address="192.0.2.7")
    elsewhere = await process.register(serial, "acct-9", address="192.0.2.8")

    assert told(waits) == told(check) == (429, "too_many_requests")
    assert elsewhere.status_code == 200


async def test_a_partner_that_makes_no_mistakes_never_waits(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    serials = await issued(desk, random, 30)

    answers = [await process.register(serial, "acct-1") for serial in (*serials, *serials)]
    taken = [await process.register(serial, "acct-2") for serial in serials]

    assert {answer.status_code for answer in answers} == {200}
    assert {told(answer) for answer in taken} == {(409, "already_registered")}
    assert await failures(desk.pool) == 0


async def test_the_next_window_begins_anew(
    desk: Desk, random: RememberedBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (serial,) = await issued(desk, random, 1)
    process = Process(desk, limits=Limits(seconds=600, account=3))
    early = window_of(now(), 600) + timedelta(seconds=400)
    monkeypatch.setattr("services.serials.registering.now", lambda: early)
    for _ in range(3):
        await process.register(NOBODYS)
    waits = await process.register(serial)

    left = int(waits.headers["retry-after"])
    monkeypatch.setattr("services.serials.registering.now", lambda: early + timedelta(seconds=left))

    assert (waits.status_code, left) == (429, 200)
    assert (await process.register(serial)).status_code == 200


async def test_failures_at_once_are_counted_each_and_wait_for_no_common_row(desk: Desk) -> None:
    processes = [Process(desk, limits=Limits(LONG)) for _ in range(2)]

    await asyncio.gather(
        *(
            processes[number % 2].register(NOBODYS, f"acct-{number}", address=f"192.0.2.{number}")
            for number in range(120)
        )
    )

    assert await failures(desk.pool) == 120
    shared = await desk.pool.fetchval("SELECT count(*) FROM failed_attempts WHERE failures > 1")
    assert 8 <= shared <= SHARES


async def test_nobody_can_read_who_mistyped_and_old_windows_are_forgotten(
    desk: Desk, process: Process
) -> None:
    await process.register(NOBODYS, "user-5", address="192.0.2.7")

    rows = [dict(row) for row in await desk.pool.fetch("SELECT * FROM failed_attempts")]
    assert "user-5" not in str(rows)
    assert "192.0.2" not in str(rows)
    await sweep(process.surroundings, now() + timedelta(seconds=LONG))
    assert await desk.pool.fetchval("SELECT count(*) FROM failed_attempts") == 0


async def test_when_everybody_together_fails_too_often_it_is_told_once_and_holds_nobody_up(
    desk: Desk, random: RememberedBytes, process: Process
) -> None:
    (serial,) = await issued(desk, random, 1)
    at = now()
    alarm = Alarm(process.surroundings, desk.vault, LIMITS)
    elsewhere = Alarm(Surroundings(desk.pool, Outbox("serials", {})), desk.vault, LIMITS)

    with capture_logs() as logs:
        for number in range(LIMITS.alarm - 1):
            await process.register(NOBODYS, f"acct-{number}", address=f"192.0.2.{number}")
        before = await alarm.look(at)
        await process.register(NOBODYS, "acct-9", address="192.0.2.9")
        raised = [await alarm.look(at), await alarm.look(at), await elsewhere.look(at)]
        registered = await process.register(serial, "acct-10", address="192.0.2.10")
        next_window = await alarm.look(at + timedelta(seconds=LONG))

    assert (before, raised, next_window) == (False, [True] * 3, False)
    assert registered.status_code == 200
    warnings = [line for line in logs if line["event"] == "serials are guessed"]
    assert [line["failures"] for line in warnings] == [LIMITS.alarm] * 2
    told_by = process.surroundings.health["failed_attempts"]
    assert (told_by["failures"], told_by["alarm"]) == (0, False)
    metric = process.surroundings.metrics.registry.get_sample_value("pawl_serials_failed_attempts")
    assert metric == 0


async def test_what_there_is_not_takes_as_long_as_what_is_another_partners(
    desk: Desk, random: RememberedBytes
) -> None:
    """Pairs of requests, each kind in turn: the middle difference is no more than noise."""
    (theirs,) = await issued(desk, random, 1)
    process = Process(desk, limits=Limits(LONG, 10**6, 10**6, 10**6))
    kinds = {"unknown": NOBODYS, "mistyped": MISTYPED, "another partner's": theirs}
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    async with process.client(partner_id="P-99") as client:
        for number in range(150):
            # The order of the three changes, so that none always comes behind the same one.
            for kind in sorted(kinds, key=lambda each: hash((each, number))):
                body = {"serial": kinds[kind], "account": "acct-1"}
                began = perf_counter()
                answer = await client.post("/v1/registrations", json=body)
                taken[kind].append(perf_counter() - began)
                assert answer.status_code == 404

    for kind in ("mistyped", "another partner's"):
        pairs = [one - other for one, other in zip(taken[kind], taken["unknown"], strict=True)]
        assert abs(median(pairs)) < 0.1 * median(taken["unknown"]), kind


async def test_a_guess_costs_one_look_into_an_index_for_each_generation(
    desk: Desk, random: RememberedBytes
) -> None:
    await issued(desk, random, 200)
    who = [bytes([n]) * 16 for n in range(3)]
    window = datetime(2026, 11, 1, tzinfo=UTC)

    async with desk.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        rows = await connection.fetch(
            f"EXPLAIN {SQL.typed_serials}",
            [who[0] + who[1]],
            [window],
            [who[1]],
            [who[2]],
            [None],
            ["test-1"],
        )

    plan = "\n".join(row[0] for row in rows)
    assert "serials_lookup_tag" in plan
    assert "failed_attempts_pkey" in plan
    assert grouped(random.serials()[0]) not in plan
