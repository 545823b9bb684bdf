"""`make demo`: a year of real orders through a real system, and what became of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops.local.running import running_system
from ops.replay.progress import shown_progress
from ops.replay.recording import Recording
from ops.replay.run import Replayed, replay_file
from ops.replay.tables import print_summary
from ops.shell.options import Directory
from ops.shell.problem import Exit, Problem
from ops.shell.run_directory import DEFAULT, RunDirectory
from ops.shell.system import System, find_system
from ops.watch.order import require_order
from ops.watch.story.timeline import print_story

EXAMPLE = Path(__file__).parents[2] / "examples" / "online_retail.csv.gz"


Record = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write what it shows, as JSON, for `make pictures`."),
]


def demo(directory: Directory = None, record: Record = None) -> None:
    """Start the system, replay a year of real orders through it, and show what became of them.

    Real Kafka and PostgreSQL on this machine, one node each, with keys made for this directory. What they
    hold is kept; a system that runs there already is used and left running.

    Example: [bold]pawl demo[/bold]
    """
    try:
        replayed = asyncio.run(play(directory or DEFAULT, record))
    except KeyboardInterrupt:
        raise Problem("Interrupted.", "The same command again goes on from here.") from None
    if not replayed.summary.document["check"]["ok"]:
        raise typer.Exit(Exit.RULE_BROKEN)


async def play(directory: Path, record: Path | None = None) -> Replayed:
    """The whole demonstration; its result. `record` is a file to write it to. Raises Problem."""
    if not EXAMPLE.exists():
        raise Problem(f"{EXAMPLE} is missing.", "Run this in a checkout of the project.")
    console = Console()
    async with _a_system(directory) as system:
        with shown_progress(plain=False) as show:
            replayed = await replay_file(EXAMPLE, system, close_months=True, show=show)
        print_summary(console, replayed.summary)
        if replayed.interesting:
            console.print("[bold]One order across the four services[/bold]")
            story = await require_order(system, replayed.interesting)
            print_story(console, story)
            if record is not None:
                Recording(replayed.summary, story).write(record)
    console.print(_next(directory, replayed.interesting), highlight=False, markup=False)
    return replayed


@asynccontextmanager
async def _a_system(directory: Path) -> AsyncIterator[System]:
    """The one that runs there, else one for as long as the block lasts."""
    state = RunDirectory(directory).read_state()
    if state is not None and state.up.find() is not None:
        yield find_system(directory=directory)
        return
    async with running_system(directory) as running:
        yield running.system


def _next(directory: Path, order_id: str | None) -> str:
    elsewhere = "" if directory == DEFAULT else f" --dir {directory}"
    first = (f"pawl up{elsewhere}", "start it again with all of this")
    others = (
        (f"pawl order {order_id or '536370'}{elsewhere}", "the order above"),
        (f"pawl replay {_relative(EXAMPLE)}{elsewhere}", "again: nothing changes"),
        (f"pawl check{elsewhere}", "the auditor"),
    )
    width = max(len(command) for command, _ in (first, *others))
    up, *then = (f"  {command:<{width}}  {what}" for command, what in (first, *others))
    lines = ("", "Everything is kept. Try next:", up, "and then, in another terminal:", *then)
    return "\n".join(
        (*lines, "`pawl` is in .venv/bin; docs/replay.md says how to replay a file of your own.")
    )


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
