"""The small HTTP side of a service: health, metrics, its documents, and handling dead letters again."""

import re
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
import uvicorn
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from shared.events import asyncapi
from shared.events.catalogue import TYPES
from shared.queries import load
from shared.runtime.decisions import Position
from shared.runtime.records import seal_context, unpack

if TYPE_CHECKING:
    from shared.runtime.app import Runtime

SQL = load("shared.runtime")
SECRETIVE = re.compile(rb'("(?:account_number|card_number)"\s*:\s*")([^"]*)(")')


def problem(status: int, title: str, detail: str) -> Response:
    """An error as problem details (RFC 9457)."""
    body = orjson.dumps({"type": "about:blank", "status": status, "title": title, "detail": detail})
    return Response(body, status, media_type="application/problem+json")


def application(runtime: "Runtime", extra: Sequence[BaseRoute]) -> Starlette:
    """The routes that all services have, and those of one."""

    async def health(request: Request) -> Response:
        well, report = runtime.health.report()
        return JSONResponse(report, 200 if well else 503)

    async def metrics(request: Request) -> Response:
        await runtime.observe()
        return Response(generate_latest(runtime.metrics.registry), media_type="text/plain; version=0.0.4")

    async def document(request: Request) -> Response:
        return JSONResponse(asyncapi.document(runtime.service.name))

    async def schema(request: Request) -> Response:
        kind = TYPES.get(request.path_params["type"])
        if kind is None:
            return problem(404, "unknown type", "see /asyncapi.json for the types there are")
        return JSONResponse(kind.model.model_json_schema())

    async def dead_letters(request: Request) -> Response:
        rows = await runtime.pool.fetch(SQL.dead_letters, "all" in request.query_params, 1000)
        parked = await runtime.pool.fetch(SQL.parked_events, 1000)
        return _json({"dead": [dict(row) for row in rows], "parked": [dict(row) for row in parked]})

    async def dead_letter(request: Request) -> Response:
        row = await runtime.pool.fetchrow(SQL.dead_letter, request.path_params["id"])
        if row is None:
            return problem(404, "no such dead letter", "GET /dead lists them")
        return _json(_shown(runtime, row))

    async def parked_event(request: Request) -> Response:
        row = await runtime.pool.fetchrow(SQL.parked_event, request.path_params["id"])
        if row is None:
            return problem(404, "no such waiting event", "GET /dead lists them")
        return _json(_shown(runtime, row))

    async def replay(request: Request) -> Response:
        order = await _order_of(request)
        if isinstance(order, Response):
            return order
        try:
            refusal = await runtime.fold.replay_dead(request.path_params["id"], *order)
        except LookupError as missing:
            return problem(404, "nothing to replay", str(missing.args[0]))
        if refusal is None:
            return JSONResponse({"replayed": True})
        fault = refusal.fault
        body = {"replayed": False, "code": fault.code, "pointer": fault.pointer, "detail": fault.detail}
        return JSONResponse(body, 409)

    async def reopen(request: Request) -> Response:
        order = await _order_of(request)
        if isinstance(order, Response):
            return order
        row = await runtime.pool.fetchrow(SQL.parked_event, request.path_params["id"])
        if row is None:
            return problem(404, "nothing to replay", "GET /dead lists what waits")
        left = await runtime.fold.reopen_key(row["key"])
        return JSONResponse({"replayed": left == 0, "key": row["key"], "still_waiting": left})

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/metrics", metrics),
            Route("/asyncapi.json", document),
            Route("/schemas/{type}", schema),
            Route("/dead", dead_letters),
            Route("/dead/{id:int}", dead_letter),
            Route("/dead/{id:int}/replay", replay, methods=["POST"]),
            Route("/parked/{id:int}", parked_event),
            Route("/parked/{id:int}/replay", reopen, methods=["POST"]),
            *extra,
        ]
    )


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
    config = uvicorn.Config(app, lifespan="off", access_log=False, log_config=None, timeout_graceful_shutdown=1)
    return Server(config)


async def _order_of(request: Request) -> tuple[str, str] | Response:
    try:
        body = orjson.loads(await request.body())
        actor, reason = body["actor"], body["reason"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return problem(400, "actor and reason are needed", 'send {"actor": "...", "reason": "..."}')
    if not (isinstance(actor, str) and isinstance(reason, str) and actor.strip() and reason.strip()):
        return problem(400, "actor and reason are needed", "both are texts that are not empty")
    return actor, reason


def _shown(runtime: "Runtime", row: Any) -> dict[str, Any]:
    position = Position(row["topic"], row["partition"], row["offset"])
    record = unpack(position, runtime.sealer.open(row["record"], seal_context(position)))
    value = SECRETIVE.sub(rb"\1***\3", record.value) if record.value is not None else None
    shown = {name: item for name, item in dict(row).items() if name != "record"}
    shown["headers"] = [[name, text.decode("utf-8", "backslashreplace")] for name, text in record.headers]
    shown["value"] = value.decode("utf-8", "backslashreplace") if value is not None else None
    return shown


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
