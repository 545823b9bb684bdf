"""Sessions in the database: they begin, are found, and end by themselves, everywhere, or at once."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from console.people import DEMO
from console.sessions import SQL, Sessions
from ops.setup.provision import Database
from shared.migrations import CONSOLE
from shared.postgres import open_pool

IDLE, LONGEST = timedelta(minutes=30), timedelta(hours=8)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Any]:
    pool = await open_pool(database.console_url, CONSOLE, 2)
    await pool.execute("DELETE FROM sessions")
    yield pool
    await pool.close()


@pytest.fixture
def sessions(pool: Any) -> Sessions:
    return Sessions(pool, IDLE, LONGEST)


async def later(admin: Any, span: timedelta) -> None:
    """All sessions were begun, and seen last, so much earlier."""
    await admin.execute(
        "UPDATE console.sessions"
        " SET began_at = began_at - $1::interval, seen_at = seen_at - $1::interval,"
        " ends_at = ends_at - $1::interval",
        span,
    )


async def test_whoever_has_the_token_is_that_person(sessions: Sessions) -> None:
    token = await sessions.begin(DEMO["finance"])

    found = await sessions.find(token)

    assert found is not None
    assert found.person == DEMO["finance"]
    assert await sessions.find(token + "x") is None
    assert await sessions.find("") is None


async def test_every_session_has_a_token_and_a_key_of_its_own(sessions: Sessions) -> None:
    tokens = [await sessions.begin(DEMO["viewer"]) for _ in range(3)]
    found = [await sessions.find(token) for token in tokens]

    assert len(set(tokens)) == len({each.form_key for each in found if each is not None}) == 3


async def test_nothing_in_the_table_is_a_token(sessions: Sessions, admin: Any) -> None:
    token = await sessions.begin(DEMO["admin"])

    rows = await admin.fetch("SELECT * FROM console.sessions")

    assert all(token.encode() not in str(dict(row)).encode() for row in rows)


async def test_a_session_ends_when_nobody_asks_any_more(sessions: Sessions, admin: Any) -> None:
    token = await sessions.begin(DEMO["viewer"])
    await later(admin, IDLE - timedelta(minutes=1))
    assert await sessions.find(token) is not None  # and is seen again with that

    await later(admin, IDLE + timedelta(minutes=1))
    assert await sessions.find(token) is None


async def test_what_a_page_asks_by_itself_does_not_let_a_session_live_longer(
    sessions: Sessions, admin: Any
) -> None:
    token, other = await sessions.begin(DEMO["viewer"]), await sessions.begin(DEMO["admin"])
    await later(admin, IDLE - timedelta(minutes=1))

    assert await sessions.look(token) is not None
    assert await sessions.left([token, other, "x"]) == {token, other}
    await sessions.find(other)
    await later(admin, timedelta(minutes=2))

    assert await sessions.look(token) is None
    assert await sessions.left([token, other]) == {other}


async def test_a_session_ends_after_its_longest_time_whoever_asks(sessions: Sessions, admin: Any) -> None:
    token = await sessions.begin(DEMO["viewer"])
    for _ in range(int(LONGEST / timedelta(minutes=20))):
        await later(admin, timedelta(minutes=20))
        await sessions.find(token)

    await later(admin, timedelta(minutes=1))
    assert await sessions.find(token) is None


async def test_a_person_is_signed_out_everywhere_and_others_stay(sessions: Sessions) -> None:
    mine = [await sessions.begin(DEMO["operator"]) for _ in range(2)]
    another = await sessions.begin(DEMO["viewer"])

    assert await sessions.end(DEMO["operator"]) == 2

    assert [await sessions.find(token) for token in mine] == [None, None]
    assert await sessions.find(another) is not None


async def test_what_has_ended_is_forgotten_with_the_next_session(sessions: Sessions, admin: Any) -> None:
    await sessions.begin(DEMO["viewer"])
    await later(admin, timedelta(days=1))

    await sessions.begin(DEMO["viewer"])

    assert await admin.fetchval("SELECT count(*) FROM console.sessions") == 1


async def test_every_statement_is_one_that_the_console_may_do(pool: Any) -> None:
    async with pool.acquire() as connection:
        for name in SQL:
            await connection.prepare(getattr(SQL, name))
