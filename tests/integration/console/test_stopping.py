"""The console as a process: it stops in time while pages listen, and tells them nothing wrong."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from socket import socket
from typing import Any

import httpx
import pytest

from console.people import Person
from console.reading import Reader, limited
from console.sessions import Sessions
from ops.setup.provision import Database
from ops.shell.http_client import fetch
from ops.shell.system import System
from ops.shell.tokens import new_key
from shared.clock import monotonic
from shared.migrations import CONSOLE
from shared.operators.todo import Thresholds
from shared.postgres import open_pool
from tests.support.patience import PATIENCE

IDLE, LONGEST = timedelta(minutes=30), timedelta(hours=8)
KIM = Person("kim", "viewer")
NAMED = {"x-forwarded-user": "kim", "x-forwarded-groups": "viewer"}
SECONDS = 5.0
"""A stop takes no longer, on a machine that does other things too."""
PAGES = 4
"""As many as one session may have."""


@pytest.fixture
def port() -> int:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    return number


@pytest.fixture
def process(database: Database, port: int, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A console behind a proxy, of a system whose services are away."""
    environment = {
        **os.environ,
        "DATABASE_URL": database.console_url,
        "PAWL_POSTGRES": database.ops_url,
        "PAWL_SERVICES": "orders=http://127.0.0.1:1",
        "HTTP_PORT": str(port),
        "CONSOLE_URL": f"http://127.0.0.1:{port}",
        "CONSOLE_TOKEN_KEY": new_key(),
        "CONSOLE_PROXY_HEADER": "X-Forwarded-User",
        "CONSOLE_PROXIES": "127.0.0.1",
        "CONSOLE_LIVE_SECONDS": "1",
    }
    with (tmp_path / "console.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "console"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        yield process
        process.kill()
        process.wait()


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Any]:
    pool = await open_pool(database.console_url, CONSOLE, 1)
    yield pool
    await pool.close()


@pytest.fixture
async def token(pool: Any) -> str:
    """Somebody who is signed in."""
    return await Sessions(pool, IDLE, LONGEST).begin(KIM)


@pytest.fixture
async def watched(database: Database) -> str:
    """What a page watches on which nothing changes."""
    system = System(directory=Path(), ops_url=limited(database.ops_url))
    return await Reader(system, Thresholds()).watched("orders")


async def up(url: str) -> None:
    """Returns when the console answers."""
    async with asyncio.timeout(PATIENCE):
        while (await fetch(f"{url}/health")).status != 200:
            await asyncio.sleep(0.1)


async def test_a_console_stops_in_time_while_pages_listen(
    process: subprocess.Popen[bytes], port: int, token: str, watched: str
) -> None:
    url = f"http://127.0.0.1:{port}"
    await up(url)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=url, headers=NAMED, cookies={f"pawl_console_{port}": token}, timeout=PATIENCE
            )
        )
        streams = [
            (await stack.enter_async_context(browser.stream("GET", f"/live?{watched}"))).aiter_lines()
            for _ in range(PAGES)
        ]
        assert {await anext(stream) for stream in streams} == {"retry: 5000"}
        assert (await browser.get(f"/live?{watched}")).status_code == 503

        began = monotonic()
        process.send_signal(signal.SIGTERM)
        rest = await asyncio.gather(*(all_of(stream) for stream in streams))

        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        assert monotonic() - began < SECONDS
        assert not any("event" in each for each in rest)


async def all_of(stream: AsyncIterator[str]) -> str:
    """What is said until the stream is over."""
    return "".join([line async for line in stream])


async def test_a_page_hears_that_its_person_has_signed_out(
    process: subprocess.Popen[bytes], port: int, token: str, watched: str, pool: Any
) -> None:
    url = f"http://127.0.0.1:{port}"
    await up(url)
    async with (
        httpx.AsyncClient(base_url=url, cookies={f"pawl_console_{port}": token}, headers=NAMED) as browser,
        browser.stream("GET", f"/live?{watched}", timeout=PATIENCE) as answer,
    ):
        await Sessions(pool, IDLE, LONGEST).end(KIM)

        assert "event: ended" in await all_of(answer.aiter_lines())
