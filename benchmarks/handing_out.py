"""Serials that leave: how fast a large grant goes out as CSV and as a workbook, and what that takes (G12).

The HTTP side of serials runs in a process of its own behind a socket, with tokens, as in service; a client in
this process takes the files and throws them away. `python -m benchmarks.handing_out` is that other process:
it says at which port it listens, and ends with its standard input.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from prometheus_client import CollectorRegistry

from benchmarks.bulk import SERVICE, open_desk
from benchmarks.stage import Stage
from ops.shell.http_client import download
from ops.shell.tokens import new_key, settings_of, signed
from services.serials.app import build
from services.serials.settings import SerialsSettings
from shared.clock import monotonic
from shared.postgres import open_pool
from shared.runtime.app import calm_garbage_collector
from shared.runtime.http import bind, server_for
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from shared.settings import read_settings
from shared.web.access import HttpMetrics
from shared.web.application import application

PAGE: Final = "https://register.example/s?code={serial}"
POOL: Final = 7
"""As many connections as the service has with one partition consumer."""
SAMPLE_SECONDS: Final = 0.05
LONGEST: Final = 280.0


class Taken(NamedTuple):
    """What taking a file took: serials a second, and the MB by which the service grew at most."""

    rate: float
    grown: float


async def files(stage: Stage, units: int, in_workbook: int) -> tuple[Taken, Taken]:
    """A grant of so many units as CSV, and so many of them as a workbook."""
    await stage.clear()
    key = new_key()
    token = signed(key, ["serials:export"], "benchmark", 60)
    async with open_desk(stage) as desk:
        await desk.grant(units)
        await desk.worker.drain()
        grant_id = await desk.pool.fetchval("SELECT grant_id FROM grants")
    environment = {**stage.environment(SERVICE), **settings_of(key), "SERIALS_REGISTRATION_URL": PAGE}
    async with _serving(environment) as (url, process):
        base = f"{url}/v1/issuances/{grant_id}"
        await asyncio.to_thread(_take, f"{base}/serials.csv?state=all&to=1000", token, 1_000, process)
        table = await asyncio.to_thread(_take, f"{base}/serials.csv?state=all", token, units, process)
        last = f"state=all&to={in_workbook}"
        book = await asyncio.to_thread(_take, f"{base}/serials.xlsx?{last}", token, in_workbook, process)
    return table, book


def _take(url: str, token: str, units: int, process: psutil.Process) -> Taken:
    headers = {"authorization": f"Bearer {token}"}
    with Path(os.devnull).open("wb") as nowhere, _watched(process) as sizes:
        started = monotonic()
        downloaded = download(url, nowhere, headers, lambda there, of: None, LONGEST)
        seconds = monotonic() - started
    if (downloaded.answer.status, downloaded.headers.get("x-serials")) != (200, str(units)):
        raise AssertionError(f"{downloaded.answer} instead of {units} serials")
    return Taken(units / seconds, (max(sizes) - sizes[0]) / 1_000_000)


@contextmanager
def _watched(process: psutil.Process) -> Iterator[list[int]]:
    """Inside the block the bytes that the process has in memory are noted; the first are those before it."""
    sizes, ended = [process.memory_info().rss], threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            sizes.append(process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield sizes
    finally:
        ended.set()
        watching.join()


@asynccontextmanager
async def _serving(environment: dict[str, str]) -> AsyncIterator[tuple[str, psutil.Process]]:
    """The other process: where it listens, and its process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.handing_out",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await process.wait()


async def serve() -> None:
    """Serves what serials answers over HTTP until standard input ends."""
    settings = read_settings(SerialsSettings)
    pool = await open_pool(str(settings.database_url), SERVICE, POOL)
    service = build(settings)
    routes = service.http_routes(Surroundings(pool, Outbox(SERVICE, {})))
    document = {"info": {"title": "serials", "description": ""}, "operations": {}}
    app = application(SERVICE, routes, settings.tokens(), HttpMetrics(CollectorRegistry()), document)
    listener = bind("127.0.0.1", 0)
    listener.listen()
    server = server_for(app)
    calm_garbage_collector()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    print(listener.getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving
    await pool.close()


if __name__ == "__main__":
    asyncio.run(serve())
