"""The content of an event as one hash: its type and its data as JSON values, whatever the spelling.

Two documents have the same content when their types and their JSON values are equal: the order of keys,
spacing, escapes and the way a number is written (`1`, `1.0`, `1e0`) make no difference. Where a key stands
twice, the last one counts, as in every parser used here.
"""

import json
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 64
"""How many objects and arrays may stand inside each other."""

_SORTED: Final = orjson.OPT_SORT_KEYS
_I64_MIN: Final = -(2**63)
_U64_MAX: Final = 2**64 - 1


def content_hash(type_name: str, body: bytes) -> bytes:
    """16 bytes (BLAKE2b) that are equal exactly when type and data are; never raises.

    A body that is not JSON counts as its bytes.
    """
    return blake2b(b"%b\0%b" % (type_name.encode(), canonical(body)), digest_size=16).digest()


def canonical(body: bytes) -> bytes:
    """The body as canonical JSON, or after a NUL the bytes as they are where they cannot be parsed."""
    try:
        document = orjson.loads(body)
        if type(document) is not dict or _has_float(document):
            return _canonical_exact(body)
    except (orjson.JSONDecodeError, RecursionError):
        return _canonical_exact(body)
    return orjson.dumps(document, option=_SORTED)


def deeper_than(document: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether objects and arrays stand more than `limit` deep inside each other."""
    level = [document] if isinstance(document, (dict, list)) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
    return bool(level)


def exact(document: dict[str, Any], body: bytes) -> dict[str, Any]:
    """What `body` was parsed into, ready to be dumped again without changing how a number is written."""
    if not _has_float(document):
        return document
    verbatim: dict[str, Any] = json.loads(body, parse_float=_verbatim, parse_int=_verbatim_integer)
    return verbatim


def _has_float(container: Any) -> bool:
    """Whether a number was read as a float, which also is what orjson makes of integers beyond 64 bits."""
    for value in container.values() if type(container) is dict else container:
        kind = type(value)
        if kind is float or ((kind is dict or kind is list) and _has_float(value)):
            return True
    return False


def _canonical_exact(body: bytes) -> bytes:
    """The slow way, for documents with fractions, exponents or numbers beyond 64 bits."""
    try:
        document = json.loads(body, parse_float=_number, parse_int=_number, parse_constant=_refuse)
        return orjson.dumps(document, option=_SORTED)
    except (ValueError, ArithmeticError, TypeError, RecursionError):
        return b"\0" + bytes(body)


def _number(text: str) -> int | orjson.Fragment:
    """A number by its value: a 64 bit integer, or digits without trailing zeros and an exponent."""
    sign, digits, exponent = Decimal(text).as_tuple()
    written = "".join(map(str, digits)).lstrip("0")
    significant = written.rstrip("0")
    if not significant:
        return 0
    power = int(exponent) + len(written) - len(significant)
    if power >= 0 and len(significant) + power <= 20:
        value = int(significant + "0" * power) * (-1 if sign else 1)
        if _I64_MIN <= value <= _U64_MAX:
            return value
    return orjson.Fragment(f"{'-' if sign else ''}{significant}E{power}")


def _verbatim(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


def _verbatim_integer(text: str) -> int | orjson.Fragment:
    return int(text) if len(text) < 19 else orjson.Fragment(text)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
