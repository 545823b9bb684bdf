"""Correcting an issued document for an operator: wrong data (착오 정정), or issued twice (이중발급).

Nothing issued is ever edited: each document of the correction is one of its own, and all come at once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from services.invoices.decisions.issuing import document_key
from services.invoices.events import document_corrected
from services.invoices.state import (
    Change,
    Correction,
    Document,
    DocumentCounter,
    Modification,
    NewId,
    Payment,
    RightBuyer,
    World,
)
from shared import business_number
from shared.money import NOTHING
from shared.runtime.decisions import Decided, NewEvent


class CannotCorrect(Exception):
    """Why a document is not corrected, in words for an operator."""


class Order(NamedTuple):
    """What an operator asks for. `twice`: it is our duplicate.

    `number` is None for the proposed one, or its own where only `buyer` is wrong.
    """

    number: str | None
    twice: bool
    reason: str
    actor: str
    at: datetime
    buyer: RightBuyer = RightBuyer()


def correct_document(world: World, document: Document, order: Order, new_id: NewId) -> Decided[Change]:
    """Corrects an issued document and everything that has modified it. Raises CannotCorrect.

    For a wrong business, or wrong data of it, each gets a pair: one takes it back, one says the same with
    what is right, both dated as it (부가가치세법 시행령 제70조 제1항 제5호). The payments stand on the second
    one then. For a duplicate each is only taken back (제6호): another document holds the same won.
    A modified document is never our duplicate: there is one for each refund.
    """
    payments = world.payments_in(document)
    if document.kind == "modified" and order.twice:
        raise CannotCorrect(
            "a refund has one modified document here, so the other one was issued elsewhere: take that back "
            "where it was issued (at Hometax: 수정발급, 착오에 의한 이중발급)"
        )
    if document.kind == "modified":
        raise CannotCorrect("a modified document goes with its original: amend that one")
    if document.state != "issued":
        raise CannotCorrect("only an issued invoice can be corrected")
    if not payments:
        raise CannotCorrect("it was corrected before")
    chain = [document, *_modifications(world, document)]
    if order.twice and order.buyer != RightBuyer():
        raise CannotCorrect("a duplicate is only taken back: leave out what would be right")
    if order.twice:
        return _take_back_duplicate(world, chain, payments, order, new_id)
    return _replace_number(world, chain, payments, order, _wanted_number(world, document, order), new_id)


def _wanted_number(world: World, document: Document, order: Order) -> str:
    proposal = world.corrections.get(document.invoice_id)
    proposed = proposal.business_number if proposal is not None and proposal.state == "proposed" else None
    number = business_number.normalise(order.number) if order.number is not None else proposed
    is_of_buyer = order.buyer != RightBuyer()
    if number is None and order.number is None and is_of_buyer:
        number = document.business_number
    if number is None:
        raise CannotCorrect("no other number is proposed for it; name what is right")
    if not business_number.is_valid(number):
        raise CannotCorrect(f"{order.number} is no valid business number")
    if number == document.business_number and not is_of_buyer:
        raise CannotCorrect(f"it is under {number} already; name what else is right")
    return number


def _modifications(world: World, document: Document) -> list[Document]:
    """The modified documents that refunds of it caused, in the order of their keys."""
    found = (d for d in world.documents.values() if d.original_id == document.invoice_id and d.refund_id)
    return sorted(found, key=lambda modified: (modified.issued_at, modified.invoice_id))


def _replace_number(
    world: World,
    chain: Sequence[Document],
    payments: Sequence[Payment],
    order: Order,
    number: str,
    new_id: NewId,
) -> Decided[Change]:
    books = _Numbering(world.counters)
    documents: list[Document] = []
    events: list[NewEvent] = []
    replaced: Document | None = None
    for wrong in chain:
        back = books.issue(_taken_back(wrong, new_id, order, "correction"))
        right = books.issue(_replacement(wrong, replaced, new_id, order, number))
        replaced = replaced or right
        original_key = wrong.document_key if right is replaced else replaced.document_key
        for each, original in ((back, wrong.document_key), (right, original_key)):
            document, told = document_corrected(each, original, payments, order.reason)
            documents.append(document)
            events += told
    assert replaced is not None
    moved = (replace(p, business_number=number, invoice_id=replaced.invoice_id) for p in payments)
    change = Change(
        payments=tuple(moved),
        documents=tuple(documents),
        corrections=(_decided(world, chain[0], number, order),),
        counters=books.counters(),
    )
    return Decided(change, events)


def _take_back_duplicate(
    world: World, chain: Sequence[Document], payments: Sequence[Payment], order: Order, new_id: NewId
) -> Decided[Change]:
    books = _Numbering(world.counters)
    documents: list[Document] = []
    events: list[NewEvent] = []
    for wrong in chain:
        back = books.issue(_taken_back(wrong, new_id, order, "issued_twice"))
        document, told = document_corrected(back, wrong.document_key, payments, order.reason)
        documents.append(document)
        events += told
    # What is left of each payment is what the other document says of it.
    moved = (
        replace(p, invoice_id=documents[0].invoice_id, standing=p.paid.minus(p.refunded)) for p in payments
    )
    change = Change(
        payments=tuple(moved),
        documents=tuple(documents),
        corrections=(_decided(world, chain[0], chain[0].business_number, order),),
        counters=books.counters(),
    )
    return Decided(change, events)


def _taken_back(wrong: Document, new_id: NewId, order: Order, modification: Modification) -> Document:
    """The opposite of a document, dated as it."""
    return Document(
        invoice_id=new_id(),
        kind="modified",
        state="issued",
        partner_id=wrong.partner_id,
        business_number=wrong.business_number,
        month=wrong.month,
        amount=NOTHING.minus(wrong.amount),
        sequence=1,
        written_date=wrong.written_date,
        issued_at=order.at,
        order_id=wrong.order_id,
        original_id=wrong.invoice_id,
        modification=modification,
        refund_id=wrong.refund_id,
        also=wrong.also,
    )


def _replacement(
    wrong: Document, replaced: Document | None, new_id: NewId, order: Order, number: str
) -> Document:
    """The same under the right number and buyer. A modified one modifies the replacement of its original."""
    return replace(
        wrong,
        invoice_id=new_id(),
        sequence=1,
        business_number=number,
        late=False,
        issued_at=order.at,
        original_id=wrong.invoice_id if replaced is None else replaced.invoice_id,
        modification="correction",
    )


def _decided(world: World, document: Document, number: str, order: Order) -> Correction:
    before = world.corrections.get(document.invoice_id)
    proposed_at = order.at if before is None else before.proposed_at
    return Correction(
        document.invoice_id,
        document.partner_id,
        document.month,
        number,
        "corrected",
        proposed_at,
        order.reason,
        order.actor,
        order.at,
        order.buyer if order.buyer != RightBuyer() else None,
    )


class _Numbering:
    """Gives documents their keys, the numbers of each business going on."""

    def __init__(self, counters: dict[str, DocumentCounter]) -> None:
        self._known = counters
        self._moved: dict[str, DocumentCounter] = {}

    def issue(self, document: Document) -> Document:
        number = document.business_number
        counter = (self._moved.get(number) or self._known[number]).next()
        self._moved[number] = counter
        return replace(document, document_key=document_key(document.month, counter))

    def counters(self) -> tuple[DocumentCounter, ...]:
        return tuple(self._moved.values())
