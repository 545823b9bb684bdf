"""Payments: their drafts, their issued units, their refunds before and after the issue of their document."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from services.invoices.calendar import is_late
from services.invoices.decisions.issuing import document_key, issue
from services.invoices.decisions.numbers import correction_for, right_number
from services.invoices.events import invoice_drafted, invoice_modified
from services.invoices.state import (
    Change,
    Contradiction,
    Document,
    DocumentCounter,
    NewId,
    Payment,
    Refund,
    RefundState,
    Snapshot,
    World,
)
from shared.business_number import is_valid
from shared.kst import kst_date
from shared.money import Money
from shared.runtime.decisions import Decided, Decision, Wait
from shared.tax_documents import IssuedInvoice, ModifiedInvoice, effect_of_refund
from shared.units import LineUnits


class Return(NamedTuple):
    """Won and units of a payment that went back: a completed refund, or a cancellation.

    `at` is the instant it happened; its KST day is the written date of the modified invoice, if there is one.
    `consumed` won by line were used up of the units.
    """

    refund_id: str
    order_id: str
    amount: Money
    units: tuple[LineUnits, ...]
    at: datetime
    cancellation: bool = False
    consumed: Mapping[str, int] = MappingProxyType({})


def record_payment(
    world: World, payment: Payment, snapshot: Snapshot, at: datetime, new_id: NewId
) -> Decided[Change]:
    """Records a paid order with the draft of its tax invoice, issued at once (`at`) when the month is closed.

    What cost nothing has no evidence, and so no document (domain.md, "Evidence"). Where there is none nobody
    keeps who paid, once the partner was purged. A payment that is recorded already changes nothing.
    """
    if payment.order_id in world.payments:
        return Decided(Change())
    if payment.evidence != "tax_invoice" or not payment.paid.total:
        partner = world.partners.get(payment.partner_id)
        if partner is not None and partner.purged_at is not None:
            snapshot = replace(snapshot, buyer=None)
        return Decided(Change(payments=(payment,), snapshots=(snapshot,)))
    closed_at = world.closed_at(payment.month, payment.business_number)
    told = world.numbers_of(payment.partner_id)
    if closed_at is not None and is_valid(payment.business_number):
        payment = replace(payment, business_number=right_number(payment, told))
    draft = _draft_of(payment, new_id())
    payment = replace(payment, draft_id=draft.invoice_id, invoice_id=draft.invoice_id)
    drafted = invoice_drafted(payment, draft)
    if closed_at is None:
        change = Change(payments=(payment,), snapshots=(snapshot,), documents=(draft,))
        return Decided(change, (drafted,))
    correction = correction_for(told, [payment])
    issued = issue(draft, [payment], world.counters, max(at, closed_at), correction=correction)
    change = Change(payments=(payment,), snapshots=(snapshot,)).plus(issued.state)
    return Decided(change, (drafted, *issued.events))


def record_issued_units(world: World, order_id: str, units: int) -> Decision[Change]:
    """Counts serials that were issued for a payment. Raises Contradiction when they exceed what was paid."""
    payment = world.payments.get(order_id)
    if payment is None:
        return _wait_for(order_id)
    return Decided(Change(payments=(_checked(replace(payment, issued_units=payment.issued_units + units)),)))


def open_refund(
    world: World,
    order_id: str,
    refund_id: str,
    units: tuple[LineUnits, ...] = (),
    consumed: Mapping[str, int] = MappingProxyType({}),
) -> Decision[Change]:
    """Notes a refund in progress, and the units that it asks for.

    One that already ended (its end came on another topic) stays ended.
    """
    payment = world.payments.get(order_id)
    if payment is None:
        return _wait_for(order_id)
    if refund_id in world.refunds:
        return Decided(Change())
    payment = replace(payment, open_refunds=payment.open_refunds + 1)
    refund = Refund(refund_id, order_id, "open", lines=units, consumed=dict(consumed))
    return Decided(Change(payments=(payment,), refunds=(refund,)))


def end_refund(world: World, order_id: str, refund_id: str, state: RefundState) -> Decision[Change]:
    """Notes that a refund ended without money going back. An ended refund stays as it is."""
    payment = world.payments.get(order_id)
    if payment is None:
        return _wait_for(order_id)
    earlier = world.refunds.get(refund_id)
    ended = Refund(refund_id, order_id, state)
    if earlier is None:
        return Decided(Change(refunds=(ended,)))
    if earlier.state != "open":
        return Decided(Change())
    payment = replace(payment, open_refunds=payment.open_refunds - 1)
    return Decided(Change(payments=(payment,), refunds=(ended,)))


def return_money(world: World, back: Return, heard_at: datetime, new_id: NewId) -> Decision[Change]:
    """Takes refunded won off the payment and off its evidence.

    Before the document is issued they are netted; afterwards the document is never touched again, and a
    modified invoice states the difference (부가가치세법 시행령 제70조). It is dated on the refund, but never
    before the document that it modifies. Of a document that was issued twice nothing is modified: another one
    holds its won. While the document is with a tax agent it waits for the answer. A repeated refund changes
    nothing.
    Raises Contradiction when more goes back than was paid.
    """
    payment = world.payments.get(back.order_id)
    if payment is None:
        return _wait_for(back.order_id)
    earlier = world.refunds.get(back.refund_id)
    if earlier is not None and earlier.state == "completed":
        return Decided(Change())
    waiting = world.document_of(payment)
    if waiting is not None and world.is_with_agent(waiting):
        doubt = world.submissions[waiting.invoice_id].doubt
        more = f" what can be ({doubt}); pawl todo --code document_answer_doubted" if doubt else ""
        return Wait(f"the tax agent to answer about document {waiting.document_key}{more}")
    payment = _with_returned(payment, back, was_open=earlier is not None and earlier.state == "open")
    refund = Refund(
        back.refund_id,
        back.order_id,
        "completed",
        back.amount,
        back.cancellation,
        back.units,
        dict(back.consumed),
        heard_at,
    )
    document = world.document_of(payment)
    effect = effect_of_refund(payment.evidence, _issued(document), back.amount, kst_date(back.at))
    change = Change(refunds=(refund,))
    match effect.kind:
        case "none":
            # Free units move no won, but the lines that were approved with them.
            change = change if document is None else change.plus(Change(documents=(document.reopened,)))
            return Decided(_net(payment, None, back.amount).plus(change))
        case "draft_lowered":
            return Decided(_net(payment, document, back.amount).plus(change))
        case "modified":
            assert document is not None, "what is modified was issued"
            assert effect.modified is not None, "it says how"
            change = Change(payments=(payment,)).plus(change)
            modified = _modify(payment, document, effect.modified, back, world.counters, heard_at, new_id)
            return Decided(change.plus(modified.state), modified.events)


def _wait_for(order_id: str) -> Wait:
    return Wait(f"order {order_id} to be paid")


def _draft_of(payment: Payment, invoice_id: UUID) -> Document:
    return Document(
        invoice_id,
        "payment",
        "draft",
        payment.partner_id,
        payment.business_number,
        payment.month,
        payment.paid,
        sequence=1,
    )


def _checked(payment: Payment) -> Payment:
    if payment.issued_units + payment.returned_units > payment.serial_units:
        raise Contradiction(
            f"order {payment.order_id}: {payment.issued_units} issued and {payment.returned_units} returned "
            f"units exceed the {payment.serial_units} that were paid"
        )
    return payment


def _with_returned(payment: Payment, back: Return, *, was_open: bool) -> Payment:
    serials = sum(quantity for line_id, quantity in back.units if line_id not in payment.other_lines)
    after = replace(
        payment,
        refunded=payment.refunded.plus(back.amount),
        returned_units=payment.returned_units + serials,
        open_refunds=payment.open_refunds - was_open,
    )
    _checked(after)
    _left(payment.paid, after.refunded)
    return after


def _left(whole: Money, part: Money) -> Money:
    """What is left of `whole`. Raises Contradiction when `part` exceeds it in supply value or VAT."""
    left = whole.minus(part)
    if left.supply < 0 or left.vat < 0:
        raise Contradiction(
            f"{part.supply} + {part.vat} won exceed the {whole.supply} + {whole.vat} that are left"
        )
    return left


def _net(payment: Payment, document: Document | None, amount: Money) -> Change:
    payment = replace(payment, standing=_left(payment.standing, amount))
    if document is None:
        return Change(payments=(payment,))
    left, document = _left(document.amount, amount), document.reopened
    state = document.state if left.total else "void"
    return Change(payments=(payment,), documents=(replace(document, amount=left, state=state),))


def _issued(document: Document | None) -> IssuedInvoice | None:
    """The issued invoice that a payment stands on; None for a draft, and where there is no document.

    The reversal of a document that was issued twice stands for its duplicate.
    """
    if document is None or document.state != "issued":
        return None
    assert document.document_key is not None, "an issued document has its key"
    assert document.written_date is not None, "and its date"
    is_duplicate = document.modification == "issued_twice"
    return IssuedInvoice(document.document_key, document.amount, document.written_date, is_duplicate)


def _modify(
    payment: Payment,
    original: Document,
    modified: ModifiedInvoice,
    back: Return,
    counters: Mapping[str, DocumentCounter],
    issued_at: datetime,
    new_id: NewId,
) -> Decided[Change]:
    counter = counters[original.business_number].next()
    document = Document(
        invoice_id=new_id(),
        kind="modified",
        state="issued",
        partner_id=original.partner_id,
        business_number=original.business_number,
        month=modified.month,
        amount=modified.amount,
        sequence=1,
        document_key=document_key(modified.month, counter),
        written_date=modified.written_date,
        issued_at=issued_at,
        late=is_late(modified.month, issued_at),
        order_id=payment.order_id,
        original_id=original.invoice_id,
        modification=modified.modification,
        refund_id=back.refund_id,
    )
    event = invoice_modified(document, original, payment, cancellation=back.cancellation)
    return Decided(Change(documents=(document,), counters=(counter,)), (event,))
