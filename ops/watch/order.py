"""`pawl order ID`: one order across the four services, and what it waits for."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from ops.shell.databases import Where, connected, urls_of
from ops.shell.options import Directory, Json, KafkaAddress, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.story.model import Story
from ops.watch.story.reading import read_story
from ops.watch.story.timeline import print_story
from ops.watch.story.waits import waits_of


async def read_order(where: Where, order_id: str) -> Story | None:
    """The story of an order; None when no service knows it.

    `where` is a System, one database URL, or a URL for each service. Raises Problem.
    """
    if "\0" in order_id:
        return None
    async with connected(urls_of(where)) as connections:
        story = await read_story(connections, order_id)
    if story is not None:
        story.waits = waits_of(story)
    return story


async def show_order(where: Where, order_id: str, console: Console) -> None:
    """Prints the story of an order. Raises Problem when no service knows it."""
    print_story(console, await require_order(where, order_id))


async def require_order(where: Where, order_id: str) -> Story:
    """The story of an order. Raises Problem (exit code 4) when no service knows it."""
    story = await read_order(where, order_id)
    if story is None:
        raise Problem(
            f"No service knows an order {order_id!r}: there are no rows and no events of it.",
            "Just sent? See whether it was read: pawl lag. Sent with another key? See: pawl dead ls",
            Exit.NOTHING_MATCHED,
        )
    return story


def order(
    order_id: Annotated[str, typer.Argument(metavar="ID", help="The order id, which is its record key.")],
    kafka: KafkaAddress = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    by_line: Annotated[
        bool, typer.Option("--lines", help="Tell line by line what one event says of several lines.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the story of one order: units, won, every event with its time, and what it waits for.

    Ends with exit code 4 when no service knows the order.

    Example: [bold]pawl order A-1001[/bold]
    """
    story = asyncio.run(require_order(find_system(kafka, postgres, directory), order_id))
    if as_json:
        print_json(story.to_document())
    else:
        print_story(Console(), story, by_line)
