"""What the topics already tell of a service, as rows of its outbox. Pure.

A service publishes only what it has committed, so each of its events in a topic has a row in its outbox.
Where one has none, the schema is older than the topics: it was restored from a backup, or its server has lost
what was committed. Whoever then goes on decides a second time what was decided and published before.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from shared.events.catalogue import EDITED, source_of
from shared.events.envelope import MAX_OWN_BYTES, read_envelope, read_key
from shared.events.faults import Fault
from shared.kst import wire_time
from shared.runtime.records import Record

NAMED: Final = 20
"""So many orders are named where a schema is behind; all are counted."""


NO_KEY: Final = ""
"""The key of an answer to a record that has none."""


class SchemaBehind(Exception):
    """The topics know more of a service than its schema: so many `events`.

    The message says of which orders, since when, and what to do.
    """

    def __init__(self, message: str, events: int = 1) -> None:
        super().__init__(message)
        self.events = events


class TopicEvent(NamedTuple):
    """An event of a service as it stands in a topic. `appended_at` is the broker's time (UTC)."""

    topic: str
    partition: int
    offset: int
    appended_at: datetime
    event_id: UUID
    type: str
    key: str
    subject: str
    sequence: int | None
    time: str
    correlation: str
    causation: str
    data: bytes
    traceparent: str | None


def event_of_record(record: Record, service: str) -> TopicEvent | None:
    """The record as an event of this service; None where it is none, or cannot be read as one."""
    try:
        envelope = read_envelope(record.headers, record.value, MAX_OWN_BYTES)
        event_id = UUID(envelope.id)
    except (Fault, ValueError):
        return None
    key = NO_KEY if record.key == b"" else read_key(record.key)
    if envelope.source in EDITED or envelope.source != source_of(envelope.type, service) or key is None:
        return None
    stamp = getattr(record, "timestamp", 0)
    return TopicEvent(
        record.topic,
        record.partition,
        record.offset,
        datetime.fromtimestamp(stamp / 1000, UTC),
        event_id,
        envelope.type,
        key,
        envelope.subject or key,
        envelope.sequence,
        wire_time(envelope.time),
        envelope.correlation or key,
        envelope.causation or "",
        envelope.body,
        envelope.traceparent,
    )


def told_of(service: str, entries: Iterable[TopicEvent]) -> str:
    """What the topics know and the schema does not: of which orders, from when on, and what to do."""
    ordered = sorted(entries, key=lambda entry: entry.appended_at)
    keys = list(dict.fromkeys(entry.key for entry in ordered))
    more = f" and {len(keys) - NAMED:,} more" if len(keys) > NAMED else ""
    since = wire_time(ordered[0].appended_at)
    topics = ", ".join(sorted({entry.topic for entry in ordered}))
    return (
        f"the schema {service} is older than its topics: {topics} tell {len(ordered):,} events of "
        f"{', '.join(keys[:NAMED])}{more}, from {since} on, that its outbox does not have. Was it restored "
        "from a backup? It would decide all of that a second time, so it does not start. See what can be "
        f"brought forward: pawl recover {service} (docs/backup.md)"
    )
