"""The HTTP side of the services on a table: asked in this process, or over a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from shared.runtime.command_queue import CommandQueue
from shared.runtime.http import bind, server_for
from shared.runtime.surroundings import Surroundings
from shared.sealing import Sealer
from shared.web.routes import HttpRoute
from tests.support.keys import DATA
from tests.support.tabletop import Tabletop
from tests.support.web import operator_of, routes_of

SEALER = Sealer(DATA, "1")
"""The one of the services on a table."""


def routes_on(table: Tabletop, service: str) -> list[HttpRoute]:
    """Every route of a service on the table."""
    fold = table.folds[service]
    commands = CommandQueue(fold.decide, fold.decide_alone, fold.try_out)
    surroundings = Surroundings(
        table.pools[service], table.outboxes[service], send=commands.send, send_alone=commands.send_alone
    )
    return routes_of(service, surroundings, fold, SEALER)


def operator_on(table: Tabletop, service: str) -> httpx.AsyncClient:
    """Somebody whose token allows everything, and who asks a service on the table."""
    return operator_of(routes_on(table, service), service)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application behind a socket of this machine; its URL."""
    listener = bind("127.0.0.1", 0)
    listener.listen()
    server = server_for(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
