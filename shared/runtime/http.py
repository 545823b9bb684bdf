"""What every service answers over HTTP: health, metrics, documents, the answer that an event got."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

import uvicorn
from fastapi import Query
from prometheus_client import generate_latest
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from shared.events.asyncapi import asyncapi
from shared.events.catalogue import TYPES
from shared.events.schemas import schema_of
from shared.kst import wire_time
from shared.queries import load
from shared.runtime.health import Health
from shared.runtime.intake import NOT_OURS
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.runtime.surroundings import Surroundings
from shared.web.fields import WireInstant
from shared.web.problems import NOT_FOUND, Problem
from shared.web.routes import HttpRoute, get

SQL = load("shared.runtime")


class RefusedAgain(BaseModel):
    """A record of an event that was refused; `letter` names its dead letter, `state` what became of it.

    `edited_as` is the id of the event that an operator sent in its place; its source is /pawl/SERVICE/edited.
    """

    letter: int
    code: str
    pointer: str
    detail: str
    state: str
    refused_at: WireInstant
    topic: str
    partition: int
    offset: int
    edited_as: UUID | None


class EventAnswer(BaseModel):
    """The answer that an event got, and what was refused of it. One that is accepted may still wait."""

    source: str
    id: str
    outcome: Literal["accepted", "rejected"]
    recorded_at: WireInstant
    refused: list[RefusedAgain]


@dataclass(slots=True, frozen=True)
class Endpoints:
    """The requests that every service answers.

    `broker` is host:port, for the AsyncAPI document. `observe` reads the gauges that are not kept up to date.
    """

    service: Service
    broker: str
    surroundings: Surroundings
    health_of_process: Health
    metrics_of_process: Metrics
    observe: Callable[[], Awaitable[None]]

    def routes(self) -> list[HttpRoute]:
        """Path by path: the table of contents."""
        return [
            get(
                "/health",
                self.health,
                answers=dict[str, Any],
                alike={503: "It starts, stops or stands still."},
            ),
            get("/metrics", self.metrics, is_shown=False),
            get("/asyncapi.json", self.document, answers=dict[str, Any]),
            get("/schemas/{event_type}", self.schema, answers=dict[str, Any]),
            get("/v1/events", self.event, "ops:read", answers=EventAnswer),
        ]

    async def health(self) -> Response:
        """200 while there is progress or nothing to do, else 503 with the reason."""
        well, report = self.health_of_process.report()
        return JSONResponse(report, 200 if well else 503)

    async def metrics(self) -> Response:
        """Prometheus text."""
        await self.observe()
        text = generate_latest(self.metrics_of_process.registry)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def document(self) -> Response:
        """The AsyncAPI 3 document of this service."""
        return JSONResponse(self.asyncapi())

    def asyncapi(self) -> dict[str, Any]:
        """What this service reads and writes, as an AsyncAPI document."""
        return asyncapi(self.service.name, self.service.routes, kafka=self.broker)

    async def schema(self, event_type: str) -> Response:
        """The JSON Schema of one event type."""
        if event_type not in TYPES:
            raise Problem(NOT_FOUND, what="no such type; see /asyncapi.json for the types there are")
        return JSONResponse(schema_of(event_type), media_type="application/schema+json")

    async def event(
        self,
        source: Annotated[str, Query(min_length=1, max_length=256, description="its ce_source")],
        id: Annotated[str, Query(min_length=1, max_length=128, description="its ce_id")],  # noqa: A002
    ) -> Any:
        """The answer that an event of checkout got here, for a sender that has lost it."""
        pool, named = self.surroundings.pool, (_storable(source), _storable(id))
        seen = await pool.fetchrow(SQL.seen_event, *named)
        if seen["content"] is None:
            raise Problem(NOT_FOUND, what=_why_unseen(seen["horizon"]))
        if seen["content"] == NOT_OURS:
            raise Problem(NOT_FOUND, what="another service answers for this event; ask the others")
        rows = await pool.fetch(SQL.refusals_of_event, *named)
        refused = [{**row, "letter": row["id"], "refused_at": row["dead_at"]} for row in rows]
        # One that comes again with other content is refused, and the first one stands. One that an operator
        # replayed was accepted then.
        is_rejected = any(row["code"] != "duplicate_id" and row["state"] != "replayed" for row in rows)
        return {
            "source": source,
            "id": id,
            "outcome": "rejected" if is_rejected else "accepted",
            "recorded_at": seen["recorded_at"],
            "refused": refused,
        }


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


def server_for(app: ASGIApp, proxies: Sequence[str] = ()) -> Server:
    """A quiet server for the application. `proxies` are believed about who their clients are."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        server_header=False,
    )
    return Server(config)


def _why_unseen(horizon: Any) -> str:
    never = "this event never came here"
    if horizon.year < 1900:  # nothing was ever forgotten
        return f"{never}; send it, or ask another service"
    return f"{never}, or before {wire_time(horizon)}: what is older may be forgotten. Ask another service too"


def _storable(text: str) -> str:
    """Postgres text cannot hold NUL; no event has one in its id."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
