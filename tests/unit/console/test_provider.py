"""Signing in with an OpenID provider: what it says is compared and checked before anybody is signed in."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from console.people import Person
from console.provider import Attempt, attempt_of, person_of
from ops.shell.problem import Problem
from tests.support.console_login import ISSUER, NAMES, OTHER_KEY, Login, says


@pytest.fixture
def login() -> Login:
    return Login()


async def test_somebody_who_comes_back_is_who_the_provider_says_with_the_most_that_their_groups_allow(
    login: Login,
) -> None:
    provider = login.provider()
    address, attempt = await provider.begin("/needs")
    login.claims = says(attempt)

    person = await provider.finish(attempt, {"state": attempt.state, "code": "right"})

    assert person == Person("kim@example.com", "operator")
    asked = parse_qs(urlsplit(address).query)
    assert asked["redirect_uri"] == ["https://console.example/sign-in/done"]
    assert (asked["state"], asked["nonce"]) == ([attempt.state], [attempt.nonce])


async def test_the_code_counts_only_with_the_verifier_that_stays_in_the_browser(login: Login) -> None:
    provider = login.provider()
    address, attempt = await provider.begin("/")
    login.claims = says(attempt)

    await provider.finish(attempt, {"state": attempt.state, "code": "right"})

    asked = parse_qs(urlsplit(address).query)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).decode()
    assert (asked["code_challenge"], asked["code_challenge_method"]) == ([challenge.rstrip("=")], ["S256"])
    assert login.asked["code_verifier"] == [attempt.verifier]
    assert attempt.verifier not in address


@pytest.mark.parametrize(
    "change",
    [
        lambda claims: {**claims, "nonce": "another"},
        lambda claims: {**claims, "aud": "another"},
        lambda claims: {**claims, "iss": "https://other.example"},
        lambda claims: {**claims, "azp": "another"},
        lambda claims: {**claims, "exp": 1},
        lambda claims: {name: value for name, value in claims.items() if name != "sub"},
        lambda claims: {name: value for name, value in claims.items() if name != "email"},
        lambda claims: {**claims, "email": "kim\u202e@example.com"},
        lambda claims: {**claims, "groups": ["another"]},
        lambda claims: {name: value for name, value in claims.items() if name != "groups"},
    ],
)
async def test_whoever_is_not_meant_for_this_console_is_not_signed_in(
    login: Login, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    provider = login.provider()
    _, attempt = await provider.begin("/")
    login.claims = change(says(attempt))

    with pytest.raises(Problem):
        await provider.finish(attempt, {"state": attempt.state, "code": "right"})


async def test_what_is_signed_with_another_key_is_not_believed(login: Login) -> None:
    provider = login.provider()
    _, attempt = await provider.begin("/")
    login.claims, login.key = says(attempt), OTHER_KEY

    with pytest.raises(Problem, match="cannot be believed"):
        await provider.finish(attempt, {"state": attempt.state, "code": "right"})


@pytest.mark.parametrize("answer", [{"code": "right"}, {"state": "another", "code": "right"}])
async def test_an_answer_to_nobody_who_began_here_is_refused_before_the_provider_is_asked(
    login: Login, answer: dict[str, str]
) -> None:
    provider = login.provider()
    _, attempt = await provider.begin("/")

    with pytest.raises(Problem, match="not begun here"):
        await provider.finish(attempt, answer)
    assert not login.asked


async def test_a_code_that_the_provider_does_not_take_signs_nobody_in(login: Login) -> None:
    provider = login.provider()
    _, attempt = await provider.begin("/")

    with pytest.raises(Problem, match="does not take"):
        await provider.finish(attempt, {"state": attempt.state, "code": "wrong"})


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"issuer": "https://other.example"}, "another issuer"),
        ({"token_endpoint": "http://login.example/token"}, "token_endpoint"),
        ({"jwks_uri": None}, "jwks_uri"),
    ],
)
async def test_a_provider_that_names_other_places_is_not_asked(
    login: Login, places: dict[str, Any], said: str
) -> None:
    login.places |= places

    with pytest.raises(Problem, match=said):
        await login.provider().begin("/")


async def test_a_provider_that_was_away_is_asked_again(login: Login) -> None:
    provider, login.status = login.provider(), 503
    with pytest.raises(Problem, match="does not answer"):
        await provider.begin("/")

    login.status = 200
    address, _ = await provider.begin("/")
    assert address.startswith(f"{ISSUER}/authorize?")


def test_an_attempt_survives_its_cookie() -> None:
    attempt = Attempt("s", "n", "v", "/order?id=A-1001")

    assert attempt_of(attempt.to_cookie()) == attempt


@pytest.mark.parametrize("cookie", ["", "e30", "not a cookie", "한글"])
def test_what_is_no_attempt_signs_nobody_in(cookie: str) -> None:
    with pytest.raises(Problem, match="not begun here"):
        attempt_of(cookie)


def test_groups_are_compared_as_they_are_written() -> None:
    with pytest.raises(Problem, match="no role"):
        person_of("kim", ["Pawl-Admin", 7, None], NAMES)
