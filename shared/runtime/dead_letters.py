"""Dead letters and how they end: handled again as they are, sent right as a new event, closed with a reason.

Each end is one transaction: the letter is locked, marked, written into the audit log, and what its event
brings about is committed with it, or nothing is. The record itself is never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import sub
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from shared.events.catalogue import UPSTREAM, edited_source, owner_of
from shared.events.faults import Fault
from shared.ids import uuid7
from shared.kst import wire_time
from shared.postgres import Connection
from shared.queries import load
from shared.runtime.audit_log import AuditEntry, write_audit
from shared.runtime.batch import BEHIND, BLOCKED, Batch
from shared.runtime.commands import KEY_BLOCKED
from shared.runtime.decisions import Position
from shared.runtime.editing import Edit, EditedRecord, change_documents, edit_record
from shared.runtime.fold import Fold
from shared.runtime.intake import InboundMessage, Intake
from shared.runtime.masking import hide
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import COLUMNS, OutboxRows
from shared.runtime.records import StoredRecord, pack, seal_context, unpack
from shared.runtime.service import Service
from shared.sealing import Sealer
from shared.web.problems import CONFLICT, NOT_FOUND, Kind, Problem

SQL = load("shared.runtime")

STILL_REFUSED: Final = Kind(
    "still_refused",
    409,
    "The record is refused again",
    "{why}; nothing was changed",
    "다시 거부되었습니다",
    "변경된 것은 없습니다 ({why})",
)

Written = dict[str, tuple[int, int, int]]
"""Rows added, changed and removed, by table."""


@dataclass(slots=True, frozen=True)
class Replayed:
    """What handling a record again led to, or would: rows by table, events as they go out, why it waits."""

    written: Written
    events: list[dict[str, Any]]
    waits: str | None
    applied: bool


@dataclass(slots=True, frozen=True)
class Edited:
    """What became of an edit, or would: the new event, what differs, rows by table, events as they go out.

    `waits` is why the new event waits with its key, None where it was decided at once.
    """

    letter: int
    event_id: UUID
    record: EditedRecord
    written: Written
    events: list[dict[str, Any]]
    waits: str | None
    applied: bool


class _DryRun(Exception):
    """Something was tried for a look: its transaction is taken back."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class DeadLetters:
    """The dead letters of one service. What cannot be done is a Problem, and changes nothing."""

    def __init__(
        self, service: Service, fold: Fold, pool: asyncpg.Pool, outbox: Outbox, sealer: Sealer
    ) -> None:
        self._service, self._fold, self._pool, self._outbox = service, fold, pool, outbox
        self._sealer = sealer
        self._intake = Intake(service)

    async def resolve(self, letter: int, actor: str, reason: str) -> asyncpg.Record:
        """Closes a dead letter; how it ended. A repeat changes nothing and gives the same."""
        return await self._fold.repeat(lambda: self._resolve(letter, actor, reason))

    async def replay(self, letter: int, actor: str, reason: str, *, apply: bool = True) -> Replayed:
        """Handles a dead letter again as it is, past the inbox; unless `apply`, all is taken back."""
        try:
            return await self._fold.repeat(lambda: self._replay(letter, actor, reason, apply))
        except _DryRun as done:
            replayed: Replayed = done.result
            return replayed

    async def edit(self, letter: int, edit: Edit, actor: str, reason: str, *, apply: bool) -> Edited:
        """Handles what somebody made of a dead letter as a new event; unless `apply`, all is taken back.

        What it lists is all that the transaction writes, but for the outbox, whose rows are the events.
        """
        try:
            return await self._fold.repeat(lambda: self._edit(letter, edit, actor, reason, apply))
        except _DryRun as done:
            edited: Edited = done.result
            return edited

    def open_record(self, row: asyncpg.Record) -> StoredRecord:
        """The record of a dead letter as it came."""
        position = _position(row)
        return unpack(position, self._sealer.open(row["record"], seal_context(position)))

    def open_edited(self, row: asyncpg.Record) -> StoredRecord | None:
        """The record of the event that a dead letter was sent as; None where it was not."""
        position, sealed = _position(row), row["edited_record"]
        if sealed is None:
            return None
        return unpack(position, self._sealer.open(sealed, _edited_context(position)))

    async def _resolve(self, letter: int, actor: str, reason: str) -> asyncpg.Record:
        async with self._outbox.transaction(self._pool) as (connection, _):
            row = await self._lock(connection, letter)
            if row["state"] not in ("open", "resolved"):
                raise Problem(CONFLICT, detail=_how_it_ended(row))
            if row["state"] == "open":
                await connection.execute(SQL.resolve_dead_letters, [letter], [reason], actor)
                await write_audit(connection, [_entry(uuid7(), letter, "resolve", actor, reason)])
            return await self._lock(connection, letter)

    async def _replay(self, letter: int, actor: str, reason: str, apply: bool) -> Replayed:
        async with self._outbox.transaction(self._pool) as (connection, events):
            row = await self._lock_open(connection, letter)
            message = self._intake.read_one(self.open_record(row))
            if message is None:
                what = f"dead letter {letter} does not concern {self._service.name} any more"
                raise Problem(NOT_FOUND, what=what)
            before = await _written(connection)
            await connection.execute(SQL.mark_replayed, letter, actor, reason)
            await write_audit(connection, [_entry(uuid7(), letter, "replay", actor, reason)])
            batch = await self._fold.take_one(connection, events, message, past_inbox=True)
            if batch.refusals:
                raise refused(batch.refusals[0].fault)
            waits = next((each.reason for each in batch.newly_parked() if each.message is message), None)
            written = _since(before, await _written(connection))
            result = Replayed(written, _said(events), waits, apply)
            if not apply:
                raise _DryRun(result)
        await self._fold.finish(batch)
        return result

    async def _edit(self, letter: int, edit: Edit, actor: str, reason: str, apply: bool) -> Edited:
        async with self._outbox.transaction(self._pool) as (connection, events):
            row = await self._lock_open(connection, letter)
            before = await _written(connection)
            event_id = uuid7()
            edited, message = self._read_edit(row, edit, event_id)
            sealed = self._sealer.seal(pack(edited.record), _edited_context(_position(row)))
            await connection.execute(SQL.mark_edited, letter, actor, reason, event_id, sealed)
            await write_audit(connection, [self._entry_of_edit(row, edited, event_id, actor, reason)])
            batch = await self._fold.take_one(connection, events, message)
            waits = _require_went_through(batch, message)
            written = _since(before, await _written(connection))
            result = Edited(letter, event_id, edited, written, _said(events), waits, apply)
            if not apply:
                raise _DryRun(result)
        await self._fold.finish(batch)
        return result

    def _read_edit(
        self, row: asyncpg.Record, edit: Edit, event_id: UUID
    ) -> tuple[EditedRecord, InboundMessage]:
        if row["topic"] != UPSTREAM:
            detail = f"the record is one of {row['topic']}, and a mistake of ours: mend it, then replay it"
            raise Problem(CONFLICT, detail=detail)
        try:
            edited = edit_record(self.open_record(row), edit, self._service.name, event_id)
        except Fault as fault:
            raise refused(fault) from None
        message = self._intake.read_one(edited.record)
        if message is None or message.foreign:
            owner = owner_of(edited.type)
            detail = f"{owner} answers for {edited.type}: resolve this one, and have checkout send it right"
            raise Problem(CONFLICT, detail=detail)
        return edited, message

    def _entry_of_edit(
        self, row: asyncpg.Record, edited: EditedRecord, event_id: UUID, actor: str, reason: str
    ) -> AuditEntry:
        """The event is caused by what the entry tells, and has its id."""
        before, after = change_documents(edited.changes)
        was = {"id": row["event_id"], "source": row["source"], "type": row["type"], "key": row["key"]}
        source, time = edited_source(self._service.name), wire_time(edited.time)
        named = {"id": str(event_id), "source": source, "type": edited.type, "key": edited.key, "time": time}
        return _entry(
            event_id,
            row["id"],
            "edit",
            actor,
            reason,
            before={"event": was, "data": before},
            after={"event": named, "data": after},
        )

    async def _lock_open(self, connection: Connection, letter: int) -> asyncpg.Record:
        row = await self._lock(connection, letter)
        if row["state"] != "open":
            raise Problem(CONFLICT, detail=_how_it_ended(row))
        return row

    async def _lock(self, connection: Connection, letter: int) -> asyncpg.Record:
        row = await connection.fetchrow(SQL.lock_dead_letter, letter)
        if row is None:
            raise Problem(NOT_FOUND, what="nothing has this number; see /v1/ops/dead")
        return row


def refused(fault: Fault) -> Problem:
    """What is answered to a record that is refused again."""
    said = {"code": fault.code, "pointer": fault.pointer, "detail": fault.detail}
    why = " ".join(filter(None, (fault.code, fault.pointer, fault.detail)))
    return Problem(STILL_REFUSED, more={"refused": said}, why=why)


def _require_went_through(batch: Batch, message: InboundMessage) -> str | None:
    """Why the message waits, None where it was decided. Raises Problem where it is refused or blocked."""
    if batch.refusals:
        raise refused(batch.refusals[0].fault)
    for parked in batch.newly_parked():
        if parked.message is message and parked.kind == BEHIND:
            raise Problem(KEY_BLOCKED, key=message.key)
        if parked.message is message and parked.kind == BLOCKED:
            raise refused(Fault(BLOCKED, "", f"its handling fails: {parked.reason}"))
        if parked.message is message:
            return parked.reason
    return None


def _entry(
    entry_id: UUID,
    letter: int,
    action: str,
    actor: str,
    reason: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    target = f"dead letter {letter}"
    return AuditEntry(entry_id, actor, f"dead.{action}", target, reason, before, after)


def _how_it_ended(row: asyncpg.Record) -> str:
    named = f" as {row['edited_as']}" if row["edited_as"] else ""
    how = f"{row['state']}{named} by {row['closed_by']} on {wire_time(row['closed_at'])}"
    return f"dead letter {row['id']} was {how}: {row['close_reason']}"


def _position(row: asyncpg.Record) -> Position:
    return Position(row["topic"], row["partition"], row["offset"])


def _edited_context(position: Position) -> bytes:
    return seal_context(position) + b" edited"


async def _written(connection: Connection) -> Written:
    rows = await connection.fetch(SQL.written_rows)
    return {row["name"]: (row["added"], row["changed"], row["removed"]) for row in rows}


def _since(before: Written, after: Written) -> Written:
    """What was written between two looks; tables without a row of it are left out."""
    written: Written = {}
    for name, counts in after.items():
        added, changed, removed = map(sub, counts, before.get(name, (0, 0, 0)))
        if added or changed or removed:
            written[name] = (added, changed, removed)
    return written


def _said(events: OutboxRows) -> list[dict[str, Any]]:
    rows = [dict(zip(COLUMNS, row, strict=False)) for row in events.rows]
    names = ("topic", "type", "key", "subject")
    return [{**{name: row[name] for name in names}, "data": hide(orjson.loads(row["data"]))} for row in rows]
