"""The timeline of `pawl order`: what happens to several lines in one step is told once, or line by line."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

from rich.console import Console

from ops.watch.story.model import Change, Dead, Event, Grant, Story
from ops.watch.story.timeline import print_story

AT = datetime(2026, 10, 23, tzinfo=UTC)


def event(type_name: str, **data: Any) -> Event:
    service = {"issuance": "orders", "serials": "serials", "refund": "refunds"}[type_name.split(".")[0]]
    return Event("2026-10-23T09:00:00+09:00", service, f"{service}.events", type_name, "e", AT, data=data)


def units(line_id: str, quantity: int) -> dict[str, Any]:
    return {"grant_id": f"g-{line_id}", "line_id": line_id, "quantity": quantity}


def story(*events: Event) -> Story:
    grants = [Grant(f"g-{n}", n, 30, 30, "issued", [f"AA{n}{each}" for each in "XYZ"]) for n in "12"]
    return Story("A-1", events=list(events), grants=grants)


def shown(told: Story, by_line: bool = False) -> list[str]:
    """The lines of the timeline, without their times."""
    console = Console(width=200, record=True, file=StringIO())
    print_story(console, told, by_line)
    lines = console.export_text().splitlines()
    return [line.split("+0ms ")[1].strip() for line in lines if "+0ms" in line]


TWO = (
    event("issuance.granted.v2", grants=[units("1", 30), units("2", 30)]),
    event("serials.issued.v2", grants=[units("1", 30), units("2", 30)]),
    event(
        "refund.locked.v2",
        lines=[{"line_id": "1", "reason": "issued"}, {"line_id": "2", "reason": "issued"}],
    ),
)


def test_a_step_of_several_lines_is_told_once() -> None:
    assert shown(story(*TWO)) == [
        "orders    issuance granted  x60 of 2 lines",
        "serials   serials issued  x60 of 2 lines  ...AA1X  ...AA1Y  ...AA1Z ...",
        "refunds   refund locked  2 lines  issued",
    ]


def test_a_step_of_several_lines_is_told_line_by_line_when_it_is_asked_for() -> None:
    assert shown(story(*TWO), by_line=True) == [
        "orders    issuance granted  x30 of line 1",
        "orders    issuance granted  x30 of line 2",
        "serials   serials issued  x30 of line 1  ...AA1X  ...AA1Y  ...AA1Z ...",
        "serials   serials issued  x30 of line 2  ...AA2X  ...AA2Y  ...AA2Z ...",
        "refunds   refund locked  line 1  issued",
        "refunds   refund locked  line 2  issued",
    ]


def test_what_a_person_did_stands_before_what_followed_with_who_and_why() -> None:
    told = story(event("issuance.denied.v1", line_id="1", quantity=30, reason="cancelled_by_operator"))
    refused = Change("refunds", AT, "lee", "refund.approve", "A-1 r-1", "", "cannot_decide")
    told.changes = [
        refused,
        Change("orders", AT, "kim", "request.cancel", "A-1 iss-1", "by mistake", "done"),
    ]
    assert shown(told) == [
        "refunds   refund approve by lee  refused: cannot_decide",
        "orders    request cancel by kim: by mistake",
        "orders    issuance denied  x30 of line 1  cancelled_by_operator",
    ]
    assert told.to_document()["changes"][0]["result"] == "cannot_decide"


def test_events_of_lines_that_an_earlier_version_said_are_told_as_they_are() -> None:
    told = story(
        event("issuance.granted.v1", **units("1", 30)),
        event("serials.issued.v1", **units("1", 30)),
        event("refund.locked.v1", line_id="1", reason="issued"),
    )
    assert shown(told) == [
        "orders    issuance granted  x30 of line 1",
        "serials   serials issued  x30 of line 1  ...AA1X  ...AA1Y  ...AA1Z ...",
        "refunds   refund locked  issued",
    ]


def test_the_document_of_a_story_has_the_lines_of_each_step() -> None:
    old = event("issuance.granted.v1", order_id="A-1", **units("1", 30))
    events = story(old, *TWO).to_document()["events"]

    assert [each["lines"][-1]["line_id"] for each in events] == ["1", "2", "2", "2"]
    assert events[0]["lines"] == [units("1", 30)]


def test_how_a_dead_letter_ended_is_a_step_of_the_story() -> None:
    dead = Dead(
        *("orders", 17, "out_of_range", "/lines", "5 is wrong", "checkout.events", "issuance.requested.v1"),
        *("evt-1", "edited", AT, AT, "kim", "a typo", "0199"),
    )
    told = story()
    told.dead = [dead]

    assert shown(told) == [
        "orders    ✖ issuance requested: out_of_range /lines 5 is wrong  → pawl dead show orders:17",
        "orders    orders:17 edited as 0199 by kim: a typo",
    ]
