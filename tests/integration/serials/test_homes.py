"""Serials of large grants: copied into a table of their own, which is indexed and opened when it is whole."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from ops.setup.provision import SQL as SETUP
from services.serials.codes import grouped
from services.serials.decisions import start_issuing
from services.serials.rotating import Rotator
from services.serials.store import Store
from services.serials.vault import SerialKeys, Vault
from shared.crash_points import CrashPoint
from shared.ids import uuid7, uuid7_run
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from tests.integration.serials.conftest import SEALER, Desk, Process, RememberedBytes
from tests.support.desk import Crash
from tests.support.granted import granted

CHUNK = 50
LARGE = 4 * CHUNK + 10
"""Units of a grant that gets a home."""
OLD_KEYS = SerialKeys("test-1", bytes(range(32)), bytes(range(32, 64)))
HOME_OF = "SELECT home FROM grants WHERE grant_id = $1"
HOMES = """
    SELECT relname, relispartition FROM pg_class
    WHERE relnamespace = 'serials'::regnamespace AND relname ~ '^serials_[1-9][0-9]*$'
"""


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """Its large grants are small enough for a test."""
    desk.policy = replace(desk.policy, small_grant=20, chunk=CHUNK, home_from=2 * CHUNK, homes=1_000_000)
    desk.store = Store(desk.writer, desk.policy, SEALER)
    return desk


@pytest.fixture(autouse=True)
async def closed(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """The tables of a test go away with it: each would be looked into by every later one."""
    yield
    for name, _ in await owner.fetch(HOMES):
        await owner.execute(f"DROP TABLE serials.{name}")


async def test_a_large_grant_is_copied_into_a_home_and_found_when_it_is_whole(desk: Desk) -> None:
    large, small = uuid7(), uuid7()
    await desk.take(granted(LARGE, grant_id=large), granted(2 * CHUNK, grant_id=small))
    worker = desk.worker()

    progress = [await worker.issue_chunk() for _ in range(4)]

    assert sorted(progress) == [CHUNK] * 4
    assert await desk.serials_of(large) == 0, "what has no index yet is not looked into"

    await worker.drain()

    assert (await desk.serials_of(large), await desk.serials_of(small)) == (LARGE, 2 * CHUNK)
    homes = {row["home"] for row in await desk.pool.fetch("SELECT DISTINCT home FROM serials")}
    assert homes == {0, await desk.pool.fetchval(HOME_OF, large)}
    await desk.check()
    told = [(event["type"], event["data"].get("issued")) for event in await desk.events_of(large)]
    assert told == [
        *(("issuance.progressed.v1", number * CHUNK) for number in range(1, 5)),
        ("serials.issued.v2", None),
    ]


@pytest.mark.parametrize(
    ("point", "chunk"),
    [
        (CrashPoint.BEFORE_CHUNK_COMMIT, 1),
        (CrashPoint.AFTER_CHUNK_COMMIT, 1),
        (CrashPoint.BEFORE_CHUNK_COMMIT, 3),
        (CrashPoint.BEFORE_HOME_INDEX, 1),
        (CrashPoint.BEFORE_HOME_OPEN, 1),
        (CrashPoint.BEFORE_CHUNK_COMMIT, 5),
        (CrashPoint.AFTER_CHUNK_COMMIT, 5),
    ],
)
async def test_whenever_a_worker_dies_another_goes_on_and_no_unit_is_issued_twice(
    desk: Desk, point: CrashPoint, chunk: int
) -> None:
    grant = uuid7()
    await desk.take(granted(LARGE, grant_id=grant))
    seen = 0

    def die(reached: CrashPoint) -> None:
        nonlocal seen
        seen += reached is point
        if reached is point and seen == chunk:
            raise Crash

    with pytest.raises(Crash):
        await desk.worker(Outbox("serials", desk.outbox.partitions, die)).drain()
    await desk.worker().drain()

    assert await desk.serials_of(grant) == LARGE
    assert [is_open for _, is_open in await desk.pool.fetch(HOMES)] == [True]
    await desk.check()


async def test_several_workers_fill_several_homes_side_by_side(desk: Desk) -> None:
    grants = [uuid7() for _ in range(4)]
    await desk.take(*(granted(LARGE, grant_id=grant) for grant in grants))

    units = await asyncio.gather(*(desk.worker().drain() for _ in range(3)))

    assert sum(units) == 4 * LARGE
    assert [await desk.serials_of(grant) for grant in grants] == [LARGE] * 4
    assert len({await desk.pool.fetchval(HOME_OF, grant) for grant in grants} - {0}) == 4
    await desk.check()


async def test_when_there_are_as_many_homes_as_may_be_a_grant_lives_with_all_others(desk: Desk) -> None:
    desk.policy = replace(desk.policy, homes=1)
    desk.store = Store(desk.writer, desk.policy, SEALER)
    first, second = uuid7(), uuid7()
    await desk.take(granted(LARGE, grant_id=first))
    await desk.worker().drain()

    await desk.take(granted(LARGE, grant_id=second))
    await desk.worker().drain()

    assert await desk.pool.fetchval(HOME_OF, second) == 0
    assert [await desk.serials_of(grant) for grant in (first, second)] == [LARGE] * 2
    await desk.check()


async def test_serials_of_a_home_are_registered_and_reissued_like_all_others(
    desk: Desk, random: RememberedBytes
) -> None:
    process, grant = Process(desk), uuid7()
    await desk.take(granted(LARGE, grant_id=grant))
    await desk.worker().drain()
    serial, other = (grouped(text) for text in random.serials()[:2])

    registered = await process.register(serial)
    found = await desk.pool.fetchval("SELECT serial_id FROM serials WHERE last_four = $1", other[-4:])
    reissued = await process.ask(f"serials/{found}/reissue", {"reason": "lost"}, key="k-1")

    assert (registered.status_code, reissued.status_code) == (200, 200)
    assert await desk.serials_of(grant) == LARGE + 1
    assert await desk.pool.fetchval("SELECT count(DISTINCT home) FROM serials") == 1
    await desk.check()


async def test_setting_up_rights_again_in_the_middle_of_a_grant_does_not_stop_it(
    desk: Desk, owner: asyncpg.Connection
) -> None:
    grant = uuid7()
    await desk.take(granted(LARGE, grant_id=grant))
    worker = desk.worker()
    await worker.issue_chunk()

    await owner.execute((SETUP / "rights.sql").read_text())
    await worker.drain()

    assert await desk.serials_of(grant) == LARGE
    home = await desk.pool.fetchval(HOME_OF, grant)
    for statement in (
        f"INSERT INTO serials_{home} SELECT * FROM serials LIMIT 0",
        f"DROP TABLE serials_{home}",
        f"ALTER TABLE serials DETACH PARTITION serials_{home}",
        "CREATE TABLE another (number integer)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await desk.pool.execute(statement)


async def test_a_home_with_a_unit_twice_is_not_indexed(desk: Desk) -> None:
    """What the index of all others refuses at once is refused here before anything is found."""
    event = granted(CHUNK, grant_id=uuid7())
    part = start_issuing(event, event.data.grants[0], uuid7_run(1 << 24), 91).next_part(CHUNK)

    async with desk.pool.acquire() as connection:
        home = await connection.fetchval("SELECT make_home()")
        for _ in range(2):
            await desk.writer.write(connection, [part], await desk.writer.make(CHUNK), home)

    with pytest.raises(asyncpg.UniqueViolationError, match="serial_id"):
        await desk.pool.execute("SELECT index_home($1)", home)
    assert await desk.pool.fetchval("SELECT count(*) FROM serials") == 0


async def test_a_key_is_not_retired_while_a_home_that_nobody_sees_is_filled(desk: Desk) -> None:
    grant, new = uuid7(), Vault(SerialKeys("test-2", b"n" * 32, b"t" * 32), [OLD_KEYS])
    await desk.take(granted(LARGE, grant_id=grant))
    worker = desk.worker()
    await worker.issue_chunk()
    rotator = Rotator(Surroundings(desk.pool, desk.outbox), new)
    body = {"key_id": "test-2", "reason": "a new year", "apply": True}
    assert (await Process(desk, vault=new).ask("serials/rotation", body)).status_code == 200

    await rotator.drain()
    await worker.drain()

    retired = "SELECT retired_at IS NOT NULL FROM serial_keys WHERE key_id = 'test-1'"
    assert not await desk.pool.fetchval(retired)
    await rotator.drain()
    await rotator.drain()
    assert await desk.pool.fetchval(retired)
    assert await desk.pool.fetchval("SELECT count(*) FROM serials WHERE key_id = 'test-2'") == LARGE


async def test_look_ups_by_unit_read_one_home(desk: Desk) -> None:
    """What is asked of one grant does not become slower with the number of homes."""
    grant = uuid7()
    await desk.take(granted(LARGE, grant_id=grant))
    await desk.worker().drain()
    row = await desk.pool.fetchrow("SELECT batch_id, home FROM grants WHERE grant_id = $1", grant)
    first, last = row["batch_id"], UUID(int=row["batch_id"].int + LARGE)

    plan = await desk.pool.fetch(
        "EXPLAIN SELECT * FROM serials WHERE home = $1 AND serial_id BETWEEN $2 AND $3 ORDER BY serial_id",
        row["home"],
        first,
        last,
    )

    text = "\n".join(line[0] for line in plan)
    assert f"serials_{row['home']}" in text
    assert "serials_0" not in text
