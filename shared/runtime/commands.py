"""Commands: requests to change something that get an answer, decided like events.

A service names a command in `COMMANDS` as it names an event in `ROUTES`. To the store a `Command` is an
event with its key: the same rows are loaded under the same locks, so commands and events of one order never
meet. Its handler is called as `handler(world, command, context)` and answers with `Done` or `Refused`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel

from shared.events.canonical import content_hash
from shared.runtime.decisions import Context, Event, NewEvent, Position
from shared.web.callers import Origin
from shared.web.problems import IDEMPOTENCY_KEY_REUSED, INTERNAL, Kind, Problem

D = TypeVar("D")
EventKey = tuple[str, str]

NOWHERE = Position("http", 0, 0)
SOURCE_PREFIX = "token:"
"""The inbox keeps commands beside upstream events: no `sub` can be taken for the source of one of those."""

KEY_BLOCKED = Kind(
    "key_blocked",
    409,
    "An event of this key waits for an operator",
    "an event of {key} is blocked, and nothing overtakes it; see pawl dead ls --key {key}, then repeat this",
    "이 키의 이벤트가 운영자를 기다립니다",
    "{key}의 이벤트가 막혀 있습니다. pawl dead ls --key {key}로 확인한 뒤 다시 요청하십시오",
)


class Command(Event[D], Generic[D], frozen=True, gc=False):
    """One request as a handler sees it: an event whose source is the token and whose time is now.

    `id` is ours, and the cause of the events that follow. `subject` is what it is about where that is not
    its key: a refund of an order. `idempotency_key` is the caller's, or our id where it gave none.
    `partner_id` is the partner that the token is limited to, `request` the id of the request in logs.
    """

    idempotency_key: str = ""
    actor: str = ""
    reason: str = ""
    partner_id: str | None = None
    request: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What the inbox keeps it under."""
        return SOURCE_PREFIX + self.source, self.idempotency_key

    @property
    def content_now(self) -> bytes:
        """The hash of what it says, which an Idempotency-Key stands for."""
        assert self.content is not None
        return self.content


@dataclass(slots=True)
class Done:
    """A command was carried out: what the caller is answered, and the events that follow from it.

    `before` and `after` are what the audit log keeps of the change; neither holds a secret. `settles` are
    events that waited with its key, and wait no more.
    """

    answer: Mapping[str, Any]
    events: Sequence[NewEvent] = field(default_factory=tuple)
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    status: int = 200
    settles: Sequence[Event[Any]] = ()


@dataclass(slots=True)
class Refused:
    """A command changes nothing. The problem is its answer, also when it comes again."""

    problem: Problem


CommandOutcome = Done | Refused
CommandHandler = Callable[[Any, Command[Any], Context], CommandOutcome]
Work = Callable[[Any, Command[Any]], Awaitable[CommandOutcome]]
"""What a command alone does with the connection of its transaction: load, decide, save.

One that it refuses has saved nothing.
"""


@dataclass(slots=True, frozen=True)
class CommandRoute:
    """What a service does with one command.

    `is_audited` commands leave a row in the audit log; only those that customers send by the thousand do not.
    """

    handle: CommandHandler
    is_audited: bool = True


@dataclass(slots=True, frozen=True)
class Answer:
    """What a caller is told: a status, and the document in each language (they differ for problems only)."""

    status: int
    document: Mapping[str, Any]
    korean: Mapping[str, Any] | None = None
    retry_after: int | None = None

    @classmethod
    def of(cls, outcome: CommandOutcome) -> "Answer":
        """The answer that an outcome is."""
        if isinstance(outcome, Done):
            return cls(outcome.status, outcome.answer)
        problem = outcome.problem
        return cls(problem.kind.status, problem.document("en"), problem.document("ko"), problem.retry_after)

    @classmethod
    def failed(cls, command: "Command[Any]") -> "Answer":
        """The answer to a command that failed: nothing of it is kept, so it can be sent again."""
        return cls.of(Refused(Problem(INTERNAL, correlation=command.request)))

    def packed(self) -> bytes:
        """The answer as it is kept beside its Idempotency-Key."""
        return orjson.dumps([self.status, self.document, self.korean, self.retry_after])

    @classmethod
    def unpacked(cls, text: bytes) -> "Answer":
        """The answer that `packed` made into bytes."""
        return cls(*orjson.loads(text))


@dataclass(slots=True)
class KnownCommands:
    """What the Idempotency-Keys of a batch stand for, and the answers there are."""

    contents: dict[EventKey, bytes]
    answers: dict[EventKey, Answer] = field(default_factory=dict)

    def to_decide(self, commands: Sequence[Command[Any]]) -> Iterator[Command[Any]]:
        """Those that nobody has answered, each once, in order."""
        seen = set(self.answers)
        for command in commands:
            if command.identity not in seen and self._stands_for(command):
                seen.add(command.identity)
                yield command

    def answer_to(self, command: Command[Any]) -> Answer:
        """What a command is answered once all are decided."""
        if not self._stands_for(command):
            return Answer.of(Refused(Problem(IDEMPOTENCY_KEY_REUSED)))
        return self.answers.get(command.identity) or Answer.failed(command)

    def _stands_for(self, command: Command[Any]) -> bool:
        return self.contents[command.identity] == command.content


def told(events: Sequence[NewEvent]) -> list[dict[str, Any]]:
    """Events as the answer to a command tells that they follow from it."""
    return [{"type": event.type, "data": orjson.loads(orjson.dumps(event.data))} for event in events]


def new_command(
    name: str,
    key: str,
    data: BaseModel,
    origin: Origin,
    *,
    command_id: UUID,
    at: datetime,
    reason: str = "",
    subject: str = "",
) -> Command[Any]:
    """The command that a request is. `at` is when it came: the logical time of what follows."""
    said = {"key": key, "data": data.model_dump(mode="json"), "partner_id": origin.caller.partner_id}
    if subject:
        said["subject"] = subject
    return Command(
        source=origin.caller.sub,
        id=str(command_id),
        type=name,
        subject=subject or key,
        key=key,
        time=at,
        correlation=key,
        sequence=None,
        content=content_hash(name, orjson.dumps(said)),
        data=data,
        position=NOWHERE,
        traceparent=origin.traceparent,
        idempotency_key=origin.idempotency_key or str(command_id),
        actor=origin.caller.sub,
        reason=reason,
        partner_id=origin.caller.partner_id,
        request=origin.correlation,
    )
