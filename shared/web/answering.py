"""Answers of the kind that every part of the HTTP side gives: problems, and what stands with a request."""

from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.web.problems import MEDIA_TYPE, Problem, language_of

VERSIONED: Final = "/v1/"


def is_versioned(scope: Scope) -> bool:
    """Whether a request is one that needs a token, and has limits."""
    return scope["type"] == "http" and str(scope["path"]).startswith(VERSIONED)


def problem_response(problem: Problem, scope: Scope) -> Response:
    """A problem in the language that the request prefers."""
    language = language_of(Headers(scope=scope).get("accept-language", ""))
    headers = {**problem.headers, "Content-Language": language, "Vary": "Accept-Language"}
    body = orjson.dumps(problem.document(language))
    return Response(body, problem.kind.status, headers, media_type=MEDIA_TYPE)


async def send_problem(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request with a problem."""
    await problem_response(problem, scope)(scope, receive, send)
