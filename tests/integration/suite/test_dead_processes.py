"""A process of pytest that dies takes everything with it that it has started."""

from pathlib import Path

import psutil
import pytest

from tests.support.nested import run_pytest

TESTS = """
import os
import signal
from pathlib import Path


async def test_dies(kafka_server, postgres_server):
    Path({pids!r}).write_text(f"{{os.getpid()}} {{kafka_server.pid}} {{postgres_server.pid}}")
    os.kill(os.getpid(), signal.SIGKILL)
"""
PLUGINS = ("-p", "tests.support.reaper", "-p", "tests.support.servers")


def test_the_servers_of_a_process_that_is_killed_end_with_it(tmp_path: Path) -> None:
    (tmp_path / "test_deadly.py").write_text(TESTS.format(pids=str(tmp_path / "pids")))

    ended = run_pytest(str(tmp_path / "test_deadly.py"), *PLUGINS, "-n", "1", "--max-worker-restart", "0")

    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert "worker 'gw0' crashed" in ended.stdout, ended.stdout
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 3
    assert [pid for pid in pids if is_running(pid)] == []


def is_running(pid: int) -> bool:
    """Whether it does anything yet: what has ended and is not reaped does not count."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
