"""*From when on*: the thresholds by which the list of what needs somebody is made, and who chose them."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from console.asking import reason_of
from console.keeping import LONGEST, NAMES, Choice, Keeping, Name
from console.pages import page, see, table
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.tables import Column, Row, view_of
from console.visits import Visit
from ops.shell.problem import Exit, Problem
from shared.clock import now
from shared.operators.todo import Thresholds

PATH: Final = "/needs/thresholds"
DONE: Final = f"{PATH}?done=chosen"
UNITS: Final[Mapping[Name, tuple[str, timedelta]]] = {
    "waiting": ("minutes", timedelta(minutes=1)),
    "grant": ("minutes", timedelta(minutes=1)),
    "deposit": ("hours", timedelta(hours=1)),
    "quarantine": ("days", timedelta(days=1)),
}
"""In what each threshold is said."""
COLUMNS: Final = (
    Column("set_at", "Time", "instant"),
    Column("person", "Who", "id"),
    Column("threshold", "Threshold", "code"),
    Column("value", "Value", "count"),
    Column("unit", "Unit", "code"),
    Column("reason", "Reason"),
)


class Shown(NamedTuple):
    """A threshold as the page shows it, in its unit."""

    name: Name
    unit: str
    value: str
    configured: str

    @property
    def differs(self) -> bool:
        return self.value != self.configured


def routes(reader: Reader) -> list[Route]:
    """The routes of this module."""
    return [get(PATH, partial(show, reader), "ops:read"), post(PATH, partial(choose, reader), "ops:write")]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """What counts, what is configured, and who chose what. Raises Unreadable."""
    counts = await reader.thresholds()
    rows = [row_of(choice) for choice in await keeping_of(reader).choices()]
    return table(
        request,
        rows,
        COLUMNS,
        view_of(request.query_params, COLUMNS),
        "thresholds",
        now(),
        partial(
            page,
            request,
            visit,
            "thresholds.html",
            thresholds=shown_of(counts, reader.configured),
            done=request.query_params.get("done") == "chosen",
        ),
    )


async def choose(reader: Reader, request: Request, visit: Visit, form: Form) -> Response:
    """Somebody chooses thresholds, and says why. Raises Problem."""
    reason = reason_of(form)
    counts = await reader.thresholds()
    chosen = {
        name: None if span == getattr(reader.configured, name) else span
        for name, span in spans_of(form, reader.configured).items()
        if span != getattr(counts, name)
    }
    if not chosen:
        raise Problem("No threshold was changed.", "Go back and change one.", Exit.USAGE)
    await keeping_of(reader).choose(chosen, visit.person.id, reason)
    reader.forget()
    return see(DONE)


def keeping_of(reader: Reader) -> Keeping:
    """Where thresholds are kept. Raises Problem where nowhere."""
    if reader.keeping is None:
        raise Problem("This console keeps no thresholds.", "Run: pawl migrate")
    return reader.keeping


def shown_of(counts: Thresholds, configured: Thresholds) -> list[Shown]:
    """Each threshold in its unit."""
    return [
        Shown(name, UNITS[name][0], said(getattr(counts, name), name), said(getattr(configured, name), name))
        for name in NAMES
    ]


def said(span: timedelta, name: Name) -> str:
    """`10`, `1.5`: a span in the unit of a threshold."""
    return f"{span / UNITS[name][1]:.4g}"


def spans_of(form: Mapping[str, str], configured: Thresholds) -> dict[Name, timedelta]:
    """What a form says of each threshold; an empty one is as configured. Raises Problem."""
    return {
        name: span_of(text, name) if (text := form.get(name, "").strip()) else getattr(configured, name)
        for name in NAMES
    }


def span_of(text: str, name: Name) -> timedelta:
    """A number in the unit of a threshold, to the minute. Raises Problem for what is none."""
    try:
        span = float(text) * UNITS[name][1]
    except (ValueError, OverflowError):
        span = timedelta(-1)
    if not timedelta(0) <= span <= LONGEST:
        raise Problem(
            f"{text!r} is not from 0 to 365 days.", f"Go back and say how many {UNITS[name][0]}.", Exit.USAGE
        )
    return timedelta(minutes=round(span / timedelta(minutes=1)))


def row_of(choice: Choice) -> Row:
    """A choice as a row."""
    value = None if choice.span is None else float(said(choice.span, choice.name))
    row: dict[str, Any] = {
        "set_at": choice.set_at,
        "person": choice.person,
        "threshold": choice.name,
        "value": int(value) if value is not None and value.is_integer() else value,
        "unit": "as configured" if choice.span is None else UNITS[choice.name][0],
        "reason": choice.reason,
        "way": "",
    }
    return row
