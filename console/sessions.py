"""Who is signed in: a random token in a cookie, and its SHA-256 in the database.

Every request asks the database, so that a session that is ended is ended everywhere with the next click.
"""

import base64
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from msgspec import Struct

from console.people import Person
from shared.clock import now
from shared.ids import random_bytes
from shared.queries import load

SQL = load(__file__)
TOKEN_BYTES = 32


class Session(Struct, frozen=True):
    """Somebody who is signed in. Each form repeats `form_key`, which a page of another site cannot know."""

    person: Person
    form_key: str
    ends_at: datetime


class Sessions:
    """Sessions in the schema `console`. They end `idle` after the last request, `longest` after the first."""

    def __init__(self, pool: Any, idle: timedelta, longest: timedelta) -> None:
        self._pool, self._idle, self._longest = pool, idle, longest

    async def begin(self, person: Person) -> str:
        """Signs somebody in: the token for the cookie."""
        at, token = now(), _random_text()
        await self._pool.execute(SQL.forget_sessions, at, at - self._idle)
        values = (_hash(token), person.id, person.role, _random_text(), at, at + self._longest)
        await self._pool.execute(SQL.begin_session, *values)
        return token

    async def find(self, token: str) -> Session | None:
        """Who has this token; None for nobody, or a session that has ended."""
        at = now()
        row = await self._pool.fetchrow(SQL.session, _hash(token), at, at - self._idle)
        return None if row is None else _session(row)

    async def look(self, token: str) -> Session | None:
        """The same, for what a page asks by itself: that keeps no session from ending."""
        at = now()
        row = await self._pool.fetchrow(SQL.look_at_session, _hash(token), at, at - self._idle)
        return None if row is None else _session(row)

    async def left(self, tokens: Collection[str]) -> set[str]:
        """Those of these tokens whose session has not ended."""
        at, by_hash = now(), {_hash(token): token for token in tokens}
        rows = await self._pool.fetch(SQL.sessions_left, list(by_hash), at, at - self._idle)
        return {by_hash[row["token_hash"]] for row in rows}

    async def ended(self, token: str) -> Session | None:
        """Whose session this was, as long as that is kept: only to give them back what they had typed."""
        row = await self._pool.fetchrow(SQL.ended_session, _hash(token))
        return row and Session(Person(row["person"], row["role"]), row["form_key"], row["ends_at"])

    async def end(self, person: Person) -> int:
        """Signs a person out everywhere; how many sessions ended."""
        ended: int = await self._pool.fetchval(SQL.end_sessions, person.id)
        return ended


def _session(row: Any) -> Session:
    return Session(Person(row["person"], row["role"]), row["form_key"], row["ends_at"])


def _random_text() -> str:
    return base64.urlsafe_b64encode(random_bytes(TOKEN_BYTES)).decode().rstrip("=")


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
