"""Dead letters over HTTP: looked at, handled again, closed with a reason, sent right as a new event."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import asyncpg
from fastapi import Path, Query
from pydantic import BaseModel

from shared.events.catalogue import edited_source
from shared.events.faults import Fault
from shared.events.fields import Id, Instant, Text
from shared.pointers import ABSENT
from shared.queries import load
from shared.runtime.commands import KEY_BLOCKED
from shared.runtime.dead_letters import STILL_REFUSED, DeadLetters, Edited, Written
from shared.runtime.editing import Edit
from shared.runtime.masking import hide, masked
from shared.runtime.records import StoredRecord, document_of
from shared.web.fields import Body, WireInstant
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, Problem, of_faults
from shared.web.routes import Asking, HttpRoute, get, post

SQL = load("shared.runtime")
LAST_ID: Final = 2**63 - 1
RowId = Annotated[int, Path(ge=1, le=LAST_ID)]
Closed = Annotated[bool, Query(alias="all", description="those that were closed too")]


class Reason(Body):
    """Why an operator does this; it is kept."""

    reason: Text


class ReplayBody(Reason):
    """Have a dead letter handled again; without `apply` it is only tried."""

    apply: bool = True


class EditBody(Body):
    """A refused record as it should have been: its data, where `***` stands for what is hidden there.

    `type` and `time` are those of the record unless they are given. With `apply` it is sent, and `reason`
    is kept; without, it is only tried.
    """

    document: dict[str, Any]
    type: Id | None = None
    time: Instant | None = None
    reason: Text | None = None
    apply: bool = False


State = Literal["open", "replayed", "resolved", "edited"]
"""What became of a dead letter."""


class DeadLetter(BaseModel):
    """A record that was refused, without the record itself; `edited_as` is the event that it was sent as."""

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
    state: State
    dead_at: WireInstant
    edited_as: UUID | None


class ShownLetter(DeadLetter):
    """A dead letter with its record; account numbers are masked.

    `document` is its data, where that is a JSON object, `edited_document` that of the event that it was sent
    as. It was closed by `pawl` where a later event made it good.
    """

    closed_at: WireInstant | None
    closed_by: str | None
    close_reason: str | None
    headers: list[tuple[str, str]]
    value: str | None
    document: dict[str, Any] | None
    edited_document: dict[str, Any] | None


class Resolved(BaseModel):
    """A dead letter is closed: when, by whom, why."""

    id: int
    state: Literal["resolved"]
    closed_at: WireInstant
    closed_by: str
    close_reason: str


class NewEvent(BaseModel):
    """The event that an edited record is."""

    id: UUID
    source: str
    type: str
    key: str
    time: WireInstant


class ChangedValue(BaseModel):
    """Another value at a JSON Pointer into the data; null where there was none, or is none any more."""

    pointer: str
    before: Any
    after: Any


class WrittenRows(BaseModel):
    """How many rows of a table were written."""

    table: str
    added: int
    changed: int
    removed: int


class SaidEvent(BaseModel):
    """An event that goes out."""

    topic: str
    type: str
    key: str
    subject: str
    data: dict[str, Any]


class ReplayedLetter(BaseModel):
    """What handling a dead letter again led to or, where `applied` is false, would lead to.

    `waits` is why its event waits.
    """

    replayed: bool
    applied: bool
    rows: list[WrittenRows]
    events: list[SaidEvent]
    waits: str | None


class EditedLetter(BaseModel):
    """What an edit led to or, where `applied` is false, would lead to. `waits`: why the new event waits."""

    applied: bool
    letter: int
    event: NewEvent
    changes: list[ChangedValue]
    rows: list[WrittenRows]
    events: list[SaidEvent]
    waits: str | None


@dataclass(slots=True, frozen=True)
class DeadLetterEndpoints:
    """The requests about the dead letters of one service."""

    service: str
    letters: DeadLetters
    pool: asyncpg.Pool

    def routes(self) -> list[HttpRoute]:
        """Path by path: the table of contents."""
        every, one = "/v1/ops/dead", "/v1/ops/dead/{letter_id}"
        of_edits = [STILL_REFUSED, KEY_BLOCKED]
        return [
            get(every, self.list_all, "ops:read", answers=Page[DeadLetter]),
            get(one, self.show, "ops:read", answers=ShownLetter),
            post(f"{one}/replay", self.replay, "ops:write", answers=ReplayedLetter, problems=[STILL_REFUSED]),
            post(f"{one}/resolve", self.resolve, "ops:write", answers=Resolved),
            post(f"{one}/edit", self.edit, "ops:write", answers=EditedLetter, problems=of_edits),
        ]

    async def list_all(
        self,
        everything: Closed = False,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Any:
        """Open dead letters, newest first, without the records themselves."""
        (before,) = after(cursor, (LAST_ID,))
        rows = await self.pool.fetch(SQL.dead_letters, everything, before, limit + 1)
        return page_of([dict(row) for row in rows], limit, lambda row: (row["id"],))

    async def show(self, letter_id: RowId) -> Any:
        """One dead letter with its record; account numbers are masked."""
        row = await self.pool.fetchrow(SQL.dead_letter, letter_id)
        if row is None:
            raise Problem(NOT_FOUND, what="nothing has this number; see /v1/ops/dead")
        record = self.letters.open_record(row)
        edited = self.letters.open_edited(row)
        documents = {"document": _document(record), "edited_document": edited and _document(edited)}
        return {**shown(row, record), **documents}

    async def replay(self, letter_id: RowId, body: ReplayBody, caller: Asking) -> Any:
        """Handles a dead letter again, past the inbox. 409 when it is still refused, or ended before."""
        done = await self.letters.replay(letter_id, caller.sub, body.reason, apply=body.apply)
        return {
            "replayed": done.applied,
            "applied": done.applied,
            "rows": _rows(done.written),
            "events": done.events,
            "waits": done.waits,
        }

    async def resolve(self, letter_id: RowId, body: Reason, caller: Asking) -> Any:
        """Closes a dead letter with a reason; its record stays. A repeat gives the first answer."""
        return dict(await self.letters.resolve(letter_id, caller.sub, body.reason))

    async def edit(self, letter_id: RowId, body: EditBody, caller: Asking) -> Any:
        """Handles a dead letter as it should have been, as a new event, or tries that and takes it back."""
        if body.apply and body.reason is None:
            raise of_faults([Fault("missing_field", "/reason", "reason is required to apply an edit")])
        edit = Edit(body.document, body.type, body.time)
        reason = body.reason or ""
        edited = await self.letters.edit(letter_id, edit, caller.sub, reason, apply=body.apply)
        return _edited(self.service, edited)


def shown(row: Any, record: StoredRecord) -> dict[str, Any]:
    """A row with its record as people see it: without account numbers."""
    document = {name: item for name, item in dict(row).items() if not name.endswith("record")}
    document["headers"] = [[name, text.decode("utf-8", "backslashreplace")] for name, text in record.headers]
    document["value"] = masked(record.value) if record.value is not None else None
    return document


def _document(record: StoredRecord) -> Any:
    document = document_of(record)
    return None if document is None else hide(document)


def _edited(service: str, edited: Edited) -> dict[str, Any]:
    record = edited.record
    return {
        "applied": edited.applied,
        "letter": edited.letter,
        "event": {
            "id": edited.event_id,
            "source": edited_source(service),
            "type": record.type,
            "key": record.key,
            "time": record.time,
        },
        "changes": [
            {"pointer": each.pointer, "before": _or_null(each.before), "after": _or_null(each.after)}
            for each in record.changes
        ],
        "rows": _rows(edited.written),
        "events": edited.events,
        "waits": edited.waits,
    }


def _rows(written: Written) -> list[dict[str, Any]]:
    return [
        {"table": table, "added": added, "changed": changed, "removed": removed}
        for table, (added, changed, removed) in sorted(written.items())
    ]


def _or_null(value: Any) -> Any:
    return None if value is ABSENT else value
