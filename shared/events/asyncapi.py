"""The AsyncAPI 3.0 document of a service: what it reads and writes, message by message."""

from collections.abc import Iterable
from typing import Any, Final

from shared.events.catalogue import FEEDBACK, SERVICES, TOPICS, TYPES, UPSTREAM, EventType
from shared.events.examples import golden
from shared.events.schemas import WithoutTitles

MURMUR2: Final = (
    "Producers must place records with the Murmur2 partitioner of the Java client. librdkafka and the "
    "clients on top of it need `partitioner=murmur2_random`: its default puts about nine keys in ten into "
    "another partition, and one order's events are no longer in order."
)
KEY_RULE: Final = (
    "The record key is the order id (the partner id on partner and merge rows, the month on month.closed) "
    "and repeats that field of the data; any other key is answered with wrong_key."
)

_TEXT: Final = {"type": "string"}
_ATTRIBUTES: Final[dict[str, dict[str, Any]]] = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {"type": "string", "minLength": 1, "maxLength": 128},
    "ce_source": {"type": "string", "minLength": 1, "maxLength": 256},
    "ce_type": _TEXT,
    "ce_subject": _TEXT,
    "ce_time": {"type": "string", "format": "date-time", "description": "RFC 3339 with an offset"},
    "ce_dataschema": _TEXT,
    "content-type": {"type": "string", "examples": ["application/json", "application/cloudevents+json"]},
    "ce_sequence": {"type": "string", "description": "contiguous from 1 for each ce_source and ce_subject"},
    "ce_correlationid": {"type": "string", "description": "the story: the order id unless upstream sets one"},
    "ce_causationid": {"type": "string", "description": "the id of the event that led here"},
    "traceparent": {"type": "string", "description": "the W3C trace context, where its cause came with one"},
}
_REQUIRED: Final = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time")
_REQUIRED_OURS: Final = (*_REQUIRED, "ce_subject", "ce_dataschema", "content-type", "ce_correlationid")


def asyncapi(
    service: str, reads: Iterable[str], *, version: str = "1.0.0", kafka: str | None = None
) -> dict[str, Any]:
    """The document of a service, ready for JSON.

    `reads` are the types that it has handlers for; `kafka` is the broker as `host:port`. Raises ValueError
    for a service that does not exist.
    """
    if service not in SERVICES:
        raise ValueError(f"{service} is none of {', '.join(SERVICES)}")
    received = [TYPES[name] for name in reads]
    sent = [kind for kind in TYPES.values() if service in TOPICS[kind.topic].writers]
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:pawl:{service}",
        "info": {"title": f"Pawl {service}", "version": version, "description": f"{MURMUR2}\n\n{KEY_RULE}"},
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": kafka, "protocol": "kafka"}} if kafka else {},
        "channels": _channels([*received, *sent]),
        "operations": {**_operations("receive", received), **_operations("send", sent)},
        "components": _components([*received, *sent]),
    }


def _channels(kinds: Iterable[EventType]) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    for kind in kinds:
        channel = channels.setdefault(kind.topic, _channel(kind.topic))
        channel["messages"][kind.name] = {"$ref": f"#/components/messages/{kind.name}"}
    return channels


def _channel(topic: str) -> dict[str, Any]:
    return {
        "address": topic,
        "description": TOPICS[topic].about,
        "messages": {},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    }


def _operations(action: str, kinds: Iterable[EventType]) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for kind in kinds:
        name = f"{action}-{kind.topic}"
        operation = operations.setdefault(
            name, {"action": action, "channel": {"$ref": f"#/channels/{kind.topic}"}, "messages": []}
        )
        operation["messages"].append({"$ref": f"#/channels/{kind.topic}/messages/{kind.name}"})
    return operations


def _components(kinds: Iterable[EventType]) -> dict[str, Any]:
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for kind in kinds:
        messages[kind.name] = _message(kind)
        schema = kind.model.model_json_schema(
            ref_template="#/components/schemas/{model}", schema_generator=WithoutTitles
        )
        schemas |= schema.pop("$defs", {})
        schemas[kind.model.__name__] = schema
    return {"messages": messages, "schemas": schemas}


def _message(kind: EventType) -> dict[str, Any]:
    example = golden()[kind.name]
    return {
        "name": kind.name,
        "title": kind.name,
        "summary": (kind.model.__doc__ or "").strip().partition("\n")[0].partition(": ")[2],
        "contentType": "application/json",
        "headers": _headers(kind),
        "payload": {"$ref": f"#/components/schemas/{kind.model.__name__}"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"equals {kind.key_field} of the data"},
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [{"name": "golden", "headers": example.headers, "payload": example.data}],
    }


def _headers(kind: EventType) -> dict[str, Any]:
    ours = kind.topic != UPSTREAM
    counted = ours and kind.topic != FEEDBACK
    required = [*(_REQUIRED_OURS if ours else _REQUIRED), *(["ce_sequence"] if counted else [])]
    attributes = {name: schema for name, schema in _ATTRIBUTES.items() if counted or name != "ce_sequence"}
    named = {"type": "string", "const": kind.name}
    return {"type": "object", "properties": {**attributes, "ce_type": named}, "required": required}
