"""A test that hangs fails alone: the process that ran it goes on with the next."""

from pathlib import Path

import pytest

from tests.support.nested import run_pytest

TESTS = """
import asyncio
import time


async def test_waits_for_what_never_comes():
    await asyncio.Event().wait()


def test_blocks():
    time.sleep(600)


async def test_comes_after_them():
    await asyncio.sleep(0)
"""


@pytest.mark.parametrize(
    "processes", [[], ["-n", "1", "--max-worker-restart", "0"]], ids=["alone", "dealt out"]
)
def test_a_test_that_hangs_fails_and_the_others_go_on(tmp_path: Path, processes: list[str]) -> None:
    (tmp_path / "test_late.py").write_text(TESTS)

    ended = run_pytest(str(tmp_path / "test_late.py"), "--timeout", "0.3", *processes)

    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "2 failed, 1 passed" in ended.stdout, ended.stdout
