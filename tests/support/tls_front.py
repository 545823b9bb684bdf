"""TLS in front of a PostgreSQL server, whose embedded build has none; clients cannot tell the difference."""

import select
import socket
import ssl
import threading
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
        self.shown = shown
        self._server_port = port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if client.recv(len(ASKS_FOR_TLS), socket.MSG_WAITALL) != ASKS_FOR_TLS:
                return
            client.sendall(b"S")
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.shown.cert, self.shown.key)
            with (
                context.wrap_socket(client, server_side=True) as inside,
                socket.create_connection((HOST, self._server_port)) as server,
            ):
                _hand_on(inside, server)


def _hand_on(inside: ssl.SSLSocket, server: socket.socket) -> None:
    """Both ways in one thread, until either side has nothing more to say."""
    while True:
        ready = [inside] if inside.pending() else select.select([inside, server], [], [])[0]
        for source in ready:
            some = source.recv(65_536)
            if not some:
                return
            (server if source is inside else inside).sendall(some)
