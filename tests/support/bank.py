"""A bank that says whose an account is, over HTTP, with the faults that a real one has.

It knows accounts by bank and number, each with its business number. `faults` go wrong with the next requests,
one each, in their order.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["down", "silent", "garbage", "other_answer", "too_long", "redirected", "no_list"]


WRONG: Mapping[str, tuple[int, str]] = {
    "down": (503, '{"answer": "match"}'),
    "garbage": (200, '{"answer": "mat'),
    "other_answer": (200, '{"answer": "perhaps"}'),
    "no_list": (200, '["match"]'),
    "too_long": (200, '{"answer": "match"}' + " " * 20_000),
}
"""The status and the body of each fault that answers at all."""


class Bank:
    """Its accounts, what it was asked (`asked`, with the `tokens` that came), and what will go wrong."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, str], str] = {}
        self.faults: list[Fault] = []
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.url = ""
        self.closing = threading.Event()

    def answer(self, said: dict[str, Any]) -> str:
        """What a bank without faults says."""
        number = self.accounts.get((said["bank_code"], said["account_number"]))
        if number is None:
            return "no_such_account"
        return "match" if number == said["business_number"] else "mismatch"


@contextmanager
def open_bank() -> Iterator[Bank]:
    """A bank behind a socket of this machine."""
    bank = Bank()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(bank))
    server.daemon_threads = True
    bank.url = f"http://127.0.0.1:{server.server_address[1]}/holders"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield bank
    finally:
        bank.closing.set()
        server.shutdown()
        serving.join()
        server.server_close()


def _handler_of(bank: Bank) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library names it so
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bank.asked.append(said)
            bank.tokens.append(self.headers["Authorization"])
            fault = bank.faults.pop(0) if bank.faults else None
            if fault == "silent":
                bank.closing.wait(30)
            elif fault == "redirected":
                self._say(302, "", {"Location": bank.url})
            elif fault is not None:
                self._say(*WRONG[fault])
            else:
                self._say(200, json.dumps({"answer": bank.answer(said)}))

        def _say(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
            body = text.encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """An account stands in no log, also not in that of a test."""

    return Handler
