"""Signing in with an OpenID provider: the code flow with PKCE. What it says of a person is checked first.

The provider says who somebody is and to which groups they belong; what a role may do, the settings say. Its
tokens are forgotten at once: services are asked with tokens of the console's own key.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from secrets import compare_digest, token_urlsafe
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import jwt
import msgspec
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from msgspec import Struct

from console.people import Person, Role, role_of
from ops.shell.problem import Exit, Problem
from shared.web.problems import Problem as WebProblem
from shared.web.tokens import CLOCKS_DIFFER_SECONDS, KeySet, fetch_from

SECONDS: Final = 10.0
SCOPE: Final = "openid profile email"
CALLBACK: Final = "/sign-in/done"
NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
AGAIN: Final = "Nobody was signed in. Try again from the first page."


class Registration(Struct, frozen=True):
    """How the console is known to its provider, and how it reads what that says.

    `url` is the address of the console as browsers know it. `person_claim` names somebody, `role_claim` lists
    their groups, of which `names` makes roles.
    """

    issuer: str
    client_id: str
    client_secret: str
    url: str
    person_claim: str
    role_claim: str
    names: Mapping[Role, tuple[str, ...]]

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to."""
        return f"{self.url}{CALLBACK}"


class Attempt(Struct, frozen=True):
    """Somebody on the way to the provider: kept in their browser, and compared when they come back."""

    state: str
    nonce: str
    verifier: str
    back: str

    def to_cookie(self) -> str:
        """The attempt as the value of a cookie."""
        return urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


def attempt_of(cookie: str) -> Attempt:
    """The attempt of a cookie. Raises Problem where there is none."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)), type=Attempt)
    except (ValueError, msgspec.MsgspecError):
        raise Problem("This sign-in was not begun here, or too long ago.", AGAIN, Exit.USAGE) from None


class Provider:
    """The provider of one issuer. `transport` and `read_keys` reach it, over the network unless given."""

    def __init__(
        self,
        registration: Registration,
        transport: httpx2.AsyncBaseTransport | None = None,
        read_keys: Callable[[str], Callable[[], str]] = fetch_from,
    ) -> None:
        self._registration = registration
        self._transport = transport
        self._read_keys = read_keys
        self._known: tuple[Mapping[str, str], KeySet] | None = None
        self._asking = asyncio.Lock()

    @property
    def issuer(self) -> str:
        """Who signs people in."""
        return self._registration.issuer

    async def begin(self, back: str) -> tuple[str, Attempt]:
        """The address at the provider to go to, and what has to come back from there. Raises Problem."""
        places, _ = await self._places()
        attempt = Attempt(token_urlsafe(32), token_urlsafe(32), token_urlsafe(48), back)
        async with self._client() as client:
            address, _ = client.create_authorization_url(
                places["authorization_endpoint"],
                state=attempt.state,
                code_verifier=attempt.verifier,
                nonce=attempt.nonce,
            )
        return str(address), attempt

    async def finish(self, attempt: Attempt, answer: Mapping[str, str]) -> Person:
        """Who has come back with this answer. Raises Problem for nobody, and for somebody without a role."""
        if not compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise Problem("This sign-in was not begun here.", AGAIN, Exit.USAGE)
        if "code" not in answer:
            raise Problem("The provider has signed nobody in.", AGAIN, Exit.USAGE)
        places, keys = await self._places()
        claims = await self._claims(await self._exchange(places, answer["code"], attempt), keys)
        if not compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise Problem("The provider has answered another sign-in.", AGAIN, Exit.USAGE)
        return self._person(claims)

    async def _exchange(self, places: Mapping[str, str], code: str, attempt: Attempt) -> str:
        try:
            async with self._client() as client:
                token = await client.fetch_token(
                    places["token_endpoint"], code=code, code_verifier=attempt.verifier
                )
        except AuthlibBaseError:
            raise Problem("The provider does not take this sign-in.", AGAIN, Exit.USAGE) from None
        except (httpx2.HTTPError, ValueError) as error:
            raise _silent(error) from None
        return str(token.get("id_token", ""))

    async def _claims(self, id_token: str, keys: KeySet) -> dict[str, Any]:
        try:
            found = await keys.key(jwt.get_unverified_header(id_token).get("kid"))
            if found is None:
                raise jwt.InvalidKeyError
            key, algorithm = found
            claims: dict[str, Any] = jwt.decode(
                id_token,
                key,
                algorithms=[algorithm],
                audience=self._registration.client_id,
                issuer=self._registration.issuer,
                leeway=CLOCKS_DIFFER_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            raise Problem(
                "What the provider says of this person cannot be believed.", AGAIN, Exit.USAGE
            ) from None
        except WebProblem as problem:
            raise Problem("The keys of the provider cannot be read.", AGAIN) from problem
        if claims.get("azp", self._registration.client_id) != self._registration.client_id:
            raise Problem("The provider has signed somebody in elsewhere.", AGAIN, Exit.USAGE)
        return claims

    def _person(self, claims: Mapping[str, Any]) -> Person:
        name, groups = claims.get(self._registration.person_claim), claims.get(self._registration.role_claim)
        return person_of(name, groups if isinstance(groups, list) else [groups], self._registration.names)

    async def _places(self) -> tuple[Mapping[str, str], KeySet]:
        async with self._asking:
            if self._known is None:
                places = await self._discover()
                self._known = places, KeySet(self._read_keys(places["jwks_uri"]))
            return self._known

    async def _discover(self) -> Mapping[str, str]:
        issuer = self._registration.issuer
        try:
            async with httpx2.AsyncClient(transport=self._transport, timeout=SECONDS) as client:
                answer = await client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                found = answer.raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            raise _silent(error) from None
        if not isinstance(found, dict) or found.get("issuer") != issuer:
            raise Problem(f"{issuer} says that it is another issuer.", "See CONSOLE_OIDC_ISSUER.")
        wrong = [name for name in NEEDED if not _is_safe(found.get(name), issuer)]
        if wrong:
            raise Problem(f"The provider does not say its {', '.join(wrong)}, or not with https.", "")
        return {name: found[name] for name in NEEDED}

    def _client(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            client_id=self._registration.client_id,
            client_secret=self._registration.client_secret,
            scope=SCOPE,
            redirect_uri=self._registration.redirect_uri,
            code_challenge_method="S256",
            timeout=SECONDS,
            transport=self._transport,
        )


def person_of(name: Any, groups: Iterable[Any], names: Mapping[Role, tuple[str, ...]]) -> Person:
    """Somebody with the most that their groups allow. Raises Problem without a name or without a role."""
    if not isinstance(name, str) or not 1 <= len(name) <= 200 or not name.isprintable():
        raise Problem("Whoever signs people in does not say who this is.", AGAIN, Exit.USAGE)
    role = role_of((group for group in groups if isinstance(group, str)), names)
    if role is None:
        raise Problem(
            f"{name} has no role here.", "Somebody who keeps the groups has to give one.", Exit.USAGE
        )
    return Person(name, role)


def _is_safe(address: Any, issuer: str) -> bool:
    """Whether an address is one with https; with http only where the issuer itself is (on this machine)."""
    if not isinstance(address, str):
        return False
    scheme = urlsplit(address).scheme
    return scheme == "https" or (scheme == "http" and urlsplit(issuer).scheme == "http")


def _silent(error: Exception) -> Problem:
    return Problem(f"The provider does not answer: {type(error).__name__}.", AGAIN)
