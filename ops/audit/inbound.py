"""An event of checkout as its service knows it: who answers for it, and what makes it the same event."""

from typing import Any, NamedTuple

from shared.events.canonical import content_hash
from shared.events.catalogue import owner_of
from shared.events.envelope import read_envelope, read_key
from shared.events.faults import Fault, Readable


class Inbound(NamedTuple):
    """One record of checkout.events. `content` is None where the record has no readable id.

    `body` is its data as bytes, the whole value where the envelope cannot be read.
    """

    partition: int
    offset: int
    key: str | None
    owner: str
    type: str
    source: str
    event_id: str
    content: bytes | None
    body: bytes

    def __str__(self) -> str:
        return f"{self.type or 'of no type'} {self.event_id or 'without an id'}"


def inbound(record: Any) -> Inbound:
    """The record as far as it can be read. Never raises."""
    source, event_id, type_name, body = _identity(record)
    return Inbound(
        record.partition,
        record.offset,
        read_key(record.key),
        owner_of(type_name or None),
        type_name,
        source,
        event_id,
        content_hash(type_name, body) if source and event_id else None,
        body,
    )


def _identity(record: Any) -> tuple[str, str, str, bytes]:
    """Source, id and type, empty where they cannot be read, and what the content is made of."""
    try:
        event = read_envelope(record.headers, record.value)
    except Fault as fault:
        known: Any = getattr(fault, "envelope", None) or Readable()
        return known.source or "", known.id or "", known.type or "", record.value or b""
    return event.source, event.id, event.type, event.body
