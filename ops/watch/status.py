"""`pawl status`: everything in ten lines. It says what cannot be asked, and never fails because of it."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from ops.shell.options import Directory, Json, KafkaAddress, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.run_directory import RunDirectory, Verdict
from ops.shell.system import System, find_system
from ops.watch.lag import Backlog, ServiceLag, read_lag
from ops.watch.living import ALIVE, Life, read_lives
from ops.watch.todo.command import present_moment
from ops.watch.todo.listing import Todo, read_everything
from ops.watch.todo.text import age_text, sums
from shared import __version__
from shared.business_days import next_business_day
from shared.kst import end_of_day, in_kst, month_of, next_month, parse_month, wire_time
from shared.operators.todo import Moment

WIDTH = 80
DUE_DAY = 10
STATES_OF_MONTH = {"month_not_closed": "not_closed", "month_close_interrupted": "interrupted"}
"""The state of a month by the cause for which `pawl todo` lists it."""


@dataclass(slots=True)
class Status:
    """How everything is at one moment. `behind` lacks what could not be asked, `trouble` says why."""

    at: datetime
    lives: dict[str, Life]
    todo: Todo
    behind: dict[str, ServiceLag] = field(default_factory=dict)
    has_topics: bool = False
    trouble: str = ""
    verdict: Verdict | None = None

    @property
    def is_well(self) -> bool:
        """Whether every service lives and everything could be read."""
        return not self.trouble and not self.todo.unreadable and self.all_alive

    @property
    def all_alive(self) -> bool:
        """Whether no service is known to be in trouble."""
        return all(life.status in (ALIVE, "unknown") for life in self.lives.values())

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `pawl status --json`."""
        return {
            "version": __version__,
            "at": wire_time(self.at),
            "services": {name: self._service(name) for name in self.lives},
            "trouble": self.trouble or None,
            "todo": {
                "things": sum(group.count for group in self.todo.groups),
                "causes": len(self.todo.groups),
                "overdue": sum(group.overdue for group in self.todo.groups),
                "who": self.by_who(),
                "unreadable": self.todo.unreadable,
            },
            "auditor": None if self.verdict is None else self.verdict.to_document(),
            "month": dict(zip(("month", "state", "due_on"), self.month(), strict=True)),
        }

    def _service(self, name: str) -> dict[str, Any]:
        life, lag = self.lives[name], self.behind.get(name)
        return {
            "status": life.status,
            "why": life.why,
            "reading_seconds": lag.reading.seconds if lag is not None and self.has_topics else None,
            "publishing_seconds": lag.outbox.seconds if lag is not None else None,
        }

    def by_who(self) -> dict[str, int]:
        """How many things each has to do, those who have something."""
        counts: Counter[str] = Counter()
        for group in self.todo.groups:
            counts[group.who] += group.count
        return dict(counts.most_common())

    def month(self) -> tuple[str, str, str]:
        """The month that is next to be closed, its state, and its due day.

        The state is `not_closed`, `interrupted` (its close was) or `running`.
        """
        open_months = [(g.reason, g.code) for g in self.todo.groups if g.code in STATES_OF_MONTH]
        month, code = min(open_months, default=(month_of(self.at), ""))
        return month, STATES_OF_MONTH.get(code, "running"), due_on(month).isoformat()


def due_on(month: str) -> date:
    """The day on which the documents of a month are due: the 10th of the next, or the next business day."""
    return next_business_day(parse_month(next_month(month)).replace(day=DUE_DAY))


async def read_status(system: System, moment: Moment) -> Status:
    """How everything is. Raises Problem only when no database is known."""
    lives, todo = await asyncio.gather(read_lives(system), read_everything(system, moment))
    status = Status(moment.now, lives, todo, verdict=RunDirectory(system.directory).read_verdict())
    status.behind, status.has_topics, status.trouble = await read_behind(system)
    return status


async def read_behind(system: System) -> tuple[dict[str, ServiceLag], bool, str]:
    """How far services are behind, whether that is known of their topics too, and what was in the way."""
    trouble = ""
    for kafka in dict.fromkeys((system.kafka, "")):
        try:
            return await read_lag(system, kafka), bool(kafka), trouble
        except Problem as problem:
            trouble = trouble or problem.message
    return {}, False, trouble


def status(
    kafka: KafkaAddress = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show everything in ten lines: services, lag, what needs somebody, the auditor's verdict, the month.

    Exit code 0: all is well; 5: something needs somebody; 1: a service does not live, or something could not
    be read.

    Example: [bold]pawl status[/bold]
    """
    found = asyncio.run(read_status(find_system(kafka, postgres, directory), present_moment()))
    if as_json:
        print_json(found.to_document())
    else:
        print_status(Console(), found)
    if not found.is_well:
        raise typer.Exit(Exit.FAILED)
    if found.todo.groups:
        raise typer.Exit(Exit.SOMETHING_WAITS)


def print_status(console: Console, found: Status) -> None:
    """Ten lines at most, of 80 columns."""
    for line in _lines(found):
        line.truncate(WIDTH, overflow="ellipsis")
        console.print(line, soft_wrap=True, highlight=False)


def _lines(found: Status) -> Iterator[Text]:
    yield Text(f"pawl {__version__}, {in_kst(found.at):%Y-%m-%d %H:%M} in Seoul", style="bold")
    for service, life in found.lives.items():
        yield _named(service, *_service(found, service, life))
    if found.trouble:
        yield _named("trouble", found.trouble, "red")
    yield from _todo(found)
    yield _named("auditor", *_auditor(found))
    yield _named("month", *_month(found))


def _named(name: str, text: str, style: str) -> Text:
    return Text.assemble((f"{name:<9} ", "bold"), (text, style))


def _service(found: Status, service: str, life: Life) -> tuple[str, str]:
    lag = found.behind.get(service)
    parts = [f"{life.status:<8}"]
    if life.status not in (ALIVE, "unknown"):
        return f"{parts[0]}  {life.why}", "red"
    if lag is None:
        return f"{parts[0]}  its tables cannot be read", "red"
    if found.has_topics:
        parts.append(f"{_backlog(lag.reading)} to read")
    parts.append(f"{_backlog(lag.outbox)} to publish")
    waits = lag.outbox.events + (lag.reading.events if found.has_topics else 0)
    return "  ".join(parts), "yellow" if waits else "green"


def _backlog(backlog: Backlog) -> str:
    return f"{backlog.events:,} events ({backlog.seconds:,.1f} s)" if backlog.events else "nothing"


def _todo(found: Status) -> Iterator[Text]:
    unread = ", ".join(found.todo.unreadable)
    lost = f" (not read: {unread})" if unread else ""
    if not found.todo.groups:
        yield _named("to do", f"nothing{lost}", "red" if lost else "green")
        return
    yield _named("to do", f"{sums(found.todo.groups)}{lost}; pawl todo", "yellow")
    yield _named("", ", ".join(f"{who} {count:,}" for who, count in found.by_who().items()), "yellow")


def _auditor(found: Status) -> tuple[str, str]:
    verdict = found.verdict
    if verdict is None:
        return "not asked yet: pawl check", "yellow"
    ago = age_text(found.at - verdict.at)
    if verdict.ok:
        return f"every rule held, {ago} ago", "green"
    return f"{verdict.violations:,} violations, {ago} ago: {verdict.command}", "red"


def _month(found: Status) -> tuple[str, str]:
    month, state, due = found.month()
    left = end_of_day(date.fromisoformat(due)) - found.at
    when = f"in {age_text(left)}" if left.total_seconds() > 0 else f"since {age_text(-left)}"
    if state == "running":
        return f"{month} is running, its documents are due on {due}, {when}", "green"
    closed = "is interrupted" if state == "interrupted" else "is not closed"
    return f"{month} {closed}, due {due}, {when}: pawl month {month}", "yellow"
