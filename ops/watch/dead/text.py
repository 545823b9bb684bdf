"""What a person reads about dead letters and parked events."""

from collections.abc import Sequence
from typing import Any

import orjson
from rich.console import Console

from ops.watch.dead.names import Name
from shared.events.catalogue import UPSTREAM


def print_groups(console: Console, found: Sequence[dict[str, Any]]) -> None:
    """A line for each cause."""
    for group in found:
        cause = f"{group['code']} {group['pointer']}".rstrip()
        line = f"{group['count']:>7,} {group['kind']:<6} {group['service']:<8} {group['type']:<26} {cause}"
        newest = group["newest"][:19].replace("T", " ")
        console.print(f"{line}  newest {newest}  {group['example']}", soft_wrap=True, highlight=False)
    console.print(f"Look at one: [bold]pawl dead show {found[0]['example']}[/bold]", highlight=False)


def print_one(console: Console, name: Name, document: dict[str, Any]) -> None:
    """The record as it came, masked, and why it is here."""
    lines = [
        f"{name}  {document.get('type') or 'unreadable'}  key {document.get('key')}",
        f"  from      {document['topic']}/{document['partition']}/{document['offset']}",
        *[f"  {header:<24} {value}" for header, value in document["headers"]],
        *_body(document["value"]),
        *(_why_parked(name, document) if name.parked else _why_dead(name, document)),
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _body(value: str | None) -> list[str]:
    if value is None:
        return ["  (no body)"]
    try:
        pretty = orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        pretty = value
    return [f"  {line}" for line in pretty.splitlines()]


def _why_dead(name: Name, document: dict[str, Any]) -> list[str]:
    why = f"Refused: {document['code']} {document['pointer']} {document['detail']}"
    if document["state"] == "replayed":
        who = f"Replayed {document['replayed_at']} by {document['replayed_by']}: {document['replay_reason']}"
        return [why, who]
    if document["topic"] == UPSTREAM:
        return [
            why,
            "Checkout got this answer and has to send a right document under a new event id.",
            f"If the rule, or what it is about, has changed since: pawl dead replay {name} --reason WHY",
        ]
    return [why, f"Pawl itself published it. When the cause is mended: pawl dead replay {name} --reason WHY"]


def _why_parked(name: Name, document: dict[str, Any]) -> list[str]:
    why = f"Waits ({document['kind']}) since {document['parked_at']}: {document['reason']}"
    if document["kind"] in ("blocked", "behind"):
        return [why, f"When the cause is mended: pawl dead replay {name} --reason WHY"]
    return [why, f"The service tries it again by itself. See the order: pawl order {document['key']}"]


def outcome_text(outcome: dict[str, Any]) -> str:
    """What became of one replay."""
    if outcome["replayed"]:
        return f"{outcome['name']} was handled."
    if "still_waiting" in outcome:
        key = outcome["key"]
        return (
            f"{outcome['name']}: {outcome['still_waiting']} events of {key} still wait. Why: pawl order {key}"
        )
    return f"{outcome['name']} is refused again: {outcome['code']} {outcome['pointer']} {outcome['detail']}"
