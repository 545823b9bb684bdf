"""What the pages show, read by the functions of the commands with a role that only reads.

A page that many look at asks the databases once in a few seconds; no statement may take long, and none waits
for a lock, so that a page can be late but a service cannot.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from console.settings import ConsoleSettings
from ops.shell.databases import urls_of
from ops.shell.problem import Problem
from ops.shell.system import System, named_services
from ops.watch.audit_log import Audited, read_audit_log
from ops.watch.dead.listing import groups, list_to_replay, list_to_resolve
from ops.watch.dead.names import Filter
from ops.watch.find import Finds, find_everywhere
from ops.watch.order import read_order
from ops.watch.status import Status, read_status
from ops.watch.story.model import Story
from shared.clock import monotonic, now
from shared.operators.finding import Word
from shared.operators.todo import Moment, Thresholds

LIMITS: Final = {"statement_timeout": "5s", "lock_timeout": "200ms"}
FRESH_SECONDS: Final = 5.0
AT_ONCE: Final = 3
WAIT_SECONDS: Final = 10.0
MEMBERS: Final = 200
"""So many refused records of each cause are named."""


class Unreadable(Exception):
    """The databases do not answer, or not in time; the message says which and why."""


def system_of(settings: ConsoleSettings) -> System:
    """The system as commands know it, with statements that end in time. Raises Problem."""
    return System(
        directory=settings.console_demo_directory or Path(),
        kafka=settings.pawl_kafka,
        ops_url=limited(str(settings.pawl_postgres)),
        services=named_services(settings.pawl_services),
    )


def limited(url: str) -> str:
    """The address with time limits for every statement of a session."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **LIMITS})))


class Reader:
    """Reads for the pages: a few at once, and what everybody looks at once in `FRESH_SECONDS`."""

    def __init__(self, system: System, thresholds: Thresholds) -> None:
        self.system = system
        self._thresholds = thresholds
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._status: tuple[float, Status] | None = None
        self._asking = asyncio.Lock()

    async def status(self) -> Status:
        """How everything is and what needs somebody, a few seconds old at most. Raises Unreadable."""
        async with self._asking:
            if self._status is None or monotonic() - self._status[0] > FRESH_SECONDS:
                async with self._reading():
                    read = await read_status(self.system, Moment(now(), self._thresholds))
                self._status = (monotonic(), read)
            return self._status[1]

    def forget(self) -> None:
        """Somebody has just changed something: what was read before is old."""
        self._status = None

    async def order(self, order_id: str) -> Story | None:
        """The story of an order; None when no service knows it. Raises Unreadable."""
        async with self._reading():
            return await read_order(self.system, order_id)

    async def find(self, word: Word) -> Finds:
        """What a word names. Raises Unreadable."""
        async with self._reading():
            return await find_everywhere(self.system, word)

    async def refused(self, only: Filter, everything: bool, members: int = 0) -> Sequence[dict[str, Any]]:
        """Dead letters and what waits, by cause. Raises Unreadable."""
        async with self._reading():
            return await groups(urls_of(self.system), only, everything, members)

    async def to_end(self, only: Filter, *, to_replay: bool) -> Sequence[dict[str, Any]]:
        """What is open and matches, oldest first, as `pawl dead` would end it. Raises Unreadable."""
        async with self._reading():
            listed = list_to_replay if to_replay else list_to_resolve
            return await listed(urls_of(self.system), only)

    async def audited(self, actor: str | None, target: str | None, most: int) -> Audited:
        """The newest entries of the audit logs. Raises Unreadable."""
        async with self._reading():
            return await read_audit_log(self.system, actor, target, most)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._at_once:
                yield
        except Problem as problem:
            raise Unreadable(problem.message) from problem
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unreadable(str(error) or type(error).__name__) from error
