"""*Audit log*: who changed what, when and why, over the four services."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from console.pages import page, table
from console.reading import Reader
from console.routes import Route, get
from console.sentences import action_in
from console.tables import Column, Row, view_of
from console.visits import Visit
from ops.shell.problem import Exit, Problem
from ops.shell.ways import find_path, month_path
from ops.watch.audit_log import Entry
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.kst import start_of_day

MOST: Final = 1_000
"""So many of the newest entries are read."""
LONGEST: Final = 200
CHOICES: Final = ("actor", "target", "since", "until", "service")
"""What an address may ask for; `since` and `until` are days in Seoul."""
COLUMNS: Final = (
    Column("at", "Time", "instant"),
    Column("actor", "Who", "id"),
    Column("action", "What", "code"),
    Column("target", "Of what", "id"),
    Column("reason", "Reason"),
    Column("result", "Result", "code"),
    Column("service", "Service", "code"),
    Column("request", "Request", "id"),
)
SHOWN: Final = ("at", "actor", "action", "target", "reason", "result", "service")
"""What fits on a page; files have all of it."""
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")


def routes(reader: Reader) -> list[Route]:
    """The routes of this module."""
    return [get("/audit", partial(show, reader), "ops:read")]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """The newest entries; of a person, about a thing, of a time, of a service, as the address says.

    Raises Problem for a day that is none.
    """
    query = request.query_params
    chosen = {name: query.get(name, "").strip()[:LONGEST].replace("\0", "") for name in CHOICES}
    since, before = times_of(chosen)
    service = chosen["service"] if chosen["service"] in SERVICES else ""
    read_at = now()
    found = await reader.audited(
        chosen["actor"] or None, chosen["target"] or None, MOST, since, before, service or None
    )
    shows = partial(
        page,
        request,
        visit,
        "audit.html",
        fitting=[column for column in COLUMNS if column.name in SHOWN],
        unreadable=found.unreadable,
        action=partial(action_in, visit.language),
        most=MOST if len(found.entries) == MOST else 0,
        chosen=chosen,
        services=SERVICES,
        is_chosen=any(chosen.values()),
    )
    rows = [row_of(entry) for entry in found.entries]
    return table(request, rows, COLUMNS, view_of(query, COLUMNS, CHOICES), "audit", read_at, shows)


def times_of(chosen: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """From the begin of a day in Seoul to the end of another, each where it is said. Raises Problem."""
    first, last = _day_of(chosen["since"]), _day_of(chosen["until"])
    return (
        None if first is None else start_of_day(first),
        None if last is None else start_of_day(last + timedelta(days=1)),
    )


def _day_of(text: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.max
    if not 2000 <= day.year < 2200:
        raise Problem(f"{text!r} is no day of these centuries.", "A day is like 2026-11-30.", Exit.USAGE)
    return day


def row_of(entry: Entry) -> Row:
    """An entry as a row."""
    return {
        **{column.name: getattr(entry, column.name) for column in COLUMNS},
        "way": way_to(entry.target),
    }


def way_to(target: str) -> str:
    """Where a target is looked at: a month, or what it names; of two words the second says it closer."""
    first, _, second = target.partition(" ")
    if second and (_ID.fullmatch(second) or _MONTH.fullmatch(first)):
        return find_path(second)
    if _MONTH.fullmatch(target):
        return month_path(target)
    return find_path(target) if target else ""
