"""Tokens of every kind at every route of every service. The routes are read, so a new one is place too."""

import re
import time
from functools import cache
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from shared.events.catalogue import SERVICES
from shared.web.answering import VERSIONED
from shared.web.routes import HttpRoute
from shared.web.scopes import INCLUDED, SCOPES
from tests.support.tokens import Provider
from tests.support.web import app_of, client_of, routes_of

PROVIDER, STRANGER = Provider(), Provider()


class Place(NamedTuple):
    """A route of a service."""

    service: str
    route: HttpRoute


ROUTES = [Place(service, route) for service in SERVICES for route in routes_of(service)]
CLOSED = [place for place in ROUTES if place.route.path.startswith(VERSIONED)]
OPEN = [place for place in ROUTES if place not in CLOSED]
QUESTIONS = {"/v1/registrations/check", "/v1/refund-previews", "/v1/ops/reveals"}
"""What is asked in a body: it may stand in no path and no query, or is too long; and who was shown what."""


def name_of(place: Place) -> str:
    return f"{place.service} {place.route.name}"


@cache
def app(service: str, *, with_keys: bool) -> FastAPI:
    return app_of(routes_of(service), PROVIDER.tokens() if with_keys else None, service)


async def answer(place: Place, headers: dict[str, str], *, with_keys: bool = True) -> httpx.Response:
    path = re.sub(r"\{\w+\}", "1", place.route.template)
    body: Any = {} if place.route.method == "POST" else None
    async with client_of(app(place.service, with_keys=with_keys), headers) as client:
        return await client.request(place.route.method, path, json=body)


@pytest.mark.parametrize("place", CLOSED, ids=name_of)
async def test_only_a_token_with_the_scope_of_the_route_gets_in(place: Place) -> None:
    scope = place.route.scope
    assert scope in SCOPES
    enough = [scope, *([INCLUDED[scope]] if scope in INCLUDED else [])]
    others = " ".join(name for name in SCOPES if name not in enough)
    expired = PROVIDER.allowing(scope, exp=int(time.time()) - 60)
    for_others = PROVIDER.allowing(scope, aud="somebody-else")

    assert (await answer(place, {})).status_code == 401
    assert (await answer(place, expired)).status_code == 401
    assert (await answer(place, for_others)).status_code == 401
    assert (await answer(place, STRANGER.allowing(scope))).status_code == 401
    assert (await answer(place, PROVIDER.allowing(others))).status_code == 403
    assert (await answer(place, PROVIDER.allowing(""))).status_code == 403
    for name in enough:
        assert (await answer(place, PROVIDER.allowing(name))).status_code not in (401, 403)
    assert (await answer(place, PROVIDER.allowing(scope, by="rsa"))).status_code not in (401, 403)


@pytest.mark.parametrize("place", CLOSED, ids=name_of)
async def test_a_token_of_a_partner_gets_in_where_the_route_keeps_to_the_partner(place: Place) -> None:
    assert place.route.scope is not None
    got = await answer(place, PROVIDER.allowing(place.route.scope, partner_id="P-17"))

    assert (got.status_code == 403) == (not place.route.partners)


@pytest.mark.parametrize("place", CLOSED, ids=name_of)
async def test_without_keys_nothing_is_open(place: Place) -> None:
    assert place.route.scope is not None
    got = await answer(place, PROVIDER.allowing(place.route.scope), with_keys=False)

    assert (got.status_code, got.json()["code"]) == (503, "tokens_not_configured")


def test_what_is_open_is_this_and_nothing_else() -> None:
    assert {place.route.path for place in OPEN} == {
        "/health",
        "/metrics",
        "/asyncapi.json",
        "/schemas/{event_type}",
    }
    assert all(place.route.method == "GET" for place in OPEN)


@pytest.mark.parametrize("place", CLOSED, ids=name_of)
def test_a_route_that_writes_has_a_scope_that_says_so(place: Place) -> None:
    assert place.route.scope is not None
    reads = place.route.scope.endswith((":read", ":export"))

    assert reads == (place.route.method == "GET" or place.route.path in QUESTIONS)
