"""An OpenID provider in memory: keys of every kind, tokens of every kind, and what checks them."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from shared.web.tokens import KeySet, Tokens

ISSUER, AUDIENCE = "https://login.example", "pawl"


class Provider:
    """Signs tokens with an Ed25519 or an RSA key, and hands out the key set."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {
            "ed": Ed25519PrivateKey.generate(),
            "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        }
        self.asked = 0

    def jwks(self, *names: str) -> str:
        keys = []
        for name in names or tuple(self.private):
            algorithm: Any = RSAAlgorithm if name.startswith("rsa") else OKPAlgorithm
            key = json.loads(algorithm.to_jwk(self.private[name].public_key()))
            keys.append({**key, "kid": name, "use": "sig"})
        return json.dumps({"keys": keys})

    def fetch(self) -> str:
        self.asked += 1
        return self.jwks()

    def token(self, scope: Any = "", *, by: str = "ed", kid: str | None = None, **claims: Any) -> str:
        """A token that is right but for what is asked for; a claim that is None is left out."""
        usual = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": int(time.time()) + 600,
            "sub": "kim",
            "scope": scope,
        }
        said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        algorithm = "RS256" if by.startswith("rsa") else "EdDSA"
        return jwt.encode(said, self.private[by], algorithm, headers={"kid": kid or by})

    def tokens(self) -> Tokens:
        return Tokens(KeySet(self.fetch), ISSUER, AUDIENCE)

    def allowing(self, scope: str, **claims: Any) -> dict[str, str]:
        """The headers of a request with such a token."""
        return {"authorization": f"Bearer {self.token(scope, **claims)}"}
