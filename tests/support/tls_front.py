"""TLS in front of a PostgreSQL server, whose embedded build has none; clients cannot tell the difference."""

import asyncio
import ssl
from contextlib import suppress

from ops.local.ports import HOST
from tests.support.certificates import Signed

ASKS_FOR_TLS = bytes.fromhex("0000000804d2162f")
"""How a client begins that wants TLS (SSLRequest of PostgreSQL's protocol)."""


class TlsFront:
    """Listens on HOST, speaks TLS and nothing else, and hands on to the server at `port`.

    `shown` is read for each connection, as it is after a reload of PostgreSQL.
    """

    def __init__(self, port: int, shown: Signed) -> None:
        self.port = 0
        self.shown = shown
        self._server_port = port
        self._server: asyncio.Server | None = None

    async def start(self) -> "TlsFront":
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(len(ASKS_FOR_TLS)) == ASKS_FOR_TLS:
                writer.write(b"S")
                await writer.drain()
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(self.shown.cert, self.shown.key)
                await writer.start_tls(context)
                there, onwards = await asyncio.open_connection(HOST, self._server_port)
                await asyncio.gather(_hand_on(reader, onwards), _hand_on(there, writer))
        writer.close()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()
    finally:
        writer.close()
