"""Nothing that Postgres or a log gets can be read as a serial."""

from uuid import UUID

import asyncpg
from structlog.testing import capture_logs

from services.serials.codes import grouped, read_serial
from shared.ids import uuid7
from tests.integration.serials.conftest import CHUNK, Desk, RememberedBytes
from tests.support.granted import granted


async def everything_stored(pool: asyncpg.Pool) -> str:
    """Every value of every table as text, and every bytea also as the bytes it holds."""
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'serials'")
    rows = [row for (table,) in tables for row in await pool.fetch(f'SELECT * FROM "{table}"')]
    values = [value for row in rows for value in row.values()]
    return "\n".join(value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values)


async def test_no_serial_can_be_read_in_the_database_or_a_log(desk: Desk, random: RememberedBytes) -> None:
    with capture_logs() as logs:
        await desk.take(granted(150, grant_id=uuid7()), granted(CHUNK + 50, grant_id=uuid7()))
        await desk.worker().drain()

    stored = (await everything_stored(desk.pool)) + str(logs)

    serials = random.serials()
    assert len(serials) == 150 + CHUNK + 50
    for serial in serials:
        assert serial not in stored
        assert grouped(serial) not in stored
        assert serial[:12] not in stored
    assert "study-30" in stored


async def test_whoever_types_a_serial_finds_its_row_and_support_sees_four_characters(
    desk: Desk, random: RememberedBytes
) -> None:
    await desk.take(granted(100))
    typed = grouped(random.serials()[42]).lower()

    serial = read_serial(typed)
    assert serial is not None
    row = await desk.pool.fetchrow(
        "SELECT * FROM serials WHERE lookup_tag = ANY($1::bytea[])", desk.vault.tags_of(serial)
    )

    assert desk.vault.open(row["key_id"], row["text"], row["lookup_tag"]) == serial
    assert (row["last_four"], row["state"]) == (serial[-4:], "active")
    assert isinstance(row["serial_id"], UUID)
