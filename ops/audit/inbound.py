"""An event of checkout as its service knows it: who answers for it, and what makes it the same event."""

from typing import Any, NamedTuple

import orjson

from shared.events.canonical import content_hash
from shared.events.catalogue import owner_of
from shared.events.envelope import read_envelope, read_key
from shared.events.faults import Fault, Readable

PAID = "payment.completed.v1"
MOST_WON = 2**63


class Inbound(NamedTuple):
    """One record of checkout.events. `content` is None where the record has no readable id.

    `payment` is what a payment.completed says: the payment and its won; None for any other record.
    """

    partition: int
    offset: int
    key: str | None
    owner: str
    type: str
    source: str
    event_id: str
    content: bytes | None
    payment: tuple[str, int] | None

    def __str__(self) -> str:
        return f"{self.type or 'of no type'} {self.event_id or 'without an id'}"


def inbound(record: Any) -> Inbound:
    """The record as far as it can be read. Never raises."""
    source, event_id, type_name, body = _identity(record)
    return Inbound(
        record.partition,
        record.offset,
        read_key(record.key),
        owner_of(type_name or None),
        type_name,
        source,
        event_id,
        content_hash(type_name, body) if source and event_id else None,
        _payment(body) if type_name == PAID else None,
    )


def _payment(body: bytes) -> tuple[str, int] | None:
    """None for a document that names no payment or no won: it was refused."""
    try:
        data = orjson.loads(body)
        payment_id, amount = data["payment_id"], data["amount"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    is_won = isinstance(amount, int) and 0 <= amount < MOST_WON
    return (payment_id, amount) if isinstance(payment_id, str) and is_won else None


def _identity(record: Any) -> tuple[str, str, str, bytes]:
    """Source, id and type, empty where they cannot be read, and what the content is made of."""
    try:
        event = read_envelope(record.headers, record.value)
    except Fault as fault:
        known: Any = getattr(fault, "envelope", None) or Readable()
        return known.source or "", known.id or "", known.type or "", record.value or b""
    return event.source, event.id, event.type, event.body
