"""`python -m console` runs the console until it is asked to stop. Exit code 1: it cannot start."""

import asyncio
import signal
import socket
import sys

import structlog
import uvicorn

from console.app import application, routes
from console.doors import door_of
from console.keeping import Keeping
from console.lists import Lists
from console.live import Live
from console.reading import Reader, system_of
from console.sampling import sample_for_ever
from console.sessions import Sessions
from console.settings import ConsoleSettings
from console.signing import CannotSignIn, Signer, demo_signer, signer_of
from ops.shell.databases import Kept
from ops.shell.problem import Problem
from shared.migrations import CONSOLE, pending
from shared.postgres import open_pool
from shared.settings import WrongSetting, read_settings
from shared.telemetry import set_up_logging

CONNECTIONS = 4


def main() -> None:
    """Reads the settings and serves. Ends with one line where it cannot."""
    try:
        settings = read_settings(ConsoleSettings)
        set_up_logging(CONSOLE, settings.log_level)
        asyncio.run(serve(settings))
    except (WrongSetting, CannotSignIn, Problem, OSError) as error:
        sys.exit(f"pawl: {error}")


async def serve(settings: ConsoleSettings) -> None:
    """Serves until SIGTERM or SIGINT. Raises Problem where its schema is behind, CannotSignIn, OSError."""
    signer = _signer(settings)
    door = door_of(settings)
    url = str(settings.database_url)
    behind = await pending(url, CONSOLE)
    if behind:
        raise Problem(f"The schema of the console lacks {', '.join(behind)}.", "Run: pawl migrate")
    pool, kept = await open_pool(url, CONSOLE, CONNECTIONS), Kept()
    try:
        sessions = Sessions(pool, settings.idle(), settings.longest())
        keeping = Keeping(pool)
        reader = Reader(system_of(settings), settings.thresholds(), keeping, kept)
        live = Live(
            reader,
            settings.console_live_seconds,
            settings.console_live_most,
            settings.console_live_most_of_session,
        )
        app = application(routes(reader, signer, door, live), sessions, settings, door, Lists(pool))
        config = uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        structlog.get_logger("pawl.console").info("console started", host=settings.http_host)
        sampling = asyncio.create_task(sample_for_ever(reader, keeping), name="samples of lag")
        try:
            await _Server(config, live).serve()
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
    finally:
        kept.close()
        pool.terminate()


def _signer(settings: ConsoleSettings) -> Signer:
    if settings.console_demo_directory is not None:
        return demo_signer(settings.console_demo_directory, settings.http_host)
    return signer_of(settings.console_token_key.get_secret_value())


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it is asked to, and not by the signal that asked."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        await self._serve(sockets)

    def _stop(self, number: int) -> None:
        self._live.close()
        self.handle_exit(number, None)


if __name__ == "__main__":
    main()
