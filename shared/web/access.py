"""What is told about each request: a line in the log, metrics, and the ids that it carries on.

A line has method, route, status, milliseconds, who asked, and the correlation id. It never has a path with
its values, a query string, a body, or a token.
"""

import re
import traceback
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.clock import monotonic
from shared.ids import random_bytes
from shared.web.answering import is_versioned, send_problem
from shared.web.problems import INTERNAL, UNAVAILABLE, Problem

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
OFTEN_ASKED: Final = frozenset({"GET /health", "GET /metrics"})
"""Asked every few seconds by machines: their lines are for the level debug."""
UNMATCHED: Final = "unmatched"
AGAIN_SECONDS: Final = 1
FRAMES: Final = 6
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_CORRELATION = re.compile(r"[!-~]{1,128}")
_CODE = re.compile(r"(?![0-9a-f]{16})[0-9A-Za-z]{4}([ _.-]?[0-9A-Za-z]{4}){3}")
"""What may be a code that somebody bought, and would stand in logs. A hexadecimal id of 64 bits is none."""

log = structlog.get_logger("pawl.access")


@dataclass(slots=True)
class HttpMetrics:
    """Requests by route template and status, and the seconds that they took."""

    registry: CollectorRegistry
    requests: Counter = field(init=False)
    seconds: Histogram = field(init=False)

    def __post_init__(self) -> None:
        self.requests = Counter(
            "pawl_http_requests",
            "Requests that were answered, by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pawl_http_seconds",
            "Seconds until the answer to a request was sent, by route.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )


class Access:
    """The outermost layer: nothing leaves it but an answer.

    `passing` are errors that pass by themselves, such as a database that is away: they are 503, all others
    500.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: HttpMetrics, passing: tuple[type[BaseException], ...]
    ) -> None:
        self.app, self._metrics, self._passing = app, metrics, passing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = monotonic(), 0
        state = scope.setdefault("state", {})
        state.update(_ids_of(Headers(scope=scope)), route=UNMATCHED, caller=None)

        async def send_answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope)
            await send(message)

        try:
            await self.app(scope, receive, send_answer)
        except Exception as error:
            problem = self._problem_of(error, state)
            if status:
                raise
            await send_problem(problem, scope, receive, send_answer)
        finally:
            self._tell(scope["method"], state, status, monotonic() - began)

    def _problem_of(self, error: Exception, state: dict[str, Any]) -> Problem:
        # Its message may hold what nobody may read: the places are enough to find it.
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        places = [f"{frame.filename}:{frame.lineno}" for frame in frames]
        log.error("request failed", error=type(error).__name__, at=places, correlation=state["correlation"])
        if isinstance(error, self._passing):
            return Problem(UNAVAILABLE, retry_after=AGAIN_SECONDS)
        return Problem(INTERNAL, correlation=state["correlation"])

    def _tell(self, method: str, state: dict[str, Any], status: int, seconds: float) -> None:
        route, caller = state["route"], state["caller"]
        self._metrics.requests.labels(method if method in METHODS else "other", route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        tell = log.debug if f"{method} {route}" in OFTEN_ASKED else log.info
        tell(
            "request",
            method=method[:16],
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            sub=caller.sub if caller else None,
            correlation=state["correlation"],
        )


def _ids_of(headers: Headers) -> dict[str, Any]:
    given: str | None = headers.get("traceparent", "")
    if not given or not _TRACEPARENT.fullmatch(given):
        given = None
    traceparent = given or _new_traceparent()
    correlation = headers.get("x-correlation-id", "")
    if not _CORRELATION.fullmatch(correlation) or _CODE.fullmatch(correlation):
        correlation = traceparent.split("-")[1]
    return {"traceparent": traceparent, "given_traceparent": given, "correlation": correlation}


def _new_traceparent() -> str:
    ids = random_bytes(24).hex()
    return f"00-{ids[:32]}-{ids[32:]}-00"


def _add_headers(message: Message, scope: Scope) -> None:
    state = scope["state"]
    message["headers"] = [
        *message.get("headers", ()),
        (b"traceparent", state["traceparent"].encode()),
        (b"x-correlation-id", state["correlation"].encode()),
        (b"x-content-type-options", b"nosniff"),
        *([(b"cache-control", b"no-store")] if is_versioned(scope) else []),
    ]
