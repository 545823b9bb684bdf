"""Keeps the service processes running: one that dies is started again, later each time."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ops.local.child import Child, turn_over
from ops.shell.output import Tell, tell_on_stderr
from shared.clock import monotonic

LONGEST_PAUSE = 30.0
LIFE_THAT_FORGETS = 60.0
# A service gives its last batch 15 s and its last facts half of that (STOP_GRACE_SECONDS). While its group
# waits for a member that was killed, leaving takes as long as that one's session (6 s).
STOP_SECONDS = 30.0
LOOK_EVERY = 0.1
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True, frozen=True)
class Launch:
    """How one process is started. `environment` is added to ours."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path


@dataclass(slots=True)
class Kept:
    """One process and how often it has failed in a row."""

    launch: Launch
    child: Child | None = None
    began: float = 0.0
    failures: int = 0
    wanted: bool = True
    due: float = 0.0
    deaths: list[int | None] = field(default_factory=list)

    @property
    def is_alive(self) -> bool:
        return self.child is not None and self.child.is_alive


def pause_after(failures: int) -> float:
    """Seconds to wait before the next start: 1, 2, 4 ... 30."""
    return min(LONGEST_PAUSE, float(2 ** min(failures - 1, 10)))


class Supervisor:
    """Starts, watches and stops processes by name.

    `changed` is called after every start (the pids are new), `tell` hears what happens.
    """

    def __init__(
        self,
        launches: Iterable[Launch],
        tell: Tell = tell_on_stderr,
        changed: Callable[[], None] | None = None,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self._kept = {launch.name: Kept(launch) for launch in launches}
        self._tell = tell
        self._changed = changed or (lambda: None)
        self._longest_pause = longest_pause

    @property
    def names(self) -> list[str]:
        return list(self._kept)

    def pid(self, name: str) -> int | None:
        child = self._kept[name].child
        return child.pid if child else None

    def pids(self) -> dict[str, int]:
        """Those that run now."""
        return {name: kept.child.pid for name, kept in self._kept.items() if kept.child and kept.is_alive}

    def is_alive(self, name: str) -> bool:
        return self._kept[name].is_alive

    def exit_code(self, name: str) -> int | None:
        child = self._kept[name].child
        return child.exit_code if child else None

    def deaths(self, name: str) -> list[int | None]:
        """The exit codes of those that ended without being asked to."""
        return self._kept[name].deaths

    def log(self, name: str) -> Path:
        return self._kept[name].launch.log

    def start_all(self) -> None:
        for kept in self._kept.values():
            turn_over(kept.launch.log)
            self._start(kept)
        self._changed()

    def launch(self, name: str) -> Launch:
        """How it is started; another instance of a service is started alike."""
        return self._kept[name].launch

    def start(self, name: str, only_once: Mapping[str, str] = NOTHING) -> None:
        """Start one that was stopped or killed, without waiting for its turn.

        `only_once` is added to the environment of this start, not to that of later ones.
        """
        kept = self._kept[name]
        if not kept.is_alive:
            kept.failures = 0
            self._start(kept, only_once)
            self._changed()

    def kill(self, name: str) -> None:
        """End it as a power cut would (kill -9). It is started again by watch()."""
        kept = self._kept[name]
        if kept.child:
            kept.child.kill()

    def halt(self, name: str) -> None:
        """Let it stand still with everything that it holds, as a stalled machine would (SIGSTOP)."""
        self._send(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on where it was halted (SIGCONT)."""
        self._send(name, signal.SIGCONT)

    def _send(self, name: str, number: signal.Signals) -> None:
        kept = self._kept[name]
        if kept.child:
            kept.child.send(number)

    async def stop(self, name: str) -> bool:
        """Ask it to end; killed after 30 s. It stays ended. Whether it ended by itself."""
        kept = self._kept[name]
        kept.wanted = False
        return kept.child is None or await kept.child.stop(signal.SIGTERM, STOP_SECONDS)

    async def stop_all(self) -> None:
        """All at once; says which one had to be killed."""
        graceful = await asyncio.gather(*(self.stop(name) for name in self._kept))
        for name, ended in zip(self._kept, graceful, strict=True):
            if not ended:
                self._tell(f"{name} did not stop within {STOP_SECONDS:.0f} s and was killed.")

    async def watch(self) -> None:
        """Start again what dies, until cancelled."""
        while True:
            for kept in self._kept.values():
                self._look_after(kept)
            await asyncio.sleep(LOOK_EVERY)

    def _look_after(self, kept: Kept) -> None:
        if not kept.wanted or kept.is_alive or kept.child is None:
            return
        if not kept.due:
            self._plan_restart(kept)
        elif monotonic() >= kept.due:
            self._start(kept)
            self._changed()

    def _plan_restart(self, kept: Kept) -> None:
        lived = monotonic() - kept.began
        kept.failures = 1 if lived >= LIFE_THAT_FORGETS else kept.failures + 1
        pause = min(pause_after(kept.failures), self._longest_pause)
        kept.due = monotonic() + pause
        code = kept.child.exit_code if kept.child else None
        kept.deaths.append(code)
        self._tell(
            f"{kept.launch.name} {_ending(code)} after {lived:.0f} s; it starts again in {pause:.0f} s. "
            f"Its log: {kept.launch.log}"
        )

    def _start(self, kept: Kept, only_once: Mapping[str, str] = NOTHING) -> None:
        launch = kept.launch
        kept.child = Child(launch.command, launch.log, {**os.environ, **launch.environment, **only_once})
        kept.began, kept.due, kept.wanted = monotonic(), 0.0, True


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
