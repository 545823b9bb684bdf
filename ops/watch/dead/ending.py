"""The commands `pawl dead replay` and `resolve`, for one and for many."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from ops.shell.databases import Urls, urls_of
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json, tell_on_stderr
from ops.shell.problem import Exit, Problem
from ops.shell.system import System, find_system
from ops.shell.tokens import token_for
from ops.watch.dead.bulk import Plan, Result, confirm, read_list, run, save
from ops.watch.dead.calls import CHANGE, replay_one, resolve_one
from ops.watch.dead.listing import list_blocked, list_named, list_to_replay, list_to_resolve
from ops.watch.dead.names import Filter, Name, parse_name, require_service
from ops.watch.dead.options import (
    Actor,
    BaseUrl,
    Code,
    Key,
    Reason,
    ServiceName,
    Type,
    base_url,
    require_reason,
)
from ops.watch.dead.text import outcome_text, print_result

Every = Annotated[bool, typer.Option("--all", help="All open dead letters that match.")]
Blocked = Annotated[
    bool, typer.Option("--blocked", help="All that a fault of the whole database has blocked.")
]
ListFile = Annotated[
    Path | None,
    typer.Option("--list", metavar="FILE", help="Those in a list that --save wrote.", show_default=False),
]
Save = Annotated[
    Path | None,
    typer.Option("--save", metavar="FILE", help="Write the list, to act on it later.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", help="Of many: do it, not only list them.")]
Count = Annotated[
    int | None,
    typer.Option("--count", metavar="N", min=0, help="With --yes: how many they are.", show_default=False),
]
StopAt = Annotated[int, typer.Option("--stop-at", metavar="N", min=1, help="Stop at so many failures.")]


class Ending(NamedTuple):
    """One way to end dead letters: `verb`, its past, how one is ended, and which of those that match."""

    verb: str
    done: str
    act: Callable[[str, Name, str, str], Coroutine[Any, Any, dict[str, Any]]]
    matching: Callable[[Urls, Filter], Coroutine[Any, Any, list[dict[str, Any]]]]


REPLAY = Ending("replay", "replayed", replay_one, list_to_replay)
UNBLOCK = Ending("replay", "replayed", replay_one, list_blocked)
RESOLVE = Ending("resolve", "resolved", resolve_one, list_to_resolve)


@dataclass(slots=True, frozen=True)
class Choice:
    """What a person chose: one by name, or many by a filter or a list; and how to go on with many."""

    name: str | None
    every: bool
    only: Filter
    list_file: Path | None
    save: Path | None
    yes: bool
    count: int | None
    stop_at: int


class Terms(NamedTuple):
    """Why, by whom, where and how it is answered."""

    reason: str
    actor: str | None
    postgres: str | None
    directory: Path | None
    url: str | None
    token_file: Path | None
    as_json: bool


def replay(
    name: Annotated[
        str | None, typer.Argument(help="Like orders:17 or orders:p17.", show_default=False)
    ] = None,
    reason: Reason = "",
    actor: Actor = None,
    every: Every = False,
    blocked: Blocked = False,
    service: ServiceName = None,
    code: Code = None,
    type_name: Type = None,
    key: Key = None,
    list_file: ListFile = None,
    save_file: Save = None,
    yes: Yes = False,
    count: Count = None,
    stop_at: StopAt = 1,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    url: BaseUrl = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Handle a dead letter, or what waits with a parked event's key, again. Safe to repeat.

    With --all, --blocked or --list it lists what it would replay. With --yes it replays them, oldest first:
    one, and when that went through the others, until --stop-at of them were refused again. --blocked is for
    what a version before 0.2 has blocked because the database refused everything.

    Example: [bold]pawl dead replay orders:17 --reason "line added to the catalogue"[/bold]

    Example: [bold]pawl dead replay --all --code blocked --reason "mended in 1.2" --yes --count 3[/bold]

    Example: [bold]pawl dead replay --blocked --reason "a right was missing" --yes --count 3[/bold]
    """
    if every and blocked:
        raise Problem("--all and --blocked are two ways to name many.", "Use one of them.", Exit.USAGE)
    only = Filter(service, code, type_name, key)
    choice = Choice(name, every or blocked, only, list_file, save_file, yes, count, stop_at)
    end(
        UNBLOCK if blocked else REPLAY,
        choice,
        Terms(reason, actor, postgres, directory, url, token_file, as_json),
    )


def resolve(
    name: Annotated[str | None, typer.Argument(help="Like orders:17.", show_default=False)] = None,
    reason: Reason = "",
    actor: Actor = None,
    every: Every = False,
    service: ServiceName = None,
    code: Code = None,
    type_name: Type = None,
    key: Key = None,
    list_file: ListFile = None,
    save_file: Save = None,
    yes: Yes = False,
    count: Count = None,
    stop_at: StopAt = 1,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    url: BaseUrl = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Close a dead letter that nothing is left to do about, with a reason; its record stays. Safe to repeat.

    With --all or --list it lists what it would close; with --yes it closes them.

    Example: [bold]pawl dead resolve orders:17 --reason "sent by mistake, says the shop"[/bold]

    Example: [bold]pawl dead resolve --all --code unknown_type --reason "a test" --yes --count 12[/bold]
    """
    choice = Choice(
        name, every, Filter(service, code, type_name, key), list_file, save_file, yes, count, stop_at
    )
    end(RESOLVE, choice, Terms(reason, actor, postgres, directory, url, token_file, as_json))


def end(ending: Ending, choice: Choice, terms: Terms) -> None:
    """Ends what was chosen, or shows what would be. Raises Problem, and Exit where not all of it is done."""
    require_service(choice.only.service)
    require_reason(terms.reason)
    if [choice.name is not None, choice.every, choice.list_file is not None].count(True) != 1:
        example = f"For example: pawl dead {ending.verb} orders:17 --reason WHY"
        raise Problem("Name one, or use --all or --list FILE.", example, Exit.USAGE)
    if choice.name is not None:
        _end_one(ending, parse_name(choice.name), terms)
        return
    if terms.url is not None:
        raise Problem(
            "--url is one service, and many may be of several.", "Set PAWL_SERVICES instead.", Exit.USAGE
        )
    system = find_system(None, terms.postgres, terms.directory)
    plan = Plan.of(ending.verb, ending.done, asyncio.run(_listed(ending, choice, urls_of(system))))
    if choice.save is not None:
        save(plan, choice.save)
    if not choice.yes:
        _print_plan(plan, choice, terms)
    elif not plan.eligible:
        raise Problem("None of these can be done now.", "\n".join(plan.lines()), Exit.NOTHING_MATCHED)
    else:
        _end_many(ending, plan, choice, terms, system)


def _end_one(ending: Ending, name: Name, terms: Terms) -> None:
    token = token_for(CHANGE, terms.directory, terms.token_file, terms.actor)
    base = base_url(name.service, terms.url, terms.directory)
    outcome = asyncio.run(ending.act(base, name, token, terms.reason))
    if terms.as_json:
        print_json({ending.done: int(outcome[ending.done]), "outcomes": [outcome]})
    else:
        print(outcome_text(outcome, ending.done))
    if not outcome[ending.done]:
        raise typer.Exit(Exit.FAILED)


def _end_many(ending: Ending, plan: Plan, choice: Choice, terms: Terms, system: System) -> None:
    if not terms.as_json:
        print("\n".join(plan.lines()))
    confirm(plan, choice.count)
    token = token_for(CHANGE, terms.directory, terms.token_file, terms.actor)

    async def act(name: Name) -> dict[str, Any]:
        return await ending.act(system.service(name.service).base_url, name, token, terms.reason)

    result: Result = asyncio.run(run(plan, act, choice.stop_at, tell_on_stderr))
    if terms.as_json:
        print_json(result.to_document())
    else:
        print_result(result)
    if result.failures:
        raise typer.Exit(Exit.FAILED)


async def _listed(ending: Ending, choice: Choice, urls: Urls) -> list[dict[str, Any]]:
    if choice.list_file is None:
        return await ending.matching(urls, choice.only)
    return await list_named(urls, read_list(choice.list_file), to_replay=ending is not RESOLVE)


def _print_plan(plan: Plan, choice: Choice, terms: Terms) -> None:
    if terms.as_json:
        print_json(plan.to_document())
        return
    for line in plan.lines():
        print(line)
    kept, count = choice.save or choice.list_file, len(plan.eligible)
    exactly = f" --list {kept}" if kept is not None else ""
    print(f"{count:,} in all; nothing was done. Do it with{exactly} --yes --count {count}")
