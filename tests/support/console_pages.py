"""Pages of the console asked without a server: a request, who asks it, and services with prepared answers."""

from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from console.asking import Services, Taken
from console.formats import Language
from console.people import DEMO, USUAL_SCOPES, Person, Role
from console.sessions import Session
from console.visits import Visit
from ops.shell.problem import Exit, Problem
from shared.kst import KST

SESSION_KEY = "f" * 43


def visit_of(role: Role, language: Language = "en") -> Visit:
    """Somebody of this role who is signed in."""
    session = Session(DEMO[role], SESSION_KEY, datetime(2026, 11, 30, 18, tzinfo=KST))
    return Visit(session, language, USUAL_SCOPES)


def request_of(path: str, **query: str) -> Request:
    """GET of a page."""
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "path": path,
        "query_string": urlencode(query).encode(),
        "headers": [(b"host", b"127.0.0.1")],
    }
    return Request(scope)


async def bytes_of(response: Response) -> bytes:
    """The body of an answer that is sent in parts."""
    assert isinstance(response, StreamingResponse)
    return b"".join([bytes(part) async for part in response.body_iterator])  # type: ignore[arg-type]


def text_of(response: Response) -> str:
    """The body of an answer."""
    return bytes(response.body).decode()


class Call(NamedTuple):
    """One request to a service. `body` is None for one that only looks."""

    who: str
    service: str
    scope: str
    path: str
    body: Mapping[str, Any] | None = None
    key: str | None = None


class PreparedServices(Services, frozen=True):
    """Services that answer what a test has prepared, by path; everything else is not there."""

    answers: dict[str, Any] = {}  # noqa: RUF012 a struct copies it for each instance
    asked: list[Call] = []  # noqa: RUF012

    def url(self, service: str) -> str:
        return f"http://{service}.test"

    async def look(self, person: Person, service: str, scope: str, path: str) -> Any:
        self.asked.append(Call(person.id, service, scope, path))
        return self._answer(path)

    async def tell(
        self,
        person: Person,
        service: str,
        scope: str,
        path: str,
        body: Mapping[str, Any],
        key: str | None = None,
        seconds: float = 0.0,
    ) -> Any:
        self.asked.append(Call(person.id, service, scope, path, body, key))
        return self._answer(path)

    async def take(self, person: Person, service: str, scope: str, path: str) -> Taken:
        self.asked.append(Call(person.id, service, scope, path))
        headers, content = self._answer(path)
        return Taken(headers, BytesIO(content))

    def _answer(self, path: str) -> Any:
        if path not in self.answers:
            raise Problem(f"nothing at {path}", "", Exit.NOTHING_MATCHED)
        return self.answers[path]
