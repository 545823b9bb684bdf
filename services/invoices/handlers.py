"""What the invoices service does with each event. The table of contents is at the end."""

from collections.abc import Mapping

import orjson

from services.invoices import domain, issuing, merging
from services.invoices.domain import Return
from services.invoices.state import (
    NOTHING,
    Change,
    MergeRequest,
    Partner,
    Payment,
    RefundState,
    Snapshot,
    World,
)
from shared import business_number
from shared.events.checkout import MergeRequested, PartnerChanged
from shared.events.orders import OrderPaid
from shared.kst import month_of
from shared.money import Money
from shared.runtime.decisions import Applied, Context, Event, Outcome, Reject, Route, Wait

SERIALS = "serials"


def record_payment(world: World, event: Event, context: Context) -> Outcome:
    """A payment arrived: one draft for its KST month, or the record of its slip or receipt."""
    if event.data.order_id in world.payments:
        return Applied()
    change = domain.record_payment(world, _payment(world, event.data), event.time, context.new_id)
    change.snapshots.append(Snapshot(event.data.order_id, event.data.vat_mode, _lines_sold(event.data)))
    return _take(world, change)


def _payment(world: World, paid: OrderPaid) -> Payment:
    amount = Money(paid.supply, paid.vat)
    return Payment(
        order_id=paid.order_id,
        payment_id=paid.payment_id,
        partner_id=paid.partner.partner_id,
        business_number=_number(paid.partner.business_number),
        month=month_of(paid.paid_at),
        evidence=domain.evidence_of(paid.evidence, paid.payment_method, world.policy),
        paid_at=paid.paid_at,
        paid=amount,
        refunded=NOTHING,
        standing=amount,
        serial_units=sum(line.quantity for line in paid.lines if line.kind == SERIALS),
        issued_units=0,
        returned_units=0,
        other_lines=tuple(line.line_id for line in paid.lines if line.kind != SERIALS),
        open_refunds=0,
        draft_id=None,
        invoice_id=None,
    )


def _number(text: str) -> str:
    return business_number.normalise(text) or text


def _lines_sold(paid: OrderPaid) -> str:
    """One array a line (see `payment_lines`): objects would cost ten times as much to store."""
    rows = [[o.line_id, o.kind, o.product_id, o.product_name, o.unit_price, o.quantity] for o in paid.lines]
    return orjson.dumps(rows).decode()


def record_issued_units(world: World, event: Event, context: Context) -> Outcome:
    """Serials were issued: a payment can be merged once all its remaining units are."""
    payment = world.payments.get(event.data.order_id)
    if payment is None:
        return _wait_for(event)
    return _take(world, domain.record_issued_units(payment, event.data.quantity))


def open_refund(world: World, event: Event, context: Context) -> Outcome:
    """A refund is in progress: its payment cannot be merged until it ends."""
    payment = world.payments.get(event.data.order_id)
    if payment is None:
        return _wait_for(event)
    return _take(world, domain.open_refund(world, payment, event.data.refund_id))


def end_refused_refund(world: World, event: Event, context: Context) -> Outcome:
    """Orders had nothing left for a refund."""
    return _end_refund(world, event, "denied")


def end_released_refund(world: World, event: Event, context: Context) -> Outcome:
    """An operator gave the units of a refund back."""
    return _end_refund(world, event, "released")


def end_rejected_refund(world: World, event: Event, context: Context) -> Outcome:
    """A refund was refused before orders was asked. It may be about an order that is never paid."""
    if event.data.order_id not in world.payments:
        return Applied()
    return _end_refund(world, event, "rejected")


def _end_refund(world: World, event: Event, state: RefundState) -> Outcome:
    payment = world.payments.get(event.data.order_id)
    if payment is None:
        return _wait_for(event)
    return _take(world, domain.end_refund(world, payment, event.data.refund_id, state))


def complete_refund(world: World, event: Event, context: Context) -> Outcome:
    """Refunded won leave the draft, or become a modified invoice."""
    payment = world.payments.get(event.data.order_id)
    if payment is None:
        return _wait_for(event)
    data = event.data
    units = sum(line.quantity for line in data.lines if line.line_id not in payment.other_lines)
    back = Return(data.refund_id, Money(data.supply, data.vat), units, data.completed_at)
    return _take(world, domain.return_money(world, payment, back, event.time, context.new_id))


def cancel_payment(world: World, event: Event, context: Context) -> Outcome:
    """A payment was taken back: its open units count as refunded. A pending order never had any won here."""
    data = event.data
    payment = world.payments.get(data.order_id)
    if data.amount == 0:
        return Applied()
    if payment is None:
        return _wait_for(event)
    units = sum(line.quantity for line in data.lines if line.line_id not in payment.other_lines)
    back = Return(event.id, Money(data.supply, data.vat), units, data.cancelled_at, cancellation=True)
    return _take(world, domain.return_money(world, payment, back, event.time, context.new_id))


def request_merge(world: World, event: Event, context: Context) -> Outcome:
    """A partner wants one invoice for its payments of a month."""
    request = _merge_request(event, undo=False)
    refusal = _refusal(world, event, request)
    if refusal is not None:
        return refusal
    return _take(world, merging.request_merge(world, request, context.new_id))


def undo_merge(world: World, event: Event, context: Context) -> Outcome:
    """A partner wants separate invoices again."""
    request = _merge_request(event, undo=True)
    refusal = _refusal(world, event, request)
    if refusal is not None:
        return refusal
    return _take(world, merging.undo_merge(world, request))


def _merge_request(event: Event, *, undo: bool) -> MergeRequest:
    data: MergeRequested = event.data
    return MergeRequest(
        partner_id=data.partner_id,
        request_id=data.request_id or event.id,
        undo=undo,
        business_number=_number(data.business_number),
        month=data.month,
        payment_ids=None if data.payment_ids is None else tuple(data.payment_ids),
        requested_at=event.time,
        standing=True,
        content=event.content or b"",
    )


def _refusal(world: World, event: Event, request: MergeRequest) -> Outcome | None:
    known = world.requests.get((request.partner_id, request.request_id))
    if known is not None and known.content == request.content:
        return Applied()
    if known is not None:
        detail = f"request {request.request_id} of partner {request.partner_id} was another one"
        return Reject("duplicate_request", "/request_id", detail)
    return _twice_named(request.payment_ids or ())


def _twice_named(payment_ids: tuple[str, ...]) -> Reject | None:
    seen: set[str] = set()
    for place, payment_id in enumerate(payment_ids):
        if payment_id in seen:
            return Reject("inconsistent", f"/payment_ids/{place}", f"payment {payment_id} is named twice")
        seen.add(payment_id)
    return None


def change_partner(world: World, event: Event, context: Context) -> Outcome:
    """A partner's invoice data or standing preference changed."""
    data: PartnerChanged = event.data
    changed_at = data.changed_at or event.time
    partner = Partner(
        partner_id=data.partner_id,
        business_number=_number(data.business_number),
        name=data.name,
        invoice_email=data.invoice_email,
        always_merge=data.always_merge,
        always_merge_since=changed_at,
        changed_at=changed_at,
    )
    return _take(world, issuing.change_partner(world, partner, event.time))


def refuse_late(world: World, event: Event, rejection: Reject, context: Context) -> Applied:
    """A wrong request that was accepted while its key was blocked changes nothing."""
    return Applied()


def _take(world: World, change: Change) -> Applied:
    world.apply(change)
    return Applied(change.emits)


def _wait_for(event: Event) -> Wait:
    return Wait(f"order {event.data.order_id} to be paid")


ROUTES: Mapping[str, Route] = {
    "order.paid.v1": Route(record_payment),
    "order.cancelled.v1": Route(cancel_payment),
    "refund.denied.v1": Route(end_refused_refund),
    "serials.issued.v1": Route(record_issued_units),
    "refund.accepted.v1": Route(open_refund),
    "refund.rejected.v1": Route(end_rejected_refund),
    "refund.released.v1": Route(end_released_refund),
    "refund.completed.v1": Route(complete_refund),
    "merge.requested.v1": Route(request_merge),
    "merge.undone.v1": Route(undo_merge),
    "partner.changed.v1": Route(change_partner),
}
