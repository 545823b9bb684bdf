"""JSON Pointers (RFC 6901): the value there, a document with another one there, differences. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson


class Absent:
    """The value where a document has none."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = Absent()


class Change(NamedTuple):
    """Another value at a pointer; `ABSENT` where there was none, or is none any more."""

    pointer: str
    before: Any
    after: Any


class NoSuchPlace(Exception):
    """A pointer leads nowhere in a document; the message says where it ends."""


def parts_of(pointer: str) -> list[str]:
    """The parts of a pointer. Raises NoSuchPlace for a text that is none."""
    if pointer and not pointer.startswith("/"):
        raise NoSuchPlace(f"{pointer!r} is no JSON Pointer: it begins with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def value_at(document: Any, pointer: str) -> Any:
    """What stands at the pointer, `ABSENT` where nothing does."""
    for part in parts_of(pointer):
        if isinstance(document, Mapping) and part in document:
            document = document[part]
        elif isinstance(document, list) and _is_index(part) and int(part) < len(document):
            document = document[int(part)]
        else:
            return ABSENT
    return document


def with_value(document: Any, pointer: str, value: Any) -> Any:
    """The document with this value at the pointer; `-` is behind the end of an array, `ABSENT` removes.

    Raises NoSuchPlace where the pointer leads nowhere; a new member of an object is no such case.
    """
    return _with(document, parts_of(pointer), value, pointer)


def differences(before: Any, after: Any, pointer: str = "") -> Iterator[Change]:
    """Where two documents differ, as deep as they are alike; arrays of other lengths differ as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from differences(before.get(name, ABSENT), after.get(name, ABSENT), place)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{pointer}/{index}")
    elif not same_json(before, after):
        yield Change(pointer, before, after)


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are written alike: `1`, `1.0` and `true` are not, whatever Python says."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def _with(document: Any, parts: list[str], value: Any, pointer: str) -> Any:
    if not parts:
        return value
    part, *rest = parts
    if isinstance(document, Mapping):
        changed = dict(document)
        if rest and part not in document:
            raise NoSuchPlace(f"{pointer}: there is no {part!r} to go into")
        changed[part] = _with(document.get(part), rest, value, pointer)
        return {name: item for name, item in changed.items() if item is not ABSENT}
    if not isinstance(document, list):
        raise NoSuchPlace(f"{pointer}: {part!r} is asked of something that is no object and no array")
    index = len(document) if part == "-" and not rest else int(part) if _is_index(part) else None
    if index is None or index > len(document) or (index == len(document) and rest):
        raise NoSuchPlace(f"{pointer}: the array has {len(document)} elements, and no {part!r}")
    items = [*document, None] if index == len(document) else list(document)
    items[index] = _with(items[index], rest, value, pointer)
    return [item for item in items if item is not ABSENT]


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= 6
