"""Tokens of the commands that go through a service: given by somebody, or signed with the key of this system.

`pawl up` makes a key of its own in its run directory, unless TOKEN_JWKS says that keys come from elsewhere;
deploy/compose/make-env.sh makes one too, as PAWL_TOKEN_KEY. Whoever can read such a key may do everything.
"""

import base64
import getpass
import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ops.shell.private_files import read_or_make
from ops.shell.problem import Exit, Problem
from ops.shell.run_directory import DEFAULT, RunDirectory
from ops.shell.system import System
from shared.clock import now

TOKEN, KEY = "PAWL_TOKEN", "PAWL_TOKEN_KEY"
KEYS_OF_SERVICES = "TOKEN_JWKS"
ISSUER, AUDIENCE = "pawl", "pawl"
COMMAND_MINUTES = 5
IF_BROKEN = "Remove it: the next `pawl up` makes a new one. Tokens that it signed count no more."
ELSEWHERE = f"Get one from whoever issues them, and give it with --token-file FILE or {TOKEN}."


def new_key() -> str:
    """A private Ed25519 key: a JWK in base64, so that it is one word in an environment."""
    private = Ed25519PrivateKey.generate()
    public = _text(private.public_key().public_bytes_raw())
    kid = hashlib.sha256(public.encode()).hexdigest()[:16]
    key = {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": public, "d": _text(private.private_bytes_raw())}
    return _text(orjson.dumps(key))


def settings_of(private_key: str) -> dict[str, str]:
    """The environment in which services take tokens that are signed with this key. Raises Problem."""
    try:
        public = {name: value for name, value in _key(private_key).items() if name != "d"}
    except ValueError:
        raise Problem("The key that signs tokens is damaged.", IF_BROKEN) from None
    key_set = orjson.dumps({"keys": [{**public, "use": "sig"}]})
    return {KEYS_OF_SERVICES: _text(key_set), "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE}


def signed(
    private_key: str, scopes: Sequence[str], sub: str, minutes: int, partner: str | None = None
) -> str:
    """A token that allows these scopes for so long. Raises Problem for a key that is none."""
    try:
        key = _key(private_key)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": sub,
            "scope": " ".join(scopes),
            "exp": now() + timedelta(minutes=minutes),
        }
        if partner is not None:
            claims["partner_id"] = partner
        return jwt.encode(claims, jwt.PyJWK(key, "EdDSA").key, "EdDSA", headers={"kid": key["kid"]})
    except (ValueError, KeyError, TypeError, jwt.PyJWTError):
        raise Problem(
            "The key that signs tokens cannot be read.",
            f"It is token-key in the run directory, or {KEY}: a private Ed25519 key as a JWK in base64.",
        ) from None


def own_key(directory: Path | None = None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key with which this system's tokens are signed; None where they come from elsewhere.

    A run directory that is named wins over the environment.
    """
    if directory is None and environment.get(KEY):
        return environment[KEY]
    return _key_in(directory or DEFAULT)


def _key_in(directory: Path) -> str | None:
    folder = RunDirectory(directory)
    state = folder.read_state()
    if state is None or state.up.find() is None or not state.signs_tokens:
        return None
    return read_or_make(folder.token_key, new_key, IF_BROKEN)


def token_for(
    scope: str,
    directory: Path | None = None,
    file: Path | None = None,
    actor: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """A token for a command: from --token-file, $PAWL_TOKEN, or signed here for `actor`. Raises Problem."""
    given = _read(file) if file is not None else environment.get(TOKEN, "").strip()
    if given:
        if actor is not None:
            raise Problem("The token says who asks.", "Leave out --actor.", Exit.USAGE)
        return given
    key = own_key(directory, environment)
    if key is None:
        raise Problem(f"This needs a token with the scope {scope}.", ELSEWHERE)
    return _signed_here(key, scope, actor)


def token_of(system: System, scope: str, environment: Mapping[str, str] = os.environ) -> str:
    """A token for a system that is known: signed with its own key, else as for a command. Raises Problem."""
    key = _key_in(system.directory)
    return token_for(scope, environment=environment) if key is None else _signed_here(key, scope)


def _signed_here(key: str, scope: str, actor: str | None = None) -> str:
    return signed(key, [scope], actor or login(), COMMAND_MINUTES)


def login() -> str:
    """Who sits at this terminal."""
    return os.environ.get("USER") or getpass.getuser()


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(
            f"The token in {file} cannot be read: {error}", "Name a file with one token in it."
        ) from None
    if not text:
        raise Problem(f"{file} is empty.", "Name a file with one token in it.", Exit.USAGE)
    return text


def _key(text: str) -> dict[str, Any]:
    key: dict[str, Any] = orjson.loads(
        base64.urlsafe_b64decode(text.strip() + "=" * (-len(text.strip()) % 4))
    )
    return key


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
