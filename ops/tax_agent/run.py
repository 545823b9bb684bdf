"""The desk of a simulated tax agent behind a socket of this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import orjson

from ops.tax_agent.desk import Desk, Reply
from shared.clock import now

HOST: Final = "127.0.0.1"
LONGEST: Final = 10_000_000
"""Bytes of a question."""


@contextmanager
def open_tax_agent(desk: Desk, port: int = 0, silence: float = 60.0) -> Iterator[str]:
    """The address under which the desk answers; whoever gets no answer waits for `silence` seconds.

    With port 0 it takes a free one. Raises OSError where the port is taken.
    """
    closing = threading.Event()
    server = ThreadingHTTPServer((HOST, port), _handler_of(desk, closing, silence))
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        closing.set()
        server.shutdown()
        serving.join()
        server.server_close()


def _handler_of(desk: Desk, closing: threading.Event, silence: float) -> type[BaseHTTPRequestHandler]:
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library names it so
            reply = self._reply()
            if reply.body is None:
                closing.wait(silence)
                return
            body = orjson.dumps(reply.body)
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _reply(self) -> Reply:
            length = self.headers.get("Content-Length") or ""
            if not length.isdigit() or int(length) > LONGEST:
                return Reply(413, {"error": "too long"})
            try:
                said = orjson.loads(self.rfile.read(int(length)))
            except ValueError:
                return Reply(400, {"error": "no JSON"})
            with turn:
                return desk.answer(self.path, said, now())

        def log_message(self, *_: Any) -> None:
            """Documents stand in no log."""

    return Handler
