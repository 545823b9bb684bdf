"""What refunds does on each event. The map at the end is the table of contents."""

from typing import Any
from uuid import UUID

from services.refunds.decisions import claims, payments, payouts, requests, reviews, usage
from services.refunds.decisions.reading import request_of
from services.refunds.state import (
    InvoicedPayment,
    Order,
    PurgedPartner,
    Refund,
    ReplacedInvoice,
    WithdrawnPartner,
    World,
)
from shared.events.checkout import (
    BalanceGranted,
    LineActivated,
    LineDelivered,
    RefundPaidOut,
    RefundPayoutFailed,
    RefundProofAttached,
    RefundRequested,
    RefundReviewed,
    ReturnConfirmed,
    UsageRecorded,
)
from shared.events.invoices import InvoiceIssued, InvoiceModified
from shared.events.orders import (
    IssuanceDenied,
    IssuanceGrantedTogether,
    OrderCancelled,
    OrderExpired,
    OrderPaid,
    OrderRegistered,
    PartnerPurged,
    PartnerWithdrawn,
    PaymentQuarantined,
    RefundDenied,
    RefundGranted,
)
from shared.money import Money
from shared.runtime.decisions import (
    Applied,
    ByOperator,
    ByPerson,
    Context,
    Decision,
    Event,
    Outcome,
    Reject,
    Route,
    Wait,
    keep,
)
from shared.units import consumed_won, line_units


def register_order(world: World, event: Event[OrderRegistered], context: Context) -> Outcome:
    """order.registered: an order waits for its deposit; requests about it wait with it."""
    return keep(world, payments.register_order(world.orders.get(event.key), event.data))


def record_payment(world: World, event: Event[OrderPaid], context: Context) -> Outcome:
    """order.paid: from now on the units of the order can be refunded."""
    return keep(world, payments.record_payment(world.orders.get(event.key), event.data))


def expire_order(world: World, event: Event[OrderExpired], context: Context) -> Outcome:
    """order.expired: the deposit never came."""
    return keep(world, payments.expire_order(_order(world, event.key), event.data.expired_at))


def cancel_order(world: World, event: Event[OrderCancelled], context: Context) -> Outcome:
    """order.cancelled: upstream took the payment back.

    An order that orders knows only from money that did not fit has nothing here.
    """
    order = world.orders.get(event.key)
    if order is None:
        return Applied()
    return keep(world, payments.cancel_order(order, event.data.cancelled_at))


def record_issuance(world: World, event: Event[IssuanceGrantedTogether], context: Context) -> Outcome:
    """issuance.granted: these units can never be refunded again."""
    units = line_units(event.data.grants)
    return keep(world, claims.record_issuance(_order(world, event.key), units, event.time))


def record_grant(world: World, event: Event[RefundGranted], context: Context) -> Outcome:
    """refund.granted: orders gave the units of a refund, and checkout is asked to pay it out."""
    order, data = _order(world, event.key), event.data
    refund_id, units, consumed = UUID(data.refund_id), line_units(data.lines), consumed_won(data.lines)
    return keep(world, claims.record_grant(order, refund_id, units, _money(data), event.time, consumed))


def record_denial(world: World, event: Event[RefundDenied], context: Context) -> Outcome:
    """refund.denied: orders gave the units to somebody else first."""
    order, data = _order(world, event.key), event.data
    lost_at = data.lost_at or event.time
    return keep(world, claims.record_denial(order, UUID(data.refund_id), data.reason, lost_at, event.time))


def note_nothing(
    world: World, event: Event[IssuanceDenied | PaymentQuarantined], context: Context
) -> Outcome:
    """An event of the order that no refund depends on; it only has its place in the order's sequence."""
    return Applied()


def request_refund(world: World, event: Event[RefundRequested], context: Context) -> Outcome:
    """refund.requested: a partner or an operator wants money back."""
    order = world.orders.get(event.key)
    return keep(world, requests.request_refund(order, _request(event), context.new_id, world.policy))


def attach_proof(world: World, event: Event[RefundProofAttached], context: Context) -> Outcome:
    """refund.proof_attached: the requester shows that the bank account is its own."""
    data = event.data
    found = _named(world, event.key, data.refund_id)
    if isinstance(found, Wait):
        return found
    order, refund = found
    kind = (data.proof and data.proof.kind) or "proof"
    reference = data.proof.reference if data.proof else data.note
    actor = data.actor or refund.requested_by
    decision = reviews.attach_proof(order, refund, kind, reference, actor, event.time)
    return _keep_of_person(world, order, refund, decision, actor, "refund.proof", data.note or reference)


def review_refund(world: World, event: Event[RefundReviewed], context: Context) -> Outcome:
    """refund.reviewed: an operator approves, rejects, retries or releases."""
    data = event.data
    found = _named(world, event.key, data.refund_id)
    if isinstance(found, Wait):
        return found
    is_withdrawal = data.note == reviews.WITHDREW
    review = reviews.Review(data.decision, data.amount, data.actor, data.note, event.time, is_withdrawal)
    order, refund = found
    decision, action = reviews.review(order, refund, review, world.policy), f"refund.{data.decision}"
    return _keep_of_person(world, order, refund, decision, data.actor, action, data.note)


def cancel_request(world: World, event: Event[RefundRequested], by: ByOperator, context: Context) -> Applied:
    """An operator cancels a request that waits for its payment: it is rejected, and nothing of it is kept.

    A request of an order that was paid waits no more; what is held or in review is withdrawn as a refund.
    """
    return Applied([requests.cancel(_request(event), context.new_id(), by.at)])


def cancel_decision(
    world: World, event: Event[RefundProofAttached | RefundReviewed], by: ByOperator, context: Context
) -> Applied:
    """An operator cancels a word about a refund that nobody knows: no refund has heard of it."""
    return Applied()


def record_payout(world: World, event: Event[RefundPaidOut], context: Context) -> Outcome:
    """refund.paid_out: checkout has paid a refund out."""
    data = event.data
    found = _named(world, event.key, data.refund_id)
    if isinstance(found, Wait):
        return found
    paid = payouts.PaidOut(data.payout_id, data.amount, data.paid_out_at, event.time)
    return keep(world, payouts.record_payout(*found, paid))


def record_payout_failure(world: World, event: Event[RefundPayoutFailed], context: Context) -> Outcome:
    """refund.payout_failed: checkout could not pay a refund out, does not know, or the money came back."""
    data = event.data
    found = _named(world, event.key, data.refund_id)
    if isinstance(found, Wait):
        return found
    failed = payouts.NotPaidOut(data.payout_id, data.amount, data.reason, event.time)
    return keep(world, payouts.record_payout_failure(*found, failed))


def record_activation(world: World, event: Event[LineActivated], context: Context) -> Outcome:
    """line.activated: what was paid for can be used, so the windows of its refund rule begin."""
    data = event.data
    return keep(
        world, payments.record_activation(world.orders.get(event.key), data.line_id, data.activated_at)
    )


def record_delivery(world: World, event: Event[LineDelivered], context: Context) -> Outcome:
    """line.delivered: the goods arrived, so the window of their return begins."""
    data = event.data
    return keep(world, payments.record_delivery(world.orders.get(event.key), data.line_id, data.delivered_at))


def record_usage(world: World, event: Event[UsageRecorded], context: Context) -> Outcome:
    """usage.recorded: so much of a line was used; its refund rule asks for that."""
    order, data = world.orders.get(event.key), event.data
    return keep(world, usage.record_usage(order, data.line_id, data.used, data.recorded_at, event.time))


def confirm_return(world: World, event: Event[ReturnConfirmed], context: Context) -> Outcome:
    """return.confirmed: the goods are back that a refund waits for."""
    data = event.data
    found = _named(world, event.key, data.refund_id)
    if isinstance(found, Wait):
        return found
    units = None if data.lines is None else line_units(data.lines)
    return keep(world, reviews.confirm_return(*found, units, data.confirmed_at, event.time))


def grant_balance(world: World, event: Event[BalanceGranted], context: Context) -> Outcome:
    """balance.granted: a prepaid line has bonus cash, which is spent first and never refunded."""
    order, data = world.orders.get(event.key), event.data
    return keep(world, usage.grant_balance(order, data.line_id, data.bonus, event.time, data.expires_at))


def hide_from_partner(world: World, event: Event[PartnerWithdrawn], context: Context) -> Outcome:
    """partner.withdrawn: from now on tokens that are limited to the partner find nothing here."""
    world.withdrawn.append(WithdrawnPartner(event.key, event.data.withdrawn_at))
    return Applied()


def erase_partner(world: World, event: Event[PartnerPurged], context: Context) -> Outcome:
    """partner.purged: its name, its people and what they wrote are erased; won and units stay."""
    world.purged.append(PurgedPartner(event.key, event.data.purged_at))
    return Applied()


def note_invoiced(world: World, event: Event[InvoiceIssued], context: Context) -> Outcome:
    """invoice.issued: from now on a refund of these payments makes a modified tax invoice."""
    data = event.data
    world.invoiced += [
        InvoicedPayment(payment_id, data.document_key, data.supply, data.vat, data.written_date)
        for payment_id in data.payment_ids
    ]
    return Applied()


def note_corrected(world: World, event: Event[InvoiceModified], context: Context) -> Outcome:
    """invoice.modified: an issued invoice was corrected; its payments stand on another document now.

    A document that a refund has made, and what corrects that one, changes no invoice that payments stand on.
    """
    data = event.data
    if data.refund_id is not None:
        return Applied()
    if data.modification == "issued_twice":
        world.replaced.append(ReplacedInvoice(data.original_document_key, None))
    elif data.modification == "correction" and data.total > 0:
        world.replaced.append(ReplacedInvoice(data.original_document_key, data.document_key))
    return Applied()


def refuse_late(world: World, event: Event[Any], reject: Reject, context: Context) -> Applied:
    """A document was accepted, because it had to wait, and is wrong: a refund request ends with an event.

    Of any other document nothing follows.
    """
    order = world.orders.get(event.key)
    if not isinstance(event.data, RefundRequested) or order is None:
        return Applied()
    reason = _LATE_REASONS.get(reject.code, reject.code)
    if reject.pointer.startswith("/destination"):
        reason = "wrong_account"
    rejected = requests.refuse_accepted(order, _request(event), reason, context.new_id)
    world.put(rejected.state)
    return Applied(rejected.events)


_LATE_REASONS = {"inconsistent": "unknown_line", "out_of_range": "unknown_reason"}
"""Why a request that had waited is rejected, where that is no code of an answer."""


def _order(world: World, order_id: str) -> Order:
    """The order of an event. Raises LookupError: the events of orders never come before the order itself."""
    order = world.orders.get(order_id)
    if order is None:
        raise LookupError(f"an event about order {order_id} came before the order")
    return order


def _named(world: World, order_id: str, refund_id: str) -> tuple[Order, Refund] | Wait:
    """The order and the refund that upstream names. An id that is none of ours is waited for in vain."""
    order = world.orders.get(order_id)
    refund = None if order is None else _find(order, refund_id)
    return Wait(f"refund {refund_id}") if order is None or refund is None else (order, refund)


def _keep_of_person(
    world: World,
    order: Order,
    refund: Refund,
    decision: Decision[Order],
    actor: str,
    action: str,
    reason: str | None,
) -> Outcome:
    """Keeps what a person decided about a refund, and tells the audit log of it."""
    outcome = keep(world, decision)
    if isinstance(outcome, Applied):
        after = world.orders[order.order_id]
        outcome.by_person = ByPerson(
            actor,
            action,
            f"{order.order_id} {refund.refund_id}",
            reason or "",
            reviews.changes(order, refund),
            reviews.changes(after, after.refunds[refund.refund_id]),
        )
    return outcome


def _find(order: Order, refund_id: str) -> Refund | None:
    try:
        return order.refunds.get(UUID(refund_id))
    except ValueError:
        return None


def _request(event: Event[RefundRequested]) -> requests.Request:
    assert event.content is not None, "an upstream event carries the hash of its content"
    return request_of(event.data, event.content, event.time)


def _money(granted: RefundGranted) -> Money | None:
    """The won of a refund, where orders has decided them with the units."""
    supply, vat = granted.supply, granted.vat
    return None if supply is None or vat is None else Money(supply, vat)


ROUTES: dict[str, Route] = {
    # orders.events: who has paid, and who got which units
    "order.registered.v1": Route(register_order),
    "order.paid.v1": Route(record_payment),
    "order.expired.v1": Route(expire_order),
    "order.cancelled.v1": Route(cancel_order),
    "issuance.granted.v1": Route(record_issuance),
    "issuance.granted.v2": Route(record_issuance),
    "issuance.denied.v1": Route(note_nothing),
    "refund.granted.v1": Route(record_grant),
    "refund.denied.v1": Route(record_denial),
    "payment.quarantined.v1": Route(note_nothing),
    "partner.withdrawn.v1": Route(hide_from_partner, tracked=False),
    "partner.purged.v1": Route(erase_partner, tracked=False),
    # invoices.events: which payments stand on an issued tax invoice
    "invoice.issued.v1": Route(note_invoiced, tracked=False),
    "invoice.modified.v1": Route(note_corrected, tracked=False),
    # checkout.events: what partners and operators want, and what became of payouts
    "refund.requested.v1": Route(request_refund, cancel=cancel_request),
    "refund.proof_attached.v1": Route(attach_proof, cancel=cancel_decision),
    "refund.reviewed.v1": Route(review_refund, cancel=cancel_decision),
    "refund.paid_out.v1": Route(record_payout),
    "refund.payout_failed.v1": Route(record_payout_failure),
    "line.activated.v1": Route(record_activation),
    "line.delivered.v1": Route(record_delivery),
    "return.confirmed.v1": Route(confirm_return),
    "usage.recorded.v1": Route(record_usage),
    "balance.granted.v1": Route(grant_balance),
}
