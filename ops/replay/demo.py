"""`make demo`: a year of real orders through a real system, what went wrong on the way, and what waits."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console

from ops.gateway.command import SEED
from ops.local.running import READY_SECONDS, RunningSystem, Wanted, run_system
from ops.replay.driver import Progress, Topics
from ops.replay.handing import buy, hand_out
from ops.replay.plan import Plan
from ops.replay.planting import plant, read_mend, read_places, read_waits
from ops.replay.progress import Show, shown_progress
from ops.replay.recording import Recording
from ops.replay.result import Disturbances, Result, print_result
from ops.replay.run import Replayed, read_plan, replay_plan
from ops.shell.options import Directory, Wait
from ops.shell.problem import Exit, Problem
from ops.shell.run_directory import DEFAULT, RunDirectory
from ops.shell.system import System, find_system
from ops.watch.order import require_order

EXAMPLE = Path(__file__).parents[2] / "examples" / "online_retail.csv.gz"
KILLED = "orders"
REPEAT_EVERY = 10

Record = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write what it shows, as JSON, for `make pictures`."),
]
Stay = Annotated[
    bool | None,
    typer.Option(
        "--stay/--no-stay",
        help="Leave it running until Ctrl-C (default: on a terminal).",
        show_default=False,
    ),
]


def demo(
    directory: Directory = None, record: Record = None, stay: Stay = None, wait: Wait = READY_SECONDS
) -> None:
    """Start the system, replay a year of real orders through it, and show what became of them.

    Half-way a service is killed, one event in ten is sent twice, and five troubles are planted under a
    partner of their own. It ends with what stands, a partner's file of serials of which one is registered,
    what waits, and three things to mend in the console, each with its page.

    Real Kafka and PostgreSQL on this machine, one node each, with keys made for this directory. What they
    hold is kept; a system that runs there already is used and left running.

    Example: [bold]pawl demo[/bold]
    """
    stays = sys.stdout.isatty() if stay is None else stay
    try:
        result = asyncio.run(play(directory or DEFAULT, record, stays, wait))
    except KeyboardInterrupt:
        raise Problem("Interrupted.", "The same command again goes on from here.") from None
    if not result.summary.document["check"]["ok"]:
        raise typer.Exit(Exit.RULE_BROKEN)


async def play(
    directory: Path, record: Path | None = None, stay: bool = False, wait: float = READY_SECONDS
) -> Result:
    """The whole demonstration; its result. `record` is a file to write it to. Raises Problem.

    `stay`: it leaves the system running until SIGINT or SIGTERM. A system that has to be started has `wait`
    seconds for it.
    """
    if not EXAMPLE.exists():
        raise Problem(f"{EXAMPLE} is missing.", "Run this in a checkout of the project.")
    reading = asyncio.create_task(asyncio.to_thread(read_plan, EXAMPLE, True))  # while the servers start
    async with _a_system(directory, wait) as (system, running):
        killer = Killer(running.services if running else None)
        with shown_progress(plain=False) as show:
            replayed = await _replay(await reading, system, killer.watching(show))
        result = await _result(system, replayed, killer, directory)
        if record is not None and result.interesting:
            story = await require_order(system, result.interesting)
            Recording(result, story).write(record)
        options = "" if directory == DEFAULT else f" --dir {directory}"
        stays = stay and running is not None
        print_result(Console(), result, command_name(), options, running=stays or running is None)
        if running is not None and stays:
            running.start_gateway(SEED)
            print("It still runs, with a simulated payment gateway; Ctrl-C stops it. Everything is kept.")
            await until_interrupted()
    return result


async def _replay(plan: Plan, system: System, show: Show) -> Replayed:
    async def afterwards(topics: Topics) -> None:
        await plant(topics, system)
        await buy(topics, system)

    return await replay_plan(plan, system, show, repeat_every=REPEAT_EVERY, afterwards=afterwards)


async def _result(system: System, replayed: Replayed, killer: "Killer", directory: Path) -> Result:
    return Result(
        replayed.summary,
        Disturbances(replayed.repeats, *killer.done),
        await read_waits(system),
        await read_mend(system),
        replayed.interesting,
        replayed.is_known,
        await hand_out(system, directory),
        system.console,
        await read_places(system),
    )


class Killable(Protocol):
    """What runs services by name."""

    def kill(self, name: str) -> None:
        """Ends one as a power cut would."""


class Killer:
    """Ends one service by SIGKILL half-way through the history; its supervisor starts it again.

    Without `services` they are somebody else's, and nothing is killed.
    """

    def __init__(self, services: Killable | None) -> None:
        self.services = services
        self.done: tuple[str, int] = ("", 0)

    def watching(self, show: Show) -> Show:
        """A function that shows a progress, and kills when the time has come."""

        def look(progress: Progress) -> None:
            show(progress)
            if (
                self.services
                and not self.done[0]
                and progress.of_steps // 2 <= progress.steps < progress.of_steps
            ):
                self.done = (KILLED, progress.steps)
                self.services.kill(KILLED)

        return look


@asynccontextmanager
async def _a_system(directory: Path, wait: float) -> AsyncIterator[tuple[System, RunningSystem | None]]:
    """The one that runs there, else one in our care for as long as the block lasts."""
    state = RunDirectory(directory).read_state()
    if state is not None and state.up.find() is not None:
        yield find_system(directory=directory), None
        return
    async with run_system(Wanted(directory, ready_seconds=wait, console=True)) as running:
        yield running.system, running


async def until_interrupted() -> None:
    """Returns at the first SIGINT or SIGTERM, so that what is open is closed in order."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        await ended.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def command_name() -> str:
    """How this shell calls `pawl`: it lies beside the Python that runs it, which may be in no search path."""
    if shutil.which("pawl"):
        return "pawl"
    return os.path.relpath(Path(sys.executable).with_name("pawl"))
