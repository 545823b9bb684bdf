"""`pawl tax-agent`: documents are issued as a tax agent would, until Ctrl-C."""

import signal
import threading
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer

from ops.shell.options import Json
from ops.shell.output import print_json, tell_on_stderr
from ops.shell.problem import Problem
from ops.tax_agent.behaviour import Held
from ops.tax_agent.desk import Desk
from ops.tax_agent.run import open_tax_agent
from shared.kst import wire_time

SEED: Final = 1
Seed = Annotated[int, typer.Option("--seed", min=0, help="Another one behaves in other ways.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Where it listens; 0 takes a free one.")]
Kept = Annotated[
    Path | None,
    typer.Option("--file", help="Where it keeps what it has, for the next time.", show_default=False),
]


def tax_agent(seed: Seed = SEED, port: Port = 0, file: Kept = None, as_json: Json = False) -> None:
    """Issue the documents that invoices sends, as a tax agent would, until Ctrl-C.

    Most are issued within 5 seconds and transmitted soon after. Some come late, are left out of an answer or
    are refused; some calls get no answer, or are too many. The seed decides which. Nobody's tax is told of.

    Example: [bold]pawl tax-agent --port 8099 --seed 7[/bold]
    """
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    desk = Desk(seed, held=[] if file is None else _read(file), keep=_keeper(file))
    try:
        with open_tax_agent(desk, port) as url:
            tell_on_stderr(f"A tax agent answers at {url} with seed {seed}; Ctrl-C ends it.")
            ended.wait()
    except OSError as error:
        raise Problem(
            f"The tax agent cannot listen on port {port}: {error.strerror or error}",
            "Give it another one with --port, or 0 for a free one.",
        ) from error
    if as_json:
        print_json({"seed": seed, "documents": sum(desk.counts.values()), "behaviours": desk.counts})
    else:
        told = ", ".join(f"{count} {behaviour.replace('_', ' ')}" for behaviour, count in desk.counts.items())
        print(f"Documents taken: {told or 'none'}.")


def _read(file: Path) -> list[Held]:
    """What it had. A last line that was cut off by a crash was never answered about."""
    if not file.exists():
        return []
    found = []
    for line in file.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            key, written_date, total, since = orjson.loads(line)
            found.append(Held(key, date.fromisoformat(written_date), total, datetime.fromisoformat(since)))
    return found


def _keeper(file: Path | None) -> Callable[[Held], None]:
    def keep(held: Held) -> None:
        if file is not None:
            line = [held.key, held.written_date.isoformat(), held.total, wire_time(held.since)]
            with file.open("ab") as kept:
                kept.write(orjson.dumps(line) + b"\n")

    return keep
