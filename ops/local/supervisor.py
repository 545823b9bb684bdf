"""Keeps the service processes running: starts a process again when it dies, later each time."""

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ops.local.child import Child, last_lines, turn_over
from ops.shell.output import Tell, tell_on_stderr
from shared.clock import monotonic
from shared.environment import environment_of_children

LONGEST_PAUSE = 30.0
LIFE_THAT_FORGETS = 60.0
# A service gives its last batch 15 s and its last events half of that (STOP_GRACE_SECONDS). While its group
# waits for a member that was killed, leaving takes as long as that one's session (6 s).
STOP_SECONDS = 30.0
LOOK_EVERY = 0.1
LINES_TOLD = 3
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True, frozen=True)
class Launch:
    """How one process is started. `environment` is added to ours."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path


@dataclass(slots=True)
class Supervised:
    """One process, and how often it has failed in a row."""

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

    It calls `changed` after every start (the pids are new) and `tell` with what happens.
    """

    def __init__(
        self,
        launches: Iterable[Launch],
        tell: Tell = tell_on_stderr,
        changed: Callable[[], None] | None = None,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self._supervised = {launch.name: Supervised(launch) for launch in launches}
        self._tell = tell
        self._changed = changed or (lambda: None)
        self._longest_pause = longest_pause

    @property
    def names(self) -> list[str]:
        return list(self._supervised)

    def pid(self, name: str) -> int | None:
        child = self._supervised[name].child
        return child.pid if child else None

    def pids(self) -> dict[str, int]:
        """Those that run now."""
        return {name: one.child.pid for name, one in self._supervised.items() if one.child and one.is_alive}

    def is_alive(self, name: str) -> bool:
        return self._supervised[name].is_alive

    def exit_code(self, name: str) -> int | None:
        child = self._supervised[name].child
        return child.exit_code if child else None

    def deaths(self, name: str) -> list[int | None]:
        """The exit codes of its processes that ended unasked."""
        return self._supervised[name].deaths

    def log(self, name: str) -> Path:
        return self._supervised[name].launch.log

    def start_all(self) -> None:
        for one in self._supervised.values():
            turn_over(one.launch.log)
            self._start(one)
        self._changed()

    def add(self, launch: Launch) -> None:
        """Start one more process, and watch and stop it with the others."""
        one = self._supervised[launch.name] = Supervised(launch)
        turn_over(launch.log)
        self._start(one)
        self._changed()

    def launch(self, name: str) -> Launch:
        """How to start it, or another instance of it."""
        return self._supervised[name].launch

    def start(self, name: str, only_once: Mapping[str, str] = NOTHING) -> None:
        """Start one that was stopped or killed, without waiting for its turn.

        `only_once` is added to the environment of this start, not to that of later ones.
        """
        one = self._supervised[name]
        if not one.is_alive:
            one.failures = 0
            self._start(one, only_once)
            self._changed()

    def kill(self, name: str) -> None:
        """End it as a power cut would (kill -9). It is started again by watch()."""
        one = self._supervised[name]
        if one.child:
            one.child.kill()

    def halt(self, name: str) -> None:
        """Let it stand still with everything that it holds, as a stalled machine would (SIGSTOP)."""
        self._send(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on where it was halted (SIGCONT)."""
        self._send(name, signal.SIGCONT)

    def _send(self, name: str, number: signal.Signals) -> None:
        one = self._supervised[name]
        if one.child:
            one.child.send(number)

    async def stop(self, name: str) -> bool:
        """Ask it to end; killed after 30 s. It stays ended. Whether it ended by itself."""
        one = self._supervised[name]
        one.wanted = False
        return one.child is None or await one.child.stop(signal.SIGTERM, STOP_SECONDS)

    async def stop_all(self) -> None:
        """All at once; says which one had to be killed."""
        graceful = await asyncio.gather(*(self.stop(name) for name in self._supervised))
        for name, ended in zip(self._supervised, graceful, strict=True):
            if not ended:
                self._tell(f"{name} did not stop within {STOP_SECONDS:.0f} s and was killed.")

    async def watch(self) -> None:
        """Start again what dies, until cancelled."""
        while True:
            for one in self._supervised.values():
                self._look_after(one)
            await asyncio.sleep(LOOK_EVERY)

    def _look_after(self, one: Supervised) -> None:
        if not one.wanted or one.is_alive or one.child is None:
            return
        if not one.due:
            self._plan_restart(one)
        elif monotonic() >= one.due:
            self._start(one)
            self._changed()

    def _plan_restart(self, one: Supervised) -> None:
        lived = monotonic() - one.began
        one.failures = 1 if lived >= LIFE_THAT_FORGETS else one.failures + 1
        pause = min(pause_after(one.failures), self._longest_pause)
        one.due = monotonic() + pause
        code = one.child.exit_code if one.child else None
        one.deaths.append(code)
        self._tell(
            f"{one.launch.name} {_ending(code)} after {lived:.0f} s; it starts again in {pause:.0f} s. "
            f"Its log, {one.launch.log}, ends with:\n{last_lines(one.launch.log, LINES_TOLD)}"
        )

    def _start(self, one: Supervised, only_once: Mapping[str, str] = NOTHING) -> None:
        launch = one.launch
        one.child = Child(
            launch.command, launch.log, {**environment_of_children(), **launch.environment, **only_once}
        )
        one.began, one.due, one.wanted = monotonic(), 0.0, True


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
