"""The command `pawl todo`."""

import asyncio
from typing import Annotated, get_args

import typer
from rich.console import Console

from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json, tell_unreadable
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.todo.listing import Todo, read_everything
from ops.watch.todo.text import parse_age, print_todo
from shared.clock import now
from shared.operators.settings import TodoSettings
from shared.operators.todo import Moment, Who
from shared.settings import WrongSetting, read_settings


def todo(
    who: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(get_args(Who)), help="Only what this one has to do.", show_default=False
        ),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only groups whose oldest is older, like 3d.", show_default=False),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(help="Only this cause, with the names of its oldest members.", show_default=False),
    ] = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List what needs somebody: how much, since when, who must act, what is overdue, and the next command.

    A group disappears when its cause is gone. Exit code 0: nothing needs anybody; 5: something does; 1:
    nothing was found, and a schema could not be read.

    Example: [bold]pawl todo[/bold]

    Example: [bold]pawl todo --who finance --older-than 3d[/bold]

    Example: [bold]pawl todo --code refund_failed[/bold]
    """
    if who is not None and who not in get_args(Who):
        raise Problem(f"{who!r} is nobody here.", f"One of: {', '.join(get_args(Who))}", Exit.USAGE)
    age = None if older_than is None else parse_age(older_than)
    moment = present_moment()
    found = asyncio.run(read_everything(find_system(None, postgres, directory), moment))
    found.groups = [
        group
        for group in found.groups
        if (who is None or group.who == who)
        and (age is None or moment.now - group.since > age)
        and (code is None or group.code == code)
    ]
    _show(found, moment, as_json, with_members=code is not None)
    if found.groups:
        raise typer.Exit(Exit.SOMETHING_WAITS)
    if found.unreadable:
        raise typer.Exit(Exit.FAILED)


def present_moment() -> Moment:
    """The present instant and the thresholds of the environment. Raises Problem for a wrong one."""
    try:
        return Moment(now(), read_settings(TodoSettings).thresholds())
    except WrongSetting as error:
        raise Problem(str(error), "docs/operating.md lists the thresholds.", Exit.USAGE) from None


def _show(found: Todo, moment: Moment, as_json: bool, with_members: bool) -> None:
    if as_json:
        print_json(found.to_document(moment.now))
    elif found.groups or not found.unreadable:
        print_todo(Console(), found.groups, moment.now, with_members)
    tell_unreadable(found.unreadable)
