"""What can be wrong with a document, said so that its writer can mend it.

The codes are closed and stable: `docs/errors.md` has one section for each, with the code as its anchor.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from heapq import nsmallest
from typing import Any, Final, Literal, cast, get_args

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.events.fields import Data

Code = Literal[
    "unreadable",
    "unknown_type",
    "missing_field",
    "wrong_type",
    "out_of_range",
    "time_without_offset",
    "wrong_key",
    "duplicate_id",
    "duplicate_request",
    "inconsistent",
    "not_supported",
]
CODES: Final[tuple[Code, ...]] = get_args(Code)

MAX_FAULTS: Final = 20
"""How many faults of one document an answer lists."""

SHOWN: Final = 80
"""Longest value, in characters, that a fault repeats."""

_HIDDEN: Final = "destination"
"""Nothing below a key of this name is ever repeated: it is somebody's bank account."""


@dataclass(slots=True)
class Readable:
    """What could be read of an envelope that has a fault; enough to name the event in an answer."""

    source: str | None = None
    id: str | None = None
    type: str | None = None
    subject: str | None = None
    time: datetime | None = None
    correlation: str | None = None
    traceparent: str | None = None


class Fault(Exception):
    """A document is wrong. Nothing was changed by it.

    `pointer` is the JSON Pointer (RFC 6901) of the first fault, into the data; into the CloudEvents
    attributes (`/id`, `/time`) where the envelope itself is at fault; empty for the whole. `detail` is one
    English sentence. `envelope` is what could be read of the envelope. `others` are what else is wrong with
    the same document, in its order.
    """

    def __init__(
        self,
        code: str,
        pointer: str,
        detail: str,
        envelope: Readable | None = None,
        others: Sequence["Fault"] = (),
    ) -> None:
        super().__init__(f"{code} at {pointer or 'the whole document'}: {detail}")
        self.code = code
        self.pointer = pointer
        self.detail = detail
        self.envelope = envelope
        self.others = tuple(others)

    @property
    def all(self) -> tuple["Fault", ...]:
        """This one and the others, at most `MAX_FAULTS`."""
        return (self, *self.others)[:MAX_FAULTS]

    @property
    def help(self) -> str:
        """Where this code is explained."""
        return f"docs/errors.md#{self.code}"


def pointer_to(path: Sequence[str | int]) -> str:
    """The JSON Pointer of a path of keys and indices, e.g. `/lines/0/line_id`."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def shown(value: object) -> str:
    """A value as a fault may repeat it: as JSON, at most 80 characters, containers by their kind only."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "an array"
    text = json.dumps(value, ensure_ascii=False, default=str).encode(errors="backslashreplace").decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def faults_of(error: ValidationError, model: type[Data], body: bytes) -> list[Fault]:
    """Everything that the model found wrong with `body`, in the order of the document."""
    return faults_in(error.errors(include_url=False), model, body)


def faults_in(errors: list[ErrorDetails], model: type[Data], body: bytes) -> list[Fault]:
    """The same of errors that were found elsewhere; their places count from the document's own root."""
    return [_fault(found, model) for found in _in_order(errors, body)]


def together(faults: Sequence[Fault]) -> Fault:
    """One fault that stands for all of these: the first, with the others behind it."""
    first, *others = faults
    return Fault(first.code, first.pointer, first.detail, first.envelope, others[: MAX_FAULTS - 1])


def _fault(found: ErrorDetails, model: type[Data]) -> Fault:
    path = tuple(found["loc"])
    code = _code_of(found)
    if code == "unreadable":
        return Fault(code, "", _unreadable(found, model))
    return Fault(code, pointer_to(path), _sentence(code, found, path, model))


def _in_order(errors: list[ErrorDetails], body: bytes) -> list[ErrorDetails]:
    """The first of the errors by their places in the document."""
    if len(errors) == 1:
        return errors
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return errors[:MAX_FAULTS]
    return nsmallest(MAX_FAULTS, errors, key=lambda error: _place(document, error["loc"]))


def _place(document: Any, path: Sequence[str | int]) -> tuple[int, ...]:
    """Where a path stands in its document; a missing field stands behind its siblings."""
    place: list[int] = []
    for part in path:
        if isinstance(document, dict):
            keys = list(document)
            place.append(keys.index(part) if part in document else len(keys))
            document = document.get(part)
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            place.append(part)
            document = document[part]
        else:
            break
    return tuple(place)


def _code_of(error: ErrorDetails) -> Code:
    kind = error["type"]
    if kind == "json_invalid" or not error["loc"]:
        return "unreadable"
    if kind == "missing":
        return "missing_field"
    if kind == "timezone_aware":
        return "time_without_offset"
    if kind == "literal_error":
        return "out_of_range" if isinstance(error["input"], str) else "wrong_type"
    return "wrong_type" if kind.endswith("_type") else "out_of_range"


def _unreadable(error: ErrorDetails, model: type[Data]) -> str:
    if error["type"] == "json_invalid":
        return f"the body must be JSON in UTF-8: {error.get('ctx', {}).get('error', 'it is not')}"
    if model.is_secret:
        return "the body must be a JSON object"
    return f"the body must be a JSON object, got {shown(error['input'])}"


def _sentence(code: Code, error: ErrorDetails, path: tuple[str | int, ...], model: type[Data]) -> str:
    name = next((part for part in reversed(path) if isinstance(part, str)), "value")
    if code == "missing_field":
        return f"{name} is required"
    if error["type"] == "extra_forbidden":
        known = ", ".join(sorted(_schema_of(model)["properties"]))
        return f"there is no member {shown(name)} here; the members are {known}"
    rule = rule_of(model, path)
    if code == "out_of_range":
        rule = rule.removeprefix("an integer ")
    if error["type"] in ("too_long", "too_short"):
        return f"{name} must be {rule}, got {error.get('ctx', {}).get('actual_length')}"
    if model.is_secret or _HIDDEN in path:
        return f"{name} must be {rule}; the value is not repeated here"
    return f"{name} must be {rule}, got {shown(error['input'])}"


def rule_of(model: type[Data], path: Sequence[str | int]) -> str:
    """What the published schema asks of the value at `path`, in words."""
    schema = _schema_of(model)
    definitions = schema.get("$defs", {})
    here = schema
    for part in path:
        here = _resolved(here, definitions)
        here = here.get("items", {}) if isinstance(part, int) else here.get("properties", {}).get(part, {})
    return _words(_resolved(here, definitions))


@cache
def _schema_of(model: type[Data]) -> dict[str, Any]:
    return model.model_json_schema()


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            schema = choice
            break
    if "$ref" in schema:
        return cast(dict[str, Any], definitions[schema["$ref"].rsplit("/", 1)[-1]])
    return schema


def _words(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    kind = schema.get("type")
    if kind == "integer":
        return f"an integer {schema.get('minimum')}..{schema.get('maximum')}"
    if kind == "array":
        return f"an array of {schema.get('minItems', 0)}..{schema.get('maxItems', 'any')} items"
    if kind == "string":
        return _text_words(schema)
    return "true or false" if kind == "boolean" else "an object"


def _text_words(schema: dict[str, Any]) -> str:
    if "description" in schema and "format" in schema:
        return cast(str, schema["description"])
    if schema.get("format") == "month" or "maxLength" not in schema:
        return cast(str, schema.get("description", "text"))
    without = "NUL" if schema.get("pattern") == r"^[^\x00]*$" else "control characters"
    return f"text of {schema.get('minLength', 0)}..{schema['maxLength']} characters without {without}"
