"""The audit log: what people changed, in the transaction that changed it. Rows are only added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson

from shared.postgres import Connection
from shared.queries import load
from shared.runtime.commands import Command, CommandOutcome, Done

SQL = load("shared.runtime")


@dataclass(slots=True, frozen=True)
class AuditEntry:
    """One thing that somebody did. `id` is the cause of the events that followed, `result` is `done` or a
    code.

    `before` and `after` hold no secret: whoever may look at the audit log may not always look at those.
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
    entry = AuditEntry(
        UUID(command.id), command.actor, command.type, command.key, command.reason, request=command.request
    )
    if isinstance(outcome, Done):
        return replace(entry, before=outcome.before, after=outcome.after)
    return replace(entry, result=outcome.problem.kind.code)


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
