"""The vocabulary of a decision: what a handler is given and what it may answer.

A handler is called as `handler(world, event, context)` and answers with an `Outcome`. It never raises for
anything a business rule foresees: an exception means that the code does not know what to do, and parks the
event with its key until an operator looks at it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel


class Position(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class Event:
    """One readable, validated event as a handler sees it.

    `key` is the record key: the entity (order, partner or month) that the event is about. `time` is the
    instant it happened (UTC aware). `sequence` is set on our own events only, `content` (a 16 byte hash of
    type and data) on upstream events only.
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
    data: Any
    position: Position


@dataclass(slots=True)
class Emit:
    """One new fact. `sequence` is contiguous from 1 for each subject, counted by the aggregate itself.

    `key` and `time` are those of the causing event unless they are given.
    """

    type: str
    subject: str
    sequence: int
    data: dict[str, Any]
    key: str | None = None
    time: datetime | None = None


@dataclass(slots=True)
class Applied:
    """The event was understood and recorded; `events` (maybe none) follow from it."""

    events: Sequence[Emit] = field(default_factory=tuple)


@dataclass(slots=True)
class Wait:
    """The event needs a fact that has not arrived yet, e.g. `order A-1001`. It waits with its key."""

    reason: str


@dataclass(slots=True)
class Reject:
    """The document is wrong in a way only the owner of the decision can see. Upstream events only.

    `code` is one of the codes of the published language, `pointer` a JSON Pointer into the data.
    """

    code: str
    pointer: str
    detail: str


Outcome = Applied | Wait | Reject


@dataclass(slots=True)
class Context:
    """What a decision may use besides state and event: fresh ids and what waits with a key, never a clock."""

    new_id: Callable[[], UUID]
    waiting: Callable[[str], Sequence[Event]] = lambda key: ()


Handler = Callable[[Any, Event, Context], Outcome]


@dataclass(slots=True, frozen=True)
class Route:
    """What a service does with one event type.

    `model` validates the data. `tracked` routes are ordered by `ce_sequence` of their subject; untracked ones
    must be harmless when repeated or reordered.
    """

    handle: Handler
    model: type[BaseModel] | None = None
    tracked: bool = True
