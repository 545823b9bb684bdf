"""What every service answers over HTTP: health, metrics, documents, events, dead letters, what waits."""

import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
import structlog
import uvicorn
from fastapi import Path, Query
from prometheus_client import generate_latest
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from shared.events.asyncapi import asyncapi
from shared.events.catalogue import TYPES
from shared.events.fields import Text
from shared.events.schemas import schema_of
from shared.kst import wire_time
from shared.queries import load
from shared.runtime.decisions import Position
from shared.runtime.fold import Fold
from shared.runtime.health import Health
from shared.runtime.intake import NOT_OURS
from shared.runtime.records import seal_context, unpack
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.runtime.surroundings import Surroundings
from shared.sealing import Sealer
from shared.web.fields import Body, WireInstant
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, Kind, Problem
from shared.web.routes import Asking, HttpRoute, get, post

SQL = load("shared.runtime")
ACCOUNTS = frozenset({"account_number", "card_number"})
SHOWN_OF_DESTINATION = frozenset({"method", "bank_code", "holder"})
# An account number, however it is grouped. Other ids look like it, so only what cannot be read is searched.
DIGITS = re.compile(r"\d(?:[ -]?\d){5,}")
HIDDEN = "***"
LAST_ID = 2**63 - 1
RowId = Annotated[int, Path(ge=1, le=LAST_ID)]

STILL_REFUSED = Kind(
    "still_refused",
    409,
    "The record is refused again",
    "{why}; nothing was changed",
    "다시 거부되었습니다",
    "변경된 것은 없습니다 ({why})",
)
KINDS = (STILL_REFUSED,)

log = structlog.get_logger("pawl.http")


class Reason(Body):
    """Why an operator does this; it is kept."""

    reason: Text


class DeadLetter(BaseModel):
    """A record that was refused, without the record itself."""

    id: int
    topic: str
    partition: int
    offset: int
    key: str | None
    source: str | None
    event_id: str | None
    type: str | None
    code: str
    pointer: str
    detail: str
    state: str
    dead_at: WireInstant


class ParkedEvent(BaseModel):
    """An event that waits with its key, without the record itself."""

    id: int
    key: str
    kind: str
    reason: str
    topic: str
    partition: int
    offset: int
    source: str
    event_id: str
    type: str
    parked_at: WireInstant
    overdue_at: WireInstant
    overdue: bool


class ShownLetter(DeadLetter):
    """A dead letter with its record; account numbers are masked."""

    replayed_at: WireInstant | None
    replayed_by: str | None
    replay_reason: str | None
    headers: list[tuple[str, str]]
    value: str | None


class ShownEvent(BaseModel):
    """An event that waits, with its record; account numbers are masked."""

    id: int
    key: str
    kind: str
    reason: str
    topic: str
    partition: int
    offset: int
    source: str
    event_id: str
    type: str
    subject: str
    sequence: int | None
    event_time: WireInstant
    parked_at: WireInstant
    tried_at: WireInstant
    overdue_at: WireInstant
    headers: list[tuple[str, str]]
    value: str | None


class Replayed(BaseModel):
    """A dead letter went through."""

    replayed: Literal[True] = True


class Reopened(BaseModel):
    """What waits with a key was handled again; `still_waiting` of its events still wait."""

    replayed: bool
    key: str
    still_waiting: int


class RefusedAgain(BaseModel):
    """A record of an event that was refused; `letter` names its dead letter."""

    letter: int
    code: str
    pointer: str
    detail: str
    state: str
    refused_at: WireInstant
    topic: str
    partition: int
    offset: int


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
    fold: Fold
    sealer: Sealer
    health_of_process: Health
    metrics_of_process: Metrics
    observe: Callable[[], Awaitable[None]]

    def routes(self) -> list[HttpRoute]:
        """Path by path: the table of contents."""
        dead, parked = "/v1/ops/dead/{letter_id}", "/v1/ops/parked/{parked_id}"
        return [
            get("/health", self.health, answers=dict[str, Any]),
            get("/metrics", self.metrics, is_shown=False),
            get("/asyncapi.json", self.document, answers=dict[str, Any]),
            get("/schemas/{event_type}", self.schema, answers=dict[str, Any]),
            get("/v1/events", self.event, "ops:read", answers=EventAnswer),
            get("/v1/ops/dead", self.dead_letters, "ops:read", answers=Page[DeadLetter]),
            get(dead, self.dead_letter, "ops:read", answers=ShownLetter),
            post(f"{dead}/replay", self.replay, "ops:write", answers=Replayed, problems=[STILL_REFUSED]),
            get("/v1/ops/parked", self.parked_events, "ops:read", answers=Page[ParkedEvent]),
            get(parked, self.parked_event, "ops:read", answers=ShownEvent),
            post(f"{parked}/replay", self.reopen, "ops:write", answers=Reopened),
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
        pool = self.surroundings.pool
        seen = await pool.fetchrow(SQL.seen_event, _storable(source), _storable(id))
        if seen["content"] is None:
            raise Problem(NOT_FOUND, what=_why_unseen(seen["horizon"]))
        if seen["content"] == NOT_OURS:
            raise Problem(NOT_FOUND, what="another service answers for this event; ask the others")
        rows = await pool.fetch(SQL.refusals_of_event, source, id)
        refused = [{**row, "letter": row["id"], "refused_at": row["dead_at"]} for row in rows]
        # One that comes again with other content is refused, and the first one stands.
        is_rejected = any(row["code"] != "duplicate_id" for row in rows)
        return {
            "source": source,
            "id": id,
            "outcome": "rejected" if is_rejected else "accepted",
            "recorded_at": seen["recorded_at"],
            "refused": refused,
        }

    async def dead_letters(
        self,
        everything: Annotated[bool, Query(alias="all", description="those that were replayed too")] = False,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Any:
        """Open dead letters, newest first, without the records themselves."""
        (before,) = after(cursor, (LAST_ID,))
        rows = await self.surroundings.pool.fetch(SQL.dead_letters, everything, before, limit + 1)
        return page_of([dict(row) for row in rows], limit, lambda row: (row["id"],))

    async def parked_events(self, limit: Limit = USUAL, cursor: Cursor = None) -> Any:
        """What waits with its key, oldest first, without the records themselves."""
        (behind,) = after(cursor, (0,))
        rows = await self.surroundings.pool.fetch(SQL.parked_events, behind, limit + 1)
        return page_of([dict(row) for row in rows], limit, lambda row: (row["id"],))

    async def dead_letter(self, letter_id: RowId) -> Any:
        """One dead letter with its record; account numbers are masked."""
        return await self._show(SQL.dead_letter, letter_id, "/v1/ops/dead")

    async def parked_event(self, parked_id: RowId) -> Any:
        """One waiting event with its record; account numbers are masked."""
        return await self._show(SQL.parked_event, parked_id, "/v1/ops/parked")

    async def replay(self, letter_id: RowId, body: Reason, caller: Asking) -> Any:
        """Handles a dead letter again, past the inbox. 409 when it is still refused."""
        try:
            refusal = await self.fold.replay_dead(letter_id, caller.sub, body.reason)
        except LookupError as missing:
            raise Problem(NOT_FOUND, what=str(missing.args[0])) from None
        if refusal is None:
            return Replayed()
        fault = refusal.fault
        said = {"code": fault.code, "pointer": fault.pointer, "detail": fault.detail}
        why = f"{fault.code} {fault.pointer} {fault.detail}"
        raise Problem(STILL_REFUSED, more={"refused": said}, why=why)

    async def reopen(self, parked_id: RowId, body: Reason, caller: Asking) -> Any:
        """Handles again what waits with the key of a parked event."""
        row = await self.surroundings.pool.fetchrow(SQL.parked_event, parked_id)
        if row is None:
            raise Problem(NOT_FOUND, what="nothing waits under this number; see /v1/ops/parked")
        left = await self.fold.reopen_key(row["key"], caller.sub, body.reason)
        return Reopened(replayed=left == 0, key=row["key"], still_waiting=left)

    async def _show(self, query: str, number: int, listed: str) -> dict[str, Any]:
        row = await self.surroundings.pool.fetchrow(query, number)
        if row is None:
            raise Problem(NOT_FOUND, what=f"nothing has this number; see {listed}")
        return _shown(self.sealer, row)


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
