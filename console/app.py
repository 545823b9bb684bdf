"""The console put together: its routes, and what stands before each of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import asyncpg
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.asking import Services
from console.pages import FOLDER, page, see
from console.reading import Reader, Unreadable
from console.routes import Route, get
from console.screens import finding, month, needs, order, refunds, refused, signing_in
from console.sessions import Sessions
from console.settings import ConsoleSettings
from console.signing import LOOPBACK, Signer
from console.texts import translate
from console.visits import (
    FormTooLarge,
    Visit,
    chosen_language,
    comes_from_here,
    cookie_of,
    form_of,
    here,
    is_key_of,
)
from ops.shell.problem import Exit, Problem

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
STATIC: Final = "/static"
STATUS_OF: Final = {Exit.USAGE: 422, Exit.NOTHING_MATCHED: 404}
"""The status of a page that shows a refusal, by the exit code that a command would end with."""

log = structlog.get_logger("pawl.console")


def routes(reader: Reader, signer: Signer) -> list[Route]:
    """Every route but the files of /static: the table of contents."""
    services = Services(reader.system, signer)
    return [
        get("/", _first),
        get("/health", _health, is_open=True),
        *signing_in.routes(),
        *needs.routes(reader),
        *order.routes(reader),
        *refused.routes(reader, signer),
        *refunds.routes(reader, services),
        *month.routes(reader, services),
        *finding.routes(reader),
    ]


async def _first(request: Request, visit: Visit) -> Response:
    return see("/needs")


async def _health(request: Request, visit: Visit) -> Response:
    return JSONResponse({"status": "ok"})


def application(routes: Sequence[Route], sessions: Sessions, settings: ConsoleSettings) -> ASGIApp:
    """The console as an application. Raises ValueError for a form that everybody could send."""
    for route in routes:
        if route.scope is not None and route.is_open:
            raise ValueError(f"{route.name} is open, and needs a scope")
    app = Starlette(
        routes=[
            *(
                StarletteRoute(route.path, _guarded(route, sessions, settings), methods=[route.method])
                for route in routes
            ),
            Mount(STATIC, StaticFiles(directory=FOLDER / "static")),
        ],
        exception_handlers={HTTPException: _nowhere, Exception: _broken},
        middleware=[
            Middleware(_Headers),
            Middleware(
                TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, settings.http_host], www_redirect=False
            ),
        ],
    )
    app.state.sessions, app.state.scopes = sessions, settings.console_roles
    return app


def _guarded(
    route: Route, sessions: Sessions, settings: ConsoleSettings
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint behind its guard: who asks, whether they may, and whether they meant to."""

    async def answer(request: Request) -> Response:
        visit = Visit(None, chosen_language(request), settings.console_roles)
        request.state.visit = visit
        is_form = route.method == "POST"
        try:
            if is_form and not comes_from_here(request):
                return _refuse(request, visit, 403, "This form was not sent by a page of this console.")
            token = request.cookies.get(cookie_of(request), "")
            if token and route.path != "/health":
                visit = Visit(await sessions.find(token), visit.language, visit.scopes)
                request.state.visit = visit
            return await (_answer_open if route.is_open else _answer_signed_in)(route, request, visit)
        except FormTooLarge:
            return _refuse(request, visit, 413, "This form is larger than anything that is typed.")
        except Unreadable as error:
            return _trouble(request, visit, str(error))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return _trouble(request, Visit(None, visit.language, visit.scopes), type(error).__name__)
        except Problem as problem:
            status = STATUS_OF.get(problem.exit_code, 503)
            return page(request, visit, "refusal.html", status, message=problem.message, hint=problem.hint)

    return answer


async def _answer_open(route: Route, request: Request, visit: Visit) -> Response:
    if route.method == "POST":
        return await route.endpoint(request, visit, await form_of(request))
    return await route.endpoint(request, visit)


async def _answer_signed_in(route: Route, request: Request, visit: Visit) -> Response:
    if visit.session is None:
        return _sign_in_first(route, request, visit)
    if not visit.may(route.scope):
        return _refuse(request, visit, 403, "Your role may not do this.")
    if route.method == "GET":
        return await route.endpoint(request, visit)
    form = await form_of(request)
    if not is_key_of(visit.session, form):
        return _refuse(request, visit, 403, "This form was not made for your session.")
    return await route.endpoint(request, visit, form)


def _sign_in_first(route: Route, request: Request, visit: Visit) -> Response:
    if request.headers.get("hx-request"):
        return HTMLResponse(translate(visit.language, "Your session has ended."), 401)
    if route.method == "POST":
        return _refuse(request, visit, 401, "Your session has ended. Nothing was done.")
    return signing_in.to_sign_in(here(request))


def _refuse(request: Request, visit: Visit, status: int, message: str) -> Response:
    shown = translate(visit.language, message)
    return page(request, visit, "refusal.html", status, message=shown, hint="")


def _trouble(request: Request, visit: Visit, why: str) -> Response:
    log.warning("not readable", path=request.url.path, why=why)
    if request.headers.get("hx-request"):
        return HTMLResponse(
            translate(visit.language, "The databases do not answer. What you see is old."), 503
        )
    return page(request, visit, "trouble.html", 503, why=why)


async def _nowhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code != 404:
        return Response(status_code=error.status_code, headers=error.headers)
    visit = Visit(None, chosen_language(request), {})
    return _refuse(request, visit, 404, "There is no such page.")


async def _broken(request: Request, error: Exception) -> Response:
    """What nobody expected. The log has the kind of it, and no value: one may be somebody's account."""
    log.error("failed", path=request.url.path, error=type(error).__name__)
    return _refuse(
        request, Visit(None, chosen_language(request), {}), 500, "This page failed. The log says where."
    )


class _Headers:
    """Every answer forbids what no page of ours needs, and is kept by nobody but for the files."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = "public, max-age=3600" if scope.get("path", "").startswith(STATIC) else "no-store"
        added = [
            (name.encode(), value.encode()) for name, value in {**HEADERS, "cache-control": kept}.items()
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self.app(scope, receive, send_with_headers)
