"""`pawl replay FILE`: an order history through the topics of a running system."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops.replay.driver import PATIENCE
from ops.replay.progress import shown_progress
from ops.replay.run import Replayed, replay_file
from ops.replay.tables import print_summary
from ops.shell.options import Directory, Json, KafkaAddress, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system


def replay(
    file: Annotated[Path, typer.Argument(help="CSV, plain or gzip; docs/replay.md names the columns.")],
    kafka: KafkaAddress = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    close: Annotated[bool, typer.Option(help="Close each month at its cut-off.")] = True,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds without an answer until it gives up.")
    ] = PATIENCE,
    as_json: Json = False,
) -> None:
    """Replay an order history through the topics, and say what became of each line.

    Safe to repeat: the second time nothing happens, and the answer is the same.

    Example: [bold]pawl replay examples/online_retail.csv.gz[/bold]
    """
    system = find_system(kafka, postgres, directory)
    with shown_progress(plain=as_json) as show:
        try:
            replayed = asyncio.run(replay_file(file, system, close, show, patience))
        except KeyboardInterrupt:
            raise Problem("Interrupted.", "Replay the same file again to go on from here.") from None
    print_replayed(replayed, as_json)
    if not replayed.summary.document["check"]["ok"]:
        raise typer.Exit(Exit.RULE_BROKEN)


def print_replayed(replayed: Replayed, as_json: bool) -> None:
    """On stdout: one JSON document, or tables."""
    if as_json:
        print_json(replayed.summary.document)
        return
    console = Console()
    print_summary(console, replayed.summary)
    if replayed.interesting:
        console.print(
            f"One order worth a look: [bold]pawl order {replayed.interesting}[/bold]", highlight=False
        )
