"""Coming in elsewhere than in a demo: what a provider or a proxy says is compared with each request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from console.app import routes
from console.doors import ByProvider, ByProxy, Demo, Door, door_of
from console.people import Person
from console.provider import Attempt, Provider
from console.reading import Reader
from console.settings import ConsoleSettings
from console.signing import CannotSignIn, signer_of
from ops.shell.system import System
from ops.shell.tokens import new_key
from shared.operators.todo import Thresholds
from shared.settings import read_settings
from tests.support.console_app import URLS, SessionsInMemory, browser, settings_of
from tests.support.console_login import REGISTRATION, Login, says

NAMES = {"viewer": ("staff",), "operator": ("pawl-ops",), "finance": (), "admin": ("pawl-admin",)}
PROXY = ByProxy(frozenset({"127.0.0.1"}), "X-Forwarded-User", "X-Forwarded-Groups", NAMES)
ELSEWHERE: dict[str, Any] = {
    "console_demo_directory": None,
    "console_url": "https://console.example/",
    "console_token_key": "x",
}
BY_PROXY = {**ELSEWHERE, "console_proxy_header": "X-User", "console_proxies": "10.0.0.1"}
KIM = {"x-forwarded-user": "kim@example.com", "x-forwarded-groups": "staff, pawl-ops"}


def routes_of(door: Door) -> Any:
    return routes(Reader(System(directory=Path()), Thresholds()), lambda person, scope: "", door)


async def test_whom_the_proxy_names_goes_on_as_that_person() -> None:
    sessions = SessionsInMemory()
    async with browser(routes_of(PROXY), None, sessions, PROXY) as client:
        shown = await client.get("/sign-in?to=/order", headers=KIM)
        signed_in = await client.post("/sign-in", data={"to": "/order"}, headers=KIM)

        assert "Go on as kim@example.com" in shown.text
        assert signed_in.headers["location"] == "/order"
        assert Person("kim@example.com", "operator") in sessions.by_token.values()
        assert (await client.get("/order", headers=KIM)).status_code == 200


@pytest.mark.parametrize(
    "later",
    [
        {},
        {**KIM, "x-forwarded-user": "lee@example.com"},
        {**KIM, "x-forwarded-groups": "staff"},
        {**KIM, "x-forwarded-groups": ""},
    ],
)
async def test_a_session_counts_no_more_when_the_proxy_names_somebody_else(later: Mapping[str, str]) -> None:
    async with browser(routes_of(PROXY), None, SessionsInMemory(), PROXY) as client:
        await client.post("/sign-in", headers=KIM)
        assert (await client.get("/order", headers=KIM)).status_code == 200

        assert (await client.get("/order", headers=dict(later))).headers["location"] == "/sign-in?to=%2Forder"


async def test_what_comes_past_the_proxy_names_nobody() -> None:
    door = ByProxy(frozenset({"10.0.0.1"}), "X-Forwarded-User", "X-Forwarded-Groups", NAMES)
    sessions = SessionsInMemory()
    before = len(sessions.by_token)
    async with browser(routes_of(door), None, sessions, door) as client:
        answer = await client.post("/sign-in", headers={**KIM, "x-forwarded-for": "10.0.0.1"})

    assert answer.status_code == 422
    assert "reached through its proxy only" in answer.text
    assert len(sessions.by_token) == before


@pytest.mark.parametrize("name", ["x-forwarded-user", "x-forwarded-groups"])
async def test_a_header_that_is_there_twice_names_nobody(name: str) -> None:
    """A proxy that adds its own behind that of a sender would have the sender believed."""
    sessions = SessionsInMemory()
    before = len(sessions.by_token)
    sent = [*KIM.items(), (name, "pawl-admin")]
    async with browser(routes_of(PROXY), None, sessions, PROXY) as client:
        answer = await client.post("/sign-in", headers=sent)

    assert answer.status_code == 422
    assert "comes twice" in answer.text
    assert len(sessions.by_token) == before


async def test_somebody_goes_to_the_provider_and_comes_back_as_who_they_are() -> None:
    login, sessions = Login(), SessionsInMemory()
    door = ByProvider(login.provider())
    async with browser(routes_of(door), None, sessions, door) as client:
        away = await client.get("/sign-in/begin?to=/order")
        address = away.headers["location"]
        asked = parse_qs(urlsplit(address).query)
        attempt = Attempt(asked["state"][0], asked["nonce"][0], "", "")
        login.claims = says(attempt)

        back = await client.get(f"/sign-in/done?state={attempt.state}&code=right")

        assert back.status_code == 200
        assert '<meta http-equiv="refresh" content="0; url=/order">' in back.text
        assert Person("kim@example.com", "operator") in sessions.by_token.values()
        assert "kim@example.com" in (await client.get("/order")).text


async def test_nobody_comes_back_who_did_not_go_from_here() -> None:
    login = Login()
    door = ByProvider(login.provider())
    async with browser(routes_of(door), None, SessionsInMemory(), door) as client:
        answer = await client.get("/sign-in/done?state=x&code=right")

    assert answer.status_code == 422
    assert not login.asked


async def test_elsewhere_nobody_is_a_person_of_the_demo() -> None:
    for door in (PROXY, ByProvider(Provider(REGISTRATION))):
        async with browser(routes_of(door), None, SessionsInMemory(), door) as client:
            answer = await client.post("/sign-in", data={"role": "admin"})
        assert "set-cookie" not in answer.headers


def test_the_settings_name_one_door() -> None:
    provider = {"console_oidc_client_id": "pawl", "console_oidc_client_secret": "s"}
    by_provider = settings_of(**ELSEWHERE, console_oidc_issuer="https://login.example", **provider)
    by_proxy = settings_of(**ELSEWHERE, console_proxy_header="X-User", console_proxies="10.0.0.1, 10.0.0.2")

    assert isinstance(door_of(by_provider), ByProvider)
    assert door_of(by_proxy) == ByProxy(
        frozenset({"10.0.0.1", "10.0.0.2"}),
        "X-User",
        "X-Forwarded-Groups",
        {role: (role,) for role in ("viewer", "operator", "finance", "admin")},
    )
    assert isinstance(door_of(settings_of()), Demo)


def test_an_empty_value_of_an_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**URLS, **BY_PROXY, "console_groups": "", "console_oidc_issuer": ""}.items():
        monkeypatch.setenv(name.upper(), value or "")

    settings = read_settings(ConsoleSettings)

    assert settings.console_groups["viewer"] == ["viewer"]
    assert isinstance(door_of(settings), ByProxy)


@pytest.mark.parametrize(
    "wrong",
    [
        ELSEWHERE,
        {"console_oidc_issuer": "https://login.example"},
        {**ELSEWHERE, "console_oidc_issuer": "https://login.example"},
        {**ELSEWHERE, "console_proxy_header": "X-User"},
        {**ELSEWHERE, "console_url": "", "console_proxy_header": "X-User", "console_proxies": "10.0.0.1"},
        {
            **ELSEWHERE,
            "console_token_key": "",
            "console_proxy_header": "X-User",
            "console_proxies": "10.0.0.1",
        },
        {"console_url": "https://console.example/path"},
    ],
)
def test_a_door_that_lacks_something_is_a_wrong_setting(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings_of(**wrong)


def test_a_key_that_is_none_is_told_at_the_start() -> None:
    assert signer_of(new_key())(Person("kim", "viewer"), "ops:read").count(".") == 2
    with pytest.raises(CannotSignIn, match="CONSOLE_TOKEN_KEY"):
        signer_of("no key")


async def test_behind_https_a_form_comes_from_the_address_that_browsers_know() -> None:
    async with browser(
        routes_of(PROXY),
        None,
        SessionsInMemory(),
        PROXY,
        **ELSEWHERE,
        console_proxy_header="X",
        console_proxies="127.0.0.1",
    ) as client:
        strange = await client.post("/sign-in", headers=KIM)
        known = await client.post(
            "/sign-in", headers={**KIM, "origin": "https://console.example", "host": "console.example"}
        )

    assert strange.status_code == 403
    assert known.status_code == 303
    assert "Secure" in known.headers["set-cookie"]
