"""`pawl gaps`: records that a service never read, what to do about them, and closing them with a reason."""

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console

from ops.shell.asking import tell
from ops.shell.databases import Urls, connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.shell.tokens import token_for
from ops.watch.dead.options import Actor, BaseUrl, Reason, ServiceName, base_url, require_reason
from shared.events.catalogue import SERVICES, UPSTREAM
from shared.kst import wire_time
from shared.queries import load

SQL = load("ops.watch")
CHANGE = "ops:write"
RUNBOOK = "docs/runbooks/records-missed.md"

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Records that were deleted or passed over before a service read them; close what is dealt with.",
)


@app.command()
def ls(
    service: ServiceName = None,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List the records that a service never read, and what to do about them.

    Exit code 5 when there are any.

    Example: [bold]pawl gaps ls[/bold]
    """
    if service is not None and service not in SERVICES:
        raise Problem(f"There is no service {service!r}.", f"One of: {', '.join(SERVICES)}", Exit.USAGE)
    urls = urls_of(find_system(None, postgres, directory))
    found = asyncio.run(read_gaps(urls, service, everything))
    if as_json:
        print_json({"gaps": found})
    else:
        for line in [line for gap in found for line in lines_of(gap)] or ["No record was missed."]:
            Console().print(line, soft_wrap=True, highlight=False, markup=False)
    if any(gap["closed_at"] is None for gap in found):
        raise typer.Exit(Exit.SOMETHING_WAITS)


@app.command()
def close(
    name: Annotated[str, typer.Argument(help="Like orders:3.")],
    reason: Reason = "",
    actor: Actor = None,
    directory: Directory = None,
    url: BaseUrl = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Close a gap once its records are told again, or nobody needs them; who and why are kept.

    Example: [bold]pawl gaps close orders:3 --reason "the shop has sent that hour again"[/bold]
    """
    require_reason(reason)
    service, number = parse_gap(name)
    token = token_for(CHANGE, directory, token_file, actor)
    place = f"{base_url(service, url, directory)}/v1/ops/gaps/{number}/close"
    closed = asyncio.run(tell(place, {"reason": reason}, token, CHANGE, "See: pawl gaps ls --all"))
    if as_json:
        print_json({"name": name, **closed})
    else:
        print(f"{name} was closed by {closed['closed_by']}: {closed['close_reason']}")


def parse_gap(name: str) -> tuple[str, int]:
    """Service and number of a gap. Raises Problem (exit code 2) where the text names none."""
    service, _, number = name.partition(":")
    if service not in SERVICES or not (number.isascii() and number.isdigit()):
        raise Problem(f"{name!r} names no gap.", "They look like orders:3; see: pawl gaps ls", Exit.USAGE)
    return service, int(number)


async def read_gaps(urls: Urls, only: str | None, everything: bool) -> list[dict[str, Any]]:
    """The gaps of all services, or of one, oldest first. Raises Problem."""
    found: list[dict[str, Any]] = []
    async with connected(urls) as connections:
        for service, connection in connections.items():
            if only in (None, service):
                rows = await connection.fetch(SQL.gaps, everything)
                found += [_document(service, dict(row)) for row in rows]
    return found


def _document(service: str, row: dict[str, Any]) -> dict[str, Any]:
    at = ("since", "last_read_at", "closed_at")
    texts = {name: wire_time(row[name]) if row[name] is not None else None for name in at}
    document = {"name": f"{service}:{row.pop('id')}", "service": service, **row, **texts}
    return {**document, "next": next_step(document)}


def next_step(gap: dict[str, Any]) -> str:
    """What to do about a gap."""
    if gap["closed_at"] is not None:
        return ""
    when = gap["last_read_at"] or "the last record that was read"
    if gap["topic"] == UPSTREAM:
        span = f"between {when} and {gap['since']}"
        who = f"have checkout say again what it said {span}; what is known is not redone"
    else:
        who = f"have {gap['topic'].partition('.')[0]} publish again what it said since {when} ({RUNBOOK})"
    return f"{who}; then: pawl gaps close {gap['name']} --reason WHY"


def lines_of(gap: dict[str, Any]) -> list[str]:
    """A gap as people read it."""
    records = gap["to_offset"] - gap["from_offset"]
    place = f"{gap['topic']}/{gap['partition']} from {gap['from_offset']} up to {gap['to_offset']}"
    how = "deleted before they were read" if gap["kind"] == "deleted" else "passed over: the group was moved"
    line = f"{gap['name']:<12}{place}: {records:,} records {how}, noticed {gap['since']}"
    if gap["closed_at"] is not None:
        return [line, f"            closed by {gap['closed_by']} {gap['closed_at']}: {gap['close_reason']}"]
    return [line, f"            → {gap['next']}"]
