"""Bringing a restored schema forward: in which order, under which ids, and what cannot be. Pure.

The events that a service has read since its backup are handled once more. What it published then is known
from its topics, so nothing is decided anew: each event must lead to exactly what the topics tell, under the
ids that they tell, or nothing is applied.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
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
ByTopic: TypeAlias = Mapping[str, Sequence[InboundMessage]]


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


def in_order(queues: ByTopic, causes: Iterable[str], limits: Mapping[str, int]) -> Iterator[InboundMessage]:
    """The messages of one partition number as the service handled them.

    Each topic in its own order; topics among each other in the order of `causes`, the ids of what led to the
    events of this partition, and else by the broker's time. Messages from `limits` on (an offset of each
    topic) come only where a cause needs them: nobody knows whether the others were handled.
    """
    at = dict.fromkeys(queues, 0)
    places = {m.event_id: (topic, n) for topic, queue in queues.items() for n, m in enumerate(queue)}
    left = [places[cause] for cause in causes if cause in places]
    ahead = set(left)

    def before(stamp: float, but: str | None) -> Iterator[InboundMessage]:
        """What came before an instant, oldest first; a topic waits at the next message that led to one."""
        while True:
            heads = [
                (_stamp(queue[at[topic]]), topic)
                for topic, queue in queues.items()
                if topic != but
                and at[topic] < len(queue)
                and (topic, at[topic]) not in ahead
                and queue[at[topic]].position.offset < limits.get(topic, 0)
            ]
            if not heads or min(heads)[0] >= stamp:
                return
            topic = min(heads)[1]
            at[topic] += 1
            yield queues[topic][at[topic] - 1]

    for topic, number in left:
        ahead.discard((topic, number))
        if number < at[topic]:
            continue
        yield from before(_stamp(queues[topic][number]), topic)
        while at[topic] <= number:
            at[topic] += 1
            yield queues[topic][at[topic] - 1]
    ahead.clear()
    yield from before(float("inf"), None)


def answered_up_to(queues: ByTopic, entries: Iterable[TopicEvent]) -> dict[str, int]:
    """The offset behind the last message of each topic that an answer among the events is about.

    Whoever answered it has handled it, with all that stands before it, wherever the group is by its account.
    """
    answered = {_answered(entry.data) for entry in entries if entry.topic == FEEDBACK}
    return {
        topic: max((m.position.offset + 1 for m in queue if _place_of(m) in answered), default=0)
        for topic, queue in queues.items()
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
    """The events that the topics tell and the schema lacks, until each of them has been brought forward."""

    def __init__(self, entries: Iterable[TopicEvent]) -> None:
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
            return (
                None
                if same(said, entry)
                else f"it would be {_short(said['data'])}, the topic tells otherwise"
            )
        if said["sequence"] is None:
            return None
        for other in self.entries(said["key"]):
            is_behind = other.sequence is not None and other.sequence >= said["sequence"]
            if is_behind and (other.topic, other.subject) == (said["topic"], said["subject"]):
                return f"it would be {said['type']} {said['sequence']}, the topic tells {other.type}"
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
