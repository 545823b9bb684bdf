"""What becomes of payments and refunds (domain.md section 5): pure decisions, each answering with a `Change`.

Payments minus refunds always equal what stands on issued, modified and un-issued documents, card slips and
cash receipts, to the won: every decision moves the same won on the payment and on its document.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.invoices import facts, issuing
from services.invoices.state import (
    Change,
    Contradiction,
    Document,
    Evidence,
    Modification,
    Payment,
    Policy,
    Refund,
    RefundState,
    World,
    minus,
    plus,
)
from shared.kst import kst_date, month_of
from shared.money import Money

NewId = Callable[[], UUID]


@dataclass(slots=True, frozen=True)
class Return:
    """Won and units of a payment that went back: a completed refund, or a cancellation.

    `units` counts units of kind `serials`. `at` is the instant it happened; its KST day is the written date
    of the modified invoice, if there is one.
    """

    refund_id: str
    amount: Money
    units: int
    at: datetime
    cancellation: bool = False


def evidence_of(asked: Evidence, payment_method: str, policy: Policy) -> Evidence:
    """The one evidence of a payment. A card payment has its card slip already.

    부가가치세법 제33조 제2항; a policy here.
    """
    return "card_slip" if payment_method == "card" and policy.card_is_slip else asked


def record_payment(world: World, payment: Payment, at: datetime, new_id: NewId) -> Change:
    """Records a paid order with the draft of its tax invoice, issued at once when the month is closed."""
    change = Change()
    if payment.evidence != "tax_invoice":
        change.payments.append(payment)
        return change
    draft = Document(
        new_id(),
        "payment",
        "draft",
        payment.partner_id,
        payment.business_number,
        payment.month,
        payment.paid,
        1,
    )
    drafted = replace(payment, draft_id=draft.invoice_id, invoice_id=draft.invoice_id)
    change.payments.append(drafted)
    change.emits.append(facts.drafted(drafted, draft))
    closed_at = world.closed.get(payment.month)
    if closed_at is None:
        change.documents.append(draft)
    else:
        correction = issuing.correction_for(world.partners.get(payment.partner_id), [drafted])
        issuing.issue(world, change, draft, [drafted], max(at, closed_at), late=True, correction=correction)
    return change


def record_issued_units(payment: Payment, units: int) -> Change:
    """Counts serials that were issued for a payment. Raises Contradiction when they exceed what was paid."""
    return Change(payments=[_checked(replace(payment, issued_units=payment.issued_units + units))])


def _checked(payment: Payment) -> Payment:
    if payment.issued_units + payment.returned_units > payment.serial_units:
        raise Contradiction(
            f"order {payment.order_id}: {payment.issued_units} issued and {payment.returned_units} returned "
            f"units exceed the {payment.serial_units} that were paid"
        )
    return payment


def open_refund(world: World, payment: Payment, refund_id: str) -> Change:
    """Notes a refund in progress. One that already ended (its end came on another topic) stays ended."""
    if refund_id in world.refunds:
        return Change()
    return Change(
        payments=[replace(payment, open_refunds=payment.open_refunds + 1)],
        refunds=[Refund(refund_id, payment.order_id, "open")],
    )


def end_refund(world: World, payment: Payment, refund_id: str, state: RefundState) -> Change:
    """Notes that a refund ended without money going back. An ended refund stays as it is."""
    known = world.refunds.get(refund_id)
    if known is not None and known.state != "open":
        return Change()
    change = Change(refunds=[Refund(refund_id, payment.order_id, state)])
    if known is not None:
        change.payments.append(replace(payment, open_refunds=payment.open_refunds - 1))
    return change


def return_money(world: World, payment: Payment, back: Return, issued_at: datetime, new_id: NewId) -> Change:
    """Takes refunded won off the payment and off its evidence.

    Before the document is issued they are netted; afterwards the document is never touched again, and a
    modified invoice says the difference (부가가치세법 시행령 제70조). A repeated refund changes nothing.
    Raises Contradiction when more goes back than was paid.
    """
    known = world.refunds.get(back.refund_id)
    if known is not None and known.state == "completed":
        return Change()
    change = Change(
        refunds=[Refund(back.refund_id, payment.order_id, "completed", back.amount, back.cancellation)]
    )
    was_open = int(known is not None and known.state == "open")
    after = _checked(
        replace(
            payment,
            refunded=plus(payment.refunded, back.amount),
            returned_units=payment.returned_units + back.units,
            open_refunds=payment.open_refunds - was_open,
        )
    )
    minus(payment.paid, after.refunded)
    document = world.document_of(payment)
    if document is None or document.state != "issued":
        _net(change, after, document, back.amount)
    else:
        change.payments.append(after)
        if back.amount.total:
            _modify(world, change, after, document, back, issued_at, new_id)
    return change


def _net(change: Change, payment: Payment, document: Document | None, amount: Money) -> None:
    change.payments.append(replace(payment, standing=minus(payment.standing, amount)))
    if document is not None:
        left = minus(document.amount, amount)
        state = document.state if left.total else "void"
        change.documents.append(replace(document, amount=left, state=state))


def _modify(
    world: World,
    change: Change,
    payment: Payment,
    original: Document,
    back: Return,
    issued_at: datetime,
    new_id: NewId,
) -> None:
    written = kst_date(back.at)
    number = issuing.next_number(world, change, original.business_number)
    modified = Document(
        invoice_id=new_id(),
        kind="modified",
        state="issued",
        partner_id=original.partner_id,
        business_number=original.business_number,
        month=month_of(back.at),
        amount=Money(-back.amount.supply, -back.amount.vat),
        sequence=1,
        document_key=issuing.document_key(month_of(back.at), original.business_number, number),
        written_date=written,
        issued_at=issued_at,
        order_id=payment.order_id,
        original_id=original.invoice_id,
        modification=modification_of(original, back.amount),
        refund_id=back.refund_id,
    )
    change.documents.append(modified)
    change.emits.append(facts.modified(modified, original, payment, cancellation=back.cancellation))


def modification_of(original: Document, amount: Money) -> Modification:
    """Why an issued document is modified: the whole of it in one go is 계약의 해제, a part is 공급가액 변동.

    Only a document that stands on one payment can equal a single refund, so a payment of a merged document is
    always a change of its supply value.
    """
    return "contract_cancelled" if amount == original.amount else "supply_value_changed"
