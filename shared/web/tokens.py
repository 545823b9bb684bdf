"""Tokens: JWTs of an OpenID provider, checked against its key set (JWKS).

The key set comes from a URL, from a file, or stands in the setting itself. It is kept, and read again when
it is old or when a token names a key that is not in it; while it cannot be read, what was read last goes on
to count.
"""

import asyncio
import json
import urllib.request
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt
import structlog

from shared.clock import monotonic, now
from shared.web.callers import Caller
from shared.web.problems import KEYS_UNREACHABLE, TOKEN_INVALID, TOKEN_MISSING, Problem
from shared.web.scopes import scopes_of

ALGORITHMS: Final = {"RSA": "RS256", "OKP": "EdDSA"}
"""The one algorithm of each kind of key: a token does not choose."""
SMALLEST_RSA: Final = 2048
LARGEST_KEY_SET: Final = 1_000_000
OLD_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 10.0
"""Between two attempts to read the key set, so that wrong tokens cannot make us ask without end."""
ANSWER_SECONDS: Final = 5.0
CLOCKS_DIFFER_SECONDS: Final = 10
LONGEST_SUBJECT: Final = 200
LONGEST_TOKEN: Final = 16_384
MOST_KNOWN: Final = 1_000
"""Tokens whose check is remembered: a caller sends the same one many times."""

log = structlog.get_logger("pawl.tokens")


Fetch = Callable[[], str]


class KeySet:
    """The keys of a JWKS by their `kid`; `fetch` reads it anew, and may block."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._keys: dict[str | None, tuple[Any, str]] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def key(self, kid: str | None) -> tuple[Any, str] | None:
        """The key and its algorithm; None for an unknown name. Raises Problem (503) without keys."""
        if kid not in self._keys:
            await self._refresh()
        elif self._is_old() and (self._refreshing is None or self._refreshing.done()):
            # A key that is known goes on to count meanwhile: nobody waits for a provider that is slow.
            self._refreshing = asyncio.create_task(self._refresh())
        if self._read_at is None:
            raise Problem(KEYS_UNREACHABLE, retry_after=int(PAUSE_SECONDS))
        return self._keys.get(kid)

    def _is_old(self) -> bool:
        return self._read_at is None or self._clock() - self._read_at > OLD_SECONDS

    async def _refresh(self) -> None:
        async with self._reading:
            if self._tried_at is not None and self._clock() - self._tried_at < PAUSE_SECONDS:
                return
            self._tried_at = self._clock()
            try:
                self._keys = keys_of(await asyncio.to_thread(self._fetch))
                self._read_at = self._clock()
            except (OSError, ValueError) as error:
                log.warning("key set not read", why=str(error)[:200], kept=len(self._keys))


def keys_of(text: str) -> dict[str | None, tuple[Any, str]]:
    """The keys of a JWKS that can check a token; an only one goes without its name too. Raises ValueError."""
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError('a key set is {"keys": [...]}')
    keys = [(each.get("kid"), key) for each in document["keys"] if (key := _key_of(each)) is not None]
    if not keys:
        raise ValueError("the key set has no RSA key of 2,048 bits or Ed25519 key")
    named: dict[str | None, tuple[Any, str]] = dict(keys)
    return {**named, None: keys[0][1]} if len(keys) == 1 else named


def _key_of(each: Any) -> tuple[Any, str] | None:
    algorithm = ALGORITHMS.get(str(each.get("kty"))) if isinstance(each, dict) else None
    if algorithm is None or each.get("use", "sig") != "sig" or each.get("alg", algorithm) != algorithm:
        return None
    if algorithm == "EdDSA" and each.get("crv") != "Ed25519":
        return None
    try:
        key = jwt.PyJWK(each, algorithm).key
    except jwt.PyJWTError:
        return None
    return None if algorithm == "RS256" and key.key_size < SMALLEST_RSA else (key, algorithm)


def fetch_from(place: str) -> Fetch:
    """How the key set is read from a setting: a URL, a file, or the key set itself in base64."""
    if is_key_set(place):
        return lambda: urlsafe_b64decode(place + "=" * (-len(place) % 4)).decode()
    if "://" in place:
        return lambda: _download(place)
    return lambda: Path(place).read_text(encoding="utf-8")


def is_key_set(place: str) -> bool:
    """Whether a setting is a key set itself: a brace and a quotation mark begin so in base64."""
    return place.startswith("eyJ")


def _download(url: str) -> str:
    request = urllib.request.Request(url, headers={"accept": "application/json"})  # noqa: S310 checked by settings
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
        text: bytes = answer.read(LARGEST_KEY_SET + 1)
    if len(text) > LARGEST_KEY_SET:
        raise ValueError("the key set is longer than 1 MB")
    return text.decode("utf-8")


class _Known(NamedTuple):
    """A token that was right: the name and the key that it is signed with, who sends it, when it expires."""

    kid: str | None
    key: tuple[Any, str]
    caller: Caller
    expires_at: float


@dataclass(slots=True)
class Tokens:
    """Checks tokens of one issuer, made for one audience.

    One that was right is known by its hash, and right until it expires or its key set is read anew.
    """

    keys: KeySet
    issuer: str
    audience: str
    _known: dict[bytes, _Known] = field(default_factory=dict)

    async def caller(self, authorization: str | None) -> Caller:
        """Who sends this header. Raises Problem: 401 for no token or a wrong one, 503 without keys."""
        kind, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token:
            raise Problem(TOKEN_MISSING, headers={"WWW-Authenticate": "Bearer"})
        if len(token) > LONGEST_TOKEN:
            raise invalid("the token is too long")
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None or not await self._is_right(known):
            known = await self._check(token)
            self._remember(digest, known)
        return known.caller

    async def _is_right(self, known: _Known) -> bool:
        if now().timestamp() >= known.expires_at:
            return False
        return await self.keys.key(known.kid) is known.key

    def _remember(self, digest: bytes, known: _Known) -> None:
        self._known.pop(digest, None)
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = known

    async def _check(self, token: str) -> _Known:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            found = await self.keys.key(kid)
            if found is None:
                raise invalid("the token is signed by a key that is not known here")
            return _Known(kid, found, *self._read(token, *found))
        except jwt.PyJWTError as error:
            raise invalid(_reason(error)) from None

    def _read(self, token: str, key: Any, algorithm: str) -> tuple[Caller, float]:
        """Who sends a token, and the Unix seconds at which it expires. Raises PyJWTError, or Problem."""
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self.audience,
            issuer=self.issuer,
            leeway=CLOCKS_DIFFER_SECONDS,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        sub, scope, partner = claims["sub"], claims.get("scope", ""), claims.get("partner_id")
        if not _is_name(sub) or not isinstance(scope, str):
            raise invalid("the token's sub or scope is not as it must be")
        if partner is not None and not _is_name(partner):
            raise invalid("the token's partner_id is not as it must be")
        caller = Caller(sub, scopes_of(scope.split()), partner)
        return caller, int(claims["exp"]) + CLOCKS_DIFFER_SECONDS


def invalid(reason: str) -> Problem:
    """A token is wrong: 401. The reason is for people, and never repeats the token."""
    return Problem(TOKEN_INVALID, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}, reason=reason)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_SUBJECT and value.isprintable()


def _reason(error: jwt.PyJWTError) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "the token has expired"
        case jwt.ImmatureSignatureError():
            return "the token is not valid yet"
        case jwt.InvalidAudienceError():
            return "the token is made for another audience"
        case jwt.InvalidIssuerError():
            return "the token comes from another issuer"
        case jwt.MissingRequiredClaimError():
            return f"the token has no {error.claim}"
        case jwt.InvalidSignatureError() | jwt.InvalidAlgorithmError():
            return "the signature of the token is wrong"
        case _:
            return "this is no token that can be read"
