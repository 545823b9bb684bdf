"""Ten million serials of ten grants, broken off in the middle: one for each unit, no other, and no two alike.

On a database server of its own, which is removed afterwards: gigabytes of serials would slow down every audit
of the tests that follow. Issuing is the service's own, its chunk the one it has when nobody changes it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import orjson
import pytest

from ops.setup.provision import Database, kept_passwords, migrate, provision
from services.serials.codes import read_serial
from services.serials.issuing import Issuer
from services.serials.state import Policy
from services.serials.store import Store
from shared.crash_points import CrashPoint, OnCrashPoint, ignore_crash_point
from shared.ids import random_bytes, uuid7
from shared.postgres import connect, open_pool
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from tests.integration.serials.conftest import SEALER, Desk
from tests.support.granted import granted
from tests.support.patience import PATIENCE_WITH_A_LOAD
from tests.support.servers import new_postgres, new_run_directory, remove

pytestmark = [pytest.mark.timeout(1800), pytest.mark.faults]

GRANTS = 10
UNITS = 1_000_000
"""The largest grant there is."""
CHUNK = Policy().chunk
CHUNKS = UNITS // CHUNK
UNCOMMITTED, UNTOLD = 31, 45
"""At which of its chunks each of two workers loses its power: before the commit, and just after it."""
# An index is not asked whether it is right: what it should forbid is counted in the table itself.
AUDITOR = {
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
    "work_mem": "512MB",
}

UNITS_OF_GRANTS = """
    SELECT grant_id, count(*) AS made, count(DISTINCT number) AS numbers, min(number) AS first,
           max(number) AS last, bool_and(run = left(batch_id::text, 30)) AS in_own_run
    FROM (SELECT grant_id, left(serial_id::text, 30) AS run,
                 ('x' || right(serial_id::text, 6))::bit(24)::integer AS number
          FROM serials) AS numbered
    FULL JOIN grants USING (grant_id)
    GROUP BY grant_id
"""
DIFFERENT = """
    SELECT count(DISTINCT lookup_tag) AS tags, count(DISTINCT text) AS texts, count(DISTINCT key_id) AS keys
    FROM serials
"""
UNIQUE = """
    SELECT inhrelid::regclass::text AS home, pg_get_constraintdef(c.oid) AS says
    FROM pg_inherits JOIN pg_constraint c ON conrelid = inhrelid JOIN pg_index ON indexrelid = conindid
    WHERE inhparent = 'serials'::regclass AND indisunique AND indisvalid ORDER BY says, home
"""
HOMES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ '^serials_[0-9]+$'
"""


class PowerCut(Exception):
    """Stands for a process that ends there."""


def cut_at(point: CrashPoint, chunk: int) -> OnCrashPoint:
    """Cuts a worker's power when it comes to this point of this chunk, counted from 1."""
    seen: Counter[CrashPoint] = Counter()

    def on_crash_point(reached: CrashPoint) -> None:
        seen[reached] += 1
        if reached is point and seen[point] == chunk:
            raise PowerCut

    return on_crash_point


def worker(desk: Desk, on_crash_point: OnCrashPoint = ignore_crash_point) -> Issuer:
    """An issuing worker as an instance of the service has one."""
    outbox = Outbox("serials", desk.outbox.partitions, on_crash_point)
    return Issuer(Surroundings(desk.pool, outbox), Store(desk.writer, Policy(), SEALER))


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    """A database on a server of its own, which goes away with all that is in it."""
    with new_run_directory() as folder:
        postgres = new_postgres(folder)
        try:
            await postgres.start()
            database = await provision(postgres.url(), kept_passwords(folder.passwords, postgres.url()))
            await migrate(database)
            yield database
        finally:
            await postgres.stop()
            remove(postgres)


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    pool = await open_pool(database.service_url("serials"), "serials", 4)
    yield Desk(pool, random_bytes)
    await pool.close()


@pytest.fixture
async def auditor(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A session that reads whole tables."""
    session = await connect(database.owner_url, "serials")
    for setting, value in AUDITOR.items():
        await session.execute(f"SET {setting} = '{value}'")
    yield session
    await session.close()


async def test_ten_million_units_get_one_serial_each_and_no_two_are_alike(
    desk: Desk, auditor: asyncpg.Connection
) -> None:
    """Two instances of the service issue; both lose their power in the middle; two others go on."""
    grants = [uuid7() for _ in range(GRANTS)]
    await desk.take(
        *(granted(UNITS, grant_id=grant, order_id=f"A-{place}") for place, grant in enumerate(grants))
    )

    endings = await asyncio.gather(
        worker(desk, cut_at(CrashPoint.BEFORE_CHUNK_COMMIT, UNCOMMITTED)).drain(),
        worker(desk, cut_at(CrashPoint.AFTER_CHUNK_COMMIT, UNTOLD)).drain(),
        return_exceptions=True,
    )
    assert [repr(ending) for ending in endings] == [repr(PowerCut())] * 2
    committed = (UNCOMMITTED - 1 + UNTOLD) * CHUNK
    assert await auditor.fetchval("SELECT sum(issued) FROM grants") == committed
    homes = [row["relname"] for row in await auditor.fetch(HOMES)]
    written = [
        await auditor.fetchval(f"SELECT count(*) FROM {home}", timeout=PATIENCE_WITH_A_LOAD) for home in homes
    ]
    assert sum(written) == committed, "what is counted is there, also where it is not found yet"

    rest = await asyncio.gather(worker(desk).drain(), worker(desk).drain())

    assert sum(rest) == GRANTS * UNITS - committed

    await assert_each_unit_has_its_serial(auditor, grants)
    await assert_no_two_are_alike(auditor)
    await assert_a_sample_can_be_read(auditor, desk)
    await assert_it_was_told_as_it_was_done(auditor, grants)


async def assert_each_unit_has_its_serial(auditor: asyncpg.Connection, grants: list[UUID]) -> None:
    """Each grant is issued, and its serials are numbered 1, 2, 3 ... within the run of ids that it owns."""
    made = {
        row["grant_id"]: tuple(row)[1:]
        for row in await auditor.fetch(UNITS_OF_GRANTS, timeout=PATIENCE_WITH_A_LOAD)
    }
    assert made == dict.fromkeys(grants, (UNITS, UNITS, 1, UNITS, True))
    counted = await auditor.fetch("SELECT DISTINCT state, issued, quantity, sequence FROM grants")
    # The last chunk of a grant is told of under its order.
    assert [tuple(row) for row in counted] == [("issued", UNITS, UNITS, CHUNKS - 1)]


async def assert_no_two_are_alike(auditor: asyncpg.Connection) -> None:
    """Texts are permutations of the serials under one key: as many different texts, as many serials."""
    assert tuple(await auditor.fetchrow(DIFFERENT, timeout=PATIENCE_WITH_A_LOAD)) == (
        GRANTS * UNITS,
        GRANTS * UNITS,
        1,
    )
    homes = await auditor.fetch("SELECT DISTINCT home FROM serials")
    guarded = await auditor.fetch(UNIQUE)
    assert len(homes) == GRANTS
    for column in ("PRIMARY KEY (serial_id)", "UNIQUE (lookup_tag)"):
        assert len([row for row in guarded if row["says"] == column]) == GRANTS + 1


async def assert_a_sample_can_be_read(auditor: asyncpg.Connection, desk: Desk) -> None:
    """About one in a thousand is opened: a valid serial, which its tag finds (`open` compares them)."""
    sample = await auditor.fetch(
        "SELECT key_id, text, lookup_tag, last_four FROM serials TABLESAMPLE SYSTEM (0.1)"
    )
    assert len(sample) > UNITS // 1_000
    serials = [desk.vault.open(row["key_id"], row["text"], row["lookup_tag"]) for row in sample]
    assert [read_serial(serial) for serial in serials] == serials
    assert [serial[-4:] for serial in serials] == [row["last_four"] for row in sample]
    assert len(set(serials)) == len(sample)


async def assert_it_was_told_as_it_was_done(auditor: asyncpg.Connection, grants: list[UUID]) -> None:
    """Of each grant: how far it is after each chunk but the last; of its order once that it is issued."""
    told = defaultdict(list)
    for row in await auditor.fetch("SELECT subject, type, sequence, data FROM outbox ORDER BY id"):
        data = orjson.loads(row["data"])
        of, units = (data, data["issued"]) if "issued" in data else (data["grants"][0], UNITS)
        told[of["grant_id"]].append((row["type"], row["sequence"], units))
        assert of["quantity"] == UNITS
    story = [("issuance.progressed.v1", number, number * CHUNK) for number in range(1, CHUNKS)]
    story.append(("serials.issued.v2", 1, UNITS))
    assert told == {str(grant): story for grant in grants}
