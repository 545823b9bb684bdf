"""`pawl dead`: dead letters and parked events: what there is and why, one of them, and handling it again.

Reading groups needs the database only. Records are sealed, so one of them is shown by the service that holds
its key; replaying is always done by the service, which keeps who asked for it and why.
"""

import asyncio
import getpass
import os
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import orjson
import typer
from rich.console import Console

from ops.shell.databases import Urls, connected, urls_of
from ops.shell.http_client import Answer, fetch
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import System, find_system
from shared.events.catalogue import SERVICES, UPSTREAM
from shared.kst import wire_time
from shared.queries import load

SQL = load("ops.watch")
MOST = 10_000
ANSWER_SECONDS = 60.0

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="What was refused or waits, and why; replay it."
)

ServiceName = Annotated[
    str | None, typer.Option("--service", help="Only this service.", metavar="NAME", show_default=False)
]
Code = Annotated[str | None, typer.Option("--code", help="Only this code or kind.", show_default=False)]
Type = Annotated[str | None, typer.Option("--type", help="Only this event type.", show_default=False)]
Key = Annotated[
    str | None, typer.Option("--key", help="Only this record key (order id).", show_default=False)
]


class Name(NamedTuple):
    """`orders:17` is dead letter 17 of orders, `orders:p17` its parked event 17."""

    service: str
    row: int
    parked: bool

    def __str__(self) -> str:
        return f"{self.service}:{'p' if self.parked else ''}{self.row}"

    @property
    def path(self) -> str:
        return f"/{'parked' if self.parked else 'dead'}/{self.row}"


class Filter(NamedTuple):
    """Which of them; None is any."""

    service: str | None
    code: str | None
    type: str | None
    key: str | None

    @property
    def chosen(self) -> bool:
        return any(self)


def parse_name(text: str) -> Name:
    """Raises Problem (exit code 2) for what names nothing."""
    service, _, row = text.partition(":")
    number = row.removeprefix("p")
    if service not in SERVICES or not (number.isascii() and number.isdigit()):
        raise Problem(
            f"{text!r} names no dead letter and no parked event.",
            "orders:17 is a dead letter, orders:p17 a parked event; see them with: pawl dead ls",
            Exit.USAGE,
        )
    return Name(service, int(number), row.startswith("p"))


def require_service(name: str | None) -> None:
    """Raises Problem (exit code 2) for a service that is none."""
    if name is not None and name not in SERVICES:
        raise Problem(f"There is no service {name!r}.", f"One of: {', '.join(SERVICES)}", Exit.USAGE)


async def groups(urls: Urls, only: Filter, everything: bool = False) -> list[dict[str, Any]]:
    """Dead letters and parked events of all services, grouped by cause, the most frequent first."""
    found: list[dict[str, Any]] = []
    async with connected(urls) as connections:
        for service, connection in connections.items():
            if only.service in (None, service):
                rows = await connection.fetch(SQL.dead_by_cause, everything, only.code, only.type, only.key)
                found += [_group(service, row, parked=False) for row in rows]
                rows = await connection.fetch(SQL.parked_by_cause, only.code, only.type, only.key)
                found += [_group(service, row, parked=True) for row in rows]
    return sorted(found, key=lambda group: -group["count"])


def _group(service: str, row: Any, *, parked: bool) -> dict[str, Any]:
    return {
        "service": service,
        "kind": "parked" if parked else "dead",
        "code": row["cause"],
        "pointer": row["pointer"],
        "type": row["type"],
        "count": row["count"],
        "newest": wire_time(row["newest"]),
        "example": str(Name(service, row["example"], parked)),
    }


@app.command()
def ls(
    service: ServiceName = None,
    code: Code = None,
    type_name: Type = None,
    key: Key = None,
    everything: Annotated[bool, typer.Option("--all", help="Replayed dead letters too.")] = False,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List what was refused and what waits, grouped by cause.

    Example: [bold]pawl dead ls --service orders[/bold]
    """
    require_service(service)
    only = Filter(service, code, type_name, key)
    found = asyncio.run(groups(urls_of(find_system(None, postgres, directory)), only, everything))
    if as_json:
        print_json({"groups": found})
    elif found:
        print_groups(Console(), found)
    else:
        print("No dead letters and nothing parked." if not only.chosen else "None of these.")
    if not found and only.chosen:
        raise typer.Exit(Exit.NOTHING_MATCHED)


def print_groups(console: Console, found: Sequence[dict[str, Any]]) -> None:
    """A line for each cause."""
    for group in found:
        cause = f"{group['code']} {group['pointer']}".rstrip()
        line = f"{group['count']:>7,} {group['kind']:<6} {group['service']:<8} {group['type']:<26} {cause}"
        newest = group["newest"][:19].replace("T", " ")
        console.print(f"{line}  newest {newest}  {group['example']}", soft_wrap=True, highlight=False)
    console.print(f"Look at one: [bold]pawl dead show {found[0]['example']}[/bold]", highlight=False)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Like orders:17 or orders:p17.")],
    directory: Directory = None,
    url: Annotated[
        str | None,
        typer.Option(help="The service's base URL, where `pawl up` did not start it.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show one record: headers, body (account numbers masked), why it was refused, and what to do.

    Example: [bold]pawl dead show orders:17[/bold]
    """
    named = parse_name(name)
    document = asyncio.run(fetch_one(base_url(named.service, url, directory), named))
    if as_json:
        print_json(document)
    else:
        print_one(Console(), named, document)


def base_url(service: str, url: str | None, directory: Any) -> str:
    """Where the service answers. Raises Problem when that is not known."""
    return (url or find_system(directory=directory).service(service).base_url).rstrip("/")


async def fetch_one(base: str, name: Name) -> dict[str, Any]:
    """The record with its cause. Raises Problem, with exit code 4 when there is none."""
    answer = await fetch(base + name.path, None, ANSWER_SECONDS)
    _require_answer(answer, base)
    if answer.status == 404:
        raise Problem(f"There is no {name}.", "See what there is: pawl dead ls", Exit.NOTHING_MATCHED)
    if answer.status != 200:
        raise Problem(f"{name.service} could not show {name}: {answer.text[:300]}", "See its log.")
    document: dict[str, Any] = orjson.loads(answer.text)
    return document


def _require_answer(answer: Answer, base: str) -> None:
    if answer.status == 0:
        raise Problem(
            f"The service does not answer at {base}: {answer.text}",
            "Is it running? pawl up; or name it: --url URL",
        )


def print_one(console: Console, name: Name, document: dict[str, Any]) -> None:
    """The record as it came, masked, and its story."""
    say = [
        f"{name}  {document.get('type') or 'unreadable'}  key {document.get('key')}",
        f"  from      {document['topic']}/{document['partition']}/{document['offset']}",
        *[f"  {header:<24} {value}" for header, value in document["headers"]],
        *_body(document["value"]),
        *(_why_parked(name, document) if name.parked else _why_dead(name, document)),
    ]
    for line in say:
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
            "Checkout was told so and has to send a right document under a new event id.",
            f"Only if the rule has changed since: pawl dead replay {name} --reason WHY",
        ]
    return [why, f"It is one of our own; when its cause is mended: pawl dead replay {name} --reason WHY"]


def _why_parked(name: Name, document: dict[str, Any]) -> list[str]:
    why = f"Waits ({document['kind']}) since {document['parked_at']}: {document['reason']}"
    if document["kind"] in ("blocked", "behind"):
        return [why, f"When its cause is mended: pawl dead replay {name} --reason WHY"]
    return [why, f"It is tried again by itself; the order's side of it: pawl order {document['key']}"]


@app.command()
def replay(
    name: Annotated[
        str | None, typer.Argument(help="Like orders:17 or orders:p17.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the record.", show_default=False)] = "",
    actor: Annotated[str, typer.Option(help="Who (default: $USER).", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="All open dead letters that match.")] = False,
    service: ServiceName = None,
    code: Code = None,
    type_name: Type = None,
    key: Key = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --all: do it, not only list it.")] = False,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    url: Annotated[
        str | None,
        typer.Option(help="The service's base URL, where `pawl up` did not start it.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Handle a dead letter, or what waits with a parked event's key, again. Safe to repeat.

    With --all it lists what it would replay; with --yes it replays them one by one, oldest first, and stops
    at the first that is refused again.

    Example: [bold]pawl dead replay orders:17 --reason "line added to the catalogue"[/bold]

    Example: [bold]pawl dead replay --all --code blocked --reason "mended in 1.2" --yes[/bold]
    """
    require_service(service)
    _require_reason(reason)
    if every == (name is not None):
        raise Problem(
            "Name one, or say --all.", "For example: pawl dead replay orders:17 --reason WHY", Exit.USAGE
        )
    who = actor or os.environ.get("USER") or getpass.getuser()
    if name is not None:
        named = parse_name(name)
        outcome = asyncio.run(replay_one(base_url(named.service, url, directory), named, who, reason))
        _finish([outcome], as_json)
        return
    system = find_system(None, postgres, directory)
    listed = asyncio.run(list_to_replay(urls_of(system), Filter(service, code, type_name, key)))
    if not listed:
        raise Problem("Nothing matches.", "See what there is: pawl dead ls", Exit.NOTHING_MATCHED)
    if not yes:
        _print_plan(listed, as_json)
        return
    _finish(
        asyncio.run(replay_all(system, [parse_name(row["name"]) for row in listed], who, reason)), as_json
    )


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise Problem(
            "A replay needs a reason, which is kept.", 'Say --reason "why it may pass now"', Exit.USAGE
        )


async def list_to_replay(urls: Urls, only: Filter) -> list[dict[str, Any]]:
    """The open dead letters that match, as a frozen list; with the code `blocked`, blocked keys too."""
    listed: list[dict[str, Any]] = []
    async with connected(urls) as connections:
        for service, connection in connections.items():
            if only.service in (None, service):
                rows = await connection.fetch(SQL.dead_to_replay, only.code, only.type, only.key, MOST)
                listed += [{"name": str(Name(service, row["id"], False)), **_without_id(row)} for row in rows]
                rows = await connection.fetch(SQL.parked_to_replay, only.code, only.type, only.key, MOST)
                listed += [{"name": str(Name(service, row["id"], True)), **_without_id(row)} for row in rows]
    return listed


def _without_id(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}


async def replay_one(base: str, name: Name, actor: str, reason: str) -> dict[str, Any]:
    """What became of it: `replayed`, and if not, why. Raises Problem when nobody answers or there is none."""
    body = orjson.dumps({"actor": actor, "reason": reason})
    answer = await fetch(f"{base}{name.path}/replay", body, ANSWER_SECONDS)
    _require_answer(answer, base)
    if answer.status == 404:
        raise Problem(
            f"There is no open {name}; it may have been replayed before.",
            "See: pawl dead ls --all",
            Exit.NOTHING_MATCHED,
        )
    if answer.status not in (200, 409):
        raise Problem(f"{name.service} could not replay {name}: {answer.text[:300]}", "See its log.")
    return {"name": str(name), **orjson.loads(answer.text)}


async def replay_all(system: System, names: Sequence[Name], actor: str, reason: str) -> list[dict[str, Any]]:
    """One after the other; the first one that is refused again ends it."""
    outcomes = []
    for name in names:
        outcome = await replay_one(system.service(name.service).base_url, name, actor, reason)
        outcomes.append(outcome)
        if not outcome["replayed"]:
            break
    return outcomes


def _print_plan(listed: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"would_replay": listed})
        return
    for row in listed:
        print(f"would replay {row['name']}  {row['type']}  {row['code']} {row['pointer']}  key {row['key']}")
    print(f"{len(listed):,} in all; nothing was done. Do it with --yes")


def _finish(outcomes: Sequence[dict[str, Any]], as_json: bool) -> None:
    done = sum(outcome["replayed"] for outcome in outcomes)
    if as_json:
        print_json({"replayed": done, "outcomes": list(outcomes)})
    else:
        for outcome in outcomes:
            print(_told(outcome))
    if done < len(outcomes):
        raise typer.Exit(Exit.FAILED)


def _told(outcome: dict[str, Any]) -> str:
    if outcome["replayed"]:
        return f"{outcome['name']} was handled."
    if "still_waiting" in outcome:
        key = outcome["key"]
        return (
            f"{outcome['name']}: {outcome['still_waiting']} events of {key} still wait. Why: pawl order {key}"
        )
    return f"{outcome['name']} is refused again: {outcome['code']} {outcome['pointer']} {outcome['detail']}"
