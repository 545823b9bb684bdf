"""*Needs somebody*: what `pawl todo` and `pawl status` say, with a way to each of it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.pages import page, table
from console.reading import Reader
from console.routes import Route, get
from console.tables import Column, Row, view_of
from console.texts import translate
from console.visits import Visit
from console.ways import find_path, way_of
from ops.watch.status import Status
from shared.operators.todo import Group

COLUMNS: Final = (
    Column("cause", "Cause", "code"),
    Column("count", "Things", "count"),
    Column("won", "Won", "won"),
    Column("age", "Oldest", "age"),
    Column("who", "Who", "code"),
    Column("overdue", "Overdue", "count"),
    Column("due", "Next due", "instant"),
    Column("service", "Service"),
    Column("reason", "Reason"),
    Column("command", "Command", "command"),
)


def routes(reader: Reader) -> list[Route]:
    """The routes of this module."""
    return [
        get("/needs", partial(show, reader), "ops:read"),
        get("/needs/newer", partial(newer, reader), "ops:read"),
    ]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """The list, the services, and the auditor's last verdict."""
    status = await reader.status()
    rows = [row_of(group, status.at) for group in status.todo.groups]
    return table(
        request,
        rows,
        COLUMNS,
        view_of(request.query_params, COLUMNS),
        "needs-somebody",
        status.at,
        partial(page, request, visit, "needs.html", **_around(status)),
    )


def _around(status: Status) -> dict[str, Any]:
    groups = status.todo.groups
    return {
        "services": [service_of(status, name) for name in status.lives],
        "verdict": status.verdict,
        "unreadable": status.todo.unreadable,
        "things": sum(group.count for group in groups),
        "overdue": sum(group.overdue for group in groups),
        "mark": mark_of(groups),
    }


async def newer(reader: Reader, request: Request, visit: Visit) -> Response:
    """Nothing while the list is the one that the page shows; else a sentence, and a way to it."""
    status = await reader.status()
    if request.query_params.get("of") == mark_of(status.todo.groups):
        return Response(status_code=204)
    text = translate(visit.language, "Newer is there: read again")
    return HTMLResponse(f'<a class="newer" href="/needs">{text}</a>')


def service_of(status: Status, name: str) -> dict[str, Any]:
    """How a service is: alive or why not, and how many seconds it is behind."""
    life, lag = status.lives[name], status.behind.get(name)
    return {
        "name": name,
        "state": life.status,
        "why": life.why,
        "reading": lag.reading.seconds if lag is not None and status.has_topics else None,
        "publishing": lag.outbox.seconds if lag is not None else None,
    }


def row_of(group: Group, now: datetime) -> Row:
    """A group as a row; `way` is the page of its oldest member."""
    return {
        "cause": group.code,
        "count": group.count,
        "won": group.won,
        "age": now - group.since,
        "who": group.who,
        "overdue": group.overdue,
        "late": None if group.overdue_since is None else now - group.overdue_since,
        "due": group.due,
        "service": group.service,
        "reason": group.reason,
        "command": group.command,
        "members": group.members,
        "way": way_to(group),
    }


def way_to(group: Group) -> str:
    """The page on which to begin: that of the command, or what the oldest member is; empty without any."""
    return way_of(group.command) or (find_path(group.members[0]) if group.members else "")


def mark_of(groups: Sequence[Group]) -> str:
    """Equal for lists that tell the same, whenever they were read."""
    told = [(g.service, g.code, g.reason, g.count, g.won, g.overdue, *g.members) for g in groups]
    return sha256(orjson.dumps(told)).hexdigest()[:16]
