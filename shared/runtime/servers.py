"""Whether Kafka and Postgres answer: said when one goes away, once a minute while it is, and when it is back.

Whoever works with a server repeats its work while nobody answers, and the Kafka client says so dozens of
times a second. Such lines make us look; while a server is known to be away they are left out.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from shared.brokers import somebody_listens
from shared.clock import monotonic
from shared.postgres import connect
from shared.settings import ServiceSettings
from shared.telemetry import TroubleFilter, trouble_filter

LOOK_SECONDS = 1.0
TELL_SECONDS = 60.0
ANSWER_SECONDS = 5.0
ANSWERS = ""

log = structlog.get_logger("pawl.servers")


class Server:
    """One server as this process sees it.

    `look` asks it something and returns what is wrong, or ANSWERS.
    """

    def __init__(
        self, name: str, look: Callable[[], Awaitable[str]], lines: TroubleFilter = trouble_filter
    ) -> None:
        self.name = name
        self._look = look
        self._lines = lines
        self._doubted = asyncio.Event()

    async def watch(self) -> None:
        """Looks whenever a log line tells of trouble with it, at most once a second, until cancelled."""
        self._lines.tell(self.name, self._doubted.set)
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            if why := await self._look():
                await self._until_back(why)
            await asyncio.sleep(LOOK_SECONDS)

    async def _until_back(self, why: str) -> None:
        went = told = monotonic()
        log.warning("server does not answer", server=self.name, why=why[:200])
        with self._lines.while_away(self.name):
            while why := await self._look():
                if monotonic() - told >= TELL_SECONDS:
                    told = monotonic()
                    seconds, left_out = round(told - went), self._lines.left_out(self.name)
                    log.warning(
                        "server still does not answer",
                        server=self.name,
                        why=why[:200],
                        seconds=seconds,
                        left_out=left_out,
                    )
                await asyncio.sleep(LOOK_SECONDS)
        log.warning("server is back", server=self.name, seconds=round(monotonic() - went))


def servers_of(settings: ServiceSettings, service: str) -> tuple[Server, Server]:
    """The two servers that a service works with."""

    async def look_at_kafka() -> str:
        if await somebody_listens(settings.kafka_bootstrap_servers, ANSWER_SECONDS):
            return ANSWERS
        return f"nobody listens at {settings.kafka_bootstrap_servers}"

    async def look_at_postgres() -> str:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                # Not one of the pool: those may be broken, or all in use.
                connection = await connect(settings.postgres(), service)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
            return f"{type(trouble).__name__}: {trouble}"
        connection.terminate()
        return ANSWERS

    return Server("Kafka", look_at_kafka), Server("Postgres", look_at_postgres)
