"""An order history through the four services without a server: the replay's own driver over the simulation.

Everything that decides is real (driver, ledger, handlers, stores, month close), so the outcome is the one
that `pawl replay` comes to on Kafka and Postgres. Rows of single serials are left out: a million of them
would only be counted.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from unittest.mock import patch

import orjson

from ops.replay.driver import Driver, UpstreamEvent
from ops.replay.run import read_plan
from ops.replay.states import Answer
from ops.replay.summary import Summary, summarise
from ops.replay.wire import ANSWERS, answer_of, headers
from services.serials.state import Policy
from shared.clock import monotonic
from shared.events.catalogue import UPSTREAM
from tests.simulation import system as simulated
from tests.simulation.system import Leader, System, UnitWriter, without_the_machine

EVERYTHING = 10**9


async def write_no_rows(*_: object) -> None:
    """Serials that are issued and not kept."""


@contextmanager
def large_grants() -> Iterator[None]:
    """Real orders have thousands of units, where the simulation's own have three; all are issued at once."""
    with (
        patch.object(simulated, "SMALL_GRANT", EVERYTHING),
        patch.object(simulated, "Policy", partial(Policy, at_once=EVERYTHING)),
        patch.object(UnitWriter, "write", write_no_rows),
    ):
        yield


class SimulatedTopics:
    """The topics of a simulated system, as the replay's driver sees them."""

    def __init__(self) -> None:
        self.system = System(partitions=1)
        self.leaders = {name: Leader(site, self.system.broker) for name, site in self.system.sites.items()}
        self.handled = {(name, topic): 0 for name, site in self.system.sites.items() for topic in site.topics}
        self.read = dict.fromkeys(ANSWERS, 0)

    async def backlog(self) -> Iterable[Answer]:
        return await self.next_answers(0)

    async def answered(self) -> Mapping[str, str]:
        return {}

    async def publish(self, events: Sequence[UpstreamEvent]) -> None:
        for event in events:
            self.system.broker.append(UPSTREAM, event.key.encode(), orjson.dumps(event.data), headers(event))

    async def next_answers(self, seconds: float) -> Sequence[Answer]:
        await asyncio.sleep(0)  # the close of a month goes on meanwhile
        self.work()
        found = []
        for topic, place in self.read.items():
            log = self.system.broker.logs[topic, 0]
            found += [answer for record in log[place:] if (answer := answer_of(record)) is not None]
            self.read[topic] = len(log)
        return found

    async def caught_up(self, seconds: float) -> bool:
        self.work()
        return True

    async def close(self, month: str, at: datetime) -> None:
        self.system.sites["invoices"].close(month, at)
        self.relay("invoices")

    def work(self) -> None:
        """Lets every service handle and publish until there is nothing more to do."""
        while sum(map(self.let_work, self.system.sites)):
            pass

    def let_work(self, name: str) -> bool:
        """Whether a service found records to handle."""
        site, found = self.system.sites[name], False
        for topic in site.topics:
            log = self.system.broker.logs[topic, 0]
            records = log[self.handled[name, topic] :]
            if records:
                site.handle(records)
                self.handled[name, topic] += len(records)
                found = True
        self.relay(name)
        return found

    def relay(self, name: str) -> None:
        leader = self.leaders[name]
        while rows := leader.waiting(EVERYTHING):
            leader.send(rows)
            leader.acknowledged(rows)
            assert leader.mark()


def replay(file: Path) -> Summary:
    """What a replay of the file comes to; its seconds and the auditor's report are left out."""
    plan = read_plan(file, close_months=True)
    with large_grants():
        topics = SimulatedTopics()
        driver = Driver(plan, topics, topics.close, monotonic)
        with without_the_machine(topics.system):
            ledger = asyncio.run(driver.run())
    return summarise(plan, ledger, driver.progress.published, 0.0, None)
