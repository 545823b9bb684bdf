"""`pawl down`: end what `pawl up` started, and remove what it kept when asked."""

import shutil
from contextlib import suppress
from typing import Annotated

import psutil
import typer

from ops.local import postgres
from ops.shell.options import Directory
from ops.shell.output import tell_on_stderr
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.shell.run_directory import DEFAULT, RunDirectory, end_processes
from shared.clock import monotonic

# `pawl up` gives its services 30 s and then its servers 60 s.
STOP_SECONDS = 120.0
TELL_SECONDS = 15.0


def down(
    directory: Directory = None,
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Also remove everything it kept: data, keys, logs.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before wiping.")] = False,
) -> None:
    """Stop the system that runs in this directory.

    Example: [bold]pawl down[/bold]

    Example: [bold]pawl down --wipe --yes[/bold]
    """
    folder = RunDirectory(directory or DEFAULT)
    if wipe and folder.path.exists():
        require_own(folder)
        if not yes:
            typer.confirm(
                f"Remove {folder.path} with all orders, serials and keys in it?", abort=True, err=True
            )
    stopped = stop(folder)
    if wipe:
        stopped = remove(folder) or stopped
    if not stopped:
        raise Problem(f"Nothing is running in {folder.path}.", "", Exit.NOTHING_MATCHED)


def stop(folder: RunDirectory) -> bool:
    """End `pawl up` and, if it left any, its processes. Whether there was something to end."""
    state = folder.read_state()
    if state is None:
        return False
    supervisor = state.up.find()
    if supervisor:
        with suppress(psutil.NoSuchProcess):
            supervisor.terminate()
        for process in _wait_for(supervisor):
            tell_on_stderr(f"`pawl up` did not end within {STOP_SECONDS:.0f} s and is killed.")
            process.kill()
    ended = end_processes(state.processes)
    folder.forget_state()
    tell_on_stderr(f"Stopped the system in {folder.path}.")
    return supervisor is not None or bool(ended)


def _wait_for(supervisor: psutil.Process) -> list[psutil.Process]:
    """Waits until it has ended; itself when it has not after STOP_SECONDS."""
    until = monotonic() + STOP_SECONDS
    while alive := psutil.wait_procs([supervisor], timeout=TELL_SECONDS)[1]:
        if monotonic() >= until:
            return alive
        tell_on_stderr("The system is still stopping ...")
    return []


def require_own(folder: RunDirectory) -> None:
    """Refuse to remove a folder that `pawl up` did not make, e.g. after a slip with --dir. Raises Problem."""
    ours = (folder.ports, folder.keys, folder.passwords, folder.kafka, folder.postgres, folder.path / "lock")
    with explain_os_errors("looking at the run directory", folder.path):
        is_empty = not any(folder.path.iterdir())
    if not is_empty and not any(path.exists() for path in ours):
        raise Problem(
            f"{folder.path} is not a run directory of Pawl; nothing was removed.", "Check --dir.", Exit.USAGE
        )


def remove(folder: RunDirectory) -> bool:
    """Remove the run directory, and the data that had to be kept elsewhere. Whether it was there."""
    if not folder.path.exists():
        return False
    with explain_os_errors("removing the run directory", folder.path):
        postgres.wipe(folder.postgres)
        shutil.rmtree(folder.path)
    tell_on_stderr(f"Removed {folder.path}.")
    return True
