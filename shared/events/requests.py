"""What makes two upstream events the same request, so that a good one makes good what was refused before.

A refused event keeps its id with its content, so a right one comes under a new id. What the two have in
common is said here, type by type: the order (or partner) and the fields that name the request. Where a type
names nothing, or a document lacks such a field, no other event is taken for the same request. Pure.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from shared.events.catalogue import TYPES
from shared.events.envelope import read_key
from shared.pointers import value_at


class Identity(NamedTuple):
    """What names a request of one type, beside its order or partner.

    `pointers` lead to the fields that two events of the same request share; each has to be there. With
    `latest` an event says all of what it is about, so that it stands for every event of that kind from
    before its own time.
    """

    pointers: tuple[str, ...]
    latest: bool = False


NOTHING: Final = None
"""Nothing in a document of this type names its request."""

IDENTITIES: Final[Mapping[str, Identity | None]] = {
    # one order is registered once; a newer snapshot replaces the one before
    "payment.pending.v1": Identity((), latest=True),
    "payment.completed.v1": Identity(("/payment_id",)),
    "payment.failed.v1": Identity(("/attempt_id",)),
    # a payment may go back in parts, and again after it was paid again: only the instant tells them apart
    "payment.cancelled.v1": Identity(("/payment_id", "/cancelled_at")),
    # a decision ends every open case of its payment, so nothing is left of what was refused
    "quarantine.decided.v1": Identity(("/payment_id",)),
    "issuance.requested.v1": Identity(("/request_id",)),
    "line.activated.v1": Identity(("/line_id",)),
    "line.delivered.v1": Identity(("/line_id",)),
    # a running total
    "usage.recorded.v1": Identity(("/line_id",), latest=True),
    # a line may get the same bonus twice
    "balance.granted.v1": NOTHING,
    "refund.requested.v1": Identity(("/refund_request_id",)),
    # a refund may get several proofs
    "refund.proof_attached.v1": Identity(("/refund_id", "/proof/reference")),
    "refund.reviewed.v1": Identity(("/refund_id", "/decision")),
    "return.confirmed.v1": Identity(("/refund_id",)),
    "refund.paid_out.v1": Identity(("/refund_id", "/payout_id")),
    "refund.payout_failed.v1": Identity(("/refund_id", "/payout_id")),
    "merge.requested.v1": Identity(("/request_id",)),
    "merge.undone.v1": Identity(("/request_id",)),
    # the partner as it is from then on
    "partner.changed.v1": Identity((), latest=True),
    "partner.withdrawal_requested.v1": Identity(("/request_id",)),
}


class Request(NamedTuple):
    """What a document asks for: `key` is its order or partner, `digest` 16 bytes that name the request."""

    key: str
    digest: bytes
    latest: bool


def request_of(type_name: str | None, document: Any) -> Request | None:
    """The request that a document of this type is, also of one that is wrong; None where nothing names it."""
    identity = IDENTITIES.get(type_name or "")
    if identity is None or type_name is None:
        return None
    key = value_at(document, f"/{TYPES[type_name].key_field}")
    named = [value_at(document, pointer) for pointer in identity.pointers]
    if not (isinstance(key, str) and read_key(key.encode()) == key and all(map(_is_name, named))):
        return None
    said = orjson.dumps([type_name, key, *named])
    return Request(key, blake2b(said, digest_size=16, person=b"request").digest(), identity.latest)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""
