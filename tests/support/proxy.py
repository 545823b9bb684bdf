"""A TCP proxy that loses answers: what a request did is done, and whoever asked never hears of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from ops.local.ports import HOST

PIECE = 256 * 1024
PRODUCE, OFFSET_COMMIT = 0, 8
Matches = Callable[[bytes], bool]


def commits_in_postgres(sent: bytes) -> bool:
    """Whether a client ends a transaction here: a simple query `COMMIT`, as asyncpg writes it."""
    return b"COMMIT;\x00" in sent


def request_of_kafka(key: int, client: bytes) -> Matches:
    """Whether a request of this kind begins here, from a client whose id has this in it.

    A request begins with its length, its API key (both big-endian), a version, a number and the client's id.
    """
    kind = key.to_bytes(2, "big")

    def matches(sent: bytes) -> bool:
        return sent[4:6] == kind and client in sent[12:64]

    return matches


class Proxy:
    """Stands between clients and one server on 127.0.0.1; passes everything on until it is told otherwise."""

    def __init__(self) -> None:
        self.cuts = 0
        self.port = 0
        self._target: Callable[[], int] = lambda: 0
        self._matches: Matches = lambda sent: False
        self._every = 1
        self._left = 0
        self._seen = 0
        self._open: dict[asyncio.Task[None], Conversation] = {}

    async def start(self) -> Self:
        """Begins to listen; `port` says where."""
        self._server = await asyncio.start_server(self._serve, HOST, 0, limit=PIECE)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stand_before(self, port: Callable[[], int]) -> None:
        """Which port of this machine is behind it; asked for each new connection."""
        self._target = port

    async def stop(self) -> None:
        """Closes every connection."""
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def lose_answers(self, matches: Matches, *, every: int, times: int) -> None:
        """From now on, of what matches every so-manieth is passed on, answered, and its answer lost."""
        self._matches, self._every, self._left, self._seen = matches, every, times, 0

    def strand(self) -> int:
        """What is connected now stays open and is never heard of again, as when a router forgets; new
        connections are good. Returns how many are stranded.
        """
        for conversation in self._open.values():
            conversation.is_stranded = True
        return len(self._open)

    @property
    def is_done(self) -> bool:
        """Whether every answer that was to be lost is lost."""
        return self._left == 0

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = Conversation(self, client, answers)
        try:
            await self._open[task].run(self._target())
        except (OSError, asyncio.CancelledError):
            answers.close()
        finally:
            del self._open[task]

    def _is_to_be_cut(self, sent: bytes) -> bool:
        if self._left == 0 or not self._matches(sent):
            return False
        self._seen += 1
        if self._seen % self._every:
            return False
        self._left -= 1
        return True


class Conversation:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._answers = answers
        self._losing = False
        self.is_stranded = False

    async def run(self, port: int) -> None:
        """Passes everything on in both directions until either side is done or the answer is to be lost."""
        server, requests = await asyncio.open_connection(HOST, port, limit=PIECE)
        ways = [
            asyncio.create_task(self._pass_requests(requests)),
            asyncio.create_task(self._pass_answers(server)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in (requests, self._answers):
                writer.transport.abort()

    async def _pass_requests(self, requests: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while sent := await self._client.read(PIECE):
                await self._hold_if_stranded()
                self._losing = self._losing or self._proxy._is_to_be_cut(sent)
                requests.write(sent)
                await requests.drain()

    async def _pass_answers(self, server: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while answer := await server.read(PIECE):
                await self._hold_if_stranded()
                if self._losing:
                    self._proxy.cuts += 1
                    return
                self._answers.write(answer)
                await self._answers.drain()

    async def _hold_if_stranded(self) -> None:
        if self.is_stranded:
            await asyncio.Event().wait()
