"""Reading records: which of them concern this service, and what they say.

Nothing here touches a database. A record that cannot be read becomes a message with a fault; it is never
skipped silently, unless another service owns the answer to it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from shared.events.canonical import content_hash
from shared.events.catalogue import TYPES, UPSTREAM, decode, decode_newest, owner_of
from shared.events.envelope import MAX_ID, MAX_OWN_BYTES, MAX_SOURCE, Envelope, read_envelope, read_key
from shared.events.faults import Fault, Readable
from shared.runtime.decisions import Decider, Event, Position, Route
from shared.runtime.records import Record, UnreadableBatch, position_of

PLAIN_JSON = b"application/json"
NOT_OURS = b"\0" * 16
"""The content kept with the id of an event that another service answers for: no content is equal to it."""


class InboundMessage(Struct, gc=False):
    """One record that concerns this service.

    `event` is there when the document could be read, `fault` when it could not. `route` is absent for
    events of a followed subject that change nothing here: only their sequence matters. `content` is there
    for upstream events whose id could be read. `foreign` events are another service's to answer; only their
    id matters, which nobody may use for anything else. `traceparent` is the trace context of the record.
    """

    record: Record
    position: Position
    key: str
    upstream: bool
    source: str | None = None
    event_id: str | None = None
    type: str | None = None
    content: bytes | None = None
    event: Event[Any] | None = None
    route: Route | None = None
    fault: Fault | None = None
    foreign: bool = False
    traceparent: str | None = None


class Intake:
    """Turns the records of a batch into messages for one service."""

    def __init__(self, service: Decider) -> None:
        self._service = service
        self._followed = {
            (TYPES[name].topic, TYPES[name].subject_kind)
            for name, route in service.routes.items()
            if route.tracked and TYPES[name].topic != UPSTREAM
        }
        self._of_others = {
            (kind.topic, name.encode())
            for name, kind in TYPES.items()
            if name not in service.routes and (kind.topic, kind.subject_kind) not in self._followed
        }
        self._foreign_types = {name.encode() for name in TYPES if owner_of(name) != service.name}

    def read(self, records: Iterable[Record]) -> list[InboundMessage]:
        """The messages of these records, in their order; what does not concern this service falls out."""
        return [message for record in records if (message := self.read_one(record)) is not None]

    def read_one(self, record: Record) -> InboundMessage | None:
        """One record as a message, or None when it does not concern this service."""
        if isinstance(record, UnreadableBatch):
            return self._unreadable(record)
        if record.topic == UPSTREAM:
            return self._read_upstream(record)
        return self._read_own(record)

    def _read_upstream(self, record: Record) -> InboundMessage | None:
        if _type_header(record.headers) in self._foreign_types:
            return self._foreign(record, *_identity(record.headers))
        try:
            envelope = read_envelope(record.headers, record.value)
        except Fault as fault:
            return self._refused(record, fault)
        if owner_of(envelope.type) != self._service.name:
            return self._foreign(record, envelope.source, envelope.id)
        key = read_key(record.key)
        message = self._message(record, envelope, key, upstream=True)
        message.content = content_hash(envelope.type, envelope.body)
        try:
            data = decode(envelope, key, record.topic)
        except Fault as fault:
            message.fault = fault
            return message
        route = self._service.routes.get(envelope.type)
        if route is None:
            message.fault = Fault("not_supported", "", f"{envelope.type} is not supported yet")
            return message
        message.route = route
        message.event = _event(envelope, message, data)
        return message

    def _read_own(self, record: Record) -> InboundMessage | None:
        if (record.topic, _type_header(record.headers)) in self._of_others:
            return None
        key = read_key(record.key)
        try:
            envelope = read_envelope(record.headers, record.value, MAX_OWN_BYTES)
        except Fault as fault:
            message = self._message(record, fault.envelope, key, upstream=False)
            message.fault = fault
            return message
        route = self._service.routes.get(envelope.type)
        kind = TYPES.get(envelope.type)
        if kind is None or kind.topic != record.topic:
            message = self._message(record, envelope, key, upstream=False)
            message.fault = Fault("unknown_type", "", f"{envelope.type} does not belong to {record.topic}")
            return message
        if route is None and (kind.topic, kind.subject_kind) not in self._followed:
            return None
        message = self._message(record, envelope, key, upstream=False)
        message.route = route
        if envelope.sequence is None:
            message.fault = Fault("missing_field", "/sequence", "an event of our own carries ce_sequence")
            return message
        try:
            data = decode_newest(envelope, message.key, record.topic) if route else None
        except Fault as fault:
            message.fault = fault
            return message
        message.event = _event(envelope, message, data)
        return message

    def _unreadable(self, batch: UnreadableBatch) -> InboundMessage | None:
        """Of upstream, whoever answers for what nobody knows tells it; of our own topics each reader does."""
        is_upstream = batch.topic == UPSTREAM
        if is_upstream and owner_of(None) != self._service.name:
            return None
        message = self._message(batch, None, None, upstream=is_upstream)
        message.fault = Fault("unreadable", "", batch.detail)
        return message

    def _refused(self, record: Record, fault: Fault) -> InboundMessage | None:
        type_name = fault.envelope.type if fault.envelope else None
        if owner_of(type_name or None) != self._service.name:
            return None
        message = self._message(record, fault.envelope, read_key(record.key), upstream=True)
        message.fault = fault
        if message.source and message.event_id:
            message.content = content_hash(message.type or "", record.value or b"")
        return message

    def _foreign(self, record: Record, source: str | None, event_id: str | None) -> InboundMessage | None:
        if not source or not event_id or len(source) > MAX_SOURCE or len(event_id) > MAX_ID:
            return None
        if not (source + event_id).isprintable():
            return None
        position = position_of(record)
        return InboundMessage(record, position, "", True, source, event_id, content=NOT_OURS, foreign=True)

    def _message(
        self, record: Record, envelope: Envelope | Readable | None, key: str | None, *, upstream: bool
    ) -> InboundMessage:
        if envelope is None:
            return InboundMessage(record, position_of(record), key or "", upstream)
        return InboundMessage(
            record,
            position_of(record),
            key or "",
            upstream,
            envelope.source,
            envelope.id,
            envelope.type,
            traceparent=envelope.traceparent,
        )


def _event(envelope: Envelope, message: InboundMessage, data: Any) -> Event[Any]:
    key = message.key
    return Event(
        envelope.source,
        envelope.id,
        envelope.type,
        envelope.subject or key,
        key,
        envelope.time,
        envelope.correlation or key,
        envelope.sequence,
        message.content,
        data,
        message.position,
        envelope.traceparent,
    )


def _identity(headers: Sequence[tuple[str, bytes | None]]) -> tuple[str | None, str | None]:
    """Source and id of an event in binary mode, as far as they can be read."""
    found = {name: value for name, value in headers if name in ("ce_source", "ce_id")}
    try:
        return (found.get("ce_source") or b"").decode(), (found.get("ce_id") or b"").decode()
    except UnicodeDecodeError:
        return None, None


def _type_header(headers: Sequence[tuple[str, bytes | None]]) -> bytes | None:
    """The type as `read_envelope` will find it in binary mode; None where only the body can say it."""
    named = dict(headers)
    content_type = named.get("content-type")
    if content_type is not None and content_type != PLAIN_JSON and b"cloudevents" in content_type.lower():
        return None
    return named.get("ce_type")
