"""Account numbers are hidden where people look at records."""

import re
from typing import Any, Final

import orjson

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
    hidden = _hide(document)
    return body.decode() if hidden == document else orjson.dumps(hidden).decode()


def _hide(item: Any) -> Any:
    if isinstance(item, list):
        return [_hide(each) for each in item]
    if not isinstance(item, dict):
        return item
    return {name: _hide_member(name, value) for name, value in item.items()}


def _hide_member(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ACCOUNTS:
        return HIDDEN
    if name != "destination":
        return _hide(value)
    if not isinstance(value, dict):
        return HIDDEN
    return {
        part: said if part in SHOWN_OF_DESTINATION and isinstance(said, str) else HIDDEN
        for part, said in value.items()
    }
