"""`pawl lag`: whether each service lives, and how far it is behind, in seconds and in events."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from ops.shell.databases import Where, connected, urls_of
from ops.shell.options import Directory, Json, KafkaAddress, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import System, find_system
from ops.shell.topic_reader import reading_topics
from ops.watch.living import ALIVE, Life, read_lives
from shared.queries import load

SQL = load("ops.watch")


@dataclass(slots=True)
class Backlog:
    """How many events wait, and for how many seconds the oldest of them."""

    seconds: float
    events: int


@dataclass(slots=True)
class ServiceLag:
    """How far one service is behind: reading, publishing, and with events that it could not handle.

    `held` counts by topic what it cannot read yet, since a producer's transaction is still open: nobody is
    behind with that, and it becomes lag when the transaction is committed.
    """

    outbox: Backlog
    parked: dict[str, int]
    dead_letters: int
    topics: dict[str, Backlog] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)

    @property
    def reading(self) -> Backlog:
        """All its topics together: the oldest unread event, and how many there are."""
        seconds = max((topic.seconds for topic in self.topics.values()), default=0.0)
        return Backlog(seconds, sum(topic.events for topic in self.topics.values()))


async def read_lag(where: Where, kafka: str) -> dict[str, ServiceLag]:
    """How far behind each service is; without a broker's address only its tables are read. Raises Problem."""
    lag: dict[str, ServiceLag] = {}
    async with connected(urls_of(where)) as connections:
        for service, connection in connections.items():
            lag[service] = await _read_tables(connection)
    if kafka:
        await _read_topics(kafka, lag)
    return lag


async def _read_tables(connection: Any) -> ServiceLag:
    outbox = await connection.fetchrow(SQL.waiting_to_publish)
    parked = await connection.fetchrow(SQL.parked_by_kind)
    dead = await connection.fetchval(SQL.open_dead_letters)
    return ServiceLag(Backlog(round(outbox["seconds"], 3), outbox["events"]), dict(parked), dead)


async def _read_topics(kafka: str, lag: dict[str, ServiceLag]) -> None:
    async with reading_topics(kafka) as reader:
        ages, unread, held = await reader.ages(), await reader.lags(), await reader.held()
    for service, topics in unread.items():
        for topic, events in topics.items():
            seconds = ages[service][topic] if events else 0.0
            lag[service].topics[topic] = Backlog(round(seconds, 3), events)
            if held[topic]:
                lag[service].held[topic] = held[topic]


def lag(
    kafka: KafkaAddress = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show whether each service lives, and how far it is behind: reading, publishing, parked, dead letters.

    Exit code 1 when a service does not live.

    Example: [bold]pawl lag[/bold]

    Example: [bold]watch pawl lag[/bold]
    """
    system = find_system(kafka, postgres, directory)
    lives, behind = asyncio.run(_read(system, require_servers(system)))
    if as_json:
        print_json({"services": {name: _document(lives[name], is_) for name, is_ in behind.items()}})
    else:
        print_lag(Console(), behind, lives)
    if any(life.status not in (ALIVE, "unknown") for life in lives.values()):
        raise typer.Exit(Exit.FAILED)


async def _read(system: System, kafka: str) -> tuple[dict[str, Life], dict[str, ServiceLag]]:
    return await read_lives(system), await read_lag(system, kafka)


def _document(life: Life, lag: ServiceLag) -> dict[str, Any]:
    return {"status": life.status, "why": life.why, "reading": asdict(lag.reading), **asdict(lag)}


def require_servers(system: System) -> str:
    """The broker's address. Raises Problem unless both servers are known."""
    system.require_ops_url()
    if not system.kafka:
        raise Problem(
            "The address of the broker is not known, and lag is measured there.", "Name it: --kafka HOST:PORT"
        )
    return system.kafka


def print_lag(console: Console, lag: dict[str, ServiceLag], lives: Mapping[str, Life]) -> None:
    """A line for each service, and one for each topic that it has not read to the end."""
    for service, behind in lag.items():
        reading = behind.reading
        style = "green" if reading.events + behind.outbox.events == 0 else "yellow"
        life = lives[service]
        line = Text.assemble(
            (f"{service:<9}", "bold"),
            (f"{life.status:<9}", "green" if life.status == ALIVE else "red"),
            (f"{_text(reading)} unread", style),
        )
        line.append(f"   {_text(behind.outbox)} to publish   {behind.dead_letters:,} dead letters   ")
        line.append(_parked(behind.parked))
        console.print(line, soft_wrap=True, highlight=False)
        if life.why:
            console.print(f"          {life.why}", soft_wrap=True, highlight=False, markup=False)
        for topic, unread in behind.topics.items():
            if unread.events:
                console.print(f"          {topic}: {_text(unread)}", soft_wrap=True, highlight=False)
        for topic, events in behind.held.items():
            words = f"          {topic}: {events:,} more behind a transaction that is still open"
            console.print(words, soft_wrap=True, highlight=False)
    if any(behind.dead_letters or any(behind.parked.values()) for behind in lag.values()):
        console.print("What is dead or parked, and why: [bold]pawl dead ls[/bold]")


def _text(backlog: Backlog) -> str:
    return f"{backlog.seconds:,.1f} s, {backlog.events:,} events"


def _parked(parked: dict[str, int]) -> str:
    texts = [f"{count:,} {kind}" for kind, count in parked.items() if count]
    return "parked: " + ", ".join(texts) if texts else "nothing parked"
