"""`pawl audit`: who changed what, when and why, over the four services."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.text import Text

from ops.shell.databases import Where, read_each
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json, tell_unreadable
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from shared.kst import in_kst, wire_time
from shared.queries import load

SQL = load("ops.watch")
MOST: Final = 20


@dataclass(slots=True, frozen=True)
class Entry:
    """One thing that somebody did. `result` is `done`, `begun` or the code of the refusal, `request` the id
    of the request in the logs, `id` the cause of the events that followed.
    """

    service: str
    at: datetime
    id: str
    actor: str
    action: str
    target: str
    reason: str
    result: str
    request: str
    before: Any
    after: Any

    def to_document(self) -> dict[str, Any]:
        """An entry in the JSON document of `pawl audit --json`."""
        return {
            "at": wire_time(self.at),
            "service": self.service,
            "id": self.id,
            "actor": self.actor,
            "action": self.action,
            "target": self.target,
            "reason": self.reason,
            "result": self.result,
            "request": self.request,
            "before": self.before,
            "after": self.after,
        }


@dataclass(slots=True)
class Audited:
    """The newest entries first. `unreadable`: by service, why its audit log was not read."""

    entries: list[Entry]
    unreadable: dict[str, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `pawl audit --json`."""
        return {"entries": [each.to_document() for each in self.entries], "unreadable": self.unreadable}


async def read_audit_log(
    where: Where,
    actor: str | None = None,
    target: str | None = None,
    most: int = MOST,
    since: datetime | None = None,
    before: datetime | None = None,
    only: str | None = None,
) -> Audited:
    """The newest entries of all services: of one actor, about one target, recorded since an instant and
    before another, of `only` one service, where these are given.

    Raises Problem only when no database is known.
    """

    async def look(service: str, connection: Any) -> Sequence[Any]:
        if only not in (None, service):
            return ()
        rows: Sequence[Any] = await connection.fetch(SQL.audit_entries, actor, target, most, since, before)
        return rows

    found, unreadable = await read_each(where, look)
    rows = [(row["recorded_at"], row["id"], service, row) for service in found for row in found[service]]
    rows.sort(key=lambda each: each[:2], reverse=True)
    return Audited([_entry(service, row) for _, _, service, row in rows[:most]], unreadable)


def _entry(service: str, row: Any) -> Entry:
    before, after = (None if text is None else orjson.loads(text) for text in (row["before"], row["after"]))
    said = {name: row[name] for name in ("actor", "action", "target", "reason", "result", "request")}
    return Entry(service, row["recorded_at"], str(row["id"]), before=before, after=after, **said)


def audit(
    actor: Annotated[
        str | None, typer.Option(metavar="WHO", help="Only what this person did.", show_default=False)
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only what was done to this order, month ...", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest.")] = MOST,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show who changed what, when and why: every change that a person made, in each service.

    Ends with exit code 4 when there is nothing to show.

    Example: [bold]pawl audit --actor finance-kim[/bold]

    Example: [bold]pawl audit --target 2026-10 --json | jq .entries[0].after[/bold]
    """
    found = asyncio.run(read_audit_log(find_system(None, postgres, directory), actor, target, limit))
    if as_json:
        print_json(found.to_document())
    elif found.entries:
        print_audit_log(Console(), found.entries)
    tell_unreadable(found.unreadable)
    if not found.entries:
        _nothing(found, as_json)


def _nothing(found: Audited, as_json: bool) -> None:
    code = Exit.FAILED if found.unreadable else Exit.NOTHING_MATCHED
    if as_json:
        raise typer.Exit(code)
    raise Problem("Nobody has changed anything like that.", "All that is kept: pawl audit --limit 1000", code)


def print_audit_log(console: Console, entries: Sequence[Entry]) -> None:
    """A line for each entry, and one for its reason; the times are those of Seoul."""
    for each in entries:
        went = each.result in ("done", "begun")
        line = Text.assemble(
            (f"{in_kst(each.at):%Y-%m-%d %H:%M:%S}", "dim"),
            f"  {each.actor}  ",
            (each.action, "bold"),
            f" {each.target}",
            ("" if went else f"  refused: {each.result}", "red"),
        )
        console.print(line, soft_wrap=True, highlight=False)
        if each.reason:
            console.print(f"{'':<21}{each.reason}", soft_wrap=True, highlight=False, markup=False)
