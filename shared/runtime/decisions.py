"""The vocabulary of a decision: what a handler is given and what it may answer.

A handler is called as `handler(world, event, context)` and answers with an `Outcome`. It never raises for
anything that a business rule foresees: an exception means that the code does not know what to do, and blocks
the event with its key until an operator looks at it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

D = TypeVar("D")
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class Position(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int


class Event(Struct, Generic[D], frozen=True, gc=False):
    """One readable, validated event as a handler sees it; `Event[PaymentPending]` names its payload.

    `key` is the record key: the entity (order, partner or month) that the event is about. `time` is the
    instant at which it happened (UTC, aware). `sequence` is set on our own events only, `content` (a 16 byte
    hash of type and data) on upstream events only. `traceparent` is the W3C trace context of its record.
    """

    source: str
    id: str
    type: str
    subject: str
    key: str
    time: datetime
    correlation: str
    sequence: int | None
    content: bytes | None
    data: D
    position: Position
    traceparent: str | None = None


@dataclass(slots=True)
class NewEvent:
    """An event that follows from a decision.

    `sequence` is contiguous from 1 for each subject, counted by the aggregate itself. `key`, `time` and
    `correlation` are those of the causing event unless they are given.
    """

    type: str
    subject: str
    sequence: int
    data: dict[str, Any]
    key: str | None = None
    time: datetime | None = None
    correlation: str | None = None


class ByPerson(NamedTuple):
    """A change that a person made, for the audit log: who did what to what, why, before and after.

    The target begins with the key of the event. `before` and `after` hold no secret.
    """

    actor: str
    action: str
    target: str
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(slots=True)
class Applied:
    """The event was understood and recorded; `events` (maybe none) follow from it.

    `by_person` is there where it tells what a person has changed.
    """

    events: Sequence[NewEvent] = field(default_factory=tuple)
    by_person: ByPerson | None = None


@dataclass(slots=True)
class Wait:
    """The event needs another one that has not arrived yet, e.g. `order A-1001`. It waits with its key.

    `until_commit`: what it needs came in the same batch, and can be read as soon as that is committed.
    """

    reason: str
    until_commit: bool = False


@dataclass(slots=True)
class Reject:
    """The document is wrong in a way that only the owner of the decision can see. Upstream events only.

    `code` is one of the codes of the published language, `pointer` a JSON Pointer into the data.
    """

    code: str
    pointer: str
    detail: str


Outcome = Applied | Wait | Reject


class Decided(NamedTuple, Generic[S]):
    """What a pure decision answers: the state as it is now, and the events that follow (maybe none)."""

    state: S
    events: Sequence[NewEvent] = ()


Decision = Decided[S] | Wait | Reject
"""The closed answer of every decision."""


class Keeper(Protocol[S_contra]):
    """The world of a batch, as far as a decision's new state is concerned."""

    def put(self, state: S_contra) -> None:
        """Keeps the new state of an aggregate, to be saved with the batch."""


def keep(world: Keeper[S], decision: Decision[S]) -> Outcome:
    """Keeps what was decided in the world of its batch, and answers with what follows from it."""
    if not isinstance(decision, Decided):
        return decision
    world.put(decision.state)
    return Applied(decision.events)


LONG_AGO: Final = datetime(1, 1, 2, tzinfo=UTC)
"""An instant before every event."""


@dataclass(slots=True)
class Context:
    """What a decision may use besides state and event: fresh ids and what waits with a key, never a clock.

    `handled_at` is when the batch is handled: for an act that is ours and counts by its own day, as the issue
    of a document. Whatever happened elsewhere counts by its event's time. See `acted_at`.
    """

    new_id: Callable[[], UUID]
    waiting: Callable[[str], Sequence[Event[Any]]] = lambda key: ()
    handled_at: datetime = LONG_AGO

    def acted_at(self, event: Event[Any]) -> datetime:
        """The instant of an act of ours that follows from an event: never before what led to it."""
        return max(event.time, self.handled_at)


Handler = Callable[[Any, Event[Any], Context], Outcome]


class ByOperator(NamedTuple):
    """An operator cancels what waits: who, why and when."""

    actor: str
    reason: str
    at: datetime


Cancel = Callable[[Any, Event[Any], ByOperator, Context], Applied]
"""What follows when a request is cancelled that waits, and was answered `accepted`."""


@dataclass(slots=True, frozen=True)
class Route:
    """What a service does with one event type.

    The handler's annotation of `event` names the payload, which is the model of the type in the catalogue.
    `tracked` routes are ordered by `ce_sequence` of their subject; untracked ones must be harmless when
    repeated or reordered. `cancel` is there for what somebody asked for or decided, which can be cancelled
    while it waits; what happened cannot.
    """

    handle: Handler
    tracked: bool = True
    cancel: Cancel | None = None


RefuseLate = Callable[[Any, Event[Any], Reject, Context], Applied]
"""Turns a rejection of an event that was accepted already, because it had to wait, into a business event."""


class Decider(Protocol):
    """What a batch needs of a service: its name, its handlers, and what becomes of a late rejection."""

    @property
    def name(self) -> str: ...
    @property
    def routes(self) -> Mapping[str, Route]: ...
    @property
    def refuse_late(self) -> RefuseLate: ...
