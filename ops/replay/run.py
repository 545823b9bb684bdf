"""A whole replay against a running system: read, plan, drive, sum up, audit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from ops.audit.check import audit
from ops.replay.driver import PATIENCE, CloseMonth, Driver, Progress, Stalled, Topics
from ops.replay.plan import Close, Plan
from ops.replay.planner import plan_history
from ops.replay.reader import UnknownFile, read_lines
from ops.replay.summary import Summary, most_interesting, summarise
from ops.replay.wire import open_topics
from ops.shell.databases import urls_of
from ops.shell.http_client import fetch
from ops.shell.problem import Exit, Problem
from ops.shell.system import System
from ops.shell.tokens import token_of
from shared import kst
from shared.clock import monotonic

CLOSE_SECONDS = 300.0
CLOSE_SCOPE = "invoices:approve"
SHOW_EVERY = 0.2  # seconds between two updates of the progress; a display needs no more

Show = Callable[[Progress], None]
Afterwards = Callable[[Topics], Awaitable[None]]


@dataclass(slots=True, frozen=True)
class Replayed:
    """The result of a replay. `interesting` is an order worth a look.

    `repeats` counts events that were sent twice; `is_known`: an earlier run had settled all of it.
    """

    summary: Summary
    interesting: str | None
    repeats: int
    is_known: bool


def read_plan(file: Path, close_months: bool) -> Plan:
    """The planned history of a file. Raises Problem when it is none."""
    try:
        return plan_history(read_lines(file), close_months)
    except UnknownFile as error:
        raise Problem(str(error), "docs/replay.md says how a file has to look.", Exit.USAGE) from error


async def replay_file(
    file: Path, system: System, close_months: bool, show: Show, patience: float = PATIENCE
) -> Replayed:
    """Replays a file. Raises Problem when it cannot be read or the system stops answering."""
    plan = await asyncio.to_thread(read_plan, file, close_months)
    return await replay_plan(plan, system, show, patience)


async def replay_plan(
    plan: Plan,
    system: System,
    show: Show,
    patience: float = PATIENCE,
    repeat_every: int = 0,
    afterwards: Afterwards | None = None,
) -> Replayed:
    """Replays a history. Raises Problem when the system stops answering.

    `repeat_every`: one event in so many is sent twice (0: none). `afterwards` is done before the audit.
    """
    closes = any(isinstance(entry, Close) for entry in plan.history)
    close_month = _closer(system) if closes else _close_nothing
    kafka = system.require_kafka()
    started = monotonic()
    async with open_topics(kafka, system.checkout, urls_of(system), repeat_every) as topics:
        driver = Driver(plan, topics, close_month, monotonic, patience=patience, pays=not system.gateway)
        async with _shown(driver.progress, show):
            try:
                ledger = await driver.run()
            except Stalled as error:
                raise Problem(str(error)) from error
        seconds = monotonic() - started
        if afterwards is not None:
            await afterwards(topics)
    check = await audit(system)
    summary = summarise(plan, ledger, driver.progress.published, seconds, check.to_document())
    return Replayed(summary, most_interesting(ledger), topics.repeats, driver.is_known)


def _closer(system: System) -> CloseMonth:
    url = f"{system.service('invoices').base_url}/v1/months"
    token_of(system, CLOSE_SCOPE)  # says now, and not at the first close, that there is none

    async def close(month: str, at: datetime) -> None:
        # The history was closed as it was: a refund that was in progress became a modified invoice.
        said = {"at": kst.wire_time(at), "reason": "replay", "despite_open_refunds": True}
        token = token_of(system, CLOSE_SCOPE)
        answer = await fetch(f"{url}/{month}/close", orjson.dumps(said), CLOSE_SECONDS, token)
        if answer.status != 200:
            raise Problem(
                f"The month {month} could not be closed: {answer.text[:300] or answer.status}",
                f"See what stands against it: pawl month {month}. Then replay the same file again.",
            )

    return close


async def _close_nothing(month: str, at: datetime) -> None:
    raise AssertionError("a plan without closes closes nothing")


@asynccontextmanager
async def _shown(progress: Progress, show: Show) -> AsyncIterator[None]:
    async def keep_showing() -> None:
        while True:
            show(progress)
            await asyncio.sleep(SHOW_EVERY)

    task = asyncio.create_task(keep_showing())
    try:
        yield
    finally:
        task.cancel()
        show(progress)
