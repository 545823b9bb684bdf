"""One batch of inbound messages over one world: what applies, waits or is refused. No I/O in here.

The fold reads what a batch needs, lets it take the messages one after another, and writes what came out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shared.events import feedback
from shared.events.faults import Fault
from shared.partitioner import partition_for
from shared.runtime.commands import KEY_BLOCKED, Command, CommandOutcome, CommandRoute, Done, Refused
from shared.runtime.decisions import Applied, ByPerson, Context, Decider, Event, Reject, Wait
from shared.runtime.intake import InboundMessage
from shared.runtime.making_good import OpenLetter, letter_of, makes_good, request_in
from shared.runtime.outgoing import Cause, OutboxRows
from shared.web.problems import Problem

WAITING, GAP, BLOCKED, BEHIND = "waiting", "gap", "blocked", "behind"

Subject = tuple[str, str]
EventKey = tuple[str, str]


@dataclass(slots=True)
class Parked:
    """A message that waits with its key: `row` is its id in the table, None when it only begins to wait."""

    message: InboundMessage
    kind: str
    reason: str
    row: int | None = None
    changed: bool = False
    done: bool = False


@dataclass(slots=True)
class Refusal:
    """A record on its way to the dead letters; `letter` where a later event can make it good."""

    message: InboundMessage
    fault: Fault
    letter: OpenLetter | None = None


@dataclass(slots=True)
class PriorState:
    """What inbox, cursors, parked events and open dead letters said before this batch.

    `fresh` are the ids that it claimed, `contents` what the ids that were known already said, `subjects`
    those whose order counts in this batch.
    """

    fresh: set[EventKey] = field(default_factory=set)
    contents: Mapping[EventKey, bytes] = field(default_factory=dict)
    cursors: dict[Subject, int] = field(default_factory=dict)
    parked: Mapping[str, list[Parked]] = field(default_factory=dict)
    letters: Mapping[str, list[OpenLetter]] = field(default_factory=dict)
    subjects: list[Subject] = field(default_factory=list)

    def cursors_of(self, subjects: Iterable[Subject]) -> dict[Subject, int]:
        """The cursors of these subjects; one that was never handled has none."""
        return {subject: self.cursors[subject] for subject in subjects if subject in self.cursors}


class Batch:
    """Takes messages in order and collects what follows from them.

    `after_commit` are the keys whose events wait for no more than the commit of this batch, `by_people` what
    people have changed as events tell it, each with the id of its event.
    """

    def __init__(
        self, service: Decider, world: Any, prior: PriorState, rows: OutboxRows, context: Context
    ) -> None:
        self._service = service
        self.world = world
        self.prior = prior
        self.rows = rows
        self.cursors: dict[Subject, int] = dict(prior.cursors)
        self.parked: dict[str, list[Parked]] = {key: list(messages) for key, messages in prior.parked.items()}
        # Not a method of this batch: one that held its own method would be let go, with all that it read, by
        # the garbage collector only, which stops the process for as long as that takes.
        self._context = Context(context.new_id, partial(_waiting, self.parked), context.handled_at)
        self.refusals: list[Refusal] = []
        self.by_people: list[tuple[str, ByPerson]] = []
        self._letters = {key: list(letters) for key, letters in prior.letters.items()}
        self.after_commit: set[str] = set()
        self.handled = 0
        self.duplicates = 0
        self._first_content: dict[EventKey, bytes] = {}

    def take_all(self, messages: Iterable[InboundMessage]) -> None:
        """Takes the messages in order."""
        for message in messages:
            self.take(message)

    def take(self, message: InboundMessage) -> None:
        """Takes one message: it applies, waits, is refused, or turns out to be known already."""
        if message.foreign:
            self._note_foreign(message)
            return
        if message.upstream and not self._is_new(message):
            return
        if message.fault is not None:
            self._refuse(message, message.fault)
            return
        assert message.event is not None
        if self._is_blocked(message.key):
            self._park(message, BEHIND, "behind a blocked event of its key")
            return
        if self._attempt(message):
            self._retry_waiting(message.key)

    def decide(self, command: Command[Any], route: CommandRoute) -> CommandOutcome:
        """Decides one command. What it brings about may let events go on that wait with its key.

        It overtakes nothing: while an event of its key is blocked, it is refused. Whatever its handler
        raises goes to the caller of this, before anything has changed.
        """
        if self._is_blocked(command.key):
            return Refused(Problem(KEY_BLOCKED, key=command.key))
        outcome = route.handle(self.world, command, self._context)
        if isinstance(outcome, Done):
            self.rows.add_all(outcome.events, Cause.of(command))
            self._settle_waiting(command.key, outcome.settles)
            self._retry_waiting(command.key)
        return outcome

    def block(self, message: InboundMessage, reason: str) -> None:
        """Parks a message that the store refuses; later messages of its key queue behind it.

        One of ours that somebody else has handled meanwhile was refused for that, and is done.
        """
        if message.upstream and not self._is_new(message):
            return
        if message.event is not None and self._is_handled(message.event):
            self.duplicates += 1
            return
        if message.fault is None:
            self._park(message, BLOCKED, reason)
        else:
            self._refuse(message, message.fault)

    def block_key(self, key: str, reason: str) -> None:
        """Blocks a key of whose waiting events the store refuses one: the first of them stands for all."""
        for parked in self.parked.get(key, ())[:1]:
            self._set_kind(parked, BLOCKED, reason)

    def retry(self, key: str) -> None:
        """Gives what waits with a key another chance."""
        self._retry_waiting(key)

    def reopen(self, key: str) -> None:
        """Lets everything that waits with a key try again, in order, the blocked ones too."""
        queued = [parked for parked in self.parked.get(key, []) if parked.kind in (BLOCKED, BEHIND)]
        for parked in queued:
            self._set_kind(parked, WAITING, "to be handled again")
        self._retry_waiting(key)
        if self._is_blocked(key):
            for parked in queued:
                if not parked.done and parked.kind == WAITING:
                    self._set_kind(parked, BEHIND, "behind a blocked event of its key")

    def warning_of(self, message: InboundMessage) -> feedback.HowSent | None:
        """What is wrong with how a record was sent: another partition than its key's loses its order.

        One that is its key's by a number of partitions that the topic had before is right: the record, or its
        producer, knew no other. A partition that is not known yet says nothing.
        """
        topic, partition, _ = message.position
        count = self.rows.partitions.get(topic, 0)
        if not message.key or partition >= count:
            return None
        counts = (count, *self.rows.earlier.get(topic, ()))
        if any(partition == partition_for(message.key, each) for each in counts):
            return None
        return "wrong_partition"

    def moved_cursors(self) -> list[tuple[str, str, int, int]]:
        """Source, subject, new and previous sequence of every subject that moved."""
        before = self.prior.cursors
        return [
            (source, subject, sequence, before.get((source, subject), 0))
            for (source, subject), sequence in self.cursors.items()
            if sequence != before.get((source, subject), 0)
        ]

    def newly_parked(self) -> list[Parked]:
        """What began to wait in this batch and still does."""
        return [p for waiting in self.parked.values() for p in waiting if p.row is None and not p.done]

    def settled_rows(self) -> list[int]:
        """Rows of `parked` that were handled."""
        return [
            p.row for waiting in self.prior.parked.values() for p in waiting if p.done and p.row is not None
        ]

    def changed_rows(self) -> list[Parked]:
        """Rows of `parked` that still wait, for another reason than before."""
        return [
            p
            for waiting in self.parked.values()
            for p in waiting
            if p.row is not None and p.changed and not p.done
        ]

    @property
    def has_set_aside(self) -> bool:
        """Whether an event was judged and did not apply: refused, or left waiting."""
        return bool(self.refusals or self.newly_parked() or self.changed_rows())

    def made_good(self) -> list[OpenLetter]:
        """The dead letters that this batch ends, those among them that it refused itself."""
        return [letter for letters in self._letters.values() for letter in letters if letter.made_good_by]

    def _note_foreign(self, message: InboundMessage) -> None:
        """The id of an event that another service answers for is taken too."""
        identity = (message.source or "", message.event_id or "")
        if identity in self.prior.fresh and message.content is not None:
            self._first_content.setdefault(identity, message.content)

    def _is_new(self, message: InboundMessage) -> bool:
        if message.source is None or message.event_id is None or message.content is None:
            return True
        identity = (message.source, message.event_id)
        first = self._first_content.get(identity)
        if first is None and identity in self.prior.fresh:
            self._first_content[identity] = message.content
            return True
        said_before = first if first is not None else self.prior.contents.get(identity)
        self.duplicates += 1
        if said_before != message.content:
            detail = (
                f"event id {message.event_id} was used before with other content; a new event needs a new id"
            )
            self._refuse(message, Fault("duplicate_id", "", detail))
        return False

    def _attempt(self, message: InboundMessage, parked: Parked | None = None) -> bool:
        """Tries one readable message; says whether it is settled (applied, refused or known already)."""
        event = message.event
        if event is None:
            reason = message.fault.detail if message.fault else "it cannot be read any more"
            self._wait(message, parked, BLOCKED, reason)
            return False
        if self._is_handled(event):
            self.duplicates += 1
            return self._settle(parked)
        if event.sequence is not None and not self._is_next(event):
            wanted = self.cursors.get((event.source, event.subject), 0) + 1
            self._wait(message, parked, GAP, f"sequence {wanted} of {event.subject} from {event.source}")
            return False
        return self._handle(message, event, parked)

    def _handle(self, message: InboundMessage, event: Event[Any], parked: Parked | None) -> bool:
        """Has one event decided whose turn it is; says whether it is settled."""
        try:
            outcome = message.route.handle(self.world, event, self._context) if message.route else Applied()
            is_good = isinstance(outcome, Applied)
            if isinstance(outcome, Reject) and (parked is not None or not message.upstream):
                outcome = self._service.refuse_late(self.world, event, outcome, self._context)
        except Exception as failure:  # an unforeseen state must not stop the other keys
            self._wait(message, parked, BLOCKED, f"{type(failure).__name__}: {failure}")
            return False
        if isinstance(outcome, Wait):
            self._wait(message, parked, WAITING, outcome.reason)
            if outcome.until_commit:
                self.after_commit.add(message.key)
            return False
        if isinstance(outcome, Reject):
            self._refuse(message, Fault(outcome.code, outcome.pointer, outcome.detail))
            return True
        self._apply(message, event, outcome, answered=parked is not None)
        if is_good and message.upstream and message.key in self._letters:
            self._make_good(message, event)
        return self._settle(parked)

    def _refuse(self, message: InboundMessage, fault: Fault) -> None:
        letter = letter_of(message, fault)
        self.refusals.append(Refusal(message, fault, letter))
        if letter is not None:
            self._letters.setdefault(letter.key, []).append(letter)

    def _make_good(self, message: InboundMessage, event: Event[Any]) -> None:
        """Ends the dead letters whose request this event is, right this time."""
        request = request_in(message)
        if request is None:
            return
        for letter in self._letters[message.key]:
            if letter.made_good_by is None and makes_good(event, request, letter):
                letter.made_good_by = f"made good by {event.id} of {event.source}"

    def _apply(self, message: InboundMessage, event: Event[Any], applied: Applied, *, answered: bool) -> None:
        self.handled += 1
        cause = Cause.of(event)
        if event.sequence is not None and self._follows(message):
            self.cursors[event.source, event.subject] = event.sequence
        if message.upstream and not answered:
            self._accept(message, cause)
        self.rows.add_all(applied.events, cause)
        if applied.by_person is not None:
            self.by_people.append((event.id, applied.by_person))

    def _follows(self, message: InboundMessage) -> bool:
        return message.route is None or message.route.tracked

    def _is_handled(self, event: Event[Any]) -> bool:
        """Whether its subject is as far as this event, or farther."""
        if event.sequence is None or self._is_next(event):
            return False
        return event.sequence <= self.cursors.get((event.source, event.subject), 0)

    def _is_next(self, event: Event[Any]) -> bool:
        route = self._service.routes.get(event.type)
        if route is not None and not route.tracked:
            return True
        return event.sequence == self.cursors.get((event.source, event.subject), 0) + 1

    def _is_blocked(self, key: str) -> bool:
        if key not in self.parked:
            return False
        return any(parked.kind in (BLOCKED, BEHIND) for parked in self.parked[key])

    def _wait(self, message: InboundMessage, parked: Parked | None, kind: str, reason: str) -> None:
        if parked is None:
            self._park(message, kind, reason)
        elif (parked.kind, parked.reason) != (kind, reason):
            self._set_kind(parked, kind, reason)

    def _park(self, message: InboundMessage, kind: str, reason: str) -> None:
        assert message.event is not None
        self.parked.setdefault(message.key, []).append(Parked(message, kind, reason))
        if message.upstream:
            self._accept(message, Cause.of(message.event))

    def _set_kind(self, parked: Parked, kind: str, reason: str) -> None:
        parked.kind, parked.reason, parked.changed = kind, reason, True

    def _settle_waiting(self, key: str, events: Sequence[Event[Any]]) -> None:
        for parked in self.parked.get(key, ()) if events else ():
            if any(parked.message.event is event for event in events):
                self._settle(parked)

    def _settle(self, parked: Parked | None) -> bool:
        if parked is not None:
            parked.done = True
        return True

    def _retry_waiting(self, key: str) -> None:
        progress = key in self.parked
        while progress:
            progress = False
            for parked in self.parked[key]:
                if self._is_blocked(key):
                    break
                if not parked.done and self._attempt(parked.message, parked):
                    progress = True
            self.parked[key] = [parked for parked in self.parked[key] if not parked.done]

    def _accept(self, message: InboundMessage, cause: Cause) -> None:
        data = feedback.accepted(
            order_id=message.key,
            source=message.source or "",
            event_id=message.event_id or "",
            event_type=message.type or "",
            position=message.position,
            warning=self.warning_of(message),
        )
        self.rows.add_feedback("event.accepted.v1", cause, data)


def _waiting(parked: Mapping[str, list[Parked]], key: str) -> list[Event[Any]]:
    """The events that wait with a key for an event, oldest first."""
    return [
        p.message.event
        for p in parked.get(key, ())
        if p.kind == WAITING and not p.done and p.message.event is not None
    ]


def events_of(messages: Sequence[InboundMessage], parked: Mapping[str, list[Parked]]) -> list[Event[Any]]:
    """Every event that this batch may hand to a handler: what a service must load for."""
    fresh = [message.event for message in messages if message.event is not None and message.route is not None]
    waiting = [
        p.message.event for waiting in parked.values() for p in waiting if p.message.event and p.message.route
    ]
    return fresh + waiting
