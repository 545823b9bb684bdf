"""What a route of a service is: its path, what answers, and the scope that a token needs for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from shared.web.callers import Caller, Origin
from shared.web.limits import SECONDS
from shared.web.problems import Kind, language_of


@dataclass(slots=True, frozen=True)
class HttpRoute:
    """One request that a service answers.

    `scope` is what the token needs; None only outside of /v1, for what everybody may ask. `partners` says
    that tokens that are limited to a partner may ask too: the endpoint then has to keep to
    `caller.partner_id`. `after_leaving`: also when that partner has left; otherwise it finds
    nothing then. `seconds` is how long it may take until its answer begins. `answers` is the model
    of a good answer, `file` its media type where it is a file; `alike` are other statuses with such a
    document, and what each means. `problems` are the kinds of its own that it may answer with.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    scope: str | None = None
    answers: Any = None
    file: str | None = None
    status: int = 200
    partners: bool = False
    after_leaving: bool = False
    seconds: float = SECONDS
    alike: Mapping[int, str] = field(default_factory=dict)
    problems: Sequence[Kind] = ()
    is_shown: bool = True

    @property
    def template(self) -> str:
        """The path as documents, logs and metrics name it: `{id}` also where an id may hold a slash."""
        return self.path.replace(":path}", "}")

    @property
    def name(self) -> str:
        """The route as logs and metrics name it."""
        return f"{self.method} {self.template}"


def get(path: str, endpoint: Callable[..., Any], scope: str | None = None, **more: Any) -> HttpRoute:
    """A route that reads."""
    return HttpRoute("GET", path, endpoint, scope, **more)


def post(path: str, endpoint: Callable[..., Any], scope: str, **more: Any) -> HttpRoute:
    """A route that writes."""
    return HttpRoute("POST", path, endpoint, scope, **more)


KeyHeader = Header(
    alias="Idempotency-Key",
    min_length=1,
    max_length=128,
    pattern="^[!-~]+$",
    description="your own id of this request; the same one when you repeat it",
)


# Async although they wait for nothing: FastAPI has a thread run what is not, which takes longer than they do.
async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _looking(request: Request) -> Origin:
    return _origin_of(request, None)


async def _origin(request: Request, key: Annotated[str | None, KeyHeader] = None) -> Origin:
    return _origin_of(request, key)


async def _origin_with_key(request: Request, key: Annotated[str, KeyHeader]) -> Origin:
    return _origin_of(request, key)


def _origin_of(request: Request, key: str | None) -> Origin:
    state, language = request.state, language_of(request.headers.get("accept-language", ""))
    client = request.client.host if request.client is not None else ""
    return Origin(state.caller, key, state.given_traceparent, state.correlation, language, client)


Asking = Annotated[Caller, Depends(_caller)]
"""Parameter of an endpoint: who asks."""
Looking = Annotated[Origin, Depends(_looking)]
"""Parameter of an endpoint that reads, and notes who did: where the request comes from."""
Requested = Annotated[Origin, Depends(_origin)]
"""Parameter of an endpoint whose write may come without an Idempotency-Key: where the request comes from."""
RequestedOnce = Annotated[Origin, Depends(_origin_with_key)]
"""Parameter of an endpoint whose write needs an Idempotency-Key: where the request comes from."""
