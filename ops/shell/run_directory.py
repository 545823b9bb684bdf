"""The run directory `.pawl`: what a running system leaves there for other commands and for the next run.

lock              held as long as `pawl up` runs; the pid of that process
run.json          where everything listens and which processes are ours (0600: it holds passwords)
keys.json         the keys of the services, made once (0600)
passwords.json    the passwords of the database roles, made once (0600)
kafka.json        the passwords on a broker that asks for logins, made once (0600)
token-key         the key that signs tokens for the services, made once (0600)
ports.json        the ports of the last run
tax-agent.jsonl   what a simulated tax agent was given, with `pawl up --with-tax-agent`
check.json        the last verdict of `pawl check`
kafka/ postgres/  data of the embedded servers
prometheus/       its configuration and its data, with `pawl up --watch`
logs/             one log for each process; `.1` is that of the run before
"""

import base64
import fcntl
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import urlsplit

import msgspec
import psutil

from ops.shell.private_files import read_or_make_secrets, write_private
from ops.shell.problem import Problem, explain_os_errors
from shared.clock import monotonic
from shared.kst import wire_time

DEFAULT = Path(os.environ.get("PAWL_DIR", ".pawl"))
SERVICE_KEYS = ("DATA_KEY", "DATA_KEY_ID", "SERIAL_LOOKUP_KEY", "SERIAL_TEXT_KEY", "SERIAL_KEY_ID")


@dataclass(slots=True, frozen=True)
class ProcessMark:
    """One process that we started, so that nobody mistakes a stranger with the same pid for it later."""

    name: str
    pid: int
    started: float
    command: tuple[str, ...]

    @classmethod
    def of(cls, name: str, pid: int) -> "ProcessMark | None":
        """The mark of a living process; None when it is gone already."""
        try:
            process = psutil.Process(pid)
            return cls(name, pid, process.create_time(), _command_of(process))
        except psutil.Error:
            return None

    def find(self) -> psutil.Process | None:
        """The process itself, if it still runs and is the one that was marked."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 2 and tuple(process.cmdline()) == self.command
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError, OverflowError):  # the last two: no process can have such a pid
            return None


def _command_of(process: psutil.Process, seconds: float = 1.0) -> tuple[str, ...]:
    """The arguments of a process. Waits while the kernel has not set them.

    A parent goes on as soon as the program is loaded, which is a moment before the arguments can be read.
    """
    until = monotonic() + seconds
    while not (command := tuple(process.cmdline())) and monotonic() < until:
        time.sleep(0.001)
    return command


@dataclass(slots=True)
class RunState:
    """The content of run.json. `kafka`, `postgres`, `ops` are addresses; `services` maps names to URLs, and
    `prometheus` is one where it watches, `console` where there is one.

    `signs_tokens`: the services take the tokens that are signed with the key of this directory. `gateway`: a
    simulated one answers payouts.
    """

    up: ProcessMark
    ready: bool = False
    kafka: str = ""
    postgres: str = ""
    ops: str = ""
    kafka_admin: str = ""
    kafka_checkout: str = ""
    services: dict[str, str] = field(default_factory=dict)
    prometheus: str = ""
    console: str = ""
    signs_tokens: bool = False
    gateway: bool = False
    processes: list[ProcessMark] = field(default_factory=list)

    def to_json(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self)).decode() + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunState":
        """Raises ValueError for anything that `to_json` did not write."""
        return msgspec.json.decode(text, type=cls)


@dataclass(slots=True, frozen=True)
class Verdict:
    """What the auditor found, and when; `topics` says whether it read the topics as well."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    ok: bool
    violations: int
    topics: bool = False

    @property
    def command(self) -> str:
        """What asks the auditor the same again."""
        return "pawl check --topics" if self.topics else "pawl check"

    def to_document(self) -> dict[str, Any]:
        return {
            "at": wire_time(self.at),
            "ok": self.ok,
            "violations": self.violations,
            "topics": self.topics,
        }


class RunDirectory:
    """The paths in a run directory, and the lock that only one `pawl up` holds."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.ports = self.path / "ports.json"
        self.keys = self.path / "keys.json"
        self.passwords = self.path / "passwords.json"
        self.kafka_passwords = self.path / "kafka.json"
        self.token_key = self.path / "token-key"
        self.kafka = self.path / "kafka"
        self.postgres = self.path / "postgres"
        self.prometheus = self.path / "prometheus"
        self._run = self.path / "run.json"
        self._verdict = self.path / "check.json"
        self._lock_file = self.path / "lock"
        self._lock: IO[str] | None = None

    def create(self) -> None:
        with explain_os_errors("making the run directory", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)

    def lock(self) -> None:
        """Take the lock; it ends with this process in any case. Raises Problem when somebody holds it."""
        with explain_os_errors("locking the run directory", self._lock_file):
            self._lock = self._lock_file.open("a")
        if not _locked_by_us(self._lock):
            self._lock.close()
            raise Problem(
                f"A system is already running in {self.path}{self._named_holder()}.",
                "Use it, stop it with `pawl down`, or start another one elsewhere with --dir.",
            )
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def is_locked(self) -> bool:
        """Whether a `pawl up` runs here, whatever run.json says."""
        try:
            with self._lock_file.open("a") as file:
                return not _locked_by_us(file)
        except OSError:
            return False

    def _named_holder(self) -> str:
        with suppress(OSError, ValueError):
            return f" (pid {int(self._lock_file.read_text())})"
        return ""

    def unlock(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def read_state(self) -> RunState | None:
        """What the last run wrote; None when there is nothing or it is damaged.

        Raises Problem when it may not be read, or when it is lost although a system runs here.
        """
        try:
            return RunState.from_json(self._run.read_text())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
            if self._lock is None and self.is_locked():
                raise Problem(
                    f"A system runs in {self.path}{self._named_holder()}, but {self._run.name} is missing or "
                    "damaged.",
                    "Has it just begun to start? Then try again in a moment. Otherwise end that process and "
                    "start again.",
                ) from None
            return None
        except PermissionError as error:
            raise Problem(
                f"{self._run} belongs to another user.", "Run this as the user who started `pawl up`."
            ) from error

    def write_state(self, state: RunState) -> None:
        with explain_os_errors("writing the run directory", self._run):
            write_private(self._run, state.to_json())

    def forget_state(self) -> None:
        with suppress(OSError):
            self._run.unlink()

    def note_verdict(self, verdict: Verdict) -> None:
        """Keep the auditor's last verdict; nothing where no system was ever started.

        What it found in the topics stays until it has read them again.
        """
        known = self.read_verdict()
        if known is not None and known.topics and not known.ok and verdict.ok and not verdict.topics:
            return
        if self.path.is_dir():
            with explain_os_errors("keeping the verdict", self._verdict):
                write_private(self._verdict, json.dumps(verdict.to_document()) + "\n")

    def read_verdict(self) -> Verdict | None:
        """The auditor's last verdict; None when there is none or it cannot be read."""
        try:
            return msgspec.json.decode(self._verdict.read_text(), type=Verdict)
        except (OSError, ValueError):
            return None

    def service_keys(self, server_url: str = "") -> dict[str, str]:
        """The keys of the services as environment variables, made at the first call.

        They are derived from the password of the server's administrator, so that two systems started for one
        server from two directories can read what the other has sealed; without a password they are random.
        Raises Problem when the file is damaged.
        """
        again = (
            f"Move it away (mv {self.keys} {self.keys}.old) and run this again: the same keys come from the "
            "password of the server."
            if urlsplit(server_url).password
            else "Put back a copy of it: with other keys nobody reads what was sealed with these."
        )
        return read_or_make_secrets(self.keys, lambda: _new_keys(server_url), SERVICE_KEYS, again)


def _locked_by_us(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _new_keys(server_url: str) -> str:
    secret = (urlsplit(server_url).password or "").encode() or secrets.token_bytes(32)

    def derived(what: str) -> bytes:
        return hmac.digest(secret, f"pawl {what}".encode(), "sha256")

    # The name tells apart what a system with other keys has sealed.
    name = f"local-{derived('key id').hex()[:8]}"
    keys = {
        key: base64.b64encode(derived(key)).decode()
        for key in ("DATA_KEY", "SERIAL_LOOKUP_KEY", "SERIAL_TEXT_KEY")
    }
    return json.dumps(keys | {"DATA_KEY_ID": name, "SERIAL_KEY_ID": name})


def end_processes(marks: Iterable[ProcessMark], seconds: float = 60.0) -> list[str]:
    """End those that still run and are ours: services first, then servers. Returns the names of those."""
    found = [(mark.name, process) for mark in marks if (process := mark.find())]
    servers = [process for name, process in found if name in ("kafka", "postgres")]
    services = [process for name, process in found if name not in ("kafka", "postgres")]
    for group in (services, servers):
        _end(group, seconds)
    return [name for name, _ in found]


def _end(processes: list[psutil.Process], seconds: float) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            # PostgreSQL waits for its clients on SIGTERM and sends them away on SIGINT.
            process.send_signal(2 if process.name() == "postgres" else 15)
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
