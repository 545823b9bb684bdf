"""Signing in and out. An embedded system has four persons, whom everybody may be who reaches this machine."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages import page, see
from console.people import DEMO, ROLES
from console.routes import Form, Route, get, post
from console.sessions import Sessions
from console.visits import Visit, cookie_of, local

SIGN_IN = "/sign-in"


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        get(SIGN_IN, show, is_open=True),
        post(SIGN_IN, sign_in, is_open=True),
        post("/sign-out", sign_out),
    ]


def to_sign_in(back: str) -> Response:
    """Sign in first, then come back."""
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'to': back})}", 303)


async def show(request: Request, visit: Visit) -> Response:
    """Who one may be."""
    back = local(request.query_params.get("to", "/"))
    people = [(DEMO[role], visit.scopes[role]) for role in ROLES]
    return page(request, visit, "sign_in.html", people=people, back=back)


async def sign_in(request: Request, visit: Visit, form: Form) -> Response:
    """Begins a session under a token that nobody has known before."""
    person = next((DEMO[role] for role in ROLES if role == form.get("role")), None)
    if person is None:
        return see(SIGN_IN)
    response = see(local(form.get("to", "/")))
    response.set_cookie(
        cookie_of(request),
        await _sessions(request).begin(person),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


async def sign_out(request: Request, visit: Visit, form: Form) -> Response:
    """Ends every session of this person, wherever it is open."""
    await _sessions(request).end(visit.person)
    response = see(SIGN_IN)
    response.delete_cookie(cookie_of(request), httponly=True, samesite="strict")
    return response


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions
