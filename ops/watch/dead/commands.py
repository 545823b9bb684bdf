"""The commands `pawl dead ls`, `show` and `replay`."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from ops.shell.databases import urls_of
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import System, find_system
from ops.shell.tokens import token_for
from ops.watch.dead.calls import CHANGE, LOOK, fetch_one, replay_all, replay_one
from ops.watch.dead.listing import groups, list_to_replay
from ops.watch.dead.names import Filter, parse_name, require_service
from ops.watch.dead.text import outcome_text, print_groups, print_one

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
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--url", help="The service's base URL, where `pawl up` did not start it.", show_default=False
    ),
]


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


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Like orders:17 or orders:p17.")],
    directory: Directory = None,
    url: BaseUrl = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show one record: headers, body (account numbers masked), why it was refused, and what to do.

    Example: [bold]pawl dead show orders:17[/bold]
    """
    named = parse_name(name)
    token = token_for(LOOK, directory, token_file)
    document = asyncio.run(fetch_one(base_url(named.service, url, directory), named, token))
    if as_json:
        print_json(document)
    else:
        print_one(Console(), named, document)


def base_url(service: str, url: str | None, directory: Any) -> str:
    """Where the service answers. Raises Problem when that is not known."""
    return (url or find_system(directory=directory).service(service).base_url).rstrip("/")


@app.command()
def replay(
    name: Annotated[
        str | None, typer.Argument(help="Like orders:17 or orders:p17.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the record.", show_default=False)] = "",
    actor: Annotated[
        str | None, typer.Option(help="Who, where no token says it (default: $USER).", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All open dead letters that match.")] = False,
    service: ServiceName = None,
    code: Code = None,
    type_name: Type = None,
    key: Key = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --all: do it, not only list it.")] = False,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    url: BaseUrl = None,
    token_file: TokenFile = None,
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
            "Name one, or use --all.", "For example: pawl dead replay orders:17 --reason WHY", Exit.USAGE
        )
    if name is not None:
        named = parse_name(name)
        token = token_for(CHANGE, directory, token_file, actor)
        outcome = asyncio.run(replay_one(base_url(named.service, url, directory), named, token, reason))
        _finish([outcome], as_json)
        return
    system = find_system(None, postgres, directory)
    listed = _matching(system, Filter(service, code, type_name, key))
    if yes:
        names = [parse_name(row["name"]) for row in listed]
        token = token_for(CHANGE, directory, token_file, actor)
        _finish(asyncio.run(replay_all(system, names, token, reason)), as_json)
    else:
        _print_plan(listed, as_json)


def _matching(system: System, only: Filter) -> list[dict[str, Any]]:
    listed = asyncio.run(list_to_replay(urls_of(system), only))
    if not listed:
        raise Problem("Nothing matches.", "See what there is: pawl dead ls", Exit.NOTHING_MATCHED)
    return listed


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise Problem(
            "A replay needs a reason, which is kept.",
            'Give --reason "why it may pass now"',
            Exit.USAGE,
        )


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
            print(outcome_text(outcome))
    if done < len(outcomes):
        raise typer.Exit(Exit.FAILED)
