"""`pawl find WORD`: what a word names, over the four services, and the command that shows it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

import services.invoices.find
import services.orders.find
import services.refunds.find
import services.serials.find
from ops.shell.databases import Where, read_each
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json, tell_unreadable
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from shared.operators import reading
from shared.operators.finding import Found, Look, Word, find_document, once, read_word
from shared.queries import load

LOOKS: Final[Mapping[str, Sequence[Look]]] = {
    "orders": services.orders.find.FIND,
    "serials": services.serials.find.FIND,
    "refunds": services.refunds.find.FIND,
    "invoices": services.invoices.find.FIND,
}
"""What can be found in each service."""


@dataclass(slots=True)
class Finds:
    """What a word names. `unreadable`: by service, why its schema was not read."""

    word: Word
    found: list[Found] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `pawl find --json`."""
        return {**find_document(self.word, self.found), "unreadable": self.unreadable}


async def find_everywhere(where: Where, word: Word) -> Finds:
    """What the word names in all services. Raises Problem only when no database is known."""

    async def look(service: str, connection: Any) -> list[Found]:
        return await reading.find(connection, load(f"services.{service}"), LOOKS[service], word)

    found, unreadable = await read_each(where, look)
    return Finds(word, once(each for of_service in found.values() for each in of_service), unreadable)


def find(
    word: Annotated[
        str,
        typer.Argument(
            help="An id, a business number, an e-mail address, a name, or how the name of a partner begins."
        ),
    ],
    order: Annotated[
        str | None,
        typer.Option(metavar="ID", help="WORD is the end of a serial of this order.", show_default=False),
    ] = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Say what a word names, and which command shows it.

    It looks for orders, payments, refunds with their requests and payouts, partners (id, name, e-mail,
    business number with or without hyphens), documents (key, id), grants, serials (id; last four with
    --order), requests to issue, merge or leave, and dead letters (by their order or partner). Ends with exit
    code 4 when nothing has that name.

    Example: [bold]pawl find 116-82-00276[/bold]

    Example: [bold]pawl find GHZA --order A-1001[/bold]
    """
    asked = read_word(word, order)
    if not asked.text:
        raise Problem("An empty word names nothing.", "For example: pawl find A-1001", Exit.USAGE)
    if order is not None and asked.last_four is None:
        raise Problem(
            "With --order the word is the last four characters of a serial.",
            f"For example: pawl find GHZA --order {order}",
            Exit.USAGE,
        )
    finds = asyncio.run(find_everywhere(find_system(None, postgres, directory), asked))
    if as_json:
        print_json(finds.to_document())
    else:
        print_finds(Console(), finds.found)
    tell_unreadable(finds.unreadable)
    if not finds.found:
        _nothing(finds, as_json)


def _nothing(finds: Finds, as_json: bool) -> None:
    code = Exit.FAILED if finds.unreadable else Exit.NOTHING_MATCHED
    if as_json:
        raise typer.Exit(code)
    where = "what could be read" if finds.unreadable else "any service"
    raise Problem(
        f"Nothing in {where} has that name.",
        "Names of partners are found by how they begin; a serial: pawl serials find; an event that waits "
        "or was refused: pawl dead ls --key WORD",
        code,
    )


def print_finds(console: Console, found: Sequence[Found]) -> None:
    """Two lines for each thing: what it is, and the command that shows it."""
    for each in found:
        line = Text.assemble((f"{each.kind:<9}", "bold"), f" {each.name}  {each.says}")
        for text in (line, Text(f"          {each.command}", style="cyan")):
            console.print(text, soft_wrap=True, highlight=False)
