"""Signing in and out: as a person of a demo, through a provider, or as whom a proxy names."""

from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.doors import ByProvider, ByProxy, Door
from console.pages import page, see
from console.people import DEMO, ROLES, Person
from console.provider import CALLBACK, Provider, attempt_of
from console.routes import Form, Route, get, post
from console.sessions import Sessions
from console.visits import Visit, cookie_of, local

SIGN_IN = "/sign-in"
BEGIN = "/sign-in/begin"
ATTEMPT = "pawl_sign_in"
ATTEMPT_SECONDS = 600


def routes(door: Door) -> list[Route]:
    """The routes of this module, of this door."""
    out = post("/sign-out", sign_out)
    match door:
        case ByProvider(provider=provider):
            return [
                get(SIGN_IN, partial(show_provider, provider), is_open=True),
                get(BEGIN, partial(begin, provider), is_open=True),
                get(CALLBACK, partial(come_back, provider), is_open=True),
                out,
            ]
        case ByProxy():
            return [
                get(SIGN_IN, partial(show_known, door), is_open=True),
                post(SIGN_IN, partial(sign_in_known, door), is_open=True),
                out,
            ]
        case _:
            return [get(SIGN_IN, show, is_open=True), post(SIGN_IN, sign_in, is_open=True), out]


def to_sign_in(back: str) -> Response:
    """Sign in first, then come back."""
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'to': back})}", 303)


async def show(request: Request, visit: Visit) -> Response:
    """Who one may be."""
    people = [(DEMO[role], visit.scopes[role]) for role in ROLES]
    return page(request, visit, "sign_in.html", people=people, back=_back(request))


async def sign_in(request: Request, visit: Visit, form: Form) -> Response:
    """Begins a session of a person of the demo."""
    person = next((DEMO[role] for role in ROLES if role == form.get("role")), None)
    if person is None:
        return see(SIGN_IN)
    return await _begin_session(request, person, see(local(form.get("to", "/"))))


async def show_provider(provider: Provider, request: Request, visit: Visit) -> Response:
    """The way to the provider."""
    back = _back(request)
    return page(request, visit, "sign_in_elsewhere.html", issuer=provider.issuer, person=None, back=back)


async def begin(provider: Provider, request: Request, visit: Visit) -> Response:
    """To the provider. Raises Problem where it does not answer.

    It is a link: browsers let no form of ours lead elsewhere.
    """
    address, attempt = await provider.begin(_back(request))
    response = see(address)
    response.set_cookie(
        ATTEMPT,
        attempt.to_cookie(),
        ATTEMPT_SECONDS,
        path=SIGN_IN,
        httponly=True,
        samesite="lax",  # it comes back by a link of the provider
        secure=_is_secure(request),
    )
    return response


async def come_back(provider: Provider, request: Request, visit: Visit) -> Response:
    """Begins a session of whom the provider has signed in. Raises Problem for nobody.

    The answer is a page that goes on by itself: a redirect would still be a request of another page, to
    which a browser adds no strict cookie.
    """
    attempt = attempt_of(request.cookies.get(ATTEMPT, ""))
    person = await provider.finish(attempt, request.query_params)
    response = page(request, visit, "signed_in.html", person=person, back=local(attempt.back))
    response.delete_cookie(ATTEMPT, path=SIGN_IN, httponly=True, samesite="lax")
    return await _begin_session(request, person, response)


async def show_known(door: ByProxy, request: Request, visit: Visit) -> Response:
    """Whom the proxy names. Raises Problem for nobody."""
    person, back = door.person(request), _back(request)
    return page(request, visit, "sign_in_elsewhere.html", issuer="", person=person, back=back)


async def sign_in_known(door: ByProxy, request: Request, visit: Visit, form: Form) -> Response:
    """Begins a session of whom the proxy names. Raises Problem for nobody."""
    return await _begin_session(request, door.person(request), see(local(form.get("to", "/"))))


async def sign_out(request: Request, visit: Visit, form: Form) -> Response:
    """Ends every session of this person, wherever it is open."""
    await _sessions(request).end(visit.person)
    response = see(SIGN_IN)
    response.delete_cookie(cookie_of(request), httponly=True, samesite="strict")
    return response


async def _begin_session(request: Request, person: Person, response: Response) -> Response:
    """Under a token that nobody has known before."""
    token = await _sessions(request).begin(person)
    response.set_cookie(
        cookie_of(request), token, httponly=True, samesite="strict", secure=_is_secure(request)
    )
    return response


def _is_secure(request: Request) -> bool:
    return bool(request.app.state.is_secure) or request.url.scheme == "https"


def _back(request: Request) -> str:
    return local(request.query_params.get("to", "/"))


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions
