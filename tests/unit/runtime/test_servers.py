"""A server that goes away is told of once a minute, and when it is back; mere repetitions are left out."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from io import StringIO
from typing import Any

import pytest
import structlog

from shared import telemetry
from shared.runtime import servers
from shared.runtime.servers import ANSWERS, Server
from shared.telemetry import TroubleFilter, set_up_logging
from tests.support.patience import PATIENCE

SCREAMS = "Unable connect to node with id %s: %s"


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Log:
    """What a service writes to stderr."""

    def __init__(self, stream: StringIO) -> None:
        self._stream = stream

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(telemetry, "monotonic", clock)
    monkeypatch.setattr(servers, "monotonic", clock)
    monkeypatch.setattr(servers, "LOOK_SECONDS", 0.0)
    return clock


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> TroubleFilter:
    lines = TroubleFilter()
    monkeypatch.setattr(telemetry, "trouble_filter", lines)
    return lines


@pytest.fixture
def log(lines: TroubleFilter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """The log of a service at its usual level."""
    stream = StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    set_up_logging("orders", "info")
    yield Log(stream)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Away:
    """A server that is away until it is told to come back."""

    def __init__(self) -> None:
        self.why = "nobody listens"
        self.looks = 0

    async def look(self) -> str:
        self.looks += 1
        return self.why

    async def looked_at(self, times: int = 2) -> None:
        """Returns when it was looked at so many times more."""
        until = self.looks + times
        async with asyncio.timeout(PATIENCE):
            while self.looks < until:
                await asyncio.sleep(0)


@asynccontextmanager
async def watched(server: Server) -> AsyncIterator[None]:
    watching = asyncio.create_task(server.watch())
    await asyncio.sleep(0)
    yield
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


def scream(times: int = 1) -> None:
    """As the Kafka client does while nobody answers."""
    for _ in range(times):
        logging.getLogger("aiokafka").error(SCREAMS, 1, "Connect call failed")


async def test_an_hour_without_kafka_is_a_line_a_minute(log: Log, lines: TroubleFilter, clock: Clock) -> None:
    away = Away()
    async with watched(Server("Kafka", away.look, lines)):
        # when the client screams for an hour, 40 times a second
        scream()
        await away.looked_at()
        for _ in range(60):
            clock.seconds += 60
            scream(2400)
            await away.looked_at()

    # then the log has its first cry, that Kafka is away, and one line for each minute
    first, gone, *minutes = log.lines()
    assert first["logger"] == "aiokafka"
    assert (gone["event"], gone["server"]) == ("server does not answer", "Kafka")
    assert gone["why"] == "nobody listens"
    assert [line["event"] for line in minutes] == ["server still does not answer"] * 60
    assert minutes[-1]["seconds"] == 3600
    assert minutes[-1]["left_out"] == 2400
    assert all(line["service"] == "orders" for line in minutes)


async def test_the_log_says_when_a_server_is_back_and_what_comes_then(
    log: Log, lines: TroubleFilter, clock: Clock
) -> None:
    away = Away()
    async with watched(Server("Postgres", away.look, lines)):
        structlog.get_logger("pawl.fold").warning("batch repeated", trouble="ConnectionRefusedError")
        await away.looked_at()
        clock.seconds += 42
        away.why = ANSWERS
        await away.looked_at(1)
        await asyncio.sleep(0)
        structlog.get_logger("pawl.relay").warning("relay interrupted", trouble="DeadlockDetectedError")

    assert log.events() == [
        "batch repeated",
        "server does not answer",
        "server is back",
        "relay interrupted",
    ]
    assert log.lines()[2]["seconds"] == 42
    assert log.lines()[2]["level"] == "warning"


async def test_what_has_nothing_to_do_with_it_is_said_meanwhile(
    log: Log, lines: TroubleFilter, clock: Clock
) -> None:
    away = Away()
    async with watched(Server("Postgres", away.look, lines)):
        structlog.get_logger("pawl.relay").warning("relay interrupted", trouble="ConnectionRefusedError")
        await away.looked_at()
        structlog.get_logger("pawl.fold").warning("record refused", code="out_of_range")
        scream()
        logging.getLogger("asyncio").error("Task exception was never retrieved")

    assert log.events()[2:] == [
        "record refused",
        "Unable connect to node with id 1: Connect call failed",
        "Task exception was never retrieved",
    ]


async def test_trouble_of_a_server_that_answers_is_said_once_a_minute(
    log: Log, lines: TroubleFilter, clock: Clock
) -> None:
    """A broker that is halted takes connections and answers nothing."""
    away = Away()
    away.why = ANSWERS
    async with watched(Server("Kafka", away.look, lines)):
        scream(500)
        structlog.get_logger("pawl.relay").warning("relay interrupted", trouble="TimeoutError")
        await away.looked_at(1)
        clock.seconds += 60
        scream(500)

    assert log.events() == [
        "Unable connect to node with id 1: Connect call failed",
        "relay interrupted",
        "Unable connect to node with id 1: Connect call failed (499 times more before)",
    ]


def test_at_debug_level_everything_is_said(
    lines: TroubleFilter, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    stream = StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    set_up_logging("orders", "debug")

    scream(50)

    assert len(Log(stream).lines()) == 50


async def test_a_server_in_order_is_not_looked_at(lines: TroubleFilter, log: Log, clock: Clock) -> None:
    away = Away()
    async with watched(Server("Kafka", away.look, lines)):
        structlog.get_logger("pawl.app").info("service started")
        await asyncio.sleep(0)

    assert away.looks == 0


def test_the_database_client_s_traceback_is_one_line(log: Log, lines: TroubleFilter, clock: Clock) -> None:
    try:
        raise ConnectionRefusedError(111, "Connect call failed")
    except ConnectionRefusedError:
        logging.getLogger("asyncpg.pool").warning("Failed to restore the pool", exc_info=True)

    (line,) = log.lines()
    assert line["event"].startswith("Failed to restore the pool: ConnectionRefusedError(111")
    assert "exception" not in line


def test_what_the_kafka_client_did_not_foresee_is_always_said(
    log: Log, lines: TroubleFilter, clock: Clock
) -> None:
    with lines.while_away("Kafka"):
        try:
            raise RuntimeError("a bug")
        except RuntimeError:
            logging.getLogger("aiokafka.consumer.fetcher").exception("Unexpected error in fetcher routine")

    (line,) = log.lines()
    assert "RuntimeError: a bug" in line["exception"]
