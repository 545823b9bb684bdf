"""*Find*: one box for every name; what it finds is shown with the page or the command that shows more."""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from console.pages import page, see, table
from console.reading import Reader
from console.routes import Route, get
from console.sentences import sentence_in
from console.tables import Column, view_of
from console.visits import Visit
from ops.shell.ways import order_path, way_of_thing
from shared.clock import now
from shared.operators.finding import read_word

COLUMNS: Final = (
    Column("kind", "Kind", "code"),
    Column("name", "Name", "id"),
    Column("says", "What it is"),
    Column("service", "Service", "code"),
    Column("command", "Command", "command"),
)
LONGEST: Final = 200
REFUSED: Final = "dead_letter"


def routes(reader: Reader) -> list[Route]:
    """The routes of this module."""
    return [get("/find", partial(show, reader), "ops:read")]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """What the word names. Of one order that leads to it, where what was refused of it stands too."""
    word = read_word(request.query_params.get("word", "")[:LONGEST])
    if not word.text:
        return page(request, visit, "find.html", word="", unreadable={}, shown=None, columns=COLUMNS)
    finds = await reader.find(word)
    things = [each for each in finds.found if each.kind != REFUSED]
    if [each.kind for each in things] == ["order"] and not finds.unreadable:
        return see(order_path(things[0].name))
    rows = [
        {
            **each.to_document(),
            "says": sentence_in(visit.language, each.says),
            "way": way_of_thing(each.kind, each.name, each.command),
        }
        for each in finds.found
    ]
    view = view_of(request.query_params, COLUMNS, ("word",))
    shows = partial(page, request, visit, "find.html", word=word.text, unreadable=finds.unreadable)
    return table(request, rows, COLUMNS, view, "found", now(), shows)
