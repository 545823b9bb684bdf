"""Open dead letters, and which of them an event makes good. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.events.faults import Fault
from shared.events.requests import Request, request_of
from shared.runtime.decisions import Event
from shared.runtime.intake import InboundMessage
from shared.runtime.records import document_of

SAID_BEFORE: Final = frozenset({"duplicate_id", "duplicate_request"})
"""The codes of records whose id stands for something else already."""
UNREADABLE: Final = "unreadable"


@dataclass(slots=True)
class OpenLetter:
    """A dead letter that an event of its order or partner (`key`) can make good.

    `digest` is what such an event has to have in common with it, `told_at` the time of its own event where
    that can be read. `row` is its id; None while the batch that refuses it is not written. `made_good_by`
    says which event it was.
    """

    key: str
    digest: bytes
    told_at: datetime | None
    row: int | None = None
    made_good_by: str | None = None


def letter_of(message: InboundMessage, fault: Fault) -> OpenLetter | None:
    """What would make this refused record good; None where nothing surely would.

    One whose id stands for something else already is made good only by the same content under another id:
    an event of the same request may as well be what it contradicts.
    """
    if not message.upstream or fault.code == UNREADABLE:
        return None
    request = request_of(message.type, document_of(message.record))
    digest = message.content if fault.code in SAID_BEFORE else request and request.digest
    if request is None or digest is None:
        return None
    return OpenLetter(request.key, digest, _time_of(message))


def request_in(message: InboundMessage) -> Request | None:
    """The request that an event of checkout is."""
    return request_of(message.type, document_of(message.record))


def makes_good(event: Event[Any], request: Request, letter: OpenLetter) -> bool:
    """Whether the event says what was refused, right this time."""
    if letter.digest not in (request.digest, event.content):
        return False
    return not request.latest or (letter.told_at is not None and letter.told_at <= event.time)


def _time_of(message: InboundMessage) -> datetime | None:
    if message.event is not None:
        return message.event.time
    envelope = message.fault.envelope if message.fault is not None else None
    return None if envelope is None else envelope.time
