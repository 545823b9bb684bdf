"""The small HTTP side of a service: health, metrics, its documents, and handling dead letters again."""

import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
import uvicorn
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from shared.events.asyncapi import asyncapi
from shared.events.catalogue import TYPES
from shared.events.schemas import schema_of
from shared.queries import load
from shared.runtime.decisions import Position
from shared.runtime.fold import Fold
from shared.runtime.health import Health
from shared.runtime.records import seal_context, unpack
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.runtime.surroundings import Surroundings
from shared.sealing import Sealer

SQL = load("shared.runtime")
LISTED = 1000
ACCOUNTS = frozenset({"account_number", "card_number"})
SHOWN_OF_DESTINATION = frozenset({"method", "bank_code", "holder"})
# An account number, however it is grouped. Other ids look like it, so only what cannot be read is searched.
DIGITS = re.compile(r"\d(?:[ -]?\d){5,}")
HIDDEN = "***"

log = structlog.get_logger("pawl.http")


def problem(status: int, title: str, detail: str) -> Response:
    """An error as problem details (RFC 9457)."""
    body = orjson.dumps({"type": "about:blank", "status": status, "title": title, "detail": detail})
    return Response(body, status, media_type="application/problem+json")


@dataclass(slots=True, frozen=True)
class Endpoints:
    """The requests that every service answers.

    `broker` is host:port, for the AsyncAPI document. `observe` reads the gauges that are not kept up to date.
    """

    service: Service
    broker: str
    surroundings: Surroundings
    fold: Fold
    sealer: Sealer
    health_of_process: Health
    metrics_of_process: Metrics
    observe: Callable[[], Awaitable[None]]

    def routes(self) -> list[BaseRoute]:
        """Path by path: the table of contents."""
        return [
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/asyncapi.json", self.document),
            Route("/schemas/{type}", self.schema),
            Route("/dead", self.dead_and_parked),
            Route("/dead/{id:int}", self.dead_letter),
            Route("/dead/{id:int}/replay", self.replay, methods=["POST"]),
            Route("/parked/{id:int}", self.parked_event),
            Route("/parked/{id:int}/replay", self.reopen, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        """200 while there is progress or nothing to do, else 503 with the reason."""
        well, report = self.health_of_process.report()
        return JSONResponse(report, 200 if well else 503)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        await self.observe()
        text = generate_latest(self.metrics_of_process.registry)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def document(self, request: Request) -> Response:
        """The AsyncAPI 3 document of this service."""
        return JSONResponse(asyncapi(self.service.name, self.service.routes, kafka=self.broker))

    async def schema(self, request: Request) -> Response:
        """The JSON Schema of one event type."""
        if request.path_params["type"] not in TYPES:
            return problem(404, "unknown type", "see /asyncapi.json for the types there are")
        return JSONResponse(schema_of(request.path_params["type"]), media_type="application/schema+json")

    async def dead_and_parked(self, request: Request) -> Response:
        """Open dead letters (all with ?all) and what waits, without the records themselves."""
        rows = await self.surroundings.pool.fetch(SQL.dead_letters, "all" in request.query_params, LISTED)
        parked = await self.surroundings.pool.fetch(SQL.parked_events, LISTED)
        return _json({"dead": [dict(row) for row in rows], "parked": [dict(row) for row in parked]})

    async def dead_letter(self, request: Request) -> Response:
        """One dead letter with its record; account numbers are masked."""
        return await self._show(SQL.dead_letter, request)

    async def parked_event(self, request: Request) -> Response:
        """One waiting event with its record; account numbers are masked."""
        return await self._show(SQL.parked_event, request)

    async def replay(self, request: Request) -> Response:
        """Handles a dead letter again. 409 when it is still refused."""
        actor_and_reason = await _actor_and_reason(request)
        if isinstance(actor_and_reason, Response):
            return actor_and_reason
        try:
            refusal = await self.fold.replay_dead(request.path_params["id"], *actor_and_reason)
        except LookupError as missing:
            return problem(404, "nothing to replay", str(missing.args[0]))
        if refusal is None:
            return JSONResponse({"replayed": True})
        fault = refusal.fault
        body = {"replayed": False, "code": fault.code, "pointer": fault.pointer, "detail": fault.detail}
        return JSONResponse(body, 409)

    async def reopen(self, request: Request) -> Response:
        """Handles again what waits with the key of a parked event."""
        actor_and_reason = await _actor_and_reason(request)
        if isinstance(actor_and_reason, Response):
            return actor_and_reason
        row = await self.surroundings.pool.fetchrow(SQL.parked_event, request.path_params["id"])
        if row is None:
            return problem(404, "nothing to replay", "GET /dead lists what waits")
        left = await self.fold.reopen_key(row["key"])
        log.info("parked key replayed", key=row["key"], actor=actor_and_reason[0], reason=actor_and_reason[1])
        return JSONResponse({"replayed": left == 0, "key": row["key"], "still_waiting": left})

    async def _show(self, query: str, request: Request) -> Response:
        row = await self.surroundings.pool.fetchrow(query, request.path_params["id"])
        if row is None:
            return problem(404, "not found", "GET /dead lists what there is")
        return _json(_shown(self.sealer, row))


def application(routes: Sequence[BaseRoute]) -> Starlette:
    """The HTTP side of a service."""
    return Starlette(routes=routes)


class Server(uvicorn.Server):
    """Uvicorn inside a process whose signals belong to somebody else."""

    def install_signal_handlers(self) -> None:
        """Leaves the signals to the FastStream application."""


def bind(host: str, port: int) -> socket.socket:
    """The listening socket; a port in use is an OSError here, before anything has started."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def server_for(app: Starlette) -> Server:
    """A quiet server for the application."""
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_config=None, timeout_graceful_shutdown=1
    )
    return Server(config)


async def _actor_and_reason(request: Request) -> tuple[str, str] | Response:
    try:
        body = orjson.loads(await request.body())
        actor, reason = body["actor"], body["reason"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return problem(400, "actor and reason are needed", 'send {"actor": "...", "reason": "..."}')
    if not (isinstance(actor, str) and isinstance(reason, str) and actor.strip() and reason.strip()):
        return problem(400, "actor and reason are needed", "both are texts that are not empty")
    return actor, reason


def _shown(sealer: Sealer, row: Any) -> dict[str, Any]:
    position = Position(row["topic"], row["partition"], row["offset"])
    record = unpack(position, sealer.open(row["record"], seal_context(position)))
    shown = {name: item for name, item in dict(row).items() if name != "record"}
    shown["headers"] = [[name, text.decode("utf-8", "backslashreplace")] for name, text in record.headers]
    shown["value"] = masked(record.value) if record.value is not None else None
    return shown


def masked(body: bytes) -> str:
    """The text of a record without account numbers, also when its writer put them where none belongs."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return DIGITS.sub(HIDDEN, body.decode("utf-8", "backslashreplace"))
    hidden = _hide(document)
    return body.decode() if hidden == document else orjson.dumps(hidden).decode()


def _hide(item: Any) -> Any:
    if isinstance(item, list):
        return [_hide(each) for each in item]
    if not isinstance(item, dict):
        return item
    return {name: _hide_member(name, value) for name, value in item.items()}


def _hide_member(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ACCOUNTS:
        return HIDDEN
    if name != "destination":
        return _hide(value)
    if not isinstance(value, dict):
        return HIDDEN
    return {
        part: said if part in SHOWN_OF_DESTINATION and isinstance(said, str) else HIDDEN
        for part, said in value.items()
    }


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
