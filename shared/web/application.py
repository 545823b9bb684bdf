"""The routes of a service as an application: tokens before bodies, problems for all that goes wrong."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shared import __version__
from shared.events.faults import faults_in
from shared.web.access import Access, HttpMetrics
from shared.web.answering import VERSIONED, problem_response
from shared.web.limits import AT_ONCE, LARGEST_BODY, SECONDS, Limits
from shared.web.pages import page_routes
from shared.web.problems import (
    IDEMPOTENCY_KEY_MISSING,
    IDEMPOTENCY_KEY_WRONG,
    LIMITED_TO_PARTNER,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OF_FAULTS,
    TOKENS_NOT_CONFIGURED,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    WRONG_PARAMETER,
    Problem,
    of_faults,
)
from shared.web.routes import HttpRoute, get
from shared.web.tokens import Tokens

SHOWN_NAME: Final = re.compile("[a-z_]{1,15}")
"""Names of parameters that are repeated to their sender, though nobody knows them; no serial looks so."""
DESCRIPTION: Final = (
    "Write `Authorization: Bearer TOKEN` for everything under `/v1`; each operation names its scope. Errors "
    "are problem details (RFC 9457); `Accept-Language: ko` gives them in Korean. docs/http.md tells more."
)


HasLeft = Callable[[str], Awaitable[bool]]
"""Says whether a partner has left."""


async def nobody_has_left(partner_id: str) -> bool:
    """What a service says that keeps nothing of partners."""
    return False


class FaultDocument(BaseModel):
    """One of several things that are wrong with a document."""

    code: str
    pointer: str
    detail: str


class ProblemDocument(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(description="a reference into docs/errors.md")
    title: str
    status: int
    detail: str
    code: str = Field(description="stable; write your program against it")
    pointer: str | None = Field(default=None, description="a JSON Pointer (RFC 6901) into the body")
    retry_after: int | None = Field(default=None, description="seconds")
    faults: list[FaultDocument] | None = Field(
        default=None, description="everything that is wrong, 20 at most"
    )


class RouteNotDeclared(Exception):
    """A route under /v1 names no scope, or one outside of it names one."""


def application(
    service: str,
    routes: Sequence[HttpRoute],
    tokens: Tokens | None,
    metrics: HttpMetrics,
    asyncapi: dict[str, Any],
    *,
    at_once: int = AT_ONCE,
    passing: tuple[type[BaseException], ...] = (),
    has_left: HasLeft = nobody_has_left,
) -> FastAPI:
    """The application of a service. Without `tokens` all of /v1 answers 503. Raises RouteNotDeclared."""
    app = FastAPI(
        title=f"Pawl {service}",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            Problem: _answer_problem,
            HTTPException: _answer_http,
            RequestValidationError: _answer_validation,
        },
    )

    async def document() -> Response:
        """The OpenAPI 3.1 document of this service."""
        return JSONResponse(app.openapi())

    for route in (*routes, get("/openapi.json", document, is_shown=False), *page_routes(service, asyncapi)):
        _add(app, route, tokens, has_left)
    app.openapi = partial(_openapi, app, tuple(routes))  # type: ignore[method-assign]
    app.add_middleware(Limits, at_once=at_once)
    app.add_middleware(Access, metrics=metrics, passing=passing)
    return app


def _add(app: FastAPI, route: HttpRoute, tokens: Tokens | None, has_left: HasLeft) -> None:
    if (route.scope is not None) != route.path.startswith(VERSIONED):
        raise RouteNotDeclared(f"{route.name}: what is under /v1 names a scope, and nothing else does")
    app.add_api_route(
        route.path,
        route.endpoint,
        methods=[route.method],
        response_model=route.answers,
        status_code=route.status,
        include_in_schema=route.is_shown,
        tags=[route.path.split("/")[2] if route.scope else "open"],
    )
    added: Any = app.router.routes[-1]
    added.app = _Door(added.app, route, tokens, app, has_left)


class _Door:
    """Stands before a route: who asks, and whether the token allows it, is known before the body is read.

    A query parameter that the document of `service` does not name is refused: it may be misspelt.
    """

    def __init__(
        self, app: ASGIApp, route: HttpRoute, tokens: Tokens | None, service: FastAPI, has_left: HasLeft
    ) -> None:
        self.app, self._route, self._tokens, self._service = app, route, tokens, service
        self._has_left = has_left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        request.state.route = self._route.template
        if self._route.scope is not None:
            await self._admit(request, self._route.scope)
            if self._route.seconds != SECONDS:
                request.state.set_seconds(self._route.seconds)
            self._require_known(request)
        _require_json(request)
        await self.app(scope, receive, send)

    def _require_known(self, request: Request) -> None:
        if not request.query_params:
            return
        operation = self._service.openapi()["paths"][self._route.template][self._route.method.lower()]
        known = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
        for name in request.query_params:
            if name not in known:
                rule = f"there is no such parameter; there is {', '.join(sorted(known)) or 'none'}"
                shown = name if SHOWN_NAME.fullmatch(name) else "a name"
                raise Problem(WRONG_PARAMETER, name=shown, place="query", rule=rule)

    async def _admit(self, request: Request, scope: str) -> None:
        if self._tokens is None:
            raise Problem(TOKENS_NOT_CONFIGURED)
        caller = await self._tokens.caller(request.headers.get("authorization"))
        request.state.caller = caller
        caller.require(scope)
        if caller.partner_id is not None and not self._route.partners:
            raise Problem(LIMITED_TO_PARTNER, partner=caller.partner_id)
        await self._require_not_left(caller.partner_id)

    async def _require_not_left(self, partner_id: str | None) -> None:
        """What a partner that has left could see is kept, and hidden from it (domain.md section 6)."""
        if partner_id is None or self._route.after_leaving:
            return
        if await self._has_left(partner_id):
            raise Problem(NOT_FOUND, what=f"partner {partner_id} has left; what it could see is hidden")


def _require_json(request: Request) -> None:
    length = request.headers.get("content-length", "0")
    if length == "0" and "transfer-encoding" not in request.headers:
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(UNSUPPORTED_MEDIA_TYPE)


async def _answer_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem_response(problem, request.scope)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_response(_of_status(error), request.scope)


def _of_status(error: HTTPException) -> Problem:
    match error.status_code:
        case 404:
            return Problem(NOT_FOUND, what="no such path; /docs shows what there is")
        case 405:
            return Problem(METHOD_NOT_ALLOWED, headers=dict(error.headers or {}))
        case 413:
            return Problem(TOO_LARGE, most=LARGEST_BODY)
        case _:
            detail = "the body must be JSON in UTF-8"
            return Problem(OF_FAULTS["unreadable"], pointer="", detail=detail, place="/")


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(_of_validation(request, error), request.scope)


def _of_validation(request: Request, error: RequestValidationError) -> Problem:
    """What is wrong with the parameters, and only then with the body."""
    found: list[Any] = list(error.errors())
    for each in found:
        place, *path = each["loc"]
        if place == "header" and path[0] == "Idempotency-Key":
            return Problem(IDEMPOTENCY_KEY_MISSING if each["type"] == "missing" else IDEMPOTENCY_KEY_WRONG)
        if place != "body":
            return Problem(WRONG_PARAMETER, name=".".join(map(str, path)), place=place, rule=each["msg"])
    model = request.scope["route"].body_field.field_info.annotation
    of_body: list[Any] = [
        {**each, "loc": () if each["type"] == "json_invalid" else tuple(each["loc"][1:])} for each in found
    ]
    # Not orjson, which refuses integers beyond 64 bits and halves of surrogates: they may be what is wrong.
    return of_faults(faults_in(of_body, model, json.dumps(error.body, default=str).encode()))


def _openapi(app: FastAPI, routes: Sequence[HttpRoute]) -> dict[str, Any]:
    """The OpenAPI 3.1 document: every operation with its scope and its problems."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs"))
        schemas["ProblemDocument"] = problem
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
        for route in routes:
            if route.is_shown:
                _complete(document["paths"][route.template][route.method.lower()], route)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], route: HttpRoute) -> None:
    answers = operation["responses"]
    answers.pop("422", None)
    if route.file is not None:
        content = {route.file: {"schema": {"type": "string", "format": "binary"}}}
        answers[str(route.status)] = {"description": "The file.", "content": content}
    for status, meaning in route.alike.items():
        answers[str(status)] = {**answers[str(route.status)], "description": meaning}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    for kind in route.problems:
        said = answers.get(str(kind.status), {}).get("description")
        text = f"`{kind.code}`: {kind.title}"
        answers[str(kind.status)] = {"description": f"{said}; {text}" if said else text, "content": problem}
    answers["default"] = {"description": "A problem; docs/errors.md has every code.", "content": problem}
    if route.scope is not None:
        operation["security"] = [{"token": [route.scope]}]
        said = operation.get("description", "")
        operation["description"] = f"{said}\n\nScope: `{route.scope}`".strip()
