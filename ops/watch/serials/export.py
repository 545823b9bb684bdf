"""A file of serials: taken from the service, readable by its owner only, and whole or not there."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ops.shell.asking import take
from ops.shell.http_client import fetch_now
from ops.shell.output import tell_on_stderr
from ops.shell.private_files import private_file
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.watch.decide.answers import Asker
from ops.watch.serials.asking import EXPORT, READ, SERIALS
from shared.clock import monotonic
from shared.ids import uuid7

LOOK_EVERY: Final = 1.0
LINE_EVERY: Final = 5.0
ELSEWHERE: Final = "write it elsewhere: -o FILE"


class Shown(Protocol):
    """Shows how far a file is."""

    def __call__(self, doing: str, done: int, of: int | None) -> None:
        """So many serials or bytes of so many, where that is known."""


def take_file(
    asker: Asker,
    grant_id: str,
    name: str,
    where: Path,
    query: Mapping[str, Any],
    *,
    replaces: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Puts a file of an issuance (`serials.csv`, ...) where it is wanted; what was taken.

    In a directory it is named after the issuance and its watermark. What is there already stays, unless this
    `replaces` it. Raises Problem.
    """
    if not replaces and where.is_file() and where.stat().st_size:
        raise Problem(f"{where} is there already.", "Replace it: --replace. Or name another: -o", Exit.USAGE)
    kind = Path(name)
    named = f"{kind.stem}-{grant_id}"
    file = where / f"{named}{kind.suffix}" if where.is_dir() else where
    base, request = f"{asker.base_url(SERIALS)}/v1/issuances/{grant_id}", str(uuid7())
    said = {name: value for name, value in query.items() if value not in (None, "")}
    headers = {"x-correlation-id": request}
    with (
        explain_os_errors("writing the file", file, ELSEWHERE),
        private_file(file) as taken,
        shown_on_stderr(quiet) as show,
        _watched(f"{base}/files", asker.token(READ), request, show),
    ):
        answer = take(
            f"{base}/{name}?{urlencode(said)}",
            taken,
            asker.token(EXPORT),
            EXPORT,
            lambda there, of: show("receiving", there, of) if of is not None else None,
            headers=headers,
        )
        size = taken.tell()
    if where.is_dir():
        file = file.rename(where / f"{named}-{answer['x-watermark']}{kind.suffix}")
    return {
        "file": str(file),
        "grant_id": grant_id,
        "serials": int(answer["x-serials"]),
        "bytes": size,
        "watermark": answer["x-watermark"],
    }


@contextmanager
def shown_on_stderr(quiet: bool) -> Iterator[Shown]:
    """A bar on a terminal, else a line every few seconds; nothing where it is to be `quiet`."""
    console = Console(stderr=True)
    if quiet:
        yield lambda doing, done, of: None
    elif console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task("asking", total=None)
            yield lambda doing, done, of: bar.update(task, description=doing, completed=done, total=of)
    else:
        yield _lines()


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f}"),
        TimeRemainingColumn(),
        console=console,
    )


def _lines() -> Shown:
    next_at = monotonic() + LINE_EVERY

    def show(doing: str, done: int, of: int | None) -> None:
        nonlocal next_at
        if monotonic() >= next_at:
            next_at = monotonic() + LINE_EVERY
            tell_on_stderr(f"{doing}: {done:,}{f' of {of:,}' if of is not None else ''}")

    return show


@contextmanager
def _watched(url: str, token: str, request: str, show: Shown) -> Iterator[None]:
    """Inside the block it is shown how many serials the service has written into the file of this request.

    Where another process of the service answers, nothing is shown: only the one that makes the file knows.
    """
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_EVERY):
            answer = fetch_now(url, LOOK_EVERY, token)
            files = orjson.loads(answer.text)["items"] if answer.status == 200 else []
            for each in files:
                if each["request"] == request:
                    show("serials", each["written"], each["serials"])

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
