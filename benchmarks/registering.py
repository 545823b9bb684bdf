"""Registering over HTTP among ten million serials (G11), against one statement behind an empty application.

Ours is what the service answers with: its application under uvicorn, tokens, the fold, and the relay that
sends out what it says. Both sides run in this process, one after the other, on the same table, and get the
same load from another process. Every request registers a serial of its own, from anywhere in the table, for
an account of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
import orjson
from starlette.types import ASGIApp

from benchmarks.bulk import SERVICE, Desk, open_desk
from benchmarks.load import Answered, Job, send
from benchmarks.stage import Stage, set_environment
from benchmarks.usual import registering as usual
from ops.shell.tokens import new_key, settings_of, signed
from services.serials.app import build
from services.serials.settings import SerialsSettings
from shared.postgres import open_pool
from shared.runtime.app import Runtime, calm_garbage_collector
from shared.runtime.http import bind, server_for
from shared.runtime.tasks import end_all
from shared.settings import read_settings

PATH: Final = "/v1/registrations"
WARM_UP: Final = 500
"""Requests that let each connection prepare its statements before the clock starts."""
RATE: Final = 1_500
SPARE: Final = 1.1
"""More serials are picked than are needed: some were registered in earlier runs."""
TOKEN_MINUTES: Final = 60
CONNECTIONS: Final = 7
"""As many to Postgres as the service has with one partition consumer."""


class Registered(NamedTuple):
    """Registrations a second, ours and the other side's, and our p99 in milliseconds at a steady rate."""

    ours: float
    usual: float
    p99_ms: float


class Place(NamedTuple):
    """Where a side listens, and the token that it wants."""

    port: int
    token: str = ""

    async def take(self, bodies: Sequence[str], rate: float = 0.0) -> Answered:
        """Sends it these bodies."""
        return await send(Job(self.port, PATH, list(bodies), self.token, rate=rate))


async def registrations(stage: Stage, full: int, count: int, seconds: float) -> Registered:
    """So many on each side as fast as they are answered, and ours at a steady rate for so long.

    The rows stay, as those of G7 do: both fill the table only as far as it is not full yet.
    """
    steady = int(RATE * seconds)
    await fill_table(stage, full)
    bodies = await pick(stage, 2 * (WARM_UP + count) + steady)
    async with _ours(stage) as place:
        await place.take(_take(bodies, WARM_UP))
        ours = await place.take(_take(bodies, count))
        even = await place.take(_take(bodies, steady), RATE)
    async with _usual(stage) as place:
        await place.take(_take(bodies, WARM_UP))
        theirs = await place.take(_take(bodies, count))
    even.rate()  # each was registered
    return Registered(ours.rate(), theirs.rate(), even.p99_ms)


async def ours(
    stage: Stage,
    count: int,
    before: Callable[[], Awaitable[None]] | None = None,
    after: Callable[[], None] | None = None,
) -> float:
    """Registrations a second in a table that is filled. `before` and `after` are called around the clock."""
    bodies = await pick(stage, WARM_UP + count)
    async with _ours(stage) as place:
        await place.take(_take(bodies, WARM_UP))
        if before is not None:
            await before()
        answered = await place.take(bodies)
        if after is not None:
            after()
    return answered.rate()


async def fill_table(stage: Stage, full: int) -> None:
    """Fills the table to so many serials with the issuing worker of the service."""
    async with open_desk(stage) as desk:
        await desk.fill(full)


async def pick(stage: Stage, count: int) -> list[str]:
    """Requests for so many serials that can be registered, in the order of chance."""
    async with open_desk(stage) as desk:
        chance = np.random.default_rng()
        rows = await desk.pool.fetch(
            "SELECT key_id, text, lookup_tag FROM serials WHERE serial_id = ANY($1) AND state = 'active'",
            await _some_ids(desk, int(count * SPARE), chance),
        )
        serials = desk.writer.vault.open_all(*zip(*rows, strict=True))
    if len(serials) < count:
        raise AssertionError(f"{len(serials)} serials to register instead of {count}")
    order = chance.permutation(len(serials))[:count]
    typed = [serials[place].tobytes().decode() for place in order]
    return [
        orjson.dumps({"serial": serial, "account": f"account-{number}"}).decode()
        for number, serial in enumerate(typed)
    ]


async def _some_ids(desk: Desk, count: int, chance: np.random.Generator) -> list[UUID]:
    """Ids of so many serials out of all that there are."""
    grants = await desk.pool.fetch("SELECT batch_id, issued FROM grants WHERE registration_deadline > now()")
    sizes = np.array([grant["issued"] for grant in grants])
    ends = sizes.cumsum()
    picked = chance.choice(int(ends[-1]), count, replace=False, shuffle=False)
    places = np.searchsorted(ends, picked, side="right")
    units = picked - (ends - sizes)[places] + 1
    return [
        UUID(int=grants[place]["batch_id"].int + int(unit)) for place, unit in zip(places, units, strict=True)
    ]


def _take(bodies: list[str], count: int) -> list[str]:
    """The last so many of these, which are gone from there then."""
    taken = bodies[len(bodies) - count :]
    del bodies[len(bodies) - count :]
    return taken


@asynccontextmanager
async def _ours(stage: Stage) -> AsyncIterator[Place]:
    key = new_key()
    set_environment({**stage.environment(SERVICE), **settings_of(key)})
    settings = read_settings(SerialsSettings)
    pool = await open_pool(str(settings.database_url), SERVICE, CONNECTIONS)
    runtime = Runtime(build(settings), settings, pool, stage.partitions)
    relay = asyncio.create_task(runtime.relay.run())
    try:
        async with _serving(runtime.application()) as port:
            yield Place(port, signed(key, ["serials:register"], "benchmark", TOKEN_MINUTES))
    finally:
        await end_all([relay])
        await pool.close()


@asynccontextmanager
async def _usual(stage: Stage) -> AsyncIterator[Place]:
    async with open_desk(stage, CONNECTIONS) as desk:
        tags_of = desk.writer.vault.tags_of
        async with _serving(usual.application(desk.pool, lambda serial: tags_of(serial)[0])) as port:
            yield Place(port)


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncIterator[int]:
    """The port at which this process serves the application, as a service does."""
    listener = bind("127.0.0.1", 0)
    listener.listen()
    server = server_for(app)
    calm_garbage_collector()  # as the service does when it starts; it then holds for every side
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
