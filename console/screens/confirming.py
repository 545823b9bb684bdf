"""What would be done is shown, with a reason to give before it is done: one page for every decision."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from console.formats import won
from console.pages import page
from console.visits import Visit
from shared.ids import uuid7


class Said(NamedTuple):
    """A line of what would be: its name as people read it, what it is, and the page that shows it."""

    name: str
    text: str
    way: str = ""


class Notice(NamedTuple):
    """A sentence that has to be read first. `kind` is "", "bad" or "good"."""

    text: str
    kind: str = ""


class Plan(NamedTuple):
    """What would be done: `path` and `fields` do it, the `button` says what it does.

    Without a `path` it can only be read. `events` are types of the events that would follow.
    `asks_open_refunds` adds the box that issues payments whole whose refund is in progress.
    """

    title: str
    back: str
    back_to: str
    lines: Sequence[Said]
    notices: Sequence[Notice] = ()
    events: Sequence[str] = ()
    path: str = ""
    fields: Mapping[str, str] = {}
    button: str = ""
    asks_open_refunds: bool = False


def confirm(request: Request, visit: Visit, plan: Plan) -> Response:
    """The page of a plan; nothing is done yet."""
    return page(request, visit, "confirm.html", plan=plan, key=str(uuid7()))


def events_of(answer: Mapping[str, Any]) -> list[str]:
    """The types of the events that an answer names."""
    return [event["type"] for event in answer["events"]]


def supply_and_vat(each: Mapping[str, Any]) -> str:
    """`₩160,000 + ₩16,000`."""
    return f"{won(each['supply'])} + {won(each['vat'])}"
