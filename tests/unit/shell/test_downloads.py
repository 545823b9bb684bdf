"""A file that is taken from a service: whole under its name and its owner's alone, or not there."""

import http.server
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ops.shell.asking import take
from ops.shell.http_client import download
from ops.shell.private_files import private_file
from ops.shell.problem import Exit, Problem


class Service(http.server.BaseHTTPRequestHandler):
    """Answers by the path that is asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path:
            case "/whole":
                self._begin(200, {"content-length": "6", "X-Serials": "2"})
                self.wfile.write(b"abcdef")
            case "/short":
                self._begin(200, {"content-length": "6"})
                self.wfile.write(b"abc")
                self.close_connection = True
            case "/chunks":
                self._begin(200, {"transfer-encoding": "chunked"})
                self.wfile.write(b"3\r\nabc\r\n0\r\n\r\n")
            case "/broken":
                self._begin(200, {"transfer-encoding": "chunked"})
                self.wfile.write(b"3\r\nabc\r\n")
                self.close_connection = True
            case _:
                self._begin(422, {"content-length": "22"})
                self.wfile.write(b'{"detail": "it lacks"}')

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


@contextmanager
def served() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def nobody(there: int, of: int | None) -> None:
    """Nobody looks."""


@pytest.mark.parametrize(("path", "content"), [("/whole", b"abcdef"), ("/chunks", b"abc")])
def test_a_whole_file_is_taken_with_its_headers(path: str, content: bytes) -> None:
    file, seen = BytesIO(), []
    with served() as url:
        downloaded = download(f"{url}{path}", file, {}, lambda *there: seen.append(there), 10)

    assert (downloaded.answer.status, file.getvalue()) == (200, content)
    assert seen[-1] == (len(content), len(content) if path == "/whole" else None)
    assert downloaded.headers.get("x-serials") == ("2" if path == "/whole" else None)


@pytest.mark.parametrize("path", ["/short", "/broken"])
def test_a_file_that_breaks_off_is_no_file(path: str) -> None:
    with served() as url, pytest.raises(Problem, match="broke off") as refused:
        take(f"{url}{path}", BytesIO(), "token", "serials:export", nobody)

    assert refused.value.exit_code is Exit.FAILED


def test_a_refusal_says_what_the_service_said() -> None:
    with served() as url, pytest.raises(Problem, match="it lacks") as refused:
        take(f"{url}/else", BytesIO(), "token", "serials:export", nobody, "Do this.")

    assert (refused.value.exit_code, refused.value.hint) == (Exit.USAGE, "Do this.")


def test_nobody_there_is_a_problem_too() -> None:
    with pytest.raises(Problem, match="does not answer"):
        take("http://127.0.0.1:1/x", BytesIO(), "token", "serials:export", nobody)


def test_a_private_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    with private_file(path) as file:
        file.write(b"readable")
        half = [each.name for each in tmp_path.iterdir()]

    assert path.read_bytes() == b"readable"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert half != ["serials.csv"]
    assert list(tmp_path.iterdir()) == [path]


def test_one_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    path.write_text("an earlier one")

    def fail(file: BinaryIO) -> None:
        file.write(b"half of")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), private_file(path) as file:
        fail(file)

    assert path.read_text() == "an earlier one"
    assert list(tmp_path.iterdir()) == [path]
