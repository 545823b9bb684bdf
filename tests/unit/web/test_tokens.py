"""Whose token counts: keys, claims, and a key set that changes or is away."""

import json
import time
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.clock import now
from shared.web.problems import Problem
from shared.web.tokens import (
    CLOCKS_DIFFER_SECONDS,
    OLD_SECONDS,
    PAUSE_SECONDS,
    KeySet,
    Tokens,
    fetch_from,
    keys_of,
)
from tests.support.tokens import AUDIENCE, ISSUER, Provider


@pytest.fixture(scope="module")
def provider() -> Provider:
    return Provider()


async def refused(tokens: Tokens, header: str | None) -> tuple[int, str, str]:
    with pytest.raises(Problem) as problem:
        await tokens.caller(header)
    return problem.value.kind.status, problem.value.kind.code, str(problem.value)


def count_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every token whose signature is checked from now on."""
    checked: list[str] = []
    decode = jwt.decode

    def watched(token: str, *given: Any, **more: Any) -> Any:
        checked.append(token)
        return decode(token, *given, **more)

    monkeypatch.setattr(jwt, "decode", watched)
    return checked


@pytest.mark.parametrize("by", ["ed", "rsa"])
async def test_a_token_says_who_asks_and_what_is_allowed(provider: Provider, by: str) -> None:
    token = provider.token("ops:read serials:export nonsense", by=by, partner_id="P-17")

    caller = await provider.tokens().caller(f"Bearer {token}")

    assert (caller.sub, caller.partner_id) == ("kim", "P-17")
    assert caller.scopes == {"ops:read", "serials:export"}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic a2ltOnB3"])
async def test_without_a_token_nobody_gets_in(provider: Provider, header: str | None) -> None:
    assert (await refused(provider.tokens(), header))[:2] == (401, "token_missing")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": int(time.time()) - 60}, "has expired"),
        ({"exp": None}, "has no exp"),
        ({"nbf": int(time.time()) + 600}, "not valid yet"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"aud": "somebody-else"}, "another audience"),
        ({"aud": None}, "has no aud"),
        ({"sub": None}, "has no sub"),
        ({"sub": "k\nim"}, "not as it must be"),
        ({"scope": ["ops:read"]}, "not as it must be"),
        ({"partner_id": ""}, "partner_id"),
        ({"kid": "nobody"}, "not known here"),
    ],
)
async def test_a_wrong_token_is_refused_with_its_reason(
    provider: Provider, claims: dict[str, Any], reason: str
) -> None:
    token = provider.token(**{"scope": "ops:read", **claims})

    status, code, said = await refused(provider.tokens(), f"Bearer {token}")

    assert (status, code) == (401, "token_invalid")
    assert reason in said
    assert token not in said


async def test_a_token_signed_by_a_stranger_is_refused(provider: Provider) -> None:
    stranger = Provider()

    _, _, said = await refused(provider.tokens(), f"Bearer {stranger.token('ops:read')}")

    assert "signature" in said


@pytest.mark.parametrize("text", ["a.b.c", "e30.e30.", "x" * 20_000, "é.é.é"])
async def test_what_is_no_token_is_refused(provider: Provider, text: str) -> None:
    assert (await refused(provider.tokens(), f"Bearer {text}"))[1] == "token_invalid"


async def test_a_token_does_not_choose_its_algorithm(provider: Provider) -> None:
    """The public key as the secret of an HMAC, and no signature at all: the classic two."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "kim",
        "exp": int(time.time()) + 600,
        "scope": "ops:read",
    }
    public = json.loads(provider.jwks("ed"))["keys"][0]["x"].encode()
    hashed = jwt.encode(claims, public, "HS256", headers={"kid": "ed"})
    unsigned = jwt.encode(claims, None, "none", headers={"kid": "ed"})

    for token in (hashed, unsigned):
        assert (await refused(provider.tokens(), f"Bearer {token}"))[1] == "token_invalid"


async def test_a_new_key_of_the_provider_counts_without_a_restart() -> None:
    provider, at = Provider(), [0.0]
    keys = KeySet(provider.fetch, lambda: at[0])
    tokens = Tokens(keys, ISSUER, AUDIENCE)
    await tokens.caller(f"Bearer {provider.token()}")

    provider.private["ed2"] = Ed25519PrivateKey.generate()
    at[0] += PAUSE_SECONDS

    assert (await tokens.caller(f"Bearer {provider.token(by='ed2')}")).sub == "kim"
    assert provider.asked == 2


async def test_tokens_with_unknown_keys_do_not_make_us_ask_without_end(provider: Provider) -> None:
    before = provider.asked
    tokens = Tokens(KeySet(provider.fetch, lambda: 0.0), ISSUER, AUDIENCE)

    for _ in range(20):
        await refused(tokens, f"Bearer {provider.token(kid='nobody')}")

    assert provider.asked == before + 1


async def test_known_keys_count_while_the_provider_is_away_and_nobody_waits_for_it() -> None:
    provider, at, away = Provider(), [0.0], [False]

    def fetch() -> str:
        if away[0]:
            raise OSError("connection refused")
        return provider.fetch()

    keys = KeySet(fetch, lambda: at[0])
    tokens = Tokens(keys, ISSUER, AUDIENCE)
    await tokens.caller(f"Bearer {provider.token()}")

    at[0], away[0] = OLD_SECONDS + PAUSE_SECONDS + 1, True

    assert (await tokens.caller(f"Bearer {provider.token()}")).sub == "kim"


async def test_a_token_is_checked_once_and_counts_until_it_expires(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, header = provider.tokens(), f"Bearer {provider.token('ops:read')}"
    checked = count_checks(monkeypatch)
    callers = [await tokens.caller(header) for _ in range(3)]

    later = now() + timedelta(seconds=600 + CLOCKS_DIFFER_SECONDS)
    monkeypatch.setattr("shared.web.tokens.now", lambda: later - timedelta(seconds=2))
    callers.append(await tokens.caller(header))
    assert (len(checked), {caller.sub for caller in callers}) == (1, {"kim"})

    monkeypatch.setattr("shared.web.tokens.now", lambda: later)
    await tokens.caller(header)  # the clock of the library says that it is right
    assert len(checked) == 2


async def test_a_token_counts_no_more_when_its_key_is_taken_out_of_the_key_set() -> None:
    provider, at = Provider(), [0.0]
    tokens = Tokens(KeySet(provider.fetch, lambda: at[0]), ISSUER, AUDIENCE)
    header, other = f"Bearer {provider.token()}", f"Bearer {provider.token(by='rsa')}"
    assert (await tokens.caller(header)).sub == (await tokens.caller(other)).sub == "kim"

    del provider.private["ed"]
    at[0] += PAUSE_SECONDS
    await refused(tokens, f"Bearer {Provider().token(kid='nobody')}")  # makes it read the key set anew

    assert "not known here" in (await refused(tokens, header))[2]
    assert (await tokens.caller(other)).sub == "kim"


async def test_only_so_many_tokens_are_remembered(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.web.tokens.MOST_KNOWN", 2)
    tokens = provider.tokens()
    first, *others = (f"Bearer {provider.token(sub=sub)}" for sub in ("kim", "lee", "park"))
    for header in (first, *others):
        await tokens.caller(header)
    checked = count_checks(monkeypatch)

    for header in (*others, first):
        await tokens.caller(header)

    assert len(checked) == 1


@pytest.mark.parametrize(
    "text", ["not json", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}']
)
async def test_without_one_readable_key_it_is_503(text: str) -> None:
    tokens = Tokens(KeySet(lambda: text), ISSUER, AUDIENCE)

    status, code, _ = await refused(tokens, f"Bearer {Provider().token()}")

    assert (status, code) == (503, "keys_unreachable")


def test_a_short_rsa_key_and_one_for_encryption_are_left_out() -> None:
    provider = Provider()
    provider.private["rsa-short"] = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    keys = json.loads(provider.jwks())["keys"]
    keys.append({**keys[1], "kid": "rsa-enc", "use": "enc"})

    assert set(keys_of(json.dumps({"keys": keys}))) == {"ed", "rsa"}


def test_the_only_key_goes_without_its_name() -> None:
    assert set(keys_of(Provider().jwks("ed"))) == {"ed", None}


def test_a_key_set_is_read_from_a_file_or_stands_in_the_setting(tmp_path: Any) -> None:
    text = Provider().jwks()
    file = tmp_path / "jwks.json"
    file.write_text(text)
    in_the_setting = urlsafe_b64encode(text.encode()).decode().rstrip("=")

    assert fetch_from(str(file))() == fetch_from(in_the_setting)() == text
