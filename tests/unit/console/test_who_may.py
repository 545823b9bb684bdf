"""Who may do what: every role at every route, by the page's own forms and by hand."""

import re
from pathlib import Path
from typing import Any

import pytest

from console.app import routes
from console.people import ROLES, USUAL_SCOPES, Role
from console.reading import Reader
from console.routes import Route, get, post
from console.signing import Signer
from ops.shell.system import System
from shared.operators.todo import Thresholds
from shared.web.scopes import scopes_of
from tests.support.console_app import DEMO_DOOR, HOST, KEY, SessionsInMemory, browser, that_only_say_so

READER = Reader(System(directory=Path()), Thresholds())
SIGNER: Signer = lambda person, scope: ""  # noqa: E731
ROUTES = routes(READER, SIGNER, DEMO_DOOR)
BEHIND = [route for route in ROUTES if not route.is_open]
WRITES = [route for route in BEHIND if route.method == "POST"]


def path_of(route: Route) -> str:
    return route.path.replace("{name}", "orders:1").replace("{", "").replace("}", "")


def names(route: Route) -> str:
    return route.name


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", BEHIND, ids=names)
async def test_a_role_reaches_what_its_scopes_allow_and_nothing_else(route: Route, role: Role) -> None:
    async with browser(that_only_say_so(ROUTES), role) as client:
        answer = await client.request(route.method, path_of(route), data=form(route))

    allowed = route.scope is None or route.scope in scopes_of(USUAL_SCOPES[role])
    assert answer.status_code == (200 if allowed else 403)
    assert (answer.text == "reached") == allowed


@pytest.mark.parametrize("route", BEHIND, ids=names)
async def test_nobody_reaches_a_page_without_a_session(route: Route) -> None:
    async with browser(that_only_say_so(ROUTES)) as client:
        answer = await client.request(route.method, path_of(route), data=form(route))

    assert "reached" not in answer.text
    is_page = route.method == "GET" and not route.is_quiet
    assert answer.status_code == (303 if is_page else 401)
    if is_page:
        assert answer.headers["location"].startswith("/sign-in?to=%2F")


@pytest.mark.parametrize("route", WRITES, ids=names)
@pytest.mark.parametrize(
    ("origin", "key"),
    [(HOST, "another key"), (HOST, ""), ("https://evil.example", KEY), ("null", KEY), ("", KEY)],
)
async def test_a_form_that_no_page_of_this_session_sent_does_nothing(
    route: Route, origin: str, key: str
) -> None:
    async with browser(that_only_say_so(ROUTES), "admin") as client:
        answer = await client.post(path_of(route), data={"form_key": key}, headers={"origin": origin})

    assert (answer.status_code, "reached" in answer.text) == (403, False)


async def test_what_a_setting_takes_from_a_role_is_gone_with_the_next_request() -> None:
    less = {**USUAL_SCOPES, "operator": ["refunds:read"]}
    async with browser(that_only_say_so(ROUTES), "operator", console_roles=less) as client:
        assert (await client.get("/refused")).status_code == 403


@pytest.mark.parametrize("route", ROUTES, ids=names)
def test_whatever_changes_something_in_a_service_names_a_scope(route: Route) -> None:
    assert route.scope is not None or route.method == "GET" or route.path in ("/sign-in", "/sign-out")


async def test_an_open_route_cannot_need_a_scope() -> None:
    open_and_scoped = Route("POST", "/x", ROUTES[0].endpoint, "ops:write", is_open=True)
    with pytest.raises(ValueError, match="POST /x is open"):
        async with browser([open_and_scoped]):
            pass


async def test_whoever_signs_in_is_somebody_and_whoever_signs_out_is_nobody_anywhere() -> None:
    sessions = SessionsInMemory()
    async with browser(ROUTES, None, sessions) as here, browser(ROUTES, None, sessions) as there:
        for client in (here, there):
            signed_in = await client.post("/sign-in", data={"role": "finance", "to": "/order"})
            assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/order")
            cookie = signed_in.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
            assert "demo:finance" in (await client.get("/order")).text

        assert (await here.post("/sign-out", data={"form_key": KEY})).status_code == 303

        for client in (here, there):
            assert (await client.get("/order")).headers["location"] == "/sign-in?to=%2Forder"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/\n/x"]
)
async def test_signing_in_leads_to_a_page_of_ours(elsewhere: str) -> None:
    async with browser(ROUTES) as client:
        answer = await client.post("/sign-in", data={"role": "viewer", "to": elsewhere})

    assert answer.headers["location"] == "/"


async def test_a_role_that_is_none_signs_nobody_in() -> None:
    async with browser(ROUTES) as client:
        answer = await client.post("/sign-in", data={"role": "root"})

    assert (answer.headers["location"], "set-cookie" in answer.headers) == ("/sign-in", False)


async def test_a_site_that_points_its_own_name_here_gets_nothing() -> None:
    async with browser(ROUTES, "admin") as client:
        answer = await client.get("/order", headers={"host": "evil.example:9"})

    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/sign-in", "/order", "/nowhere", "/static/console.css", "/health"])
async def test_every_answer_forbids_what_no_page_needs(path: str) -> None:
    async with browser(ROUTES, "viewer") as client:
        answer = await client.get(path)

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    kept = "public, max-age=3600" if path.startswith("/static") else "no-store"
    assert answer.headers["cache-control"] == kept


@pytest.mark.parametrize(
    "path", ["/static/none.css", "/statics", "/static/../order", "/static/%2e%2e/app.py"]
)
async def test_only_files_that_are_there_are_kept_by_anybody(path: str) -> None:
    async with browser(ROUTES, "viewer") as client:
        answer = await client.get(path)

    assert answer.headers["cache-control"] == "no-store"
    assert "def application" not in answer.text


async def test_a_page_that_is_not_there_leads_to_no_other_site() -> None:
    async with browser(ROUTES, "viewer") as client:
        for path in ("//evil.example/x", "///evil.example", "/\\evil.example", "/%2F/evil.example"):
            answer = await client.get(f"{HOST}{path}")
            assert answer.status_code == 404
            assert re.findall(r'(?:href|action|src)="(?:/[/\\]|https?:)', answer.text) == []
            assert "demo:viewer" in answer.text


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
async def test_a_session_that_ended_leads_back_to_no_other_site(back: str) -> None:
    sessions = SessionsInMemory()
    sessions.lapse("operator")
    async with browser(that_only_say_so(ROUTES), "operator", sessions) as client:
        answer = await client.post("/refund/decide", data={"form_key": KEY, "back": back})

    assert answer.status_code == 401
    assert "evil" not in answer.text
    assert "javascript:" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_no_other_method_reaches_anything(method: str) -> None:
    async with browser(that_only_say_so(ROUTES), "admin") as client:
        for path in ("/order", "/refund/decide", "/nowhere"):
            answer = await client.request(method, path)
            assert answer.status_code in (404, 405)
            assert "reached" not in answer.text


async def test_what_nobody_expected_is_a_page_that_repeats_nothing_of_it() -> None:
    async def breaks(*_: Any) -> Any:
        raise LookupError("account 110-234-567890")

    async with browser([get("/breaks", breaks), post("/breaks", breaks)], "admin") as client:
        for answer in (await client.get("/breaks"), await client.post("/breaks", data={"form_key": KEY})):
            assert answer.status_code == 500
            assert "110-234" not in answer.text
            assert "content-security-policy" in answer.headers


def form(route: Route) -> dict[str, str] | None:
    return {"form_key": KEY} if route.method == "POST" else None
