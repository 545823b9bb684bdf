"""What the tax authority made of issued documents: taken under an approval number, or not. Pure.

An issued document never changes, so this stands beside it. What was taken is final.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from services.invoices.events import invoice_transmission_failed, invoice_transmitted
from services.invoices.state import By, Change, Document, Transmission, World
from shared.runtime.decisions import Decided

APPROVAL_NUMBER: Final = re.compile(r"[0-9]{8}[0-9A-Za-z]{16}")
NEXT: Final[Mapping[str, str]] = {
    "business_closed": "correct_partner",
    "business_suspended": "correct_partner",
    "wrong_number": "correct_document",
    "duplicate_key": "ask_for_the_approval_number",
    "incomplete": "correct_partner",
}
"""What mends a refusal of the authority; whatever else it says is sent again."""


class Result(NamedTuple):
    """What is told of one document: its approval number (승인번호), or why it was not taken."""

    document_key: str
    approval_number: str | None
    failed: str | None


class CannotTransmit(Exception):
    """What is told of a document cannot be; the message is a code."""


def transmit(
    world: World, document: Document | None, result: Result, by: By, *, then: str | None = None
) -> Decided[Change]:
    """Keeps what is told of a document. The same told again changes nothing.

    `then` is what mends a failure, where that depends on who tells it.

    Raises CannotTransmit for a document that is not issued (`not_issued`), an approval number of another form
    or day (`wrong_approval_number`) or of another document (`approval_number_used`), and where another
    result stands already (`transmitted_already`).
    """
    if document is None or document.state != "issued":
        raise CannotTransmit("not_issued")
    number = result.approval_number
    if number is not None and not fits(document, number):
        raise CannotTransmit("wrong_approval_number")
    before = world.transmissions.get(document.invoice_id)
    if before is not None and (before.approval_number, before.detail) == (number, result.failed or ""):
        return Decided(Change())
    if before is not None and before.state == "transmitted":
        raise CannotTransmit("transmitted_already")
    others = (each for each in world.transmissions.values() if each.invoice_id != document.invoice_id)
    if number is not None and number in {each.approval_number for each in others}:
        raise CannotTransmit("approval_number_used")
    told = Transmission(
        document.invoice_id,
        document.month,
        "transmission_failed" if number is None else "transmitted",
        (document if before is None else before).sequence + 1,
        by.actor,
        by.at,
        number,
        result.failed or "",
    )
    if told.state == "transmitted":
        event = invoice_transmitted(document, told)
    else:
        event = invoice_transmission_failed(document, told, then or NEXT.get(told.detail, "send_again"))
    return Decided(Change(transmissions=(told,)), (event,))


def fits(document: Document, number: str) -> bool:
    """Whether an approval number can be of a document: it begins with its written date."""
    return bool(APPROVAL_NUMBER.fullmatch(number)) and number.startswith(f"{document.written_date:%Y%m%d}")
