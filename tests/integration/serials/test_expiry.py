"""Expired serials: each says so by itself, and the sweep writes down how many there are, once."""

import asyncio
from datetime import timedelta
from uuid import UUID

from services.serials.expiry import sweep
from shared.clock import now
from shared.ids import uuid7
from tests.integration.serials.conftest import CHUNK, Desk, Process, RememberedBytes
from tests.support.granted import granted

OVER = timedelta(days=93)


async def expired(desk: Desk) -> dict[UUID, int | None]:
    rows = await desk.pool.fetch("SELECT grant_id, expired FROM grants")
    return {row["grant_id"]: row["expired"] for row in rows}


async def test_what_was_neither_registered_nor_revoked_in_its_window_is_counted_once(
    desk: Desk, random: RememberedBytes
) -> None:
    process, mine, other = Process(desk), uuid7(), uuid7()
    await desk.take(granted(10, grant_id=mine, time=now()))
    typed = random.serials()
    await desk.take(granted(4, grant_id=other, time=now() + timedelta(days=2)))
    await process.register(typed[0])
    ids = await desk.pool.fetch(
        "SELECT serial_id FROM serials WHERE state = 'active' AND grant_id = $1", mine
    )
    for end, (serial_id,) in zip(("revoke", "reissue"), ids, strict=False):
        await process.ask(f"serials/{serial_id}/{end}", {"reason": "lost"}, end)

    swept = [
        await sweep(process.surroundings, now() + after)
        for after in (timedelta(0), OVER - timedelta(days=1), OVER)
    ]

    assert swept == [0, 8, 0]
    assert await expired(desk) == {mine: 8, other: None}
    assert await sweep(process.surroundings, now() + OVER + timedelta(days=2)) == 4


async def test_a_serial_is_expired_whether_somebody_counted_it_or_not(
    desk: Desk, random: RememberedBytes
) -> None:
    process = Process(desk)
    await desk.take(granted(1, time=now() - OVER))
    serial = random.serials()[0]

    before = await process.ask("registrations/check", {"serial": serial})
    await sweep(process.surroundings, now())
    after = await process.ask("registrations/check", {"serial": serial})

    assert before.json()["state"] == after.json()["state"] == "expired"


async def test_a_grant_that_is_still_issued_is_counted_later(desk: Desk) -> None:
    process = Process(desk)
    await desk.take(granted(CHUNK + 1, time=now() - OVER))
    worker = desk.worker()
    await worker.issue_chunk()

    early = await sweep(process.surroundings, now())
    await worker.drain()

    assert (early, await sweep(process.surroundings, now())) == (0, CHUNK + 1)


async def test_two_processes_that_sweep_at_once_count_each_grant_once(desk: Desk) -> None:
    await desk.take(*(granted(2, order_id=f"A-{n}", time=now() - OVER) for n in range(60)))
    processes = [Process(desk) for _ in range(3)]

    swept = await asyncio.gather(*(sweep(each.surroundings, now()) for each in processes))

    assert sum(swept) == 120
    assert set((await expired(desk)).values()) == {2}
