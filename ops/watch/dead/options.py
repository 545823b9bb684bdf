"""Options that the commands of `pawl dead` share, and what each of them needs: a reason, an address."""

from pathlib import Path
from typing import Annotated

import typer

from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system

ServiceName = Annotated[
    str | None, typer.Option("--service", help="Only this service.", metavar="NAME", show_default=False)
]
Code = Annotated[str | None, typer.Option("--code", help="Only this code or kind.", show_default=False)]
Type = Annotated[str | None, typer.Option("--type", help="Only this event type.", show_default=False)]
Key = Annotated[
    str | None, typer.Option("--key", help="Only this record key (order id).", show_default=False)
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--url", help="The service's base URL, where `pawl up` did not start it.", show_default=False
    ),
]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the record.", show_default=False)]
Actor = Annotated[
    str | None, typer.Option(help="Who, where no token says it (default: $USER).", show_default=False)
]


def require_reason(reason: str) -> None:
    """Raises Problem (exit code 2) where nobody says why."""
    if not reason.strip():
        raise Problem("This needs a reason, which is kept.", 'Give --reason "why it is right"', Exit.USAGE)


def base_url(service: str, url: str | None, directory: Path | None) -> str:
    """Where the service answers. Raises Problem when that is not known."""
    return (url or find_system(directory=directory).service(service).base_url).rstrip("/")
