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
from tests.support.tokens import Provider
from tests.support.web import ALL, app_of, client_of, operator_of, routes_of, service_of

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


def partner_on(table: Tabletop, service: str, partner_id: str) -> httpx.AsyncClient:
    """Somebody whose token is limited to a partner; the service is asked whether that partner has left."""
    statement, provider = service_of(service).has_left, Provider()
    assert statement is not None, f"partners may not ask {service}"

    async def has_left(partner_id: str) -> bool:
        left: bool = await table.pools[service].fetchval(statement, partner_id)
        return left

    app = app_of(routes_on(table, service), provider.tokens(), service, has_left=has_left)
    return client_of(app, provider.allowing(ALL, partner_id=partner_id))


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
