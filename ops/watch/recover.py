"""`pawl recover`: brings a restored schema forward from the topics, or says what is lost."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ops.local.running import kafka_environment
from ops.setup.provision import Database, kept_passwords
from ops.shell.options import Directory, Json
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.run_directory import DEFAULT, RunDirectory
from ops.shell.system import System, find_system
from shared.brokers import Brokers
from shared.environment import environment_of_children
from shared.events.catalogue import SERVICES

SHOWN = 20
PATIENCE_SECONDS = "5"


def recover(
    service: Annotated[str, typer.Argument(help="The service whose schema was restored.")],
    apply: Annotated[bool, typer.Option("--apply", help="Do it, not only show it.")] = False,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Bring a schema that was restored from a backup forward from the topics; shown only, without --apply.

    What the service published after the backup is applied as its topics tell it, and decided by nobody. No
    process of the service may run. Exit code 3 where something cannot be brought forward: it is named, and
    nothing is changed. Safe to repeat.

    Example: [bold]pawl recover orders[/bold]

    Example: [bold]pawl recover orders --apply[/bold]
    """
    if service not in SERVICES:
        raise Problem(f"There is no service {service!r}.", f"One of: {', '.join(SERVICES)}", Exit.USAGE)
    document = run_recovery(service, directory, apply=apply)
    if as_json:
        print_json(document)
    else:
        for line in lines_of(service, document):
            Console().print(line, soft_wrap=True, highlight=False, markup=False)
    if document["lost"]:
        raise typer.Exit(Exit.RULE_BROKEN)


def run_recovery(service: str, directory: Path | None, *, apply: bool) -> dict[str, Any]:
    """What the service's own program did, with its keys and its rights. Raises Problem."""
    command = [sys.executable, "-m", f"services.{service}", "recover", *(["--apply"] if apply else [])]
    ended = subprocess.run(
        command, env=_environment(service, directory), capture_output=True, text=True, check=False
    )
    said = (ended.stderr or ended.stdout).strip().splitlines()
    if ended.returncode in (0, Exit.RULE_BROKEN):
        with suppress(json.JSONDecodeError, IndexError):
            document = json.loads(ended.stdout.strip().splitlines()[-1])
            if isinstance(document, dict) and "told" in document:
                return document
    why = said[-1] if said else f"it ended with code {ended.returncode}"
    raise Problem(f"{service} was not recovered: {why}", "Nothing was changed; see docs/backup.md.")


def _environment(service: str, directory: Path | None) -> dict[str, str]:
    """That of the service: of the run directory where `pawl up` made one, else ours."""
    ours = {"STARTUP_PATIENCE_SECONDS": PATIENCE_SECONDS, **environment_of_children()}
    if "DATABASE_URL" in ours:
        return ours
    folder = RunDirectory(directory or DEFAULT)
    system: System = find_system(None, None, directory)
    if not system.postgres or not system.kafka:
        raise Problem(
            "The servers are not known.",
            f"Start it where {service} runs, with its environment: DATABASE_URL, its broker, its keys.",
        )
    database = Database(system.postgres, kept_passwords(folder.passwords, system.postgres))
    keys = folder.service_keys(system.postgres)
    return {
        **ours,
        **keys,
        **kafka_environment(Brokers.at(system.administrator)),
        "DATABASE_URL": database.service_url(service),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), ours.get("PYTHONPATH")))),
    }


def lines_of(service: str, document: dict[str, Any]) -> list[str]:
    """What was, or would be, brought forward, as people read it."""
    lines = [f"The topics tell nothing that the schema {service} does not know."]
    if document["told"]:
        orders = document["orders"]
        more = f" and {len(orders) - SHOWN:,} more" if len(orders) > SHOWN else ""
        named = ", ".join(orders[:SHOWN]) + more
        lines = [f"The topics tell {document['told']:,} events that the schema {service} lacks, of {named}."]
    elif not document["handled"]:
        return lines
    else:
        lines.append(f"It has read {document['handled']:,} events since the backup that led to nothing told.")
    for gone in document["gone"]:
        place = f"{gone['topic']}/{gone['partition']} from {gone['from_offset']} up to {gone['to_offset']}"
        lines.append(f"gone: {place} was deleted since the backup; what it led to and no topic tells is lost")
    for lost in document["lost"][:SHOWN]:
        number = "" if lost["sequence"] is None else f" {lost['sequence']}"
        what = f"{lost['key']} {lost['type']}{number} of {lost['at']}"
        lines.append(f"lost: {what} ({lost['event_id']}): {lost['why']}")
    if len(document["lost"]) > SHOWN:
        lines.append(f"  and {len(document['lost']) - SHOWN:,} more; all of them with --json")
    if document["lost"]:
        return [*lines, "Nothing was changed. Restore to a later instant, from the WAL: docs/backup.md"]
    counts = f"{document['brought']:,} events as the topics tell them, {document['fresh']:,} never published"
    if document["applied"]:
        return [*lines, f"Brought forward: {counts}. Start the service, then: pawl check --topics"]
    return [*lines, f"Would bring forward: {counts}. Nothing was changed; do it with --apply"]
