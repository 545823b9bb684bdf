"""Nothing that a process of pytest has started outlives it, however that process ends.

Servers are started in sessions of their own, so a Ctrl-C or a kill -9 of pytest does not reach them. A second
process, the reaper, reads from a pipe whose other end only pytest holds; when pytest ends, the pipe closes,
and the reaper kills whatever carries pytest's mark in its environment. Each process of `-n` has a mark and a
reaper of its own.
"""

import os
import secrets
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

MARK = "PAWL_TEST_PROCESS"


def pytest_configure(config: pytest.Config) -> None:
    """Starts the reaper of this process, and marks what this process starts from now on."""
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    # Without any mark in its own environment no other reaper takes it for a server.
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    reaper = subprocess.Popen(
        [sys.executable, "-I", __file__, mark], stdin=subprocess.PIPE, env=unmarked, start_new_session=True
    )
    os.environ[MARK] = mark
    config.add_cleanup(lambda: _end(reaper))


def _end(reaper: subprocess.Popen[bytes]) -> None:
    """A session that ends in order has stopped its servers: the reaper finds nothing, as a rule."""
    reaper.communicate()


def carriers(mark: str) -> list[psutil.Process]:
    """The processes that have this mark in their environment."""
    return [process for process in psutil.process_iter() if _has(process, mark)]


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return bool(process.environ().get(MARK) == mark)
    except (psutil.Error, OSError):
        return False


def reap(mark: str) -> None:
    """Kills them all; those that were just being started are found in the next round."""
    while found := carriers(mark):
        for process in found:
            with suppress(psutil.Error):
                print(f"left behind by pytest, and killed: {process.pid} {process.name()}", file=sys.stderr)
                process.kill()
        psutil.wait_procs(found, timeout=10)


if __name__ == "__main__":
    sys.stdin.read()
    reap(sys.argv[1])
