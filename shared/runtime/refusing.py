"""What a process says over HTTP that does not start because its schema is older than its topics.

It decides nothing, reads nothing and publishes nothing. It answers for a while, so that whoever watches it
sees why, and then it ends.
"""

import asyncio
import socket
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.runtime.http import server_for
from shared.runtime.topic_events import SchemaBehind

REFUSED: Final = "refused"


def behind_gauge(registry: CollectorRegistry) -> Gauge:
    """The one metric of such a process."""
    return Gauge(
        "pawl_schema_behind_events",
        "Events that the topics tell and the schema lacks: the service does not start.",
        registry=registry,
    )


def refusal(service: str, behind: SchemaBehind) -> Starlette:
    """Health (503, with the reason) and metrics of a process that does not start."""
    registry = CollectorRegistry()
    behind_gauge(registry).set(behind.events)
    report = {"service": service, "status": REFUSED, "why": str(behind), "todo": f"pawl recover {service}"}

    async def health(request: Request) -> Response:
        return JSONResponse(report, 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return Starlette(routes=[Route("/health", health), Route("/metrics", metrics)])


async def tell_refusal(
    listener: socket.socket, service: str, behind: SchemaBehind, for_seconds: float
) -> None:
    """Answers so for a while, and returns when it is over."""
    if for_seconds == 0:
        return
    server = server_for(refusal(service, behind))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait([serving], timeout=for_seconds)
    server.should_exit = True
    await serving
