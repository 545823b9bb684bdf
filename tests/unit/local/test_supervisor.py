"""Processes that are kept running. Real ones, but without any server."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ops.local import supervisor
from ops.local.child import Child
from ops.local.supervisor import Launch, Supervisor, pause_after
from tests.support.patience import PATIENCE

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]
ENDS = [sys.executable, "-c", "import sys; sys.exit('cannot read DATA_KEY')"]
IGNORES_SIGTERM = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)",
]


class Town:
    """A supervisor with what it said."""

    def __init__(self, logs: Path, longest_pause: float = 0.0, **commands: list[str]) -> None:
        self.said: list[str] = []
        self.starts = 0
        launches = [Launch(name, command, {}, logs / f"{name}.log") for name, command in commands.items()]
        self.kept = Supervisor(launches, self.said.append, self._count, longest_pause)

    def _count(self) -> None:
        self.starts += 1

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Supervisor]:
        self.kept.start_all()
        watching = asyncio.create_task(self.kept.watch())
        try:
            yield self.kept
        finally:
            watching.cancel()
            await self.kept.stop_all()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_process_that_comes_later_is_kept_running_with_the_others(tmp_path: Path) -> None:
    town = Town(tmp_path, orders=SLEEPS)
    async with town.watched() as kept:
        kept.add(Launch("gateway", SLEEPS, {}, tmp_path / "gateway.log"))
        first = kept.pid("gateway")

        kept.kill("gateway")
        await until(lambda: kept.is_alive("gateway") and kept.pid("gateway") != first)

        assert kept.names == ["orders", "gateway"]
        assert town.starts == 3


async def test_a_killed_process_starts_again_with_a_new_pid(tmp_path: Path) -> None:
    town = Town(tmp_path, orders=SLEEPS)
    async with town.watched() as kept:
        first = kept.pid("orders")

        kept.kill("orders")
        await until(lambda: kept.is_alive("orders"))

        assert kept.pid("orders") != first
        assert "orders was ended by SIGKILL" in town.said[0]
        assert "orders.log" in town.said[0]


async def test_a_process_that_keeps_ending_waits_longer_each_time(tmp_path: Path) -> None:
    town = Town(tmp_path, longest_pause=0.01, orders=ENDS)
    async with town.watched():
        await until(lambda: len(town.said) >= 3)

    assert all("orders ended with code 1" in sentence for sentence in town.said[:3])
    assert all(sentence.endswith("| cannot read DATA_KEY") for sentence in town.said[:3])
    assert [pause_after(failures) for failures in (1, 2, 3, 4, 5, 6, 60)] == [1, 2, 4, 8, 16, 30, 30]


async def test_a_long_life_forgets_earlier_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LIFE_THAT_FORGETS", 0.0)
    town = Town(tmp_path, longest_pause=1.0, orders=ENDS)
    async with town.watched():
        await until(lambda: len(town.said) >= 2)

    assert all("starts again in 1 s" in sentence for sentence in town.said[:2])


async def test_others_are_not_touched_when_one_dies(tmp_path: Path) -> None:
    town = Town(tmp_path, orders=SLEEPS, refunds=SLEEPS)
    async with town.watched() as kept:
        refunds = kept.pid("refunds")

        kept.kill("orders")
        await until(lambda: kept.is_alive("orders"))

        assert kept.pid("refunds") == refunds


async def test_a_stopped_process_stays_stopped_until_it_is_started(tmp_path: Path) -> None:
    town = Town(tmp_path, orders=SLEEPS, refunds=SLEEPS)
    async with town.watched() as kept:
        await kept.stop("orders")
        kept.kill("refunds")
        await until(lambda: kept.is_alive("refunds"))

        assert not kept.is_alive("orders")

        kept.start("orders")

        assert kept.is_alive("orders")


async def test_a_process_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "stubborn.log"
    child = Child(IGNORES_SIGTERM, log)
    await until(lambda: "on" in log.read_text())

    ended_by_itself = await child.stop(supervisor.signal.SIGTERM, 0.1)

    assert not ended_by_itself
    assert not child.is_alive


async def test_what_a_process_says_is_in_its_log(tmp_path: Path) -> None:
    town = Town(tmp_path, longest_pause=30.0, orders=ENDS)
    async with town.watched() as kept:
        await until(lambda: not kept.is_alive("orders"))

        assert "cannot read DATA_KEY" in kept.log("orders").read_text()
