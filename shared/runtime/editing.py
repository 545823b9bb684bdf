"""A refused record as somebody sends it right: a new event, with an id of its own, caused by it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.events.catalogue import TYPES, edited_source
from shared.events.envelope import MAX_OWN_BYTES, Envelope, read_envelope, read_key, write_headers
from shared.events.faults import Fault, Readable
from shared.pointers import ABSENT, Change, differences, value_at
from shared.runtime.masking import HIDDEN, hide, restore
from shared.runtime.records import StoredRecord, document_of


class Edit(NamedTuple):
    """What somebody makes of a record: its data, in which a hidden value stands for itself.

    `type` and `time` are those of the record unless they are given. The key is what the data names.
    """

    document: Mapping[str, Any]
    type: str | None = None
    time: datetime | None = None


@dataclass(slots=True, frozen=True)
class EditedRecord:
    """The new event as a record at the place of the old one, and what differs; `changes` hide accounts."""

    record: StoredRecord = field(repr=False)
    type: str
    key: str
    time: datetime
    changes: tuple[Change, ...]


def edit_record(original: StoredRecord, edit: Edit, service: str, event_id: UUID) -> EditedRecord:
    """The record that an edit makes. Raises Fault for one that can be no event; its data is not judged."""
    document = _plain(edit.document)
    before = document_of(original)
    after = restore(document, before if before is not None else {})
    said = _attributes(original)
    type_name, time = edit.type or said.type, edit.time or said.time
    if type_name is None:
        raise Fault("missing_field", "/type", "the record has no type: name one")
    if time is None:
        raise Fault("missing_field", "/time", "the record has no time that can be read: give one")
    key = _key(after, type_name, original)
    headers = write_headers(
        id=str(event_id),
        source=edited_source(service),
        type=type_name,
        subject=key,
        time=time,
        correlation=said.correlation or key,
        causation=said.id,
        traceparent=said.traceparent,
    )
    place = (original.topic, original.partition, original.offset)
    record = StoredRecord(*place, key.encode(), orjson.dumps(after), headers)
    return EditedRecord(record, type_name, key, time, tuple(_hidden_changes(before, after)))


def change_documents(changes: tuple[Change, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values before and after, by their pointers; what was not there is not among them."""
    before = {change.pointer: change.before for change in changes if change.before is not ABSENT}
    after = {change.pointer: change.after for change in changes if change.after is not ABSENT}
    return before, after


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = orjson.loads(orjson.dumps(document))
    except (TypeError, ValueError) as error:
        raise Fault("unreadable", "", f"the document must be JSON in UTF-8: {error}") from None
    return plain


def _attributes(record: StoredRecord) -> Envelope | Readable:
    try:
        return read_envelope(record.headers, record.value, MAX_OWN_BYTES)
    except Fault as fault:
        return fault.envelope or Readable()


def _key(document: dict[str, Any], type_name: str, original: StoredRecord) -> str:
    """The order or partner that the data names; else the key that the record had."""
    kind = TYPES.get(type_name)
    named = None if kind is None else value_at(document, f"/{kind.key_field}")
    key = read_key(named.encode()) if isinstance(named, str) else None
    return key or read_key(original.key) or ""


def _hidden_changes(before: Any, after: Any) -> list[Change]:
    shown_before, shown_after = hide(before), hide(after)
    return [
        Change(each.pointer, _shown(each.before, shown_before, each), _shown(each.after, shown_after, each))
        for each in differences(ABSENT if before is None else before, after)
    ]


def _shown(value: Any, document: Any, change: Change) -> Any:
    if value is ABSENT:
        return ABSENT
    shown = value_at(document, change.pointer)
    return HIDDEN if shown is ABSENT else shown
