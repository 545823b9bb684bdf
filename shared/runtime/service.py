"""What makes one of the four services different from the other three, in one value."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.events.catalogue import topics_of
from shared.evidence.entries import Evidence
from shared.operators.finding import Look
from shared.operators.todo import Cause
from shared.postgres import Connection
from shared.runtime.commands import CommandRoute
from shared.runtime.decisions import Event, RefuseLate, Route
from shared.runtime.surroundings import Surroundings
from shared.web.routes import HttpRoute


class Store(Protocol):
    """How a service reads and writes its tables. The world is whatever its handlers work on."""

    async def load(self, connection: Connection, events: Sequence[Event[Any]]) -> Any:
        """Locks and reads everything that these events are about. Call it inside a transaction."""

    async def save(self, connection: Connection, world: Any) -> None:
        """Writes what changed in the world, one statement for each table."""


Agent = Callable[[Surroundings], Coroutine[Any, Any, None]]
HttpRoutes = Callable[[Surroundings], Sequence[HttpRoute]]


def no_routes(surroundings: Surroundings) -> Sequence[HttpRoute]:
    """The HTTP routes of a service that has none of its own."""
    return ()


@dataclass(slots=True, frozen=True)
class Service:
    """One fold.

    `routes` maps event types to handlers (the table of contents), `commands` the names of commands to
    theirs. `refuse_late` turns a rejection of an event that was accepted already, because it had to wait,
    into a business event. `agents` run beside the fold until they are cancelled. `todo` says
    what needs somebody here, `find` what a word names here, `evidence` what is told of an order that is
    disputed. `has_left` is the statement that says whether a partner has left, where partners may ask here:
    it finds nothing then. `only_here` are the types of own events that tell of what stands in no topic: a
    schema that has lost such rows cannot be brought forward. `reports` are those that only say how other rows
    stood, and from which nothing follows here: they are brought forward as they were told.
    """

    name: str
    routes: Mapping[str, Route]
    store: Store
    refuse_late: RefuseLate
    agents: Sequence[Agent] = field(default_factory=tuple)
    http_routes: HttpRoutes = no_routes
    commands: Mapping[str, CommandRoute] = field(default_factory=dict)
    todo: Sequence[Cause] = field(default_factory=tuple)
    find: Sequence[Look] = field(default_factory=tuple)
    evidence: Evidence | None = None
    has_left: str | None = None
    only_here: frozenset[str] = frozenset()
    reports: frozenset[str] = frozenset()

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that the service reads: those of the types that it has handlers for."""
        return topics_of(self.routes)
