"""*Audit log*: who changed what, when and why, over the four services."""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from console.pages import page, table
from console.reading import Reader
from console.routes import Route, get
from console.tables import Column, Row, view_of
from console.visits import Visit
from ops.watch.audit_log import Entry
from shared.clock import now

MOST: Final = 1_000
"""So many of the newest entries are read."""
LONGEST: Final = 200
COLUMNS: Final = (
    Column("at", "Time", "instant"),
    Column("actor", "Who", "id"),
    Column("action", "What", "code"),
    Column("target", "Of what", "id"),
    Column("reason", "Reason"),
    Column("result", "Result", "code"),
    Column("service", "Service"),
    Column("request", "Request", "id"),
)
SHOWN: Final = ("at", "actor", "action", "target", "reason", "result", "service")
"""What fits on a page; files have all of it."""


def routes(reader: Reader) -> list[Route]:
    """The routes of this module."""
    return [get("/audit", partial(show, reader), "ops:read")]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """The newest entries; of one person, or about one thing, where the address says so."""
    query = request.query_params
    chosen = {name: query.get(name, "")[:LONGEST].replace("\0", "") for name in ("actor", "target")}
    read_at = now()
    found = await reader.audited(chosen["actor"] or None, chosen["target"] or None, MOST)
    shows = partial(
        page,
        request,
        visit,
        "audit.html",
        fitting=[column for column in COLUMNS if column.name in SHOWN],
        unreadable=found.unreadable,
        has_more=len(found.entries) == MOST,
        actor=chosen["actor"],
        target=chosen["target"],
    )
    rows = [row_of(entry) for entry in found.entries]
    return table(
        request, rows, COLUMNS, view_of(query, COLUMNS, ("actor", "target")), "audit", read_at, shows
    )


def row_of(entry: Entry) -> Row:
    """An entry as a row."""
    return {
        **{column.name: getattr(entry, column.name) for column in COLUMNS},
        "action": entry.action.replace(".", " "),
        "way": "",
    }
