"""CloudEvents 1.0 on Kafka, binary and structured: reading what anyone may send, writing what we say.

Reading never trusts: whatever is wrong with a record becomes a `Fault` that carries what could be read, so
that the answer can still name the event. The body of a record in binary mode is passed on as it came and is
parsed once, by the model of its type.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import orjson
from msgspec import Struct

from shared.events.canonical import MAX_DEPTH, deeper_than, exact
from shared.events.faults import Code, Fault, Readable, shown
from shared.events.fields import rfc_3339
from shared.kst import wire_time

MAX_BYTES: Final = 1_000_000
"""Longest value of a record of upstream."""
MAX_OWN_BYTES: Final = 2_000_000
"""Longest value of a record of ours: an event repeats the document that caused it and adds to it."""
MAX_ID: Final = 128
MAX_SOURCE: Final = 256
MAX_SUBJECT: Final = 257
"""Two ids and a slash."""

Headers = Sequence[tuple[str, bytes]]

TRACEPARENT: Final = "traceparent"
"""The header of the trace context, as tracing clients of Kafka write it; for CloudEvents `ce_traceparent`."""
_CE_TRACEPARENT: Final = f"ce_{TRACEPARENT}"
_TRACE_CONTEXT: Final = re.compile(
    "(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_RFC_3339: Final = re.compile(rfc_3339())
_STRUCTURED: Final = "application/cloudevents+json"
_LIMITS: Final = {
    "id": MAX_ID,
    "source": MAX_SOURCE,
    "type": MAX_ID,
    "subject": MAX_SUBJECT,
    "correlationid": MAX_ID,
    "causationid": MAX_ID,
}
_REQUIRED: Final = ("specversion", "id", "source", "type", "time")


class Envelope(Struct, gc=False):
    """One readable event. `time` is a UTC instant; `body` the JSON data as bytes, not yet validated.

    `subject` and `correlation` are absent where upstream set none: the record key stands in for them.
    `sequence` is absent where there is none or it is not a number (only our own events are counted), and
    `traceparent` where the record came without a W3C trace context that can be read.
    """

    source: str
    id: str
    type: str
    subject: str | None
    time: datetime
    correlation: str | None
    causation: str | None
    sequence: int | None
    body: bytes
    structured: bool
    traceparent: str | None = None


def read_envelope(headers: Headers, value: bytes | None, limit: int = MAX_BYTES) -> Envelope:
    """The event of a record of at most `limit` bytes. Raises Fault, `.envelope` set to what could be read."""
    try:
        attributes = {name: raw.decode() for name, raw in headers}
    except (UnicodeDecodeError, AttributeError):
        attributes = _decode_each(headers)
    if value is None:
        raise _unreadable(attributes, "the record has no value: an event is never deleted")
    if len(value) > limit:
        raise _unreadable(attributes, f"the value must be at most {limit} bytes, got {len(value)}")
    content_type = attributes.get("content-type")
    if content_type is not None and content_type != "application/json":
        mode = content_type.partition(";")[0].strip().lower()
        if mode == _STRUCTURED:
            return _read_structured(attributes, value)
        if mode.startswith("application/cloudevents"):
            raise _unreadable(attributes, f"content-type must be {_STRUCTURED}, got {shown(content_type)}")
    if len(attributes) < len(headers):
        _refuse_contradiction(attributes, headers)
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        _refuse_depth(attributes, value)
    return _read_attributes(attributes, value, structured=False)


def _refuse_contradiction(attributes: dict[str, str], headers: Headers) -> None:
    """Raises Fault where a header of an event stands there twice and says two things."""
    said: dict[str, bytes | None] = {}
    for name, raw in headers:
        if name.startswith("ce_") and said.setdefault(name, raw) != raw:
            raise _unreadable(attributes, f"the header {name} is there twice, with different values")


def write_headers(
    *,
    id: str,  # noqa: A002 - the attribute's name in CloudEvents
    source: str,
    type: str,  # noqa: A002
    subject: str,
    time: datetime | str,
    sequence: int | None = None,
    correlation: str | None = None,
    causation: str | None = None,
    traceparent: str | None = None,
) -> list[tuple[str, bytes]]:
    """The headers of an event of ours, in the order of the golden documents.

    `time` is an instant, or already text as it goes on the wire.
    """
    type_header, schema_header = _headers_of(type)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        type_header,
        ("ce_subject", subject.encode()),
        ("ce_time", (time if isinstance(time, str) else wire_time(time)).encode()),
        schema_header,
        ("content-type", b"application/json"),
    ]
    if sequence is not None:
        headers.append(("ce_sequence", b"%d" % sequence))
    if correlation is not None:
        headers.append(("ce_correlationid", correlation.encode()))
    if causation is not None:
        headers.append(("ce_causationid", causation.encode()))
    if traceparent is not None:
        headers.append((TRACEPARENT, traceparent.encode()))
    return headers


def read_trace_context(headers: Headers) -> str | None:
    """The trace context in the headers of a record, whatever else is wrong with it; None without one."""
    named = {name: raw for name, raw in headers if raw and name in (TRACEPARENT, _CE_TRACEPARENT)}
    return _trace_context({name: raw.decode("ascii", "replace") for name, raw in named.items()})


def is_structured(headers: Headers) -> bool:
    """Whether a record says that its value is the whole event, attributes and data."""
    types = [raw or b"" for name, raw in headers if name == "content-type"]
    return any(raw.partition(b";")[0].strip().lower() == _STRUCTURED.encode() for raw in types)


def read_key(raw: bytes | None) -> str | None:
    """A record key as text; None where it is no id: absent, not UTF-8, too long, with control characters."""
    if raw is None:
        return None
    try:
        key = raw.decode()
    except UnicodeDecodeError:
        return None
    return key if 0 < len(key) <= MAX_ID and _is_clean(key) else None


@cache
def _headers_of(type_name: str) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return ("ce_type", type_name.encode()), ("ce_dataschema", f"urn:pawl:schema:{type_name}".encode())


def _read_attributes(attributes: dict[str, str], body: bytes, *, structured: bool) -> Envelope:
    get = attributes.get
    source, id_, type_name = get("ce_source"), get("ce_id"), get("ce_type")
    subject, time = get("ce_subject") or None, get("ce_time")
    correlation, causation = get("ce_correlationid") or None, get("ce_causationid") or None
    if not (id_ and source and type_name and time) or get("ce_specversion") != "1.0":
        raise _incomplete(attributes)
    if not (
        len(id_) <= MAX_ID
        and len(type_name) <= MAX_ID
        and len(source) <= MAX_SOURCE
        and f"{id_}{source}{type_name}{subject or ''}{correlation or ''}{causation or ''}".isprintable()
        and (subject is None or len(subject) <= MAX_ID)
        and (correlation is None or len(correlation) <= MAX_ID)
        and (causation is None or len(causation) <= MAX_ID)
    ):
        _refuse_text(attributes)
    instant = _read_time(time)
    if instant is None:
        raise _time_fault(attributes, time)
    sequence = get("ce_sequence")
    number = int(sequence) if sequence is not None and _is_number(sequence) else None
    return Envelope(
        source,
        id_,
        type_name,
        subject,
        instant,
        correlation,
        causation,
        number,
        body,
        structured,
        _trace_context(attributes),
    )


def _trace_context(attributes: Mapping[str, str]) -> str | None:
    """A trace context of any version that is written as version 00 is; anything else is no context.

    W3C Trace Context, section 3.2: a vendor that cannot read it goes on without.
    """
    text = attributes.get(TRACEPARENT) or attributes.get(_CE_TRACEPARENT)
    return text if text is not None and _TRACE_CONTEXT.fullmatch(text) else None


def _read_time(text: str) -> datetime | None:
    """The UTC instant, or None where the text is not RFC 3339 with an offset."""
    if _RFC_3339.fullmatch(text) is None:
        return None
    try:
        instant = datetime.fromisoformat(text if text[-1] not in "zZ" else f"{text[:-1]}+00:00")
    except ValueError:
        return None
    return None if instant.tzinfo is None else instant.astimezone(UTC)


def _read_structured(headers: dict[str, str], value: bytes) -> Envelope:
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise _unreadable(headers, f"the body must be JSON in UTF-8: {error}") from None
    if not isinstance(document, dict):
        raise _unreadable(headers, f"the body must be a JSON object, got {shown(document)}")
    attributes = _text_attributes(document)
    if TRACEPARENT in headers:
        attributes[TRACEPARENT] = headers[TRACEPARENT]
    if deeper_than(document, MAX_DEPTH + 1):
        raise _too_deep(attributes)
    _refuse_wrong_types(document, attributes)
    body = _structured_body(exact(document, value), attributes)
    return _read_attributes(attributes, body, structured=True)


def _text_attributes(document: dict[str, Any]) -> dict[str, str]:
    texts = {f"ce_{name}": value for name, value in document.items() if isinstance(value, str)}
    sequence = document.get("sequence")
    if type(sequence) is int:
        texts["ce_sequence"] = str(sequence)
    return texts


def _refuse_wrong_types(document: dict[str, Any], attributes: dict[str, str]) -> None:
    for name in (*_REQUIRED, "subject", "correlationid", "causationid"):
        value = document.get(name)
        if not isinstance(value, str) and (value is not None or (name in document and name in _REQUIRED)):
            detail = f"{name} must be text, got {shown(value)}"
            raise Fault("wrong_type", f"/{name}", detail, _readable(attributes))


def _structured_body(document: dict[str, Any], attributes: dict[str, str]) -> bytes:
    if "data_base64" in document and document.get("data") is None:
        try:
            body = b64decode(document["data_base64"], validate=True)
        except (Base64Error, TypeError, ValueError):
            raise _unreadable(attributes, "data_base64 must be Base64") from None
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
            _refuse_depth(attributes, body)
        return body
    if "data" not in document:
        raise Fault("missing_field", "/data", "data is required", _readable(attributes))
    return orjson.dumps(document["data"])


def _decode_each(headers: Headers) -> dict[str, str]:
    """The headers one by one, where at least one is not UTF-8 or has no value."""
    attributes: dict[str, str] = {}
    broken: str | None = None
    for name, raw in headers:
        try:
            if raw is not None:
                attributes[name] = raw.decode()
        except UnicodeDecodeError:
            broken = broken or name
    if broken is not None:
        raise _unreadable(attributes, f"the header {shown(broken)} must be UTF-8")
    return attributes


def _refuse_depth(attributes: dict[str, str], body: bytes) -> None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(attributes, f"the body must be JSON in UTF-8: {error}") from None
    if deeper_than(document):
        raise _too_deep(attributes)


def _incomplete(attributes: dict[str, str]) -> Fault:
    for name in _REQUIRED:
        value = attributes.get(f"ce_{name}")
        if value is None:
            return _attribute(attributes, "missing_field", name, f"{name} is required")
        if not value:
            return _attribute(attributes, "out_of_range", name, f"{name} must not be empty")
        if name == "specversion" and value != "1.0":
            return _attribute(attributes, "unreadable", name, f"specversion must be 1.0, got {shown(value)}")
    raise AssertionError("every required attribute is there")


def _refuse_text(attributes: dict[str, str]) -> None:
    """Raise the fault of the first attribute that is too long or has a control character, if there is one."""
    for name, limit in _LIMITS.items():
        value = attributes.get(f"ce_{name}") or ""
        if len(value) > limit or not _is_clean(value):
            rule = f"{name} must be text of 1..{limit} characters without control characters"
            raise _attribute(attributes, "out_of_range", name, f"{rule}, got {shown(value)}")


def _time_fault(attributes: dict[str, str], text: str) -> Fault:
    rule = "time must be an RFC 3339 time with an offset, of the years 1900..2999"
    offset_only = _RFC_3339.fullmatch(text) is not None and _read_time(f"{text}Z") is not None
    code: Code = "time_without_offset" if offset_only else "out_of_range"
    return _attribute(attributes, code, "time", f"{rule}, got {shown(text)}")


def _attribute(attributes: dict[str, str], code: Code, name: str, detail: str) -> Fault:
    return Fault(code, f"/{name}", detail, _readable(attributes))


def _unreadable(attributes: dict[str, str], detail: str) -> Fault:
    return Fault("unreadable", "", detail, _readable(attributes))


def _too_deep(attributes: dict[str, str]) -> Fault:
    return _unreadable(attributes, f"the body must be at most {MAX_DEPTH} objects and arrays deep")


def _readable(attributes: dict[str, str]) -> Readable:
    """What may be repeated and stored: never text that a database would refuse."""
    texts = {
        name: value
        for name in _LIMITS
        if (value := attributes.get(f"ce_{name}")) and len(value) <= MAX_SOURCE and _is_clean(value)
    }
    return Readable(
        source=texts.get("source"),
        id=texts.get("id"),
        type=texts.get("type"),
        subject=texts.get("subject"),
        time=_read_time(attributes.get("ce_time", "")),
        correlation=texts.get("correlationid"),
        traceparent=_trace_context(attributes),
    )


def _is_clean(text: str) -> bool:
    return _CONTROL.search(text) is None


def _is_number(text: str) -> bool:
    return len(text) <= 18 and text.isascii() and text.isdigit()
