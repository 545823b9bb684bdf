"""Accounts, e-mail addresses, phone and card numbers are hidden in what pages and files show. Pure.

A member of a document is known by its name: what names an account is hidden whole, what names a thing (an id,
an instant, won) is shown. Everything else is text, in which every long run of digits and every address is
hidden: who writes a text writes anything into it. Rather one id too many is hidden than one account shown.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from shared.pointers import same_json

HIDDEN: Final = "***"
"""Stands for something hidden; the services use the same."""
HIDDEN_ADDRESS: Final = "***@***"

MOST_DIGITS: Final = 7
"""A longer run of digits may be a number of somebody."""

SECRET: Final = re.compile(
    r"(^|_)(accounts?|card|phone|mobile|tel|fax)(_(no|num|number|id|last.*|digits))?$"
    r"|e_?mail|last_?(four|4|digits)|destination_masked"
)
"""Names of members that hold an account, an address or a number of somebody."""
NAMING: Final = re.compile(
    r"(^|_)(ids?|key|keys|hash|digest|at|on|by_day|day|month|time|date|from_offset|offset|partition|sequence"
    r"|correlation|traceparent|type|source|code|state|command|business_number|content|sha256)$"
    r"|^(ce_.+|topic|pointer|amount|supply|vat|total|fee|won|unit_price|price|quantity|expected|content-type)$"
)
"""Names of members that say which thing, when or how much: shown as they are, but for addresses."""

_GAP: Final = r"[\s._·*\-\u2010-\u2015\u2212\uff0d\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]{0,3}"
_RUN: Final = rf"\d(?:{_GAP}\d){{7,}}"
_INSTANT: Final = (
    r"(?<!\d)(?:19|20)\d\d-[01]\d-[0-3]\d"
    r"(?:[T ][0-2]\d:[0-5]\d(?::[0-6]\d(?:\.\d{1,6})?)?(?:Z|[+-][01]\d:[0-5]\d)?)?"
    rf"(?!{_GAP}\d)"
)
_UUID: Final = (
    r"(?<![0-9A-Za-z-])[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    r"(?![0-9A-Za-z-])"
)
_HEX: Final = (
    r"(?<![0-9A-Za-z-])(?:[A-Za-z]{1,12}-)?(?=[0-9]{0,31}[a-f])[0-9a-f]{12}[1-8][0-9a-f]{3}[89ab][0-9a-f]{15}"
    r"(?![0-9A-Za-z-])"
)
"""A UUID without its hyphens, as many write ids of events; with a letter in it, no card is one."""
_LAST: Final = r"(?<![@*xX•●])[*xX•●]{2,}[\s-]?\d{1,7}(?!\d)"
_RANGE: Final = rf"(?<!\d)\d{{1,3}}\.\.(?:\d{{1,7}}|10{{7,15}}|9007199254740991)(?!{_GAP}\d)"
_TEXT: Final = re.compile(rf"(?P<kept>{_INSTANT}|{_UUID}|{_HEX}|{_RANGE})|{_RUN}|{_LAST}")
_ADDRESS: Final = re.compile(r"[^\s<>\"'(),:;=\[\]{}]+[@\uff20][^\s<>\"'(),:;\[\]{}]+")


def mask(value: Any, name: str = "") -> Any:
    """A value as it may be shown; `name` is that of the member that holds it. Twice changes nothing more."""
    if value is None or isinstance(value, bool) or value == "":
        return value
    if _is_secret(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {mask_text(str(key)): mask(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [mask(each, name) for each in value]
    if isinstance(value, str):
        return _ADDRESS.sub(HIDDEN_ADDRESS, value) if _names_something(name) else mask_text(value)
    if isinstance(value, int) and not _names_something(name) and len(str(abs(value))) > MOST_DIGITS:
        return HIDDEN
    return value


def mask_text(text: str) -> str:
    """A free text without addresses and long runs of digits, however these are grouped."""
    without = _ADDRESS.sub(HIDDEN_ADDRESS, text)
    return _TEXT.sub(lambda found: found["kept"] or HIDDEN, without)


def mask_record(value: str | None) -> str | None:
    """The value of a record: a JSON document member by member, anything else as a text."""
    if value is None:
        return None
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return mask_text(value)
    if not isinstance(document, dict | list):
        return mask_text(value)
    hidden = mask(document)
    return value if hidden == document else orjson.dumps(hidden).decode()


def mask_headers(headers: Sequence[Sequence[str]]) -> list[list[str]]:
    """The headers of a record, each by its name."""
    return [[name, str(mask(value, name))] for name, value in headers]


def has_hidden(value: Any) -> bool:
    """Whether something in a value is hidden."""
    if isinstance(value, Mapping):
        return any(has_hidden(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(has_hidden(each) for each in value)
    return isinstance(value, str) and HIDDEN in value


class StillHidden(ValueError):
    """Something was edited in which a part is hidden: nobody can tell what should stand there."""


def restore(edited: Any, original: Any, name: str = "") -> Any:
    """What somebody made of `mask(original)`: what is hidden and was left alone is as it was before.

    An element of a list that was changed, or of a list of another length, has to be without hidden parts.
    Raises StillHidden.
    """
    if same_json(edited, mask(original, name)):
        return original
    if isinstance(edited, dict) and isinstance(original, Mapping):
        known = {mask_text(str(key)): key for key in original}
        return {
            known.get(key, key): restore(each, original[known[key]], str(known[key]))
            if key in known
            else _own(each)
            for key, each in edited.items()
        }
    if isinstance(edited, list) and isinstance(original, list) and len(edited) == len(original):
        pairs = zip(edited, original, strict=True)
        return [was if same_json(each, mask(was, name)) else _own(each) for each, was in pairs]
    return _own(edited)


def _own(value: Any) -> Any:
    if has_hidden(value):
        raise StillHidden
    return value


def _is_secret(name: str) -> bool:
    return bool(name) and SECRET.search(name.casefold()) is not None


def _names_something(name: str) -> bool:
    return bool(name) and NAMING.search(name.casefold()) is not None
