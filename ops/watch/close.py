"""`pawl close 2011-03`: closes a month in the invoices service."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ops.shell.http_client import fetch
from ops.shell.options import Directory, Json
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from shared.kst import parse_month, wire_time

CLOSE_SECONDS = 600.0
REFUSED = {400: Exit.USAGE, 409: Exit.FAILED}


async def close_month(invoices_url: str, month: str, at: datetime | None) -> dict[str, Any]:
    """Closes the month at that instant (None: now) and returns its totals. Safe to repeat. Raises Problem."""
    command = orjson.dumps({"at": None if at is None else wire_time(at)})
    answer = await fetch(f"{invoices_url}/months/{month}/close", command, CLOSE_SECONDS)
    if answer.status == 200:
        summary: dict[str, Any] = orjson.loads(answer.text)
        return summary
    if answer.status == 0:
        raise Problem(
            f"The invoices service does not answer at {invoices_url}: {answer.text}",
            "Is it running (pawl up)? Or name it: --invoices URL. A close can be repeated safely.",
        )
    raise Problem(
        f"{month} was not closed: {_detail(answer.text)}",
        "This issued nothing. Close it later, or give an instant: --at 2026-11-05T18:00:00+09:00",
        REFUSED.get(answer.status, Exit.FAILED),
    )


def _detail(text: str) -> str:
    try:
        return str(orjson.loads(text)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return text[:300]


def close(
    month: Annotated[str, typer.Argument(help="A KST month, like 2011-03.")],
    at: Annotated[
        str | None,
        typer.Option(metavar="RFC3339", help="The instant of the close (default: now).", show_default=False),
    ] = None,
    invoices: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The invoices service, where `pawl up` did not start it.", show_default=False
        ),
    ] = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Close a month: merge what partners want merged, then issue every document. Safe to repeat.

    Example: [bold]pawl close 2011-03[/bold]

    Example: [bold]pawl close 2011-03 --at 2011-04-05T18:00:00+09:00[/bold]
    """
    require_month(month)
    instant = None if at is None else require_instant(at)
    url = invoices or find_system(directory=directory).service("invoices").base_url
    summary = asyncio.run(close_month(url.rstrip("/"), month, instant))
    if as_json:
        print_json(summary)
    else:
        print_summary(Console(), summary)


def require_month(text: str) -> None:
    """Raises Problem (exit code 2) for a text that is not a month."""
    try:
        parse_month(text)
    except ValueError as error:
        raise Problem(
            f"{text!r} is not a month: {error}.", "For example: pawl close 2011-03", Exit.USAGE
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


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """The month as it is closed now."""
    table = Table(
        title=f"{summary['month']} is closed", title_justify="left", title_style="bold", show_header=False
    )
    table.add_column()
    table.add_column(justify="right")
    new = summary["documents"] - summary["already_issued"]
    table.add_row("documents", f"{summary['documents']:,}")
    table.add_row("  issued by this close", f"{new:,}")
    table.add_row("  merged by month", f"{summary['merged']:,}")
    table.add_row("payments on them", f"{summary['payments']:,}")
    for name in ("supply", "vat", "total"):
        table.add_row(name, f"₩{summary[name]:,}")
    table.add_row("could not be issued", f"{summary['issue_failed']:,}")
    console.print(table)
    if summary["issue_failed"]:
        console.print(
            "Their business number is wrong. Pawl issues them when partner.changed corrects the partner."
        )
