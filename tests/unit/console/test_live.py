"""Live pages: one reading for all who look, one word for each, and an end."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.app import routes
from console.doors import Demo
from console.live import COME_AGAIN, HEARTBEAT, Live, Seat
from console.live import routes as live_routes
from console.people import DEMO
from console.reading import Reader, Unreadable
from ops.shell.system import System
from shared.operators.todo import Thresholds
from tests.support.console_app import SessionsInMemory, browser

QUICK = 0.01


class Prepared(Reader):
    """Marks as a test sets them, and how often they were asked for."""

    def __init__(self) -> None:
        super().__init__(System(directory=Path()), Thresholds())
        self.said: dict[str, str] = {}
        self.readings = 0
        self.is_away = False
        self.has_read = asyncio.Event()

    async def marks(self, names: Set[str]) -> Mapping[str, str]:
        self.readings += 1
        self.has_read.set()
        if self.is_away:
            raise Unreadable("away")
        return {name: self.said.get(name, "0") for name in names}

    async def reads(self, times: int = 2) -> None:
        """Returns when marks were read so often again."""
        for _ in range(times):
            self.has_read.clear()
            await self.has_read.wait()


@pytest.fixture
def reader() -> Prepared:
    return Prepared()


@pytest.fixture
def sessions() -> SessionsInMemory:
    return SessionsInMemory()


def listening(live: Live, sessions: Any, of: str = "needs", token: str = "viewer") -> AsyncIterator[str]:
    return live.stream(Seat(of, "0", token), sessions)


async def words(stream: AsyncIterator[str]) -> list[str]:
    """Everything that a page hears until its stream is over."""
    return [
        said.removeprefix("event: ").partition("\n")[0]
        async for said in stream
        if said not in (COME_AGAIN, HEARTBEAT)
    ]


async def test_a_page_hears_once_that_there_is_newer_and_its_stream_is_over(
    reader: Prepared, sessions: SessionsInMemory
) -> None:
    live = Live(reader, QUICK)
    heard = asyncio.create_task(words(listening(live, sessions)))
    await reader.reads()
    assert not heard.done()

    reader.said["needs"] = "1"

    assert await heard == ["newer"]


async def test_a_hundred_pages_cost_one_reading_and_when_nobody_looks_nothing_is_read(
    reader: Prepared, sessions: SessionsInMemory
) -> None:
    live = Live(reader, QUICK, most=100, most_of_session=100)
    pages = [asyncio.create_task(words(listening(live, sessions))) for _ in range(100)]
    await reader.reads(3)
    before = reader.readings

    reader.said["needs"] = "1"
    assert await asyncio.gather(*pages) == [["newer"]] * 100

    assert reader.readings - before <= 2
    rest = reader.readings
    await asyncio.sleep(QUICK * 10)
    assert reader.readings == rest


async def test_a_page_hears_that_databases_are_away_and_that_they_are_back(
    reader: Prepared, sessions: SessionsInMemory
) -> None:
    live = Live(reader, QUICK)
    reader.is_away = True

    async with aclosing(listening(live, sessions)) as stream:  # type: ignore[type-var]
        assert await anext(stream) == COME_AGAIN
        assert await anext(stream) == "event: old\ndata:\n\n"
        await reader.reads()
        reader.is_away = False
        assert await anext(stream) == "event: same\ndata:\n\n"


async def test_whoever_is_signed_out_hears_that_and_nothing_else(
    reader: Prepared, sessions: SessionsInMemory
) -> None:
    live = Live(reader, QUICK)
    viewer = asyncio.create_task(words(listening(live, sessions)))
    other = asyncio.create_task(words(listening(live, sessions, token="admin")))
    await reader.reads()

    await sessions.end(DEMO["viewer"])

    assert await viewer == ["ended"]
    assert not other.done()
    live.close()
    assert await other == []


async def test_a_console_that_stops_ends_every_stream_at_once(
    reader: Prepared, sessions: SessionsInMemory
) -> None:
    live = Live(reader, 60.0)
    page = asyncio.create_task(words(listening(live, sessions)))
    await asyncio.sleep(0)

    live.close()

    async with asyncio.timeout(1):
        assert await page == []
    assert live.is_full("viewer")


async def test_so_many_pages_listen_and_no_more(reader: Prepared, sessions: SessionsInMemory) -> None:
    live = Live(reader, 60.0, most=3, most_of_session=2)
    pages = []
    for token in ("viewer", "viewer", "admin"):
        assert not live.is_full(token)
        pages.append(listening(live, sessions, token=token))
        await anext(pages[-1])
        assert live.is_full("viewer") == (len(pages) > 1)

    assert live.is_full("finance")
    for page in pages:
        await page.aclose()  # type: ignore[attr-defined]
    assert not live.is_full("viewer")


async def test_a_reading_that_takes_long_rests_longer(reader: Prepared, sessions: SessionsInMemory) -> None:
    class Slow(Prepared):
        async def marks(self, names: Set[str]) -> Mapping[str, str]:
            await asyncio.sleep(0.1)
            return await super().marks(names)

    slow = Slow()
    page = asyncio.create_task(words(listening(Live(slow, QUICK), sessions)))
    await asyncio.sleep(0.5)
    page.cancel()
    with suppress(asyncio.CancelledError):
        await page

    assert slow.readings == 1


async def test_a_page_without_a_stream_asks_for_the_same_word(reader: Prepared) -> None:
    async with browser(live_routes(Live(reader), reader), "viewer") as client:
        assert (await client.get("/live/now?of=needs&mark=0")).json() == {"says": "same"}
        assert (await client.get("/live/now?of=key:A-1&mark=9")).json() == {"says": "newer"}
        assert (await client.get("/live/now?of=sessions&mark=0")).status_code == 404
        reader.is_away = True
        assert (await client.get("/live/now?of=needs&mark=0")).status_code == 503


async def test_a_full_console_says_so_and_nobody_listens_without_a_session(reader: Prepared) -> None:
    full = live_routes(Live(reader, most=0), reader)
    async with browser(full, "viewer") as client:
        assert (await client.get("/live?of=needs&mark=0")).status_code == 503
    async with browser(full) as client:
        assert (await client.get("/live?of=needs&mark=0")).status_code == 401


async def test_what_a_page_asks_by_itself_keeps_no_session_from_ending(reader: Prepared) -> None:
    class Seen(SessionsInMemory):
        seen = 0

        async def find(self, token: str) -> Any:
            self.seen += 1
            return await super().find(token)

        async def look(self, token: str) -> Any:
            return await super().find(token)

    sessions = Seen()
    async with browser(live_routes(Live(reader), reader), "viewer", sessions) as client:
        await client.get("/live/now?of=needs&mark=0")

    assert sessions.seen == 0


async def test_only_who_may_see_operations_hears_of_them(reader: Prepared) -> None:
    less = {"viewer": [], "operator": [], "finance": ["invoices:read"], "admin": []}
    every = routes(reader, lambda person, scope: "", Demo())
    async with browser(every, "finance", console_roles=less) as client:
        answer: httpx.Response = await client.get("/live/now?of=invoices&mark=0")

    assert answer.status_code == 403
