"""What makes one of the four services different from the other three, in one value."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute

from shared.postgres import Connection
from shared.runtime.decisions import Applied, Event, Reject, Route

if TYPE_CHECKING:
    from shared.runtime.app import Runtime

Load = Callable[[Connection, Sequence[Event]], Awaitable[Any]]
Save = Callable[[Connection, Any], Awaitable[None]]
RefuseLate = Callable[[Any, Event, Reject], Applied]
Agent = Callable[["Runtime"], Coroutine[Any, Any, None]]


@dataclass(slots=True, frozen=True)
class Service:
    """One fold.

    `routes` maps event types to handlers (the table of contents). `load` locks and reads what the events are
    about, `save` writes what changed. `refuse_late` turns a rejection of an event that was accepted already,
    because it had to wait, into a business fact. `agents` run beside the fold until they are cancelled.
    """

    name: str
    topics: Sequence[str]
    routes: Mapping[str, Route]
    load: Load
    save: Save
    refuse_late: RefuseLate
    agents: Sequence[Agent] = field(default_factory=tuple)
    http_routes: Callable[["Runtime"], Sequence[BaseRoute]] = lambda runtime: ()
