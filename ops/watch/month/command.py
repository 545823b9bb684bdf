"""The command `pawl month`."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json, tell_unreadable
from ops.shell.problem import Exit, Problem
from ops.shell.system import System, find_system
from ops.shell.tokens import token_for
from ops.watch.month.asking import SCOPE, exit_code_of, is_empty, read_elsewhere, read_month
from ops.watch.month.text import print_month
from ops.watch.todo.command import present_moment
from shared.kst import parse_month

FEW: Final = 10
ALL: Final = 1_000
"""The service names no more than that."""

Invoices = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="The invoices service, where `pawl up` did not start it.", show_default=False
    ),
]


def month(
    month: Annotated[str, typer.Argument(help="A KST month, like 2011-03.")],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="RFC3339", help="As it would be closed then (default: now).", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=ALL, help=f"How many of each to name (default: {FEW}, of JSON {ALL:,})."),
    ] = None,
    invoices: Invoices = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show a month before it is issued: documents to be, merges, who is left out, and what blocks the close.

    It is the close itself, tried out: nothing is changed. Of a closed month it shows what was issued, who
    closed it and why. Exit code 0: it can be closed, or is; 5: something blocks the close; 4: it is empty.

    Example: [bold]pawl month 2011-03[/bold]

    Example: [bold]pawl month 2011-03 --json | jq .blockers[0].command[/bold]
    """
    require_month(month)
    instant = None if at is None else require_instant(at)
    most = limit or (ALL if as_json else FEW)
    found = look_at_month(month, instant, most, invoices, directory, token_file, postgres=postgres)
    show_month(found, as_json, how_to_close(found))
    code = exit_code_of(found)
    if code != Exit.OK:
        raise typer.Exit(code)


def look_at_month(
    month: str,
    at: datetime | None,
    limit: int,
    invoices: str | None,
    directory: Path | None,
    token_file: Path | None,
    *,
    postgres: str | None = None,
    actor: str | None = None,
) -> dict[str, Any]:
    """How the month stands, with what waits in other services. Raises Problem."""
    where = _where(invoices, postgres, directory)
    url = invoices_url(invoices, directory)
    token = token_for(SCOPE, directory, token_file, actor)

    async def read() -> dict[str, Any]:
        found, elsewhere = await asyncio.gather(
            read_month(url, month, at, limit, token), read_elsewhere(where, present_moment())
        )
        return found | elsewhere

    return asyncio.run(read())


def _where(invoices: str | None, postgres: str | None, directory: Path | None) -> System | None:
    """The system whose other services are asked; None for a service elsewhere without its database."""
    if invoices is not None and postgres is None:
        return None
    return find_system(None, postgres, directory)


def invoices_url(given: str | None, directory: Path | None) -> str:
    """Where the invoices service is. Raises Problem when that is not known."""
    return (given or find_system(directory=directory).service("invoices").base_url).rstrip("/")


def how_to_close(month: dict[str, Any]) -> str:
    """How a month is closed: in one stroke, or approved by one person and issued by another."""
    close = f"pawl close {month['month']}"
    if month.get("in_steps"):
        first, then = (f"{close} {step} --reason WHY --yes" for step in ("approve", "issue"))
        return f"Approve it: {first}\nThen issue it: {then}"
    return f"Close it: {close} --reason WHY --yes"


def show_month(found: dict[str, Any], as_json: bool, then: str) -> None:
    """Prints the month, and what to do next where it can be closed. Raises Problem for an empty one."""
    if as_json:
        print_json(found)
    elif is_empty(found):
        raise Problem(
            f"No payment of {found['month']} was or will be invoiced.",
            f"Documents of it that modify others: pawl close {found['month']} status. "
            "What waits for finance: pawl todo --who finance",
            Exit.NOTHING_MATCHED,
        )
    else:
        console = Console()
        print_month(console, found)
        if found["state"] in ("open", "interrupted"):
            console.print(f"\n{then}", soft_wrap=True, highlight=False, markup=False)
    tell_unreadable(found["unreadable"])


def require_month(text: str) -> None:
    """Raises Problem (exit code 2) for a text that is not a month."""
    try:
        parse_month(text)
    except ValueError as error:
        raise Problem(
            f"{text!r} is not a month: {error}.", "For example: pawl month 2011-03", Exit.USAGE
        ) from None


def require_instant(text: str) -> datetime:
    """The instant. Raises Problem (exit code 2) for a text that is none, or has no offset."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Problem(
            f"{text!r} is not an instant with an offset.",
            "For example: --at 2011-04-05T18:00:00+09:00",
            Exit.USAGE,
        )
    return instant
