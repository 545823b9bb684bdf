"""What happens on each event: the routes at the end are the table of contents of the invoices service."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from services.invoices.decisions import merging, partners, payments
from services.invoices.decisions.payments import Return
from services.invoices.state import (
    REGISTERED,
    BusinessRegistration,
    Buyer,
    MergeRequest,
    Partner,
    Payment,
    Policy,
    Snapshot,
    SoldLine,
    WithdrawnPartner,
    World,
)
from shared import business_number
from shared.events.checkout import MergeRequested, MergeUndone, PartnerChanged
from shared.events.orders import OrderCancelled, OrderPaid, PartnerPurged, PartnerWithdrawn, RefundDenied
from shared.events.refunds import RefundAccepted, RefundCompleted, RefundRejected, RefundReleased
from shared.events.serials import SerialsIssuedTogether
from shared.kst import month_of
from shared.money import Money
from shared.runtime.decisions import Applied, Context, Event, Outcome, Reject, Route, keep
from shared.tax_documents import evidence_of
from shared.units import consumed_won, line_units

SERIALS = "serials"


def record_payment(world: World, event: Event[OrderPaid], context: Context) -> Outcome:
    """order.paid: one draft for the KST month of the payment, or the record of its slip or receipt."""
    payment, snapshot, at = _payment(event.data, world.policy), _snapshot(event.data), context.acted_at(event)
    return keep(world, payments.record_payment(world, payment, snapshot, at, context.new_id))


def cancel_payment(world: World, event: Event[OrderCancelled], context: Context) -> Outcome:
    """order.cancelled: the open units count as refunded. A pending order never had any units here."""
    data = event.data
    if not data.lines:
        return Applied()
    back = Return(
        event.id,
        data.order_id,
        Money(data.supply, data.vat),
        line_units(data.lines),
        data.cancelled_at,
        cancellation=True,
    )
    return keep(world, payments.return_money(world, back, context.acted_at(event), context.new_id))


def record_issued_units(world: World, event: Event[SerialsIssuedTogether], context: Context) -> Outcome:
    """serials.issued: a payment can be merged once all its remaining units are issued."""
    units = sum(grant.quantity for grant in event.data.grants)
    return keep(world, payments.record_issued_units(world, event.data.order_id, units))


def open_refund(world: World, event: Event[RefundAccepted], context: Context) -> Outcome:
    """refund.accepted: the payment cannot be merged until the refund ends."""
    data = event.data
    units, consumed = line_units(data.lines), consumed_won(data.lines)
    return keep(world, payments.open_refund(world, data.order_id, data.refund_id, units, consumed))


def complete_refund(world: World, event: Event[RefundCompleted], context: Context) -> Outcome:
    """refund.completed: the won leave the draft, or become a modified invoice."""
    data = event.data
    money = Money(data.supply, data.vat)
    back = Return(
        data.refund_id,
        data.order_id,
        money,
        line_units(data.lines),
        data.completed_at,
        consumed=consumed_won(data.lines),
    )
    return keep(world, payments.return_money(world, back, context.acted_at(event), context.new_id))


def end_denied_refund(world: World, event: Event[RefundDenied], context: Context) -> Outcome:
    """refund.denied: orders had nothing left for the refund."""
    return keep(world, payments.end_refund(world, event.data.order_id, event.data.refund_id, "denied"))


def end_released_refund(world: World, event: Event[RefundReleased], context: Context) -> Outcome:
    """refund.released: an operator gave the units back."""
    return keep(world, payments.end_refund(world, event.data.order_id, event.data.refund_id, "released"))


def end_rejected_refund(world: World, event: Event[RefundRejected], context: Context) -> Outcome:
    """refund.rejected: refused before orders was asked; maybe for an order that is never paid."""
    if event.data.order_id not in world.payments:
        return Applied()
    return keep(world, payments.end_refund(world, event.data.order_id, event.data.refund_id, "rejected"))


def request_merge(world: World, event: Event[MergeRequested], context: Context) -> Outcome:
    """merge.requested: a partner wants one invoice for its payments of a month."""
    return keep(world, merging.request_merge(world, _merge_request(event, event.data), context.new_id))


def undo_merge(world: World, event: Event[MergeUndone], context: Context) -> Outcome:
    """merge.undone: a partner wants separate invoices again."""
    return keep(world, merging.undo_merge(world, _merge_request(event, event.data, undo=True)))


def change_partner(world: World, event: Event[PartnerChanged], context: Context) -> Outcome:
    """partner.changed: a partner's invoice data or standing preference changed."""
    data = event.data
    changed_at = data.changed_at or event.time
    partner = Partner(
        partner_id=data.partner_id,
        business_number=_digits(data.business_number),
        name=data.name,
        invoice_email=data.invoice_email,
        always_merge=data.always_merge,
        always_merge_since=changed_at,
        changed_at=changed_at,
    )
    said = {name: getattr(data, name) or "" for name in REGISTERED}
    registered: BusinessRegistration | None = None
    if any(said.values()):
        registered = BusinessRegistration(partner.partner_id, partner.business_number, changed_at, **said)
    return keep(world, partners.change_partner(world, partner, context.acted_at(event), registered))


def hide_from_partner(world: World, event: Event[PartnerWithdrawn], context: Context) -> Outcome:
    """partner.withdrawn: from now on tokens that are limited to the partner find nothing here."""
    world.withdrawn.append(WithdrawnPartner(event.key, event.data.withdrawn_at))
    return Applied()


def erase_partner(world: World, event: Event[PartnerPurged], context: Context) -> Outcome:
    """partner.purged: who it is goes, but where a document that has to be kept says it."""
    return keep(world, partners.purge_partner(world, event.key, event.data.purged_at))


def refuse_late(world: World, event: Event[Any], reject: Reject, context: Context) -> Applied:
    """A wrong request that was accepted while its key was blocked.

    A merge that names a payment twice counts it once, and is answered as any other. A request id that was
    used for something else has its answer already.
    """
    if event.type not in ("merge.requested.v1", "merge.undone.v1") or reject.code != "inconsistent":
        return Applied()
    undo = event.type == "merge.undone.v1"
    request = _merge_request(event, event.data, undo=undo)
    named = tuple(dict.fromkeys(request.payment_ids or ()))
    request = structs.replace(request, payment_ids=named)
    decision = (
        merging.undo_merge(world, request) if undo else merging.request_merge(world, request, context.new_id)
    )
    outcome = keep(world, decision)
    assert isinstance(outcome, Applied)
    return outcome


def _payment(paid: OrderPaid, policy: Policy) -> Payment:
    amount = Money(paid.supply, paid.vat)
    return Payment(
        order_id=paid.order_id,
        payment_id=paid.payment_id,
        partner_id=paid.partner.partner_id,
        business_number=_digits(paid.partner.business_number),
        month=month_of(paid.paid_at),
        evidence=evidence_of(paid.evidence, paid.payment_method, card_is_slip=policy.card_is_slip),
        paid_at=paid.paid_at,
        paid=amount,
        standing=amount,
        serial_units=sum(line.quantity for line in paid.lines if line.kind == SERIALS),
        other_lines=tuple(line.line_id for line in paid.lines if line.kind != SERIALS),
    )


def _snapshot(paid: OrderPaid) -> Snapshot:
    lines = tuple(
        SoldLine(
            line.line_id,
            line.kind,
            line.product_id,
            line.product_name,
            line.unit_price,
            line.quantity,
            line.discount or 0,
        )
        for line in paid.lines
    )
    return Snapshot(paid.order_id, paid.vat_mode, lines, _buyer(paid))


def _buyer(paid: OrderPaid) -> Buyer:
    told = paid.partner
    return Buyer(
        _digits(told.business_number),
        told.name,
        told.invoice_email,
        told.representative or "",
        told.address or "",
        told.business_type or "",
        told.business_item or "",
        told.branch_number or "",
    )


def _merge_request(event: Event[Any], data: MergeRequested, *, undo: bool = False) -> MergeRequest:
    assert event.content is not None
    return MergeRequest(
        partner_id=data.partner_id,
        request_id=data.request_id or event.id,
        undo=undo,
        business_number=_digits(data.business_number),
        month=data.month,
        payment_ids=None if data.payment_ids is None else tuple(data.payment_ids),
        requested_at=event.time,
        standing=True,
        content=event.content,
    )


def _digits(text: str) -> str:
    """A business number without its hyphens; a wrong one as it was sent."""
    return business_number.normalise(text) or text


ROUTES: Mapping[str, Route] = {
    # orders
    "order.paid.v1": Route(record_payment),
    "order.cancelled.v1": Route(cancel_payment),
    "refund.denied.v1": Route(end_denied_refund),
    "partner.withdrawn.v1": Route(hide_from_partner, tracked=False),
    "partner.purged.v1": Route(erase_partner, tracked=False),
    # serials
    "serials.issued.v1": Route(record_issued_units),
    "serials.issued.v2": Route(record_issued_units),
    # refunds
    "refund.accepted.v1": Route(open_refund),
    "refund.rejected.v1": Route(end_rejected_refund),
    "refund.released.v1": Route(end_released_refund),
    "refund.completed.v1": Route(complete_refund),
    # upstream checkout
    "merge.requested.v1": Route(request_merge),
    "merge.undone.v1": Route(undo_merge),
    "partner.changed.v1": Route(change_partner),
}
