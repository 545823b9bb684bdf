"""*Needs somebody*: what `pawl todo` and `pawl status` say, with a way to each of it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from console.formats import Language
from console.keeping import Sample
from console.pages import page, table
from console.reading import NEEDS, Reader, Unreadable, mark_of_groups
from console.routes import Route, get
from console.screens import thresholds
from console.sentences import sentence_in
from console.sparklines import HOUR, spark_of
from console.tables import Column, Row, view_of
from console.visits import Visit
from ops.shell.ways import find_path, way_of
from ops.watch.status import Status
from shared.operators.todo import Group, Thresholds

COLUMNS: Final = (
    Column("cause", "Cause", "code"),
    Column("count", "Things", "count"),
    Column("won", "Won", "won"),
    Column("age", "Oldest", "age"),
    Column("who", "Who", "code"),
    Column("overdue", "Overdue", "count"),
    Column("due", "Next due", "instant"),
    Column("service", "Service", "code"),
    Column("reason", "Reason"),
    Column("command", "Command", "command"),
)


def routes(reader: Reader) -> list[Route]:
    """The routes of this module."""
    return [
        get("/needs", partial(show, reader), "ops:read"),
        *thresholds.routes(reader),
    ]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """The list, the services, and the auditor's last verdict."""
    status = await reader.status()
    counts, samples = await _kept(reader, status.at)
    rows = [row_of(group, status.at, visit.language) for group in status.todo.groups]
    return table(
        request,
        rows,
        COLUMNS,
        view_of(request.query_params, COLUMNS),
        "needs-somebody",
        status.at,
        partial(
            page,
            request,
            visit,
            "needs.html",
            changed=[each for each in thresholds.shown_of(counts, reader.configured) if each.differs],
            **_around(status, samples),
        ),
    )


async def _kept(reader: Reader, at: datetime) -> tuple[Thresholds, Sequence[Sample]]:
    """What the console keeps itself; without it the list is there all the same, by what is configured."""
    try:
        return await reader.thresholds(), await reader.samples(at - HOUR)
    except Unreadable:
        return reader.configured, ()


def _around(status: Status, samples: Sequence[Sample]) -> dict[str, Any]:
    groups = status.todo.groups
    return {
        "services": [
            {
                **service_of(status, name),
                "spark": spark_of((each for each in samples if each.service == name), status.at),
            }
            for name in status.lives
        ],
        "verdict": status.verdict,
        "unreadable": status.todo.unreadable,
        "things": sum(group.count for group in groups),
        "overdue": sum(group.overdue for group in groups),
        "watched": urlencode({"of": NEEDS, "mark": mark_of_groups(groups)}),
    }


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


def row_of(group: Group, now: datetime, language: Language = "en") -> Row:
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
        "reason": sentence_in(language, group.reason),
        "command": group.command,
        "members": group.members,
        "way": way_to(group),
    }


def way_to(group: Group) -> str:
    """The page on which to begin: that of the command, or what the oldest member is; empty without any."""
    return way_of(group.command) or (find_path(group.members[0]) if group.members else "")
