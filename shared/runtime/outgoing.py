"""Events on their way out: what caused them, and the rows that they become. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from shared.events.catalogue import FEEDBACK
from shared.kst import wire_time
from shared.partitioner import partition_for
from shared.runtime.decisions import Event, NewEvent

COLUMNS = (
    "topic",
    "partition",
    "key",
    "type",
    "subject",
    "sequence",
    "time",
    "correlation",
    "causation",
    "data",
    "traceparent",
    "event_id",
)


@dataclass(slots=True)
class Cause:
    """What led to an event: the id of an event or a command, the entity, the logical time and the story.

    `traceparent` is the trace context that the event hands on, when its cause came with one.
    """

    id: str
    key: str
    time: datetime
    correlation: str
    traceparent: str | None = None
    _time_text: str = ""

    @classmethod
    def of(cls, event: Event[Any]) -> "Cause":
        """The cause that an event is."""
        return cls(event.id, event.key, event.time, event.correlation, event.traceparent)

    @property
    def time_text(self) -> str:
        """The logical time as it goes on the wire."""
        if not self._time_text:
            self._time_text = wire_time(self.time)
        return self._time_text


@dataclass(slots=True)
class OutboxRows:
    """Events on their way into one `append`, in order.

    `partitions` are the numbers of partitions of the topics, `earlier` those that they had before.
    """

    service: str
    partitions: Mapping[str, int]
    earlier: Mapping[str, Collection[int]] = field(default_factory=dict)
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, event: NewEvent, cause: Cause) -> None:
        """Adds one event of this service."""
        topic = f"{self.service}.events"
        key = event.key or cause.key
        time = wire_time(event.time) if event.time is not None else cause.time_text
        story = event.correlation or cause.correlation
        self._append(topic, key, event.type, event.subject, event.sequence, time, story, cause, event.data)

    def add_all(self, events: Iterable[NewEvent], cause: Cause) -> None:
        """Adds the events that follow from one cause."""
        for event in events:
            self.add(event, cause)

    def add_feedback(self, type_name: str, cause: Cause, data: dict[str, Any]) -> None:
        """Adds one answer to an upstream event. Answers carry no sequence."""
        key, time, story = cause.key, cause.time_text, cause.correlation
        self._append(FEEDBACK, key, type_name, key, None, time, story, cause, data)

    def _append(
        self,
        topic: str,
        key: str,
        type_name: str,
        subject: str,
        sequence: int | None,
        time: str,
        story: str,
        cause: Cause,
        data: dict[str, Any],
    ) -> None:
        place = partition_for(key, self.partitions[topic])
        self.rows.append(
            (
                topic,
                place,
                key,
                type_name,
                subject,
                sequence,
                time,
                story,
                cause.id,
                orjson.dumps(data),
                cause.traceparent,
            )
        )
