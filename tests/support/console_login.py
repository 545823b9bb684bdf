"""An OpenID provider that answers in this process, and what it says of somebody."""

import base64
import json
from typing import Any
from urllib.parse import parse_qs

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from console.people import Role
from console.provider import Attempt, Provider, Registration
from shared.clock import now

ISSUER = "https://login.example"
NAMES: dict[Role, tuple[str, ...]] = {
    "viewer": ("staff",),
    "operator": ("pawl-ops",),
    "finance": ("pawl-finance",),
    "admin": ("pawl-admin",),
}
REGISTRATION = Registration(
    ISSUER, "pawl-console", "a secret", "https://console.example", "email", "groups", NAMES
)
KEY, OTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def key_set() -> str:
    raw = KEY.public_key().public_bytes_raw()
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x, "use": "sig"}]})


class Login:
    """A provider that hands out what a test wants; it keeps what it was asked for."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.key = KEY
        self.places: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
        self.asked: dict[str, list[str]] = {}
        self.status = 200

    def provider(self) -> Provider:
        return Provider(REGISTRATION, httpx2.MockTransport(self._answer), lambda place: key_set)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/.well-known/openid-configuration":
            return httpx2.Response(self.status, json=self.places)
        self.asked = parse_qs(request.content.decode())
        if self.asked["code"] != ["right"]:
            return httpx2.Response(400, json={"error": "invalid_grant"})
        token = jwt.encode(self.claims, self.key, "EdDSA", headers={"kid": "k1"})
        return httpx2.Response(200, json={"access_token": "x", "token_type": "Bearer", "id_token": token})


def says(attempt: Attempt, **changed: Any) -> dict[str, Any]:
    """What the provider says of somebody who came back with this attempt."""
    at = int(now().timestamp())
    claims = {
        "iss": ISSUER,
        "aud": "pawl-console",
        "sub": "u-1",
        "iat": at,
        "exp": at + 60,
        "nonce": attempt.nonce,
        "email": "kim@example.com",
        "groups": ["staff", "pawl-ops"],
    }
    return {name: value for name, value in {**claims, **changed}.items() if value is not None}
