"""A service of the last release at work over this schema: it leaves what it does not know as it is."""

from typing import Any

import asyncpg
import pytest

from tests.integration.refunds.conftest import StoredDesk
from tests.unit.refunds.desk import ACCOUNT, line

HELD = "SELECT deadline, mismatch, approved_by, approved_won FROM refunds"


@pytest.fixture
async def held(desk: StoredDesk, connection: asyncpg.Connection) -> asyncpg.Connection:
    """A refund that waits for a proof, and that somebody has approved first."""
    async with desk.at_work():
        desk.paid(line("1"))
    async with desk.at_work():
        desk.asked(destination={**ACCOUNT, "holder": "홍길동"})
    async with desk.at_work():
        desk.proof_attached()
    await connection.execute("UPDATE refunds SET approved_by = 'op-kim', approved_won = 176000")
    assert all(value is not None for value in await connection.fetchrow(HELD))
    return connection


@pytest.mark.parametrize(("state", "why"), [("accepted", None), ("rejected", "holder_mismatch")])
async def test_a_wait_that_an_older_service_ends_is_over(
    held: asyncpg.Connection, state: str, why: str | None
) -> None:
    await held.execute("UPDATE refunds SET state = $1, why = $2, why_at = now()", state, why)

    assert tuple(await held.fetchrow(HELD)) == (None,) * 4


async def test_a_review_that_becomes_a_hold_again_keeps_its_deadline_and_no_approval(
    held: asyncpg.Connection,
) -> None:
    await held.execute("UPDATE refunds SET state = 'held'")

    deadline, mismatch, *approval = await held.fetchrow(HELD)
    assert deadline is not None
    assert mismatch is not None
    assert approval == [None, None]


@pytest.mark.parametrize(("refunding", "consumed"), [(1, 500), (0, 0)])
async def test_what_was_used_up_goes_when_an_older_service_gives_all_units_back(
    desk: StoredDesk, connection: Any, refunding: int, consumed: int
) -> None:
    async with desk.at_work():
        desk.paid(line("1"))
    await connection.execute("UPDATE order_lines SET refunding = 2, consumed = 500")

    await connection.execute("UPDATE order_lines SET refunding = $1", refunding)

    assert await connection.fetchval("SELECT consumed FROM order_lines") == consumed
