"""Refuses a change of the published language that would break somebody who reads or writes it.

`python -m shared.events.compat OLD_DIR NEW_DIR` compares two folders of schemas and exits with 3 when a type
or a field was removed (or renamed, which is the same), got another type, or became required; when a field of
our own events may be left out where it was always there; when a limit or an enumeration of inbound data
narrowed.
What must change breakingly is a new type with a new major version.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from shared.events.schemas import PLACES

Schema = Mapping[str, Any]

_UPSTREAM: Final = "checkout.events"
_TOPIC: Final = "x-topic"
_KEY: Final = "x-record-key"
_UPPER: Final = ("maximum", "maxLength", "maxItems")
_LOWER: Final = ("minimum", "minLength", "minItems")


def breaks(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> list[str]:
    """Every breaking change between two sets of schemas by type name, one sentence each."""
    return [sentence for name in sorted(old) for sentence in _breaks_of(name, old[name], new.get(name))]


def read_folder(folder: Path) -> dict[str, Schema]:
    """The schemas in a folder, by the name of their type, each with its topic and record key.

    Those of contract 1 say both themselves; later ones leave it to the file beside them.
    """
    found = {path.name: json.loads(path.read_bytes()) for path in folder.glob("*.json")}
    places = found.pop(PLACES, {})
    return {
        file.removesuffix(".json"): placed(schema, places.get(schema.get("title")))
        for file, schema in found.items()
    }


def placed(schema: Schema, place: Mapping[str, str] | None) -> Schema:
    """A schema that says its topic and record key."""
    if place is None:
        return schema
    return {**schema, _TOPIC: place["topic"], _KEY: place["record_key"]}


def _breaks_of(name: str, old: Schema, new: Schema | None) -> Iterator[str]:
    if new is None:
        yield f"{name}: the type was removed"
        return
    inbound = old.get(_TOPIC) == _UPSTREAM
    for key in (_TOPIC, _KEY):
        if old.get(key) != new.get(key):
            yield f"{name}: {key[2:]} changed from {old.get(key)} to {new.get(key)}"
    yield from _compare(name, _Node(old, old), _Node(new, new), inbound)


class _Node:
    """A place in a schema, with the whole of it to look definitions up in."""

    def __init__(self, root: Schema, here: Schema) -> None:
        self.root = root
        self.nullable = any(choice.get("type") == "null" for choice in here.get("anyOf", ()))
        choices = [choice for choice in here.get("anyOf", ()) if choice.get("type") != "null"]
        here = choices[0] if len(choices) == 1 else here
        if "$ref" in here:
            here = root["$defs"][here["$ref"].rsplit("/", 1)[-1]]
        self.here = here

    @property
    def type(self) -> str:
        """The JSON type with its format, e.g. `string date-time`."""
        return f"{self.here.get('type')} {self.here.get('format', '')}".strip()

    @property
    def fields(self) -> dict[str, "_Node"]:
        """The fields of an object, none for anything else."""
        return {name: _Node(self.root, field) for name, field in self.here.get("properties", {}).items()}

    @property
    def required(self) -> set[str]:
        """The fields that are always there: a default makes a field optional."""
        return set(self.here.get("required", ()))


def _compare(place: str, old: _Node, new: _Node, inbound: bool) -> Iterator[str]:
    if old.type != new.type:
        yield f"{place}: the type changed from {old.type} to {new.type}"
        return
    if old.nullable != new.nullable and old.nullable == inbound:
        yield f"{place}: null is {'no longer taken' if inbound else 'now possible'}"
    if inbound:
        yield from _narrower(place, old.here, new.here)
    fields = new.fields
    for name, field in old.fields.items():
        if name in fields:
            yield from _compare(f"{place}/{name}", field, fields[name], inbound)
        else:
            yield f"{place}/{name}: the field was removed"
    for name in sorted(new.required - old.required if inbound else old.required - new.required):
        yield f"{place}/{name}: the field is {'now required' if inbound else 'no longer always there'}"
    if "items" in old.here:
        was, now = (_Node(node.root, node.here.get("items", {})) for node in (old, new))
        yield from _compare(f"{place}/*", was, now, inbound)


def _narrower(place: str, old: Schema, new: Schema) -> Iterator[str]:
    for key in _UPPER:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"{place}: {key} fell from {old.get(key)} to {new[key]}"
    for key in _LOWER:
        if key in new and new[key] > old.get(key, float("-inf")):
            yield f"{place}: {key} rose from {old.get(key)} to {new[key]}"
    if "enum" in new:
        for value in old.get("enum", ["any text"]):
            if value not in new["enum"]:
                yield f"{place}: {value} is no longer taken"


def main(arguments: list[str]) -> int:
    """Compare two folders; 0 when nothing breaks, 3 when something does, 2 for wrong arguments."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m shared.events.compat OLD_DIR NEW_DIR\n")
        return 2
    broken = breaks(*(read_folder(Path(folder)) for folder in arguments))
    for sentence in broken:
        sys.stderr.write(f"{sentence}\n")
    return 3 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
