"""The console as an application in this process, with sessions in memory, and a browser that asks it."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from console.app import application
from console.doors import Demo, Door
from console.lists import Lists
from console.people import DEMO, Person, Role
from console.routes import Form, Route
from console.sessions import Session
from console.settings import ConsoleSettings
from console.visits import Visit
from shared.clock import now

HOST = "http://127.0.0.1:9"
KEY = "k" * 43
DEMO_DOOR = Demo()
URLS = {
    "database_url": "postgresql://pawl_console:x@127.0.0.1/pawl",
    "pawl_postgres": "postgresql://pawl_ops:x@127.0.0.1/pawl",
    "pawl_services": "orders=http://127.0.0.1:1",
    "console_demo_directory": "/nowhere",
}


class SessionsInMemory:
    """Sessions by token. A role's name is the token of its person, from the beginning."""

    def __init__(self) -> None:
        self.by_token = {str(role): person for role, person in DEMO.items()}
        self.were: dict[str, Person] = {}

    async def begin(self, person: Person) -> str:
        token = f"new-{len(self.by_token)}"
        self.by_token[token] = person
        return token

    async def find(self, token: str) -> Session | None:
        person = self.by_token.get(token)
        return None if person is None else Session(person, KEY, now() + timedelta(hours=1))

    async def look(self, token: str) -> Session | None:
        return await self.find(token)

    async def left(self, tokens: Collection[str]) -> set[str]:
        return {token for token in tokens if token in self.by_token}

    async def ended(self, token: str) -> Session | None:
        person = self.were.get(token)
        return None if person is None else Session(person, KEY, now())

    def lapse(self, token: str) -> None:
        """The session of this token ends by itself."""
        self.were[token] = self.by_token.pop(token)

    async def end(self, person: Person) -> int:
        tokens = [token for token, each in self.by_token.items() if each == person]
        for token in tokens:
            del self.by_token[token]
        return len(tokens)


def settings_of(**changed: Any) -> ConsoleSettings:
    """Settings that no environment says."""
    return ConsoleSettings(**{**URLS, **changed})


def that_only_say_so(routes: Sequence[Route]) -> list[Route]:
    """The same routes, each with an endpoint that only says that it was reached."""

    async def reached(request: Request, visit: Visit, form: Form | None = None) -> Response:
        return PlainTextResponse("reached")

    return [replace(route, endpoint=reached) for route in routes]


@asynccontextmanager
async def browser(
    routes: Sequence[Route],
    role: Role | None = None,
    sessions: Any = None,
    door: Door = DEMO_DOOR,
    lists: Lists | None = None,
    **settings: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody of this role before the console; None is nobody."""
    kept: Any = sessions or SessionsInMemory()
    app = application(routes, kept, settings_of(**settings), door, lists)
    cookies: dict[str, str] = {} if role is None else {"pawl_console_9": role}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=HOST, cookies=cookies, headers={"origin": HOST}
    ) as client:
        yield client
