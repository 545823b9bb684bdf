"""A process that we started: its log and its end."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops.shell.problem import Problem, disk_full, explain_os_errors

DISK_NEEDED = 300 * 1024 * 1024


@dataclass(slots=True, frozen=True)
class SystemUser:
    """The account that a server runs under when it must not run as root."""

    name: str
    uid: int
    gid: int


class Child:
    """One child process in a session of its own (a Ctrl-C at the terminal is ours to pass on, in order)."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        user: SystemUser | None = None,
        directory: Path | None = None,
    ) -> None:
        self.log = log
        with explain_os_errors("starting " + Path(command[0]).name, log), log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment) if environment is not None else None,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
                cwd=directory,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._process.poll()

    @property
    def is_alive(self) -> bool:
        return self.exit_code is None

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, number: signal.Signals, seconds: float) -> bool:
        """Ask it to end, and kill it if it has not after `seconds`. Returns whether it ended by itself."""
        self.send(number)
        if await self.wait(seconds):
            return True
        self.kill()
        return False

    async def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.is_alive:
                    await asyncio.sleep(0.02)
        return not self.is_alive

    def wait_for_end(self) -> int:
        """Block until it has ended; its exit code."""
        return self._process.wait()

    def kill(self) -> None:
        """End it at once, with everything it started in its session, and wait for the body."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, for an error message; empty when there is none."""
    try:
        size = log.stat().st_size
        with log.open("rb") as file:
            file.seek(max(0, size - 64 * 1024))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join("  | " + line for line in lines[-count:])


def turn_over(log: Path) -> None:
    """Keep the log of the last run as `<name>.1`, so that each start begins an empty one."""
    with explain_os_errors("writing logs", log):
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_name(log.name + ".1"))
        log.touch()


def require_space(directory: Path, needed: int = DISK_NEEDED) -> None:
    """Refuse to start on a disk that would be full in a moment: both servers end badly when it is."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        problem = disk_full(directory)
        raise Problem(
            f"The disk that holds {directory} has {free // 2**20} MB left; {needed // 2**20} MB are needed.",
            problem.hint,
        )


def start_failure(name: str, log: Path, what: str) -> Problem:
    """The Problem for a server that did not start, with the cause as far as its log has it."""
    text = last_lines(log, 40)
    if "No space left on device" in text:
        return disk_full(log.parent)
    if "Address already in use" in text:
        return Problem(
            f"{name} {what}: its port was taken by another program in the meantime.", "Run it again."
        )
    return Problem(f"{name} {what}. The end of {log}:\n{last_lines(log)}", f"The whole log: {log}")
