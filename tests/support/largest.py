"""The largest document that the schema of an event type allows, in bytes as it goes on the wire."""

import re
from collections.abc import Mapping
from typing import Any

from shared.events.schemas import schema_of

ESCAPED, WIDEST = "\x01", "\N{MATHEMATICAL BOLD CAPITAL A}"
"""The character that takes most bytes in JSON, and the one that does where there may be no controls."""
INSTANT, DAY, MONTH = "2026-10-21T14:03:05.123456+09:00", "2026-10-21", "2026-10"


class Unbounded(Exception):
    """Nothing says how long a text or a list may be; the message is its place."""


def largest(type_name: str, most: Mapping[str, Any]) -> dict[str, Any]:
    """A document of this type whose values are as long as they may be, also those that may be absent.

    `most` says for places of the schema (`/lines` or `/lines/0/reason`) how many entries a list has, how many
    characters a text. Raises Unbounded.
    """
    schema = schema_of(type_name)
    return dict(_Largest(schema.get("$defs", {}), most).of(schema, ""))


class _Largest:
    def __init__(self, defs: Mapping[str, Any], most: Mapping[str, Any]) -> None:
        self._defs, self._most = defs, most

    def of(self, shape: Mapping[str, Any], place: str) -> Any:
        if "$ref" in shape:
            shape = self._defs[shape["$ref"].rpartition("/")[2]]
        if "anyOf" in shape:
            (shape,) = (each for each in shape["anyOf"] if each.get("type") != "null")
            return self.of(shape, place)
        if "enum" in shape or "const" in shape:
            return max(shape.get("enum", [shape.get("const")]), key=len)
        kind: str = shape["type"]
        return getattr(self, f"_{kind}")(shape, place)

    def _object(self, shape: Mapping[str, Any], place: str) -> dict[str, Any]:
        return {name: self.of(each, f"{place}/{name}") for name, each in shape["properties"].items()}

    def _array(self, shape: Mapping[str, Any], place: str) -> list[Any]:
        count = self._most.get(place, shape.get("maxItems"))
        if count is None:
            raise Unbounded(place)
        return [self.of(shape["items"], f"{place}/0")] * count

    def _string(self, shape: Mapping[str, Any], place: str) -> str:
        known = {"date-time": INSTANT, "date": DAY}.get(shape.get("format", ""))
        if known is not None:
            return known
        length: int | None = self._most.get(place, shape.get("maxLength"))
        pattern = shape.get("pattern", "")
        if length is None:
            if re.search(pattern, MONTH) and pattern:
                return MONTH
            raise Unbounded(place)
        text = ESCAPED * length
        return text if re.search(pattern, text) else WIDEST * length

    def _integer(self, shape: Mapping[str, Any], place: str) -> int:
        return max(int(shape["minimum"]), int(shape["maximum"]), key=lambda number: len(str(number)))

    def _boolean(self, shape: Mapping[str, Any], place: str) -> bool:
        return False
