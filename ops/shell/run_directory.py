"""The run directory `.pawl`: what a running system leaves there for other commands and for the next run.

run.json          where everything listens and which processes are ours (0600: it holds passwords)
keys.json         the keys of the services, made once (0600)
passwords.json    the passwords of the database roles, made once (0600)
kafka.json        the passwords on a broker that asks for logins, made once (0600)
ports.json        the ports of the last run
check.json        the last verdict of `pawl check`
kafka/ postgres/  data of the embedded servers
logs/             one log for each process; `.1` is that of the run before
"""

import base64
import fcntl
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psutil

from ops.shell.private_files import read_or_make, write_private
from ops.shell.problem import Problem, explain_os_errors
from shared.clock import monotonic
from shared.kst import wire_time

DEFAULT = Path(os.environ.get("PAWL_DIR", ".pawl"))


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
        except psutil.Error:
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
    """The content of run.json. `kafka`, `postgres`, `ops` are addresses; `services` maps names to URLs."""

    up: ProcessMark
    ready: bool = False
    kafka: str = ""
    postgres: str = ""
    ops: str = ""
    kafka_admin: str = ""
    kafka_checkout: str = ""
    services: dict[str, str] = field(default_factory=dict)
    processes: list[ProcessMark] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunState":
        document = json.loads(text)
        marks = [_mark(mark) for mark in document.pop("processes")]
        return cls(up=_mark(document.pop("up")), processes=marks, **document)


def _mark(document: Mapping[str, Any]) -> ProcessMark:
    return ProcessMark(**{**document, "command": tuple(document["command"])})


@dataclass(slots=True, frozen=True)
class Verdict:
    """What the auditor found, and when."""

    at: datetime
    ok: bool
    violations: int

    def to_document(self) -> dict[str, Any]:
        return {"at": wire_time(self.at), "ok": self.ok, "violations": self.violations}


class RunDirectory:
    """The paths in a run directory, and the lock that only one `pawl up` holds."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.ports = self.path / "ports.json"
        self.keys = self.path / "keys.json"
        self.passwords = self.path / "passwords.json"
        self.kafka_passwords = self.path / "kafka.json"
        self.kafka = self.path / "kafka"
        self.postgres = self.path / "postgres"
        self._run = self.path / "run.json"
        self._verdict = self.path / "check.json"
        self._lock: IO[str] | None = None

    def create(self) -> None:
        with explain_os_errors("making the run directory", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)

    def lock(self) -> None:
        """Take the lock; it ends with this process in any case. Raises Problem when somebody holds it."""
        with explain_os_errors("locking the run directory", self.path):
            self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            state = self.read_state()
            who = f" (pid {state.up.pid})" if state else ""
            raise Problem(
                f"A system is already running in {self.path}{who}.",
                "Use it, stop it with `pawl down`, or start another one elsewhere with --dir.",
            ) from None

    def unlock(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def read_state(self) -> RunState | None:
        """What the last run wrote; None when there is nothing or it cannot be read."""
        try:
            return RunState.from_json(self._run.read_text())
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        except PermissionError as error:
            raise Problem(
                f"{self._run} belongs to another user.", "Run this as the user who started `pawl up`."
            ) from error

    def write_state(self, state: RunState) -> None:
        with explain_os_errors("writing the run directory", self._run):
            write_private(self._run, state.to_json())

    def forget_state(self) -> None:
        self._run.unlink(missing_ok=True)

    def note_verdict(self, verdict: Verdict) -> None:
        """Keep the auditor's last verdict; nothing where no system was ever started."""
        if self.path.is_dir():
            with explain_os_errors("keeping the verdict", self._verdict):
                write_private(self._verdict, json.dumps(verdict.to_document()) + "\n")

    def read_verdict(self) -> Verdict | None:
        """The auditor's last verdict; None when there is none or it cannot be read."""
        try:
            document = json.loads(self._verdict.read_text())
            return Verdict(datetime.fromisoformat(document["at"]), document["ok"], document["violations"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def service_keys(self, server_url: str = "") -> dict[str, str]:
        """The keys of the services as environment variables, made at the first call.

        They are derived from the password of the server's administrator, so that two systems started for one
        server from two directories can read what the other has sealed; without a password they are random.
        """
        with explain_os_errors("keeping the keys", self.keys):
            keys: dict[str, str] = json.loads(read_or_make(self.keys, lambda: _new_keys(server_url)))
        return keys


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


def end_processes(marks: Iterable[ProcessMark], seconds: float = 15.0) -> list[str]:
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
