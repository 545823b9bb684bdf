"""Account numbers are hidden where people look at records, and come back where they were left alone."""

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from shared.events.faults import Fault, pointer_to
from shared.pointers import same_json

ACCOUNTS: Final = frozenset({"account_number", "card_number"})
SHOWN_OF_DESTINATION: Final = frozenset({"method", "bank_code", "holder"})
# An account number, however it is grouped. Other ids look like it, so only what cannot be read is searched.
DIGITS: Final = re.compile(r"\d(?:[ -]?\d){5,}")
HIDDEN: Final = "***"


def masked(body: bytes) -> str:
    """The text of a record without account numbers, also when its writer put them where none belongs."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return DIGITS.sub(HIDDEN, body.decode("utf-8", "backslashreplace"))
    hidden = hide(document)
    return body.decode() if hidden == document else orjson.dumps(hidden).decode()


def hide(item: Any) -> Any:
    """A document without account numbers."""
    if isinstance(item, list):
        return [hide(each) for each in item]
    if not isinstance(item, dict):
        return item
    return {name: _hide_member(name, value) for name, value in item.items()}


def restore(edited: Any, original: Any) -> Any:
    """What somebody made of `hide(original)`, with everything hidden that was left alone as it was before.

    Raises Fault for a hidden value where the original has none at that place. In an array of another length
    than before, and in an element that was changed, nobody can tell whose a hidden value is.
    """
    return _restore(edited, hide(original), original, ())


def _restore(edited: Any, shown: Any, original: Any, path: tuple[str | int, ...]) -> Any:
    if same_json(edited, shown):
        return original
    if isinstance(edited, dict) and isinstance(shown, dict) and isinstance(original, dict):
        return {
            name: _restore(value, shown[name], original[name], (*path, name))
            if name in shown
            else _own(value, (*path, name))
            for name, value in edited.items()
        }
    if isinstance(edited, list) and isinstance(shown, list) and isinstance(original, list):
        return [
            original[index]
            if len(edited) == len(shown) and same_json(value, shown[index])
            else _own(value, (*path, index))
            for index, value in enumerate(edited)
        ]
    return _own(edited, path)


def _own(value: Any, path: tuple[str | int, ...]) -> Any:
    """A value that somebody wrote anew, and in which nothing is hidden. Raises Fault."""
    for place in _hidden_in(value, path):
        rule = f"{HIDDEN} stands for the hidden value of the same place, and there is none; write the value"
        raise Fault("out_of_range", pointer_to(place), rule)
    return value


def _hidden_in(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if value == HIDDEN:
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _hidden_in(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _hidden_in(item, (*path, index))


def _hide_member(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ACCOUNTS:
        return HIDDEN
    if name != "destination":
        return hide(value)
    if not isinstance(value, dict):
        return HIDDEN
    return {
        part: said if part in SHOWN_OF_DESTINATION and isinstance(said, str) else HIDDEN
        for part, said in value.items()
    }
