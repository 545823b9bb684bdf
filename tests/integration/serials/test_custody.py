"""The custody log: written before anything leaves, and kept as it was written, whoever asks."""

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from services.serials.custody import note_hand_out, note_search
from services.serials.state import Form, SerialState
from services.serials.watermarks import read_watermark
from shared.ids import uuid7
from shared.web.callers import Caller, Origin

PARTNER = Origin(
    Caller("buyer-7", frozenset(), "P-17"), None, None, "req-1", client="192.0.2.7", language="ko"
)
OPERATOR = Origin(Caller("kim", frozenset()), None, None, "req-2", client="192.0.2.8")


async def rows(pool: asyncpg.Pool) -> list[dict[str, object]]:
    return [dict(row) for row in await pool.fetch("SELECT * FROM custody ORDER BY custody_id")]


async def handed_out(pool: asyncpg.Pool, grant_id: UUID | None = None) -> str:
    async with pool.acquire() as connection:
        return await note_hand_out(
            connection,
            Form.CSV,
            PARTNER,
            grant_id or uuid7(),
            (3, 60),
            state=SerialState.ACTIVE,
            serials=57,
            reason="sale",
        )


async def test_a_hand_out_says_who_when_which_and_how(pool: asyncpg.Pool) -> None:
    grant_id, before = uuid7(), datetime.now(UTC)

    watermark = await handed_out(pool, grant_id)

    (row,) = await rows(pool)
    assert isinstance(row.pop("custody_id"), UUID)
    assert before < row.pop("recorded_at") < datetime.now(UTC)  # type: ignore[operator]
    assert row == {
        "form": "csv", "actor": "buyer-7", "partner_id": "P-17", "client": "192.0.2.7", "request": "req-1",
        "reason": "sale", "grant_id": grant_id, "first_unit": 3, "last_unit": 60, "state": "active",
        "serials": 57, "watermark": watermark,
    }  # fmt: skip
    assert read_watermark(watermark) == watermark


async def test_each_hand_out_has_a_watermark_of_its_own(pool: asyncpg.Pool) -> None:
    assert len({await handed_out(pool) for _ in range(3)}) == 3


async def test_a_search_is_a_row_whether_it_found_anything_or_not(pool: asyncpg.Pool) -> None:
    grant_id = uuid7()
    async with pool.acquire() as connection:
        await note_search(connection, OPERATOR, (grant_id, 17), reason="a customer called")
        await note_search(connection, OPERATOR, None)

    found, nothing = await rows(pool)
    assert (found["form"], found["grant_id"], found["first_unit"], found["last_unit"]) == (
        "search",
        grant_id,
        17,
        17,
    )
    assert (found["actor"], found["reason"], found["serials"]) == ("kim", "a customer called", 1)
    assert (nothing["grant_id"], nothing["first_unit"], nothing["serials"]) == (None, None, 0)
    assert found["watermark"] is nothing["watermark"] is None


@pytest.mark.parametrize(
    "statement", ["UPDATE custody SET actor = 'nobody'", "DELETE FROM custody", "TRUNCATE custody"]
)
async def test_neither_the_service_nor_the_owner_changes_what_is_written(
    pool: asyncpg.Pool, owner: asyncpg.Connection, statement: str
) -> None:
    await handed_out(pool)

    for session in (pool, owner):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(statement)

    assert [row["actor"] for row in await rows(pool)] == ["buyer-7"]


async def test_a_purge_takes_a_partners_people_out_and_leaves_all_else_and_all_others(
    pool: asyncpg.Pool,
) -> None:
    await handed_out(pool)
    async with pool.acquire() as connection:
        await note_search(connection, OPERATOR, None, reason="a customer called")
    before = await rows(pool)

    erased = [await pool.fetchval("SELECT erase_custody('P-17')") for _ in range(2)]

    assert erased == [1, 1]
    assert await rows(pool) == [before[0] | {"actor": "partner", "client": "", "reason": ""}, before[1]]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("UPDATE custody SET actor = 'nobody'")


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("form, actor", "'telepathy', 'kim'"),
        ("form, actor", "'search', ''"),
        ("form, actor, watermark", "'search', 'kim', 'W'"),
        ("form, actor, watermark", "'csv', 'kim', 'W'"),
        ("form, actor, grant_id, first_unit, last_unit", "'csv', 'kim', gen_random_uuid(), 1, 2"),
        (
            "form, actor, grant_id, first_unit, last_unit, watermark",
            "'csv', 'kim', gen_random_uuid(), 2, 1, 'W'",
        ),
        (
            "form, actor, grant_id, first_unit, last_unit, watermark",
            "'csv', 'kim', gen_random_uuid(), 0, 1, 'W'",
        ),
        ("form, actor, grant_id", "'search', 'kim', gen_random_uuid()"),
        ("form, actor, state", "'search', 'kim', 'lost'"),
    ],
)
async def test_the_schema_refuses_a_row_that_says_too_little(
    pool: asyncpg.Pool, columns: str, values: str
) -> None:
    always = "custody_id, client, request, reason, serials"

    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(
            f"INSERT INTO custody ({always}, {columns}) VALUES (gen_random_uuid(), '', '', '', 0, {values})"
        )
