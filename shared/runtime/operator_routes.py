"""What operators ask a service: what needs somebody, what a word names, dead letters, what waits."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

from shared.clock import now
from shared.events.fields import Id
from shared.ids import uuid7
from shared.operators import reading
from shared.operators.finding import find_document, read_word
from shared.operators.todo import Group, Moment, Thresholds, Who, todo_document
from shared.queries import Queries, load
from shared.runtime.audit_log import AuditEntry, write_audit
from shared.runtime.cancelling import CANCEL, CANNOT_CANCEL, CancelBody
from shared.runtime.dead_letter_routes import DeadLetterEndpoints, Reason, RowId, shown
from shared.runtime.dead_letters import DeadLetters
from shared.runtime.decisions import Position
from shared.runtime.fold import Fold
from shared.runtime.gap_routes import GapEndpoints
from shared.runtime.records import seal_context, unpack
from shared.runtime.service import Service
from shared.runtime.surroundings import Surroundings
from shared.runtime.unsent_routes import UnsentEndpoints
from shared.sealing import Sealer
from shared.web.fields import ToldEvent, WireInstant, WireWon
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, WRONG_PARAMETER, Problem
from shared.web.routes import Asking, HttpRoute, RequestedOnce, get, post

SQL = load("shared.runtime")


class _Waiting(BaseModel):
    """What both views of an event that waits begin with."""

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


class ParkedEvent(_Waiting):
    """An event that waits with its key, without the record itself."""

    parked_at: WireInstant
    overdue_at: WireInstant
    overdue: bool


class ShownEvent(_Waiting):
    """An event that waits, with its record; account numbers are masked."""

    subject: str
    sequence: int | None
    event_time: WireInstant
    parked_at: WireInstant
    tried_at: WireInstant
    overdue_at: WireInstant
    headers: list[tuple[str, str]]
    value: str | None


class Reopened(BaseModel):
    """What waits with a key was handled again; `still_waiting` of its events still wait."""

    replayed: bool
    key: str
    still_waiting: int


class CancelledEvent(BaseModel):
    """The event that was cancelled, as checkout sent it."""

    type: str
    event_id: str
    source: str


class CancelledRequest(BaseModel):
    """What waited and was cancelled, and what follows; only shown unless `applied`."""

    key: str
    request: str
    applied: bool
    cancelled: CancelledEvent
    events: list[ToldEvent]


class RevealBody(Reason):
    """Somebody asks to see what pages hide of a thing, and why."""

    target: Id


class Revealed(BaseModel):
    """It stands in the audit log, under this id, that somebody was shown what pages hide of a thing."""

    id: UUID
    target: str
    actor: str


class WaitingGroup(BaseModel):
    """What waits for one cause. `won` is null where no money waits; `members` name the oldest.

    `interest` are the won that may be owed on top of what is late; null where nothing is.
    """

    service: str
    code: str
    reason: str
    count: int
    won: WireWon | None
    since: WireInstant
    age_seconds: int
    who: Who
    due: WireInstant | None
    overdue: int
    overdue_seconds: int | None
    interest: WireWon | None
    command: str
    members: list[str]


class TodoList(BaseModel):
    """What needs somebody in one service, the most urgent first."""

    at: WireInstant
    groups: list[WaitingGroup]


class FoundThing(BaseModel):
    """One thing that a word names: its id, what it is at present, and the command that shows it."""

    service: str
    kind: str
    name: str
    says: str
    command: str


class FoundThings(BaseModel):
    """What a word names in one service; 20 of a kind at most."""

    word: str
    found: list[FoundThing]


@dataclass(slots=True, frozen=True)
class OperatorEndpoints:
    """The requests of operators that every service answers.

    `queries` is the SQL catalogue of the service, `thresholds` say from when on something is listed.
    """

    service: Service
    queries: Queries
    surroundings: Surroundings
    fold: Fold
    sealer: Sealer
    thresholds: Thresholds

    def routes(self) -> list[HttpRoute]:
        """Path by path: the table of contents."""
        parked = "/v1/ops/parked/{parked_id}"
        return [
            get("/v1/ops/todo", self.todo, "ops:read", answers=TodoList),
            get("/v1/ops/find", self.find, "ops:read", answers=FoundThings),
            *self._of_dead_letters(),
            *UnsentEndpoints(self.surroundings.pool, self.surroundings.outbox).routes(),
            get("/v1/ops/parked", self.parked_events, "ops:read", answers=Page[ParkedEvent]),
            get(parked, self.parked_event, "ops:read", answers=ShownEvent),
            post(f"{parked}/replay", self.reopen, "ops:write", answers=Reopened),
            post(
                "/v1/ops/parked/cancel",
                self.cancel,
                "ops:write",
                answers=CancelledRequest,
                problems=[CANNOT_CANCEL],
            ),
            *GapEndpoints(self.fold, self.surroundings.pool).routes(),
            post("/v1/ops/reveals", self.reveal, "evidence:read", answers=Revealed),
        ]

    async def todo(self) -> Any:
        """What needs somebody here, the most urgent first: groups by cause, each with what to do next."""
        return todo_document(await self.what_needs_somebody(), now())

    async def what_needs_somebody(self) -> list[Group]:
        """What needs somebody here by now, the most urgent first."""
        moment = Moment(now(), self.thresholds)
        async with self.surroundings.pool.acquire() as connection:
            return await reading.read_todo(connection, self.queries, self.service.todo, moment)

    async def find(
        self,
        q: Annotated[str, Query(min_length=1, max_length=256, description="an id, a name, a number")],
        order: Annotated[
            str | None, Query(min_length=1, max_length=128, description="q ends a serial of this order")
        ] = None,
    ) -> Any:
        """What a word names here, and the command that shows it."""
        word = read_word(q, order)
        if not word.text or (order is not None and word.last_four is None):
            rule = "it has at least one character, and four where an order is named"
            raise Problem(WRONG_PARAMETER, name="q", place="query", rule=rule)
        async with self.surroundings.pool.acquire() as connection:
            found = await reading.find(connection, self.queries, self.service.find, word)
        return find_document(word, found)

    async def parked_events(self, limit: Limit = USUAL, cursor: Cursor = None) -> Any:
        """What waits with its key, oldest first, without the records themselves."""
        (behind,) = after(cursor, (0,))
        rows = await self.surroundings.pool.fetch(SQL.parked_events, behind, limit + 1)
        return page_of([dict(row) for row in rows], limit, lambda row: (row["id"],))

    async def parked_event(self, parked_id: RowId) -> Any:
        """One waiting event with its record; account numbers are masked."""
        row = await self._row(parked_id)
        position = Position(row["topic"], row["partition"], row["offset"])
        return shown(row, unpack(position, self.sealer.open(row["record"], seal_context(position))))

    async def reopen(self, parked_id: RowId, body: Reason, caller: Asking) -> Any:
        """Handles again what waits with the key of a parked event."""
        row = await self._row(parked_id)
        left = await self.fold.reopen_key(row["key"], caller.sub, body.reason)
        return Reopened(replayed=left == 0, key=row["key"], still_waiting=left)

    async def cancel(self, body: CancelBody, origin: RequestedOnce) -> Any:
        """Cancels a request or a decision that waits; only shows what would follow unless `apply`."""
        send, is_dry = self.surroundings.send, not body.apply
        said = {"reason": body.reason, "dry_run": is_dry, "subject": body.request}
        return await send(CANCEL, body.key, body, origin, **said)

    async def reveal(self, body: RevealBody, caller: Asking) -> Any:
        """Keeps that somebody is shown accounts, addresses and numbers of a thing, and why."""
        entry = AuditEntry(uuid7(), caller.sub, "reveal", body.target, body.reason)
        async with self.surroundings.pool.acquire() as connection:
            await write_audit(connection, [entry])
        return Revealed(id=entry.id, target=entry.target, actor=entry.actor)

    async def _row(self, number: int) -> Any:
        row = await self.surroundings.pool.fetchrow(SQL.parked_event, number)
        if row is None:
            raise Problem(NOT_FOUND, what="nothing waits under this number; see /v1/ops/parked")
        return row

    def _of_dead_letters(self) -> list[HttpRoute]:
        pool, outbox = self.surroundings.pool, self.surroundings.outbox
        letters = DeadLetters(self.service, self.fold, pool, outbox, self.sealer)
        return DeadLetterEndpoints(self.service.name, letters, pool).routes()
