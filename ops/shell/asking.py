"""Asking a service: one request, its answer as a document, and every refusal as a Problem."""

from typing import Any

import orjson

from ops.shell.http_client import Answer, fetch
from ops.shell.problem import Exit, Problem
from ops.shell.tokens import detail_of, require_allowed
from shared.ids import uuid7

ANSWER_SECONDS = 60.0
EXIT_OF = {400: Exit.USAGE, 404: Exit.NOTHING_MATCHED, 409: Exit.FAILED, 413: Exit.USAGE, 422: Exit.USAGE}


async def look(url: str, token: str, scope: str, next_step: str = "", timeout: float = ANSWER_SECONDS) -> Any:
    """What a service answers to GET. `next_step` is what to do after a refusal. Raises Problem."""
    return _document(await fetch(url, None, timeout, token), url, scope, next_step)


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
        raise Problem(
            f"The service does not answer at {url}: {answer.text}",
            "Is it running? See: pawl lag. Or name it: --url URL. This can be repeated safely.",
        )
    require_allowed(answer, scope)


def _document(answer: Answer, url: str, scope: str, next_step: str) -> Any:
    require_answer(answer, url, scope)
    if not 200 <= answer.status < 300:
        raise Problem(detail_of(answer), next_step, EXIT_OF.get(answer.status, Exit.FAILED))
    return orjson.loads(answer.text)
