"""A TCP meter before PostgreSQL: how often a client says something and waits for an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from ops.local.ports import HOST

PIECE = 256 * 1024
READY = b"Z\x00\x00\x00\x05"
"""How the last message of an answer begins; one byte follows, which says whether a transaction is open."""


class Meter:
    """Stands between clients and one server. `exchanges` counts over all connections.

    Whatever a client says until the server is ready again is one exchange, however many messages it is.
    """

    def __init__(self, url: str) -> None:
        self.exchanges = 0
        self._parts = urlsplit(url)
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The same address, by way of the meter."""
        account = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{account}@{HOST}:{self._port}"))

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        server, requests = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        conversation = _Conversation(self)
        ways = [
            asyncio.create_task(conversation.pass_requests(client, requests)),
            asyncio.create_task(conversation.pass_answers(server, answers)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in (requests, answers):
                writer.transport.abort()
            self._open.discard(task)


class _Conversation:
    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._was_answered = True

    async def pass_requests(self, client: asyncio.StreamReader, requests: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while sent := await client.read(PIECE):
                self._meter.exchanges += self._was_answered
                self._was_answered = False
                requests.write(sent)
                await requests.drain()

    async def pass_answers(self, server: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        end = b""
        with suppress(OSError):
            while answer := await server.read(PIECE):
                end = (end + answer)[-len(READY) - 1 :]
                self._was_answered = end.startswith(READY)
                answers.write(answer)
                await answers.drain()


@asynccontextmanager
async def metered(url: str) -> AsyncIterator[Meter]:
    """A meter before the server of this address."""
    meter = await Meter(url).start()
    try:
        yield meter
    finally:
        await meter.stop()
