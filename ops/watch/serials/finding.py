"""`pawl serials find`: which serial somebody has in hand. It is asked for without echo, and never printed."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ops.shell.databases import Where, connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.decide.answers import Actor, Asker, BaseUrl
from shared.documents import as_json as document_of
from shared.operators.commands import pawl
from shared.operators.finding import LAST_FOUR
from shared.queries import load

SQL = load("services.serials")
SCOPE: Final = "serials:manage"


def find(
    last_four: Annotated[
        str | None,
        typer.Option(metavar="ABCD", help="Its last four characters; with --order.", show_default=False),
    ] = None,
    order: Annotated[
        str | None, typer.Option(metavar="ID", help="The order that it was issued for.", show_default=False)
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Why a whole serial is looked up; it is kept.", show_default=False)
    ] = "",
    actor: Actor = None,
    url: BaseUrl = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Say which serial it is: its id, state and order, and what can be done about it.

    The serial is asked for and not shown. Who looked it up, and why, stands in the custody log.
    With --last-four nobody needs to know the rest. Ends with exit code 4 when there is none.

    Example: [bold]pawl serials find --reason "a customer called"[/bold]

    Example: [bold]pawl serials find --last-four GHZA --order A-1001[/bold]
    """
    system = find_system(None, postgres, directory)
    if last_four is None and order is None:
        asker = Asker(system, url, directory, token_file, actor)
        found = [_typed(asker, reason)]
    else:
        found = asyncio.run(read_ending(system, *_require_both(last_four, order)))
    if as_json:
        print_json({"serials": found})
    else:
        _print(found)


async def read_ending(where: Where, last_four: str, order_id: str) -> list[dict[str, Any]]:
    """The serials of an order that end like this, as JSON. Raises Problem where there are none."""
    async with connected({"serials": urls_of(where)["serials"]}) as connections:
        rows = await connections["serials"].fetch(SQL.find_last_four, order_id, last_four)
    if not rows:
        raise Problem(
            f"No serial of order {order_id} ends with {last_four}.",
            f"What was issued for it: {pawl('order', order_id)}",
            Exit.NOTHING_MATCHED,
        )
    return [document_of(row) for row in rows]


def _typed(asker: Asker, reason: str) -> dict[str, Any]:
    if not reason.strip():
        raise Problem(
            "Looking a serial up needs a reason, which is kept.", 'Give it: --reason "why"', Exit.USAGE
        )
    typed = typer.prompt("Serial (not shown)", hide_input=True, err=True)
    body = {"serial": typed, "reason": reason.strip()}
    again = "Type it again, or look for its end: pawl serials find --last-four ABCD --order ID"
    found: dict[str, Any] = asker.ask("serials", SCOPE, "/v1/serials/find", body, again)
    return found


def _require_both(last_four: str | None, order: str | None) -> tuple[str, str]:
    if last_four is None or order is None or len(last_four) != LAST_FOUR:
        raise Problem(
            "The end of a serial has four characters, and an order.",
            "For example: pawl serials find --last-four GHZA --order A-1001",
            Exit.USAGE,
        )
    return last_four.upper(), order.replace("\0", "")


def _print(found: Sequence[Mapping[str, Any]]) -> None:
    console = Console()
    for serial in found:
        line = f"serial {serial['serial_id']}  ...{serial['last_four']}  {serial['state']}"
        console.print(f"{line}  order {serial['order_id']}", soft_wrap=True, highlight=False, markup=False)
    active = [serial["serial_id"] for serial in found if serial["state"] == "active"]
    if active:
        command = pawl("serials", "reissue", active[0], "--reason", "WHY")
        console.print(f"lost or leaked? {command}", soft_wrap=True, highlight=False, markup=False)
