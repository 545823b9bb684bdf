"""What a route of the console is: its path, what answers, and the scope that somebody needs for it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from console.visits import Visit

Form: TypeAlias = Mapping[str, str]
Page: TypeAlias = Callable[[Request, Visit], Awaitable[Response]]
Action: TypeAlias = Callable[[Request, Visit, Form], Awaitable[Response]]


@dataclass(slots=True, frozen=True)
class Route:
    """One request that the console answers.

    `scope` is what the role of somebody has to allow; None is for everybody who is signed in. `is_open`: for
    everybody else too, with nothing that is secret. A POST that is not open needs the key of its session.
    `is_quiet`: a page asks it by itself, and no session lives longer by that.
    """

    method: str
    path: str
    endpoint: Callable[..., Awaitable[Response]]
    scope: str | None = None
    is_open: bool = False
    is_quiet: bool = False

    @property
    def name(self) -> str:
        """The route as logs name it."""
        return f"{self.method} {self.path}"


def get(
    path: str, endpoint: Page, scope: str | None = None, *, is_open: bool = False, is_quiet: bool = False
) -> Route:
    """A page."""
    return Route("GET", path, endpoint, scope, is_open, is_quiet)


def post(path: str, endpoint: Action, scope: str | None = None, *, is_open: bool = False) -> Route:
    """A form that is sent."""
    return Route("POST", path, endpoint, scope, is_open)
