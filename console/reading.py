"""What the pages show, read by the functions of the commands with a role that only reads.

A page that many look at asks the databases once in a few seconds; no statement may take long, and none waits
for a lock, so that a page can be late but a service cannot.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import orjson

from console.keeping import Keeping, Sample, with_chosen
from console.settings import ConsoleSettings
from ops.shell.databases import Kept, urls_of
from ops.shell.problem import Problem
from ops.shell.system import System, named_services
from ops.watch.audit_log import Audited, read_audit_log
from ops.watch.dead.listing import groups, list_to_replay, list_to_resolve
from ops.watch.dead.names import Filter
from ops.watch.find import Finds, find_everywhere
from ops.watch.lag import ServiceLag
from ops.watch.marks import read_marks
from ops.watch.month.drift import read_drift
from ops.watch.order import read_order
from ops.watch.serials.finding import read_ending
from ops.watch.serials.listing import read_issuances
from ops.watch.show.partner import read_partner
from ops.watch.status import Status, read_behind, read_status
from ops.watch.story.model import Story
from shared.clock import monotonic, now
from shared.events.catalogue import SERVICES
from shared.operators.finding import Word
from shared.operators.todo import Group, Moment, Thresholds

LIMITS: Final = {"statement_timeout": "5s", "lock_timeout": "200ms"}
FRESH_SECONDS: Final = 5.0
AT_ONCE: Final = 3
WAIT_SECONDS: Final = 10.0
MEMBERS: Final = 200
"""So many refused records of each cause are named."""
KEY: Final = "key:"
NEEDS, REFUSED = "needs", "refused"
LISTS: Final = (NEEDS, REFUSED)


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
    """Reads for the pages: a few at once, and what everybody looks at once in `FRESH_SECONDS`.

    `kept` are connections that stay open; without it each reading opens its own.
    """

    def __init__(
        self,
        system: System,
        thresholds: Thresholds,
        keeping: Keeping | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.system = system
        self.keeping = keeping
        self.configured = thresholds
        self._kept = kept
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._status: tuple[float, Status] | None = None
        self._asking = asyncio.Lock()
        self._marks: dict[str, tuple[float, str]] = {}
        self._marking = asyncio.Lock()

    async def thresholds(self) -> Thresholds:
        """The thresholds that count here: what people chose, else what is configured. Raises Unreadable."""
        if self.keeping is None:
            return self.configured
        async with self._reading():
            return with_chosen(self.configured, await self.keeping.chosen())

    async def status(self) -> Status:
        """How everything is and what needs somebody, a few seconds old at most. Raises Unreadable."""
        async with self._asking:
            if self._status is None or monotonic() - self._status[0] > FRESH_SECONDS:
                thresholds = await self.thresholds()
                async with self._reading():
                    read = await read_status(self.system, Moment(now(), thresholds))
                self._status = (monotonic(), read)
            return self._status[1]

    def forget(self) -> None:
        """Somebody has just changed something: what was read before is old."""
        self._status = None
        self._marks.clear()

    async def behind(self) -> tuple[Mapping[str, ServiceLag], bool]:
        """How far services are behind now, and whether their topics could be read. Raises Unreadable."""
        async with self._reading():
            behind, has_topics, trouble = await read_behind(self.system)
        if not behind:
            raise Unreadable(trouble)
        return behind, has_topics

    async def samples(self, since: datetime) -> Sequence[Sample]:
        """How far services were behind since an instant, the oldest first. Raises Unreadable."""
        if self.keeping is None:
            return ()
        async with self._reading():
            return await self.keeping.samples(since)

    async def watched(self, of: str) -> str:
        """What a page shows, and its mark now, as `console.live` asks for them; empty where nobody knows."""
        try:
            self._marks.pop(of, None)
            return urlencode({"of": of, "mark": (await self.marks({of}))[of]})
        except Unreadable:
            return ""

    async def marks(self, names: Set[str]) -> Mapping[str, str]:
        """The marks of what pages show, a few seconds old at most. Raises Unreadable."""
        async with self._marking:
            fresh = monotonic() - FRESH_SECONDS
            self._marks = {name: kept for name, kept in self._marks.items() if kept[0] > fresh}
            missing = names - self._marks.keys()
            if missing:
                read = await self._read_marks(missing)
                self._marks |= {name: (monotonic(), mark) for name, mark in read.items()}
            return {name: self._marks[name][1] for name in names}

    async def _read_marks(self, names: Set[str]) -> Mapping[str, str]:
        marks: dict[str, str] = {}
        if NEEDS in names:
            marks[NEEDS] = mark_of_groups((await self.status()).todo.groups)
        others = names - {NEEDS}
        if not others:
            return marks
        keys = {name: name.removeprefix(KEY).replace("\0", "") for name in others if name.startswith(KEY)}
        is_wide = bool(keys) or REFUSED in others
        async with self._reading():
            urls = urls_of(self.system)
            asked = {name: urls[name] for name in SERVICES if is_wide or name in others}
            read = await read_marks(asked, set(keys.values()))
        said = {**read.recorded, **{name: read.keys[key] for name, key in keys.items()}}
        said[REFUSED] = "/".join(read.refused.values())
        return marks | {name: short(said[name]) for name in others}

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

    async def audited(
        self,
        actor: str | None,
        target: str | None,
        most: int,
        since: datetime | None = None,
        before: datetime | None = None,
        only: str | None = None,
    ) -> Audited:
        """The newest entries of the audit logs, as `read_audit_log` is asked for them. Raises Unreadable."""
        async with self._reading():
            return await read_audit_log(self.system, actor, target, most, since, before, only)

    async def partner(self, partner_id: str) -> dict[str, Any] | None:
        """A partner, as `pawl partner` shows it; None when no service knows it. Raises Unreadable."""
        async with self._reading():
            return await read_partner(self.system, partner_id)

    async def to_end(self, only: Filter, *, to_replay: bool) -> Sequence[dict[str, Any]]:
        """What is open and matches, oldest first, as `pawl dead` would end it. Raises Unreadable."""
        async with self._reading():
            listed = list_to_replay if to_replay else list_to_resolve
            return await listed(urls_of(self.system), only)

    async def drift(self, month: str, number: str) -> list[dict[str, Any]]:
        """What of a business is not as it was approved, and by which events. Raises Unreadable."""
        async with self._reading():
            return await read_drift(self.system, month, number)

    async def issuances(
        self, partner_id: str | None, order_id: str | None, most: int
    ) -> list[dict[str, Any]]:
        """The newest issuances of serials. Raises Unreadable."""
        async with self._reading():
            return await read_issuances(self.system, partner_id, order_id, most)

    async def serials_ending(self, last_four: str, order_id: str) -> list[dict[str, Any]]:
        """The serials of an order that end like this. Raises Unreadable."""
        async with self._reading():
            return await read_ending(self.system, last_four, order_id)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._at_once:
                with nullcontext() if self._kept is None else self._kept.at_hand():
                    yield
        except Problem as problem:
            raise Unreadable(problem.message) from problem
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unreadable(str(error) or type(error).__name__) from error


def mark_of_groups(groups: Sequence[Group]) -> str:
    """Equal for lists that tell the same, whenever they were read."""
    told = [(g.service, g.code, g.reason, g.count, g.won, g.overdue, *g.members) for g in groups]
    return short(orjson.dumps(told))


def short(text: str | bytes) -> str:
    """Sixteen characters that stand for a text."""
    return sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]
