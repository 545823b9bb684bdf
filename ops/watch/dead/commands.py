"""The commands `pawl dead ls` and `show`; the others of the group end one or many of what these show."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from ops.shell.databases import urls_of
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit
from ops.shell.system import find_system
from ops.shell.tokens import token_for
from ops.watch.dead.calls import LOOK, fetch_one
from ops.watch.dead.edit import edit
from ops.watch.dead.ending import replay, resolve
from ops.watch.dead.listing import groups
from ops.watch.dead.names import Filter, parse_name, require_service
from ops.watch.dead.options import BaseUrl, Code, Key, ServiceName, Type, base_url
from ops.watch.dead.text import print_groups, print_one
from shared.clock import now

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="What was refused or waits, and why; replay it, send it right, or close it.",
)


@app.command()
def ls(
    service: ServiceName = None,
    code: Code = None,
    type_name: Type = None,
    key: Key = None,
    everything: Annotated[bool, typer.Option("--all", help="Closed dead letters too.")] = False,
    members: Annotated[
        bool, typer.Option("--members", help="Name those of each cause, newest first.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="With --members: so many of each cause.")
    ] = 20,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List what was refused and what waits, grouped by cause.

    Example: [bold]pawl dead ls --service orders[/bold]

    Example: [bold]pawl dead ls --members --code out_of_range[/bold]
    """
    require_service(service)
    only = Filter(service, code, type_name, key)
    urls = urls_of(find_system(None, postgres, directory))
    found = asyncio.run(groups(urls, only, everything, limit if members else 0))
    if as_json:
        print_json({"groups": found})
    elif found:
        print_groups(Console(), found, now())
    else:
        print("No dead letters and nothing parked." if not only.chosen else "None of these.")
    if not found and only.chosen:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Like orders:17, orders:p17 or orders:o17.")],
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


app.command()(replay)
app.command()(edit)
app.command()(resolve)
