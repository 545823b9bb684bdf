"""The audit log: what people changed, in the transaction that changed it. Rows are only added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson

from shared.ids import uuid7
from shared.postgres import Connection
from shared.queries import load
from shared.runtime.commands import Command, CommandOutcome, Done
from shared.runtime.decisions import ByPerson

SQL = load("shared.runtime")


@dataclass(slots=True, frozen=True)
class AuditEntry:
    """One thing that somebody did. `id` is the cause of the events that followed, `result` is `done` or a
    code.

    `target` begins with the key. `request` is the id of the request in the logs, or that of the event by
    which checkout told what somebody did. `before` and `after` hold no secret: whoever may look at the audit
    log may not always look at those.
    """

    id: UUID
    actor: str
    action: str
    target: str
    reason: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    result: str = "done"
    request: str = ""


def entry_of(command: Command[Any], outcome: CommandOutcome) -> AuditEntry:
    """What the audit log keeps of a command, also of one that was refused."""
    target = command.key if command.subject == command.key else f"{command.key} {command.subject}"
    entry = AuditEntry(
        UUID(command.id), command.actor, command.type, target, command.reason, request=command.request
    )
    if isinstance(outcome, Done):
        return replace(entry, before=outcome.before, after=outcome.after)
    return replace(entry, result=outcome.problem.kind.code)


def entry_of_event(event_id: str, told: ByPerson) -> AuditEntry:
    """What the audit log keeps of a change that an event of checkout tells of."""
    return AuditEntry(uuid7(), **told._asdict(), request=event_id)


async def write_audit(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Adds entries to the audit log, in the transaction of what they tell."""
    if entries:
        rows = [
            (
                e.id,
                e.actor,
                e.action,
                e.target,
                e.reason,
                _json(e.before),
                _json(e.after),
                e.result,
                e.request,
            )
            for e in entries
        ]
        await connection.execute(SQL.add_to_audit_log, *[list(column) for column in zip(*rows, strict=True)])


def _json(document: Mapping[str, Any] | None) -> str | None:
    return None if document is None else orjson.dumps(document).decode()
