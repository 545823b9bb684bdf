"""The console put together: its routes, and what stands before each of them."""

import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

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
from console.doors import Door, is_still
from console.lists import Lists
from console.live import Live
from console.live import routes as live_routes
from console.pages import FOLDER, page, see
from console.reading import Reader, Unreadable
from console.routes import Route, get
from console.screens import (
    audit,
    business,
    document,
    finding,
    lists,
    month,
    needs,
    order,
    partner,
    refunds,
    refused,
    serials,
    signing_in,
)
from console.sentences import sentence_in
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
    local,
    typed_in,
)
from ops.shell.asking import NoAnswer
from ops.shell.http_client import ANSWERS_IN
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
FOUND: Final = (200, 304)
HEALTH: Final = "/health"
STATUS_OF: Final = {Exit.USAGE: 422, Exit.NOTHING_MATCHED: 404}
"""The status of a page that shows a refusal, by the exit code that a command would end with."""

log = structlog.get_logger("pawl.console")


def routes(reader: Reader, signer: Signer, door: Door, live: Live | None = None) -> list[Route]:
    """Every route but the files of /static: the table of contents."""
    services = Services(reader.system, signer)
    return [
        get("/", _first),
        get(HEALTH, _health, is_open=True),
        *signing_in.routes(door),
        *needs.routes(reader),
        *order.routes(reader),
        *refused.routes(reader, signer),
        *lists.routes(reader, signer),
        *refunds.routes(reader, services),
        *month.routes(reader, services),
        *business.routes(reader, services),
        *document.routes(reader, services),
        *partner.routes(reader, services),
        *serials.routes(reader, services),
        *finding.routes(reader),
        *audit.routes(reader),
        *live_routes(live or Live(reader), reader),
    ]


async def _first(request: Request, visit: Visit) -> Response:
    return see("/needs")


async def _health(request: Request, visit: Visit) -> Response:
    return JSONResponse({"status": "ok"})


def application(
    routes: Sequence[Route],
    sessions: Sessions,
    settings: ConsoleSettings,
    door: Door,
    kept: Lists | None = None,
) -> ASGIApp:
    """The console as an application. Raises ValueError for a form that everybody could send."""
    for route in routes:
        if route.scope is not None and route.is_open:
            raise ValueError(f"{route.name} is open, and needs a scope")
    app = Starlette(
        routes=[
            *(
                StarletteRoute(route.path, _guarded(route, sessions, settings, door), methods=[route.method])
                for route in routes
            ),
            Mount(STATIC, StaticFiles(directory=FOLDER / "static")),
        ],
        exception_handlers={HTTPException: _nowhere},
        middleware=[
            Middleware(_Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(settings), www_redirect=False),
        ],
    )
    app.state.lists = kept
    app.state.sessions, app.state.scopes = sessions, settings.console_roles
    app.state.is_secure = settings.own_url.startswith("https://")
    return app


def _hosts(settings: ConsoleSettings) -> list[str]:
    """The names by which browsers may ask: a page of another name is made to look like ours."""
    return [*LOOPBACK, settings.http_host, *filter(None, [urlsplit(settings.own_url).hostname])]


def _guarded(
    route: Route, sessions: Sessions, settings: ConsoleSettings, door: Door
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint behind its guard: who asks, whether they may, and whether they meant to."""

    async def answer(request: Request) -> Response:
        visit = request.state.visit = Visit(None, chosen_language(request), settings.console_roles)
        ANSWERS_IN.set(visit.language)
        try:
            if route.method == "POST" and not comes_from_here(request, settings.own_url):
                return _refuse(request, visit, 403, "This form was not sent by a page of this console.")
            token = request.cookies.get(cookie_of(request), "")
            if token and route.path != HEALTH:
                session = await (sessions.look if route.is_quiet else sessions.find)(token)
                if session is not None and is_still(door, request, session.person):
                    visit = Visit(session, visit.language, visit.scopes)
                    request.state.visit = visit
            return await (_answer_open if route.is_open else _answer_signed_in)(route, request, visit)
        except Exception as error:
            return _failed(request, request.state.visit, error)

    return answer


def _failed(request: Request, visit: Visit, error: Exception) -> Response:
    """The page that says why there is no other."""
    match error:
        case FormTooLarge():
            return _refuse(request, visit, 413, "This form is larger than anything that is typed.")
        case Unreadable() | NoAnswer() | OSError() | asyncpg.PostgresError() | asyncpg.InterfaceError() if (
            hasattr(request.state, "form")
        ):
            return _not_known(request, visit, error)
        case Unreadable():
            return _trouble(request, visit, sentence_in(visit.language, str(error)))
        case OSError() | asyncpg.PostgresError() | asyncpg.InterfaceError():
            return _trouble(request, visit, type(error).__name__)
        case NoAnswer():
            return _trouble(request, visit, "", sentence_in(visit.language, error.message))
        case Problem():
            status = STATUS_OF.get(error.exit_code, 503)
            message, hint = (sentence_in(visit.language, text) for text in (error.message, error.hint))
            return page(request, visit, "refusal.html", status, message=message, hint=hint)
        case _:
            # Its kind and place, and no value: one may be somebody's account.
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename}:{place.lineno}"
            log.error("failed", path=request.url.path, error=type(error).__name__, where=where)
            return _refuse(request, visit, 500, "This page failed. The log says where.")


async def _answer_open(route: Route, request: Request, visit: Visit) -> Response:
    if route.method == "POST":
        return await route.endpoint(request, visit, await form_of(request))
    return await route.endpoint(request, visit)


async def _answer_signed_in(route: Route, request: Request, visit: Visit) -> Response:
    if visit.session is None:
        return await _sign_in_first(route, request, visit)
    if not visit.may(route.scope):
        return _refuse(request, visit, 403, "Your role may not do this.")
    if route.method == "GET":
        return await route.endpoint(request, visit)
    form = await form_of(request)
    if not is_key_of(visit.session, form):
        return _refuse(request, visit, 403, "This form was not made for your session.")
    request.state.form = form
    return await route.endpoint(request, visit, form)


async def _sign_in_first(route: Route, request: Request, visit: Visit) -> Response:
    if route.is_quiet or request.headers.get("hx-request"):
        return HTMLResponse(translate(visit.language, "Your session has ended."), 401)
    if route.method == "POST":
        return await _ended(request, visit)
    return signing_in.to_sign_in(here(request))


async def _ended(request: Request, visit: Visit) -> Response:
    """Nothing was done. What was typed is shown, and the browser keeps it for that person, nobody else."""
    form = await form_of(request)
    session = await request.app.state.sessions.ended(request.cookies.get(cookie_of(request), ""))
    person = session.person.id if session is not None and is_key_of(session, form) else ""
    return page(
        request, visit, "ended.html", 401, typed=typed_in(form), person=person, back=_back(request, form)
    )


def _back(request: Request, form: Mapping[str, str]) -> str:
    """The page from which a form was sent."""
    return local(form.get("back") or urlsplit(request.headers.get("referer", "")).path or "/")


def _refuse(request: Request, visit: Visit, status: int, message: str) -> Response:
    shown = translate(visit.language, message)
    return page(request, visit, "refusal.html", status, message=shown, hint="")


def _trouble(request: Request, visit: Visit, why: str, message: str = "") -> Response:
    log.warning("not readable", path=request.url.path, why=why or message)
    if request.headers.get("hx-request"):
        return HTMLResponse(
            translate(visit.language, "The databases do not answer. What you see is old."), 503
        )
    message = message or translate(visit.language, "The databases do not answer.")
    return page(request, visit, "trouble.html", 503, message=message, why=why)


def _not_known(request: Request, visit: Visit, error: Exception) -> Response:
    """The form was on its way when the answer failed: who sent it looks what became of it."""
    why = sentence_in(visit.language, error.message) if isinstance(error, NoAnswer) else type(error).__name__
    log.warning("outcome not known", path=request.url.path, error=type(error).__name__)
    return page(request, visit, "not_known.html", 503, why=why, back=_back(request, request.state.form))


async def _visit_of(request: Request) -> Visit:
    """Who asks for a page that is not there: nobody, where sessions cannot be read."""
    session, token = None, request.cookies.get(cookie_of(request), "")
    if token:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            session = await request.app.state.sessions.look(token)
    return Visit(session, chosen_language(request), request.app.state.scopes)


async def _nowhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code != 404:
        return Response(status_code=error.status_code, headers=error.headers)
    visit = await _visit_of(request)
    return _refuse(request, visit, 404, "There is no such page.")


class _Headers:
    """Every answer forbids what no page of ours needs, and is kept by nobody but for files that are there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        of_file = scope.get("path", "").startswith(f"{STATIC}/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = "public, max-age=3600" if of_file and message["status"] in FOUND else "no-store"
                added = {**HEADERS, "cache-control": kept}.items()
                named = [(name.encode(), value.encode()) for name, value in added]
                message["headers"] = [*message["headers"], *named]
            await send(message)

        await self.app(scope, receive, send_with_headers)
