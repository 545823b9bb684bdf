"""Ports on 127.0.0.1 that stay the same from one start to the next, so that URLs survive a restart."""

import json
import secrets
import socket
import threading
from pathlib import Path

from ops.shell.output import tell_on_stderr
from ops.shell.problem import Problem, explain_os_errors

HOST = "127.0.0.1"
# Below the range that systems give to outgoing connections: a port from inside that range may be taken by
# any client socket at the moment when a server wants it back.
LOWEST, HIGHEST = 15_000, 31_999


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now (a closed connection that lingers does not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Ports:
    """The ports of one run directory, by name, remembered in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._given: dict[str, int] = {}
        self._taking = threading.Lock()  # servers start side by side, some of them in threads

    def take(self, name: str, fixed: int | None = None) -> int:
        """The port for `name`: the fixed one, else that of the last run, else a new one.

        Raises Problem when a fixed port is in use. A new port replaces a remembered one
        that is taken, with a line on stderr.
        """
        with self._taking:
            return self._take(name, fixed)

    def _take(self, name: str, fixed: int | None) -> int:
        remembered = self._remembered().get(name)
        if fixed is not None:
            port = self._insist(name, fixed)
        elif remembered is not None and self._available(remembered, name):
            port = remembered
        else:
            port = self._new_port(name)
            if remembered is not None:
                tell_on_stderr(f"Port {remembered} of {name} is in use now; it moves to {port}.")
        self._given[name] = port
        self._remember()
        return port

    def _insist(self, name: str, port: int) -> int:
        if not is_free(port):
            raise Problem(
                f"Port {port} for {name} is in use by another program.",
                f"Stop that program (`ss -ltnp 'sport = :{port}'` names it), choose another port, or leave "
                "the option out to get a free one.",
            )
        return port

    def _available(self, port: int, name: str) -> bool:
        others = (given for owner, given in self._given.items() if owner != name)
        return port not in others and is_free(port)

    def _new_port(self, name: str) -> int:
        for _ in range(200):
            port = LOWEST + secrets.randbelow(HIGHEST - LOWEST + 1)
            if self._available(port, name):
                return port
        raise Problem(f"No free port between {LOWEST} and {HIGHEST} on {HOST}.")

    def _remembered(self) -> dict[str, int]:
        try:
            known = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        return {name: port for name, port in known.items() if isinstance(port, int) and 0 < port <= 65_535}

    def _remember(self) -> None:
        with explain_os_errors("writing the run directory", self._file):
            self._file.write_text(json.dumps(self._remembered() | self._given, indent=2) + "\n")
