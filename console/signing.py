"""Tokens for the services, in the name of the person who acts, and who may sign in at all.

The persons of a demo exist in one place only: in a system whose database and key `pawl up` made by itself, on
this machine, and in a console that this very `pawl up` has started. No setting makes them elsewhere.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from console.people import Person
from ops.shell.problem import Problem
from ops.shell.run_directory import RunDirectory
from ops.shell.tokens import own_key, settings_of, signed

MINUTES: Final = 1
"""A token is made for one request."""
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
EMBEDDED: Final = "postgres"

Signer: TypeAlias = Callable[[Person, str], str]
"""A token for a person that allows one scope. Whether the person may have it was asked before."""


class CannotSignIn(Exception):
    """Nobody could sign in to this console; the message says why."""


def signer_of(key: str) -> Signer:
    """Signs with a key that the services know. Raises CannotSignIn for what is none."""
    try:
        settings_of(key)
    except Problem:
        raise CannotSignIn(
            "CONSOLE_TOKEN_KEY is no key: a private Ed25519 key as a JWK in base64, as make-env.sh makes it"
        ) from None
    return lambda person, scope: signed(key, [scope], person.id, MINUTES)


def demo_signer(directory: Path, host: str, parent: Callable[[], int] = os.getppid) -> Signer:
    """Signs for the persons of a demo. Raises CannotSignIn unless this is a console of an embedded system."""
    try:
        state = RunDirectory(directory).read_state()
        key = own_key(directory)
    except Problem as problem:
        raise CannotSignIn(f"the run directory cannot be read: {problem.message}") from None
    if state is None or state.up.pid != parent() or state.up.find() is None:
        raise CannotSignIn("the persons of a demo are those of a console that `pawl up` started")
    if key is None or not any(mark.name == EMBEDDED and mark.find() for mark in state.processes):
        raise CannotSignIn("the persons of a demo need a database and a key that `pawl up` made by itself")
    if host not in LOOPBACK:
        raise CannotSignIn("the persons of a demo are for this machine alone: HTTP_HOST has to be 127.0.0.1")
    return lambda person, scope: signed(key, [scope], person.id, MINUTES)
