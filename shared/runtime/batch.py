"""One batch of items over one world: what applies, what waits, what is refused. No I/O in here.

The fold reads what a batch needs, lets it take the items one after another, and writes what came out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shared.events import feedback
from shared.events.faults import Fault
from shared.runtime.decisions import Applied, Context, Event, Reject, Wait
from shared.runtime.intake import Item
from shared.runtime.outbox import Cause, OutboxRows
from shared.runtime.service import Service

WAITING, GAP, BLOCKED, BEHIND = "waiting", "gap", "blocked", "behind"

Subject = tuple[str, str]
EventKey = tuple[str, str]


@dataclass(slots=True)
class Parked:
    """An item that waits with its key: `row` is its id in the table, None when it began to wait just now."""

    item: Item
    kind: str
    reason: str
    row: int | None = None
    changed: bool = False
    done: bool = False


@dataclass(slots=True)
class Refusal:
    """A record on its way to the dead letters."""

    item: Item
    fault: Fault


@dataclass(slots=True)
class Known:
    """What the store knew before this batch: claimed ids, cursors and what waits with the keys."""

    fresh: set[EventKey] = field(default_factory=set)
    contents: Mapping[EventKey, bytes] = field(default_factory=dict)
    cursors: dict[Subject, int] = field(default_factory=dict)
    parked: Mapping[str, list[Parked]] = field(default_factory=dict)


class Batch:
    """Takes items in order and collects what follows from them."""

    def __init__(
        self, service: Service, world: Any, known: Known, rows: OutboxRows, context: Context
    ) -> None:
        self._service = service
        self.world = world
        self._known = known
        self.rows = rows
        self.cursors: dict[Subject, int] = dict(known.cursors)
        self.parked: dict[str, list[Parked]] = {key: list(items) for key, items in known.parked.items()}
        # Not a method of this batch: one that held its own method would be let go, with all that it read, by
        # the garbage collector only, which stops the process for as long as that takes.
        self._context = Context(context.new_id, partial(_waiting, self.parked))
        self.refusals: list[Refusal] = []
        self.handled = 0
        self.duplicates = 0
        self._first_content: dict[EventKey, bytes] = {}

    def take_all(self, items: Iterable[Item]) -> None:
        """Takes the items in order."""
        for item in items:
            self.take(item)

    def take(self, item: Item) -> None:
        """Takes one item: it applies, waits, is refused, or turns out to be known already."""
        if item.foreign:
            self._note_foreign(item)
            return
        if item.upstream and not self._is_new(item):
            return
        if item.fault is not None:
            self.refusals.append(Refusal(item, item.fault))
            return
        assert item.event is not None
        if self._is_blocked(item.key):
            self._park(item, BEHIND, "behind a blocked event of its key")
            return
        if self._attempt(item):
            self._retry_waiting(item.key)

    def block(self, item: Item, reason: str) -> None:
        """Parks an item that the store refuses; later items of its key queue behind it."""
        if item.upstream and not self._is_new(item):
            return
        if item.fault is None:
            self._park(item, BLOCKED, reason)
        else:
            self.refusals.append(Refusal(item, item.fault))

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

    def moved_cursors(self) -> list[tuple[str, str, int, int]]:
        """Source, subject, new and previous sequence of every subject that moved."""
        before = self._known.cursors
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
            p.row for waiting in self._known.parked.values() for p in waiting if p.done and p.row is not None
        ]

    def changed_rows(self) -> list[Parked]:
        """Rows of `parked` that still wait, for another reason than before."""
        return [
            p
            for waiting in self.parked.values()
            for p in waiting
            if p.row is not None and p.changed and not p.done
        ]

    def _note_foreign(self, item: Item) -> None:
        """The id of an event that another service answers for is taken too."""
        identity = (item.source or "", item.event_id or "")
        if identity in self._known.fresh and item.content is not None:
            self._first_content.setdefault(identity, item.content)

    def _is_new(self, item: Item) -> bool:
        if item.source is None or item.event_id is None or item.content is None:
            return True
        identity = (item.source, item.event_id)
        first = self._first_content.get(identity)
        if first is None and identity in self._known.fresh:
            self._first_content[identity] = item.content
            return True
        said_before = first if first is not None else self._known.contents.get(identity)
        self.duplicates += 1
        if said_before != item.content:
            detail = (
                f"event id {item.event_id} was used before with other content; a new event needs a new id"
            )
            self.refusals.append(Refusal(item, Fault("duplicate_id", "", detail)))
        return False

    def _attempt(self, item: Item, parked: Parked | None = None) -> bool:
        """Tries one readable item; says whether it is settled (applied, refused or known already)."""
        event = item.event
        if event is None:
            reason = item.fault.detail if item.fault else "it cannot be read any more"
            self._wait(item, parked, BLOCKED, reason)
            return False
        if event.sequence is not None and not self._is_next(event):
            if event.sequence <= self.cursors.get((event.source, event.subject), 0):
                self.duplicates += 1
                return self._settle(parked)
            wanted = self.cursors.get((event.source, event.subject), 0) + 1
            self._wait(item, parked, GAP, f"sequence {wanted} of {event.subject} from {event.source}")
            return False
        try:
            outcome = item.route.handle(self.world, event, self._context) if item.route else Applied()
            if isinstance(outcome, Reject) and (parked is not None or not item.upstream):
                outcome = self._service.refuse_late(self.world, event, outcome)
        except Exception as failure:  # an unforeseen state must not stop the other keys
            self._wait(item, parked, BLOCKED, f"{type(failure).__name__}: {failure}")
            return False
        if isinstance(outcome, Wait):
            self._wait(item, parked, WAITING, outcome.reason)
            return False
        if isinstance(outcome, Reject):
            self.refusals.append(Refusal(item, Fault(outcome.code, outcome.pointer, outcome.detail)))
            return True
        self._apply(item, event, outcome, answered=parked is not None)
        return self._settle(parked)

    def _apply(self, item: Item, event: Event, applied: Applied, *, answered: bool) -> None:
        self.handled += 1
        cause = Cause.of(event)
        if event.sequence is not None and self._follows(item):
            self.cursors[event.source, event.subject] = event.sequence
        if item.upstream and not answered:
            self._accept(item, cause)
        for emit in applied.events:
            self.rows.add(emit, cause)

    def _follows(self, item: Item) -> bool:
        return item.route is None or item.route.tracked

    def _is_next(self, event: Event) -> bool:
        route = self._service.routes.get(event.type)
        if route is not None and not route.tracked:
            return True
        return event.sequence == self.cursors.get((event.source, event.subject), 0) + 1

    def _is_blocked(self, key: str) -> bool:
        if key not in self.parked:
            return False
        return any(parked.kind in (BLOCKED, BEHIND) for parked in self.parked[key])

    def _wait(self, item: Item, parked: Parked | None, kind: str, reason: str) -> None:
        if parked is None:
            self._park(item, kind, reason)
        elif (parked.kind, parked.reason) != (kind, reason):
            self._set_kind(parked, kind, reason)

    def _park(self, item: Item, kind: str, reason: str) -> None:
        assert item.event is not None
        self.parked.setdefault(item.key, []).append(Parked(item, kind, reason))
        if item.upstream:
            self._accept(item, Cause.of(item.event))

    def _set_kind(self, parked: Parked, kind: str, reason: str) -> None:
        parked.kind, parked.reason, parked.changed = kind, reason, True

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
                if self._attempt(parked.item, parked):
                    progress = True
            self.parked[key] = [parked for parked in self.parked[key] if not parked.done]

    def _accept(self, item: Item, cause: Cause) -> None:
        data = feedback.accepted(
            order_id=item.key,
            source=item.source or "",
            event_id=item.event_id or "",
            event_type=item.type or "",
            position=item.position,
        )
        self.rows.add_feedback("event.accepted.v1", cause, data)


def _waiting(parked: Mapping[str, list[Parked]], key: str) -> list[Event]:
    """The events that wait with a key for a fact, oldest first."""
    return [
        p.item.event
        for p in parked.get(key, ())
        if p.kind == WAITING and not p.done and p.item.event is not None
    ]


def events_of(items: Sequence[Item], parked: Mapping[str, list[Parked]]) -> list[Event]:
    """Every event that this batch may hand to a handler: what a service must load for."""
    fresh = [item.event for item in items if item.event is not None and item.route is not None]
    waiting = [p.item.event for waiting in parked.values() for p in waiting if p.item.event and p.item.route]
    return fresh + waiting
