"""A Kafka record as bytes and back, so that a parked or dead one can be handled again as it came."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Protocol, TypeGuard

import orjson

from shared.events.envelope import MAX_OWN_BYTES, is_structured, read_envelope
from shared.events.faults import Fault
from shared.runtime.decisions import Position

MAX_WON: Final = 2**53 - 1
"""What JSON readers can tell exactly."""


class Record(Protocol):
    """What the runtime needs of a consumed record (aiokafka's ConsumerRecord has it)."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(slots=True, frozen=True)
class StoredRecord:
    """A record that was taken out of `parked` or `dead_letters`."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(slots=True, frozen=True)
class UnreadableBatch:
    """What stands for records that nobody can read, at the place of the first of them; `detail` says why.

    To everybody but the intake it is a record without key and value.
    """

    topic: str
    partition: int
    offset: int
    detail: str
    timestamp: int = -1
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_type: int = 0
    checksum: int | None = None
    serialized_key_size: int = -1
    serialized_value_size: int = -1


def position_of(record: Record) -> Position:
    """Where the record stands in Kafka."""
    return Position(record.topic, record.partition, record.offset)


def pack(record: Record) -> bytes:
    """The whole record but its position, as bytes; loses nothing, whatever the bytes are."""
    return orjson.dumps(
        {
            "key": _encode(record.key),
            "value": _encode(record.value),
            "headers": [[name, _encode(value)] for name, value in record.headers],
        }
    )


def unpack(position: Position, packed: bytes) -> StoredRecord:
    """The record that `pack` made into bytes, at its old position."""
    document = orjson.loads(packed)
    headers = [(name, _decode(value) or b"") for name, value in document["headers"]]
    return StoredRecord(*position, _decode(document["key"]), _decode(document["value"]), headers)


def document_of(record: Record) -> dict[str, Any] | None:
    """The data of a record as a JSON object, whatever else is wrong with it; None where there is none."""
    try:
        body = read_envelope(record.headers, record.value, MAX_OWN_BYTES).body
    except Fault:
        body = record.value or b""
        if is_structured(record.headers):
            return _object(body, "data")
    return _object(body)


def won_of(record: Record) -> int | None:
    """The won that the data of a record says it is about; None where it says none that can be right.

    Where the amount itself is wrong, they are what the lines come to.
    """
    document = document_of(record) or {}
    lines = document.get("lines")
    parts = [_won_of_line(line) for line in lines] if isinstance(lines, list) else []
    total = sum(part or 0 for part in parts) if parts and None not in parts else None
    amount = document.get("amount")
    return next((won for won in (amount, total) if _is_won(won)), None)


def _won_of_line(line: Any) -> int | None:
    if not isinstance(line, dict):
        return None
    price, quantity = line.get("unit_price"), line.get("quantity")
    return price * quantity if _is_won(price) and _is_won(quantity) else None


def _is_won(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_WON


def _object(body: bytes, member: str | None = None) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if member is not None:
        document = document.get(member) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else None


def digest_of(record: Record, *, with_time: bool = True) -> bytes:
    """16 bytes that tell a record from any other, also from another one at the same place.

    A record that is read again has its timestamp of before; one that was kept has none.
    """
    stamped = getattr(record, "timestamp", None) if with_time else None
    time = b"" if stamped is None else str(stamped).encode()
    return blake2b(b"%b\0%b" % (time, pack(record)), digest_size=16).digest()


def seal_context(position: Position) -> bytes:
    """Binds a sealed record to its place, so that two rows cannot be exchanged unnoticed."""
    return f"{position.topic}/{position.partition}/{position.offset}".encode()


def _encode(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode("ascii")


def _decode(value: str | None) -> bytes | None:
    return None if value is None else b64decode(value)
