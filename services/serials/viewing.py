"""What is shown of issuances, of the serials that leave, of the notice, and of the custody log."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec.structs import asdict
from pydantic import BaseModel

from services.serials.notices import MARK, PLACEHOLDER, Items, Message
from services.serials.state import Form, Grant, GrantState, SerialState, state_at
from shared.web.callers import Caller
from shared.web.fields import WireInstant
from shared.web.paging import Page
from shared.web.problems import Language


class Counts(BaseModel):
    """How many serials are in each state; a reissued one counts beside the one that it replaces."""

    active: int
    registered: int
    expired: int
    revoked: int


class Issuance(BaseModel):
    """A grant and its serials. `percent` of its units have one; `reissued` serials replace revoked ones."""

    grant_id: UUID
    order_id: str
    line_id: str
    partner_id: str
    product_id: str
    product_name: str
    usage_days: int
    batch_id: UUID
    state: GrantState
    quantity: int
    issued: int
    percent: int
    reissued: int
    granted_at: WireInstant
    issued_at: WireInstant | None
    registration_deadline: WireInstant
    counts: Counts


class ReadableSerial(BaseModel):
    """A serial as its customer types it. `unit` is its number in the issuance."""

    unit: int
    serial_id: UUID
    serial: str
    state: SerialState
    registration_page: str


class ReadableSerials(Page[ReadableSerial]):
    """A page of serials with what customers must be told. Its `watermark` names it in the custody log."""

    watermark: str
    product_name: str
    usage_period: str
    registration_period: str


class FileUnderWay(BaseModel):
    """A file that this process hands out. `request` is the correlation id under which it was asked for."""

    watermark: str
    form: Form
    serials: int
    written: int
    request: str


class FilesUnderWay(BaseModel):
    """The files of an issuance that are being handed out."""

    items: list[FileUnderWay]


class Character(BaseModel):
    """A character that cannot be sent, and what can be in its place; null where nothing means the same."""

    character: str
    name: str
    substitute: str | None


class Text(BaseModel):
    """A text for customers: `{serial}` stands where their serial goes.

    `bytes` is how long it is in CP949 with a serial in it, null where CP949 lacks a character; `limit` is
    what its kind may have.
    """

    kind: Literal["sms", "lms", "email"]
    subject: str | None
    text: str
    bytes: int | None
    limit: int | None
    fits: bool
    cannot_be_sent: list[Character]


class Notice(BaseModel):
    """What a partner has to tell the customers of an issuance, and texts that say it."""

    grant_id: UUID
    language: Language
    serial: str
    product_name: str
    usage_period: str
    registration_period: str
    registration_page: str
    texts: list[Text]


class HandedOut(BaseModel):
    """Somebody was handed serials, or looked one up (`search`).

    `serials` of the units `first_unit` to `last_unit` were in the `state` asked for (null: in any). Who of
    others did it is not shown to a partner.
    """

    at: WireInstant
    form: Form
    actor: str | None
    partner_id: str | None
    client: str | None
    request: str | None
    reason: str | None
    grant_id: UUID
    first_unit: int
    last_unit: int
    state: SerialState | None
    serials: int
    watermark: str | None


class Taken(HandedOut):
    """What left under a watermark, and of which order it was."""

    order_id: str
    partner_of_order: str


def issuance_document(grant: Grant, registered: int, at: datetime) -> dict[str, Any]:
    """The issuance at an instant, so many of whose serials are registered."""
    unused = grant.issued + grant.reissued - grant.revoked - registered
    is_over = state_at(SerialState.ACTIVE, grant.registration_deadline, at) is SerialState.EXPIRED
    return {
        **asdict(grant),
        **grant.product._asdict(),
        "percent": grant.issued * 100 // grant.quantity,
        "counts": {
            "active": 0 if is_over else unused,
            "registered": registered,
            "expired": unused if is_over else 0,
            "revoked": grant.revoked,
        },
    }


def notice_document(
    grant: Grant, language: Language, items: Items, messages: Sequence[Message]
) -> dict[str, Any]:
    """The notice of an issuance."""
    told = {name: _shown(text) for name, text in items._asdict().items()}
    texts = [_text_document(message) for message in messages]
    return {**told, "grant_id": grant.grant_id, "language": language, "texts": texts}


def custody_document(row: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """A row of the custody log as this caller may see it."""
    shown = {**row, "at": row["recorded_at"]}
    if caller.may_see(row["partner_id"]):
        return shown
    return {**shown, **dict.fromkeys(("actor", "partner_id", "client", "request", "reason"))}


def _text_document(message: Message) -> dict[str, Any]:
    return {
        "kind": message.kind,
        "subject": _shown(message.subject),
        "text": _shown(message.text),
        "bytes": message.bytes,
        "limit": message.limit,
        "fits": message.fits,
        "cannot_be_sent": [each._asdict() for each in message.unsendable],
    }


def _shown(text: str | None) -> str | None:
    return None if text is None else text.replace(MARK, PLACEHOLDER)
