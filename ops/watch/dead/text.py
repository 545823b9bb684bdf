"""What a person reads about dead letters and parked events."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console

from ops.watch.dead.bulk import Result
from ops.watch.dead.names import Name
from ops.watch.show.rows import won
from ops.watch.todo.text import age_text
from shared.events.catalogue import UPSTREAM
from shared.operators.commands import pawl

LINES_OF_A_RESULT = 50


def print_groups(console: Console, found: Sequence[dict[str, Any]], now: datetime) -> None:
    """A line for each cause, and one for each of its members where they are there."""
    for group in found:
        cause = f"{group['code']} {group['pointer']}".rstrip()
        kind = group["state"] if group["kind"] == "dead" else group["kind"]
        kind = "dead" if kind == "open" else kind
        line = f"{group['count']:>7,} {kind:<8} {group['service']:<8} {group['type']:<26} {cause}"
        newest = group["newest"][:19].replace("T", " ")
        _print(console, f"{line}  newest {newest}  {group['example']}{_held_back(group)}")
        for member in group.get("members", ()):
            age = age_text(now - datetime.fromisoformat(member["since"]))
            sender = member["sender"] or "an unknown sender"
            _print(console, f"          {member['name']:<14} {age:>4}  key {member['key']}  from {sender}")
        if group.get("left_out"):
            _print(console, f"          and {group['left_out']:,} more; see them with --limit")
    console.print(f"Look at one: [bold]pawl dead show {found[0]['example']}[/bold]", highlight=False)


def _held_back(group: Mapping[str, Any]) -> str:
    """How much a cause holds back, where its documents say it."""
    if group.get("won") is None:
        return ""
    keys = group["keys"]
    return f"  holds back {won(group['won'])} of {keys:,} order{'s' if keys != 1 else ''}"


def print_one(console: Console, name: Name, document: dict[str, Any]) -> None:
    """The record as it came, masked, and why it is here."""
    if name.unsent:
        for line in _unsent(name, document):
            _print(console, line)
        return
    lines = [
        f"{name}  {document.get('type') or 'unreadable'}  key {document.get('key')}",
        f"  from      {document['topic']}/{document['partition']}/{document['offset']}",
        *[f"  {header:<24} {value}" for header, value in document["headers"]],
        *_body(document["value"]),
        *(_why_parked(name, document) if name.parked else _why_dead(name, document)),
    ]
    for line in lines:
        _print(console, line)


def print_edit(console: Console, name: Name, outcome: Mapping[str, Any], command: str) -> None:
    """What an edit led to, or would lead to with this command."""
    for line in _edit_lines(name, outcome, command):
        _print(console, line)


def print_result(result: Result) -> None:
    """What became of many: what failed and why, then how many went which way."""
    told = result.outcomes if len(result.outcomes) <= LINES_OF_A_RESULT else result.failures
    for outcome in told:
        print(outcome_text(outcome, result.plan.done))
    for what, count in result.counts().items():
        print(f"{what.replace('_', ' '):<14} {count:>7,}")
    if result.untried:
        print(f"Not tried any more: {result.untried[0]} and what follows it. See: pawl dead ls --members")


def pretty(document: Any) -> str:
    """JSON as it is read and edited."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def diff_lines(before: Any, after: Any) -> Iterator[str]:
    """What differs between two documents, line by line."""
    old = [] if before is None else pretty(before).splitlines()
    yield from difflib.unified_diff(old, pretty(after).splitlines(), "refused", "edited", lineterm="")


def how_it_ended(document: Mapping[str, Any]) -> str:
    """One sentence about a dead letter that is not open."""
    named = f" as {document['edited_as']}" if document["edited_as"] else ""
    when = document["closed_at"][:19].replace("T", " ")
    how = f"{document['state'].capitalize()}{named} on {when} by {document['closed_by']}"
    return f"{how}: {document['close_reason']}"


def outcome_text(outcome: Mapping[str, Any], done: str) -> str:
    """What became of one of them."""
    name = outcome["name"]
    if outcome[done]:
        return f"{name} was {done}." if done == "resolved" else f"{name} was handled."
    if "still_unsent" in outcome:
        return (
            f"{name}: {outcome['still_unsent']} events of {outcome['key']} are not out: {outcome['detail']}"
        )
    if "still_waiting" in outcome:
        key = outcome["key"]
        return f"{name}: {outcome['still_waiting']} events of {key} still wait. Why: {pawl('order', key)}"
    if "code" in outcome:
        return f"{name} is refused again: {_fault(outcome)}"
    return f"{name} was not {done}: {outcome['detail']}"


def _edit_lines(name: Name, outcome: Mapping[str, Any], command: str) -> Iterator[str]:
    if "refused" in outcome:
        yield f"{name} would be refused again: {_fault(outcome['refused'])}. Nothing was done."
        yield f"Go on from here: {command}"
        return
    event, is_done = outcome["event"], outcome["applied"]
    what = f"{event['type']} of {event['key']}, from {event['source']}"
    yield f"{name} {'was' if is_done else 'would be'} handled as {what}."
    if outcome["waits"]:
        yield f"  {'It waits' if is_done else 'It would wait'} for {outcome['waits']}"
    for row in outcome["rows"]:
        counts = [f"{row[how]:,} {how}" for how in ("added", "changed", "removed") if row[how]]
        yield f"  rows      {row['table']}: {', '.join(counts)}"
    for said in outcome["events"]:
        yield f"  event     {said['type']} of {said['key']}"
    if is_done:
        yield f"The new event is {event['id']}. The refused record is kept: pawl dead show {name}"
    else:
        yield f"Nothing was done. Do it with: {command}"


def _body(value: str | None) -> list[str]:
    if value is None:
        return ["  (no body)"]
    try:
        text = pretty(orjson.loads(value))
    except orjson.JSONDecodeError:
        text = value
    return [f"  {line}" for line in text.splitlines()]


def _why_dead(name: Name, document: dict[str, Any]) -> list[str]:
    why = f"Refused: {document['code']} {document['pointer']} {document['detail']}"
    if document["state"] != "open":
        edited = [] if document["edited_document"] is None else ["It was sent as:"]
        return [why, how_it_ended(document), *edited, *_edited_body(document)]
    resolve = f"If nothing is left to do: pawl dead resolve {name} --reason WHY"
    if document["topic"] == UPSTREAM:
        return [
            why,
            "Checkout got this answer and has to send a right document under a new event id; that closes it.",
            f"To send it right for checkout: pawl dead edit {name}",
            f"If the rule, or what it is about, has changed since: pawl dead replay {name} --reason WHY",
            resolve,
        ]
    mended = f"When the cause is mended: pawl dead replay {name} --reason WHY"
    return [why, f"Pawl itself published it. {mended}", resolve]


def _edited_body(document: dict[str, Any]) -> list[str]:
    edited = document["edited_document"]
    return [] if edited is None else [f"  {line}" for line in pretty(edited).splitlines()]


def _why_parked(name: Name, document: dict[str, Any]) -> list[str]:
    why = f"Waits ({document['kind']}) since {document['parked_at']}: {document['reason']}"
    if document["kind"] in ("blocked", "behind"):
        return [why, f"When the cause is mended: pawl dead replay {name} --reason WHY"]
    return [why, f"The service tries it again by itself. See the order: pawl order {document['key']}"]


def _unsent(name: Name, document: Mapping[str, Any]) -> Iterator[str]:
    """An event that is not on its topic."""
    yield f"{name}  {document['type']}  key {document['key']}"
    yield f"  to        {document['topic']}, {document['bytes']:,} bytes, sequence {document['sequence']}"
    yield from (f"  {line}" for line in pretty(document["document"]).splitlines())
    since = document["set_aside_at"][:19].replace("T", " ")
    yield f"Not published ({document['state']}) since {since}: {document['reason']}"
    if document["state"] == "behind":
        yield f"It goes out after the first of its key: pawl dead ls --members --key {document['key']}"
        return
    yield f"Tried {document['tries']} times; again by itself at {document['retry_at']}. Only its key waits."
    yield f"Raise max.message.bytes of {document['topic']} (and of the brokers), then have it tried at once:"
    yield f"  pawl dead replay {name} --reason WHY"


def _fault(fault: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (fault["code"], fault["pointer"], fault["detail"])))


def _print(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, highlight=False, markup=False)
