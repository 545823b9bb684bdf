"""Asking a service: one request, its answer as a document, and every refusal as a Problem."""

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import orjson

from ops.shell.http_client import Answer, download, fetch
from ops.shell.problem import Exit, Problem
from ops.shell.refusals import NEXT_STEPS, code_of, detail_of, require_allowed
from shared.ids import uuid7

ANSWER_SECONDS = 60.0
FILE_SECONDS = 660.0
"""A file may be made for ten minutes before it comes."""
EXIT_OF = {400: Exit.USAGE, 404: Exit.NOTHING_MATCHED, 409: Exit.FAILED, 413: Exit.USAGE, 422: Exit.USAGE}


class NoAnswer(Problem):
    """Nobody answered, or not in time: it is not known whether the service did what it was asked."""


async def look(url: str, token: str, scope: str, next_step: str = "", timeout: float = ANSWER_SECONDS) -> Any:
    """What a service answers to GET. `next_step` is what to do after a refusal. Raises Problem."""
    return _document(await fetch(url, None, timeout, token), url, scope, next_step)


def take(
    url: str,
    file: BinaryIO,
    token: str,
    scope: str,
    received: Callable[[int, int | None], None],
    next_step: str = "",
    headers: Mapping[str, str] | None = None,
) -> Mapping[str, str]:
    """Puts what a service answers to GET into a file; returns the headers of it.

    `received` is told how many bytes are there, and of how many if that is known. Raises Problem.
    """
    sent = {"authorization": f"Bearer {token}", **(headers or {})}
    downloaded = download(url, file, sent, received, FILE_SECONDS)
    _require_done(downloaded.answer, url, scope, next_step)
    return downloaded.headers


async def tell(
    url: str,
    body: dict[str, Any],
    token: str,
    scope: str,
    next_step: str = "",
    key: str | None = None,
    timeout: float = ANSWER_SECONDS,
) -> Any:
    """What a service answers to POST, under a new Idempotency-Key unless one is given. Raises Problem."""
    answer = await fetch(url, orjson.dumps(body), timeout, token, key or str(uuid7()))
    return _document(answer, url, scope, next_step)


def require_answer(answer: Answer, url: str, scope: str) -> None:
    """Raises Problem where nobody answers, or the token is refused. `scope` is what the request needs."""
    if answer.status == 0:
        raise NoAnswer(
            f"The service does not answer at {url}: {answer.text}",
            "Is it running? See: pawl lag. Or name it: --url URL. This can be repeated safely.",
        )
    if answer.status in (500, 502, 504) or code_of(answer) == "timed_out":
        raise NoAnswer(detail_of(answer), NEXT_STEPS.get(code_of(answer), "Look what became of it."))
    require_allowed(answer, scope)


def _document(answer: Answer, url: str, scope: str, next_step: str) -> Any:
    _require_done(answer, url, scope, next_step)
    return orjson.loads(answer.text)


def _require_done(answer: Answer, url: str, scope: str, next_step: str) -> None:
    """Raises Problem unless the service did what it was asked."""
    require_answer(answer, url, scope)
    if not 200 <= answer.status < 300:
        next_step = NEXT_STEPS.get(code_of(answer), next_step)
        raise Problem(detail_of(answer), next_step, EXIT_OF.get(answer.status, Exit.FAILED))
