"""A collector of spans on this machine, which keeps what is posted to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Collector(ThreadingHTTPServer):
    """Takes spans over OTLP and HTTP. `posts` are the paths and bodies, in the order of their arrival."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.posts: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT names."""
        return f"http://127.0.0.1:{self.server_port}"

    def has(self, traceparent: str) -> bool:
        """Whether a span with or to this trace context has come: its ids stand in the message as bytes."""
        _, trace_id, parent_id, _ = map(bytes.fromhex, traceparent.split("-"))
        return any(trace_id in body and parent_id in body for _, body in self.posts)


class _Post(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posts.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector while this is open."""
    with Collector() as collector:
        serving = Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        serving.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            serving.join()
