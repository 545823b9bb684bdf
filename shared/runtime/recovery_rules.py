"""Bringing a restored schema forward: in which order, under which ids, and what cannot be. Pure.

The events that a service has read since its backup are handled once more. What it published then is known
from its topics, so nothing is decided anew: each event must lead to exactly what the topics tell, under the
ids that they tell, or nothing is applied. What is decided from the rows of others, as whether a partner may
leave, leads to that only where those others stand as they stood: so all partitions are brought forward
together, in the order in which the service decided.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import orjson

from shared.events.catalogue import FEEDBACK
from shared.kst import wire_time
from shared.runtime.intake import InboundMessage
from shared.runtime.outgoing import COLUMNS
from shared.runtime.topic_events import TopicEvent

Said: TypeAlias = Mapping[str, Any]
"""A row on its way to the outbox, by column."""
Place: TypeAlias = tuple[str, int]
"""A partition: its topic and its number."""
Queues: TypeAlias = Mapping[Place, Sequence[InboundMessage]]


class Lost(NamedTuple):
    """Something that the topics tell and that cannot be brought forward, and why."""

    key: str
    type: str
    subject: str
    sequence: int | None
    event_id: str
    at: str
    why: str


def said_of(row: Sequence[Any]) -> dict[str, Any]:
    """A row of `OutboxRows` by column."""
    return dict(zip(COLUMNS, row, strict=False))


def causes_of(entries: Iterable[TopicEvent]) -> list[str]:
    """The ids of what led to these events, in the order in which the service decided.

    Each partition tells its own order. Partitions among each other stand in the order of the ids of events:
    those grow with time, and what was decided from something is decided after that was committed.
    """
    partitions: dict[tuple[str, int], list[TopicEvent]] = {}
    for entry in sorted(entries, key=lambda entry: entry.offset):
        partitions.setdefault((entry.topic, entry.partition), []).append(entry)
    return [entry.causation for entry in merge(*partitions.values(), key=lambda entry: entry.event_id)]


def in_order(
    queues: Queues, causes: Iterable[str], limits: Mapping[Place, int], early: Collection[str | None] = ()
) -> Iterator[InboundMessage]:
    """The messages of all partitions as the service handled them.

    Each partition in its own order; partitions among each other in the order of `causes`, the ids of what led
    to events, and else by the broker's time. Messages from `limits` on (an offset of each partition) come
    only where a cause needs them: nobody knows whether the others were handled. Causes that are `early` come
    before all that led to nothing, and may have been handled behind them, whatever the broker's time says.
    """
    return _Order(queues, list(dict.fromkeys(causes)), limits, early).messages()


class _Order:
    """How far each partition is on the way through its messages, and what waits for what."""

    def __init__(
        self,
        queues: Queues,
        causes: Sequence[str],
        limits: Mapping[Place, int],
        early: Collection[str | None],
    ) -> None:
        self._queues, self._limits = queues, limits
        self._at = dict.fromkeys(queues, 0)
        places: dict[str | None, tuple[Place, int]] = {}
        for place, queue in queues.items():
            for number, message in enumerate(queue):
                places.setdefault(message.event_id, (place, number))  # said again, the first counts
        named = [cause for cause in causes if cause in places]
        self._left = [places[cause] for cause in named]
        self._ahead = set(self._left)
        self._turns = _turns(queues, self._left)
        self._early = deque(turn for turn, cause in enumerate(named) if cause in early)

    def messages(self) -> Iterator[InboundMessage]:
        """All of them, in order."""
        for turn, (place, number) in enumerate(self._left):
            self._ahead.discard((place, number))
            if number >= self._at[place]:
                yield from self._before(_stamp(self._queues[place][number]), place)
            while self._at[place] <= number:
                yield self._next_of(place)
            if self._early and self._early[0] == turn:
                self._early.popleft()
        self._ahead.clear()
        yield from self._before(float("inf"), None)

    def _before(self, stamp: float, but: Place | None) -> Iterator[InboundMessage]:
        """What came before an instant, oldest first; a partition waits where its next message has to."""
        while True:
            heads = [
                (_stamp(queue[self._at[place]]), place)
                for place, queue in self._queues.items()
                if place != but and self._at[place] < len(queue) and not self._waits(place, self._at[place])
            ]
            if not heads or min(heads)[0] >= stamp:
                return
            yield self._next_of(min(heads)[1])

    def _waits(self, place: Place, number: int) -> bool:
        """Whether a message has to wait: nobody knows whether it was handled, it led to an event, or it has
        time until an early cause has come.
        """
        return (
            self._queues[place][number].position.offset >= self._limits.get(place, 0)
            or (place, number) in self._ahead
            or bool(self._early and self._turns[place][number] > self._early[0])
        )

    def _next_of(self, place: Place) -> InboundMessage:
        self._at[place] += 1
        return self._queues[place][self._at[place] - 1]


def _turns(queues: Queues, left: Sequence[tuple[Place, int]]) -> dict[Place, list[float]]:
    """By which of the causes `left` each message has come at the latest: itself, or one behind it."""
    turns = {place: [float("inf")] * len(queue) for place, queue in queues.items()}
    for turn, (place, number) in enumerate(left):
        turns[place][number] = turn
    return {place: [*accumulate(reversed(each), min)][::-1] for place, each in turns.items()}


def answered_up_to(queues: Queues, entries: Iterable[TopicEvent]) -> dict[Place, int]:
    """The offset behind the last message of each partition that an answer among the events is about.

    Whoever answered it has handled it, with all that stands before it, wherever the group is by its account.
    """
    answered = {_answered(entry.data) for entry in entries if entry.topic == FEEDBACK}
    return {
        place: max((m.position.offset + 1 for m in queue if _place_of(m) in answered), default=0)
        for place, queue in queues.items()
    }


def _answered(data: bytes) -> tuple[Any, ...]:
    document = orjson.loads(data)
    place = document.get("position") or {}
    event = document.get("event") or {}
    return (*map(place.get, ("topic", "partition", "offset")), event.get("id"))


def _place_of(message: InboundMessage) -> tuple[Any, ...]:
    return (*message.position, message.event_id)


def _stamp(message: InboundMessage) -> float:
    return float(getattr(message.record, "timestamp", 0) or 0)


class Told:
    """The events that the topics tell and the schema lacks, until each of them has been brought forward.

    `reports` are the types of those that only say how others stand: what they say now need not be the same.
    """

    def __init__(self, entries: Iterable[TopicEvent], reports: Collection[str] = ()) -> None:
        self._reports = reports
        self._named: dict[tuple[Any, ...], list[TopicEvent]] = {}
        for entry in {entry.event_id: entry for entry in entries}.values():  # published twice, it is one
            self._named.setdefault(_name_of(entry._asdict()), []).append(entry)

    def entries(self, key: str | None = None) -> list[TopicEvent]:
        """Those that are left, of one key where it is given."""
        return [f for named in self._named.values() for f in named if key is None or f.key == key]

    def counterparts(self, rows: Iterable[Said]) -> list[TopicEvent | None]:
        """The event that each of these rows was when it was published; None where no topic tells it.

        Events of one cause that only their ids tell apart are taken in their order.
        """
        taken: Counter[tuple[Any, ...]] = Counter()
        found: list[TopicEvent | None] = []
        for row in rows:
            name = _name_of(row)
            named = self._named.get(name, [])
            found.append(named[taken[name]] if taken[name] < len(named) else None)
            taken[name] += 1
        return found

    def contradiction(self, said: Said, entry: TopicEvent | None) -> str | None:
        """Why the topics cannot be brought into line with this row; None where they can.

        What no topic tells was never published, unless they tell something else under its number, or go on
        behind it.
        """
        if entry is not None:
            if entry.type in self._reports:
                said = {**said, "data": entry.data}
            if same(said, entry):
                return None
            return f"it would be {_short(said['data'])}, the topic tells otherwise"
        if said["sequence"] is None:
            return None
        for other in self.entries(said["key"]):
            is_behind = other.sequence is not None and other.sequence >= said["sequence"]
            if is_behind and (other.topic, other.subject) == (said["topic"], said["subject"]):
                return f"it would be {said['type']} {said['sequence']}, the topic tells {other.type}"
        return None

    def otherwise(
        self, cause: str | None, rows: Iterable[Said], entries: Iterable[TopicEvent | None]
    ) -> str | None:
        """Why these rows cannot be what a message led to: the topics tell that it led to others, and to none
        of its own among these. None where they can.
        """
        own = [(row, entry) for row, entry in zip(rows, entries, strict=True) if row["causation"] == cause]
        if not own or any(entry is not None for _, entry in own):
            return None
        for other in self.entries():
            if other.causation == cause:
                return f"it would be {own[0][0]['type']}, the topic tells {other.type}"
        return None

    def forget(self, entries: Iterable[TopicEvent]) -> None:
        """Takes off what was brought forward, or is known to be lost."""
        gone = {entry.event_id for entry in entries}
        for name, named in self._named.items():
            self._named[name] = [entry for entry in named if entry.event_id not in gone]


def same(said: Said, entry: TopicEvent) -> bool:
    """Whether a row says what the topic tells. An answer to what has no time has that of its answering."""
    if orjson.loads(said["data"]) != orjson.loads(entry.data):
        return False
    return entry.topic == FEEDBACK or (said["time"], said["causation"]) == (entry.time, entry.causation)


def ids_told(fresh: Sequence[UUID], pairs: Iterable[tuple[Said, TopicEvent]]) -> list[UUID]:
    """The ids that the topics tell in the place of fresh ones, in the order in which they are asked for."""
    told: dict[str, str] = {}
    for said, entry in pairs:
        told.update(_differing(orjson.loads(said["data"]), orjson.loads(entry.data)))
        if said["subject"] != entry.subject:
            told[said["subject"]] = entry.subject
    return [_id(told.get(str(each))) or each for each in fresh]


def acted_at_told(pairs: Iterable[tuple[Said, TopicEvent]]) -> datetime | None:
    """When our own acts were that these events tell of, where it was another instant than by now.

    None where they tell of none. Each is the instant of handling, or of what led to it where that is later.
    """
    told = (entry for said, entry in pairs if entry.topic != FEEDBACK and said["time"] != entry.time)
    return min((datetime.fromisoformat(entry.time) for entry in told), default=None)


def only_ids_differ(said: Said, entry: TopicEvent) -> dict[UUID, UUID]:
    """The ids of a row that the topic tells otherwise, each with that; empty where more differs than ids."""
    pairs = dict(_differing(orjson.loads(said["data"]), orjson.loads(entry.data)))
    data: bytes = said["data"]
    for ours, told in pairs.items():
        data = data.replace(ours.encode(), told.encode())
    if not same({**said, "data": data}, entry):
        return {}
    return {UUID(ours): UUID(told) for ours, told in pairs.items()}


def lost_of(entries: Iterable[TopicEvent], why: str) -> list[Lost]:
    """These events as what is lost, oldest first."""
    ordered = sorted(entries, key=lambda entry: (entry.appended_at, entry.offset))
    return [
        Lost(f.key, f.type, f.subject, f.sequence, str(f.event_id), wire_time(f.appended_at), why)
        for f in ordered
    ]


def _name_of(said: Said) -> tuple[Any, ...]:
    """What names an event beside its id. A subject may be an id that only the topic knows: it is left aside.

    Answers are named by the event that they answer, and by its place.
    """
    if said["topic"] == FEEDBACK:
        data = orjson.loads(said["data"])
        event = data.get("event") or {}
        place = tuple(sorted((data.get("position") or {}).items()))
        return (FEEDBACK, said["type"], event.get("source"), event.get("id"), place)
    subject = said["subject"] if _id(said["subject"]) is None else said["causation"]
    return (said["topic"], said["key"], said["type"], subject, said["sequence"], said["causation"])


def _differing(ours: Any, told: Any) -> Iterator[tuple[str, str]]:
    """Ids that stand at the same place of two documents and differ."""
    if isinstance(ours, dict) and isinstance(told, dict):
        for name in ours.keys() & told.keys():
            yield from _differing(ours[name], told[name])
    elif isinstance(ours, list) and isinstance(told, list):
        for mine, theirs in zip(ours, told, strict=False):
            yield from _differing(mine, theirs)
    elif isinstance(ours, str) and isinstance(told, str) and ours != told and _id(ours) and _id(told):
        yield ours, told


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _short(data: bytes) -> str:
    return data.decode("utf-8", "replace")[:200]
