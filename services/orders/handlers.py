"""What happens on each event: the routes at the end are the table of contents of the orders service."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from services.orders.decisions import cancellations, issuance, partners, payments, quarantine, refunds
from services.orders.state import Order, OrderState, Partner, World
from shared.events.checkout import (
    IssuanceRequested,
    PartnerWithdrawalRequested,
    PaymentCancelled,
    PaymentCompleted,
    PaymentFailed,
    PaymentPending,
    QuarantineDecided,
)
from shared.events.invoices import InvoiceIssued
from shared.events.refunds import (
    RefundAccepted,
    RefundBounced,
    RefundCompleted,
    RefundHeld,
    RefundOverpaid,
    RefundPaidTwice,
    RefundRejected,
    RefundReleased,
    RefundRepaid,
    RefundUnderpaid,
)
from shared.events.serials import SerialsIssuedTogether
from shared.runtime.decisions import (
    Applied,
    ByOperator,
    ByPerson,
    Context,
    Decided,
    Event,
    Outcome,
    Reject,
    Route,
    Wait,
    keep,
)
from shared.units import consumed_won, line_units


def register_order(world: World, event: Event[PaymentPending], context: Context) -> Outcome:
    """payment.pending: an order waits for its deposit."""
    refused = event.data.partner.partner_id in world.withdrawn
    order = world.orders.get(event.key)
    return keep(world, payments.register_order(order, event.data, event.id, event.time, refused))


def record_payment(world: World, event: Event[PaymentCompleted], context: Context) -> Outcome:
    """payment.completed: money arrived, maybe after the news that it was taken back."""
    data, order = event.data, world.orders.get(event.key)
    arrival = payments.Arrival(
        event.id,
        event.time,
        refused=data.partner.partner_id in world.withdrawn,
        taken_back=_is_taken_back(data, context.waiting(event.key)),
        content=world.contents.get((event.source, event.id)) or payments.payment_content(data),
        known=world.payments.get(data.payment_id),
    )
    decision = payments.record_payment(order, data, arrival, _new_ids(context))
    if isinstance(decision, Decided):
        payment = payments.payment_after(order, decision.state, data, arrival)
        if payment is not None:
            world.payments[payment.payment_id] = payment
    return keep(world, decision)


def note_failed_attempt(world: World, event: Event[PaymentFailed], context: Context) -> Outcome:
    """payment.failed: no money came; a pending order stays pending, and an unknown one stays unknown."""
    return Applied()


def cancel_payment(world: World, event: Event[PaymentCancelled], context: Context) -> Outcome:
    """payment.cancelled: upstream took a payment back, or repeats a refund of ours."""
    if event.data.refund_id is not None:
        return Applied()
    return keep(world, cancellations.cancel_payment(_order(world, event.key), event.data))


def decide_quarantine(world: World, event: Event[QuarantineDecided], context: Context) -> Outcome:
    """quarantine.decided: an operator says what becomes of money that did not fit."""
    order, data = _order(world, event.key), event.data
    ruling = quarantine.Ruling(data.order_id, data.payment_id, data.decision, data.decided_at)
    decision = quarantine.decide_quarantine(order, ruling, event.time, _new_ids(context))
    outcome = keep(world, decision)
    if order is not None and isinstance(decision, Decided) and decision.state is not order:
        assert isinstance(outcome, Applied)
        before, after = quarantine.changes(order, decision.state, ruling)
        target = f"{data.order_id} {data.payment_id}"
        outcome.by_person = ByPerson(data.actor, "quarantine.decide", target, data.note, before, after)
    return outcome


def request_issuance(world: World, event: Event[IssuanceRequested], context: Context) -> Outcome:
    """issuance.requested: claim units to be issued."""
    assert event.content is not None
    order, ids = _order(world, event.key), _new_ids(context)
    return keep(world, issuance.request_issuance(order, event.data, event.content, event.time, ids))


def cancel_request(
    world: World, event: Event[IssuanceRequested], by: ByOperator, context: Context
) -> Applied:
    """An operator cancels a request to issue that waits for its order: it is denied."""
    assert event.content is not None
    cancelled = issuance.cancel_request(world.orders.get(event.key), event.data, event.content, by.at)
    world.put(cancelled.state)
    return Applied(cancelled.events)


def cancel_decision(
    world: World, event: Event[QuarantineDecided], by: ByOperator, context: Context
) -> Applied:
    """An operator cancels a decision that waits for its order: no case has heard of it."""
    return Applied()


def confirm_issuance(world: World, event: Event[SerialsIssuedTogether], context: Context) -> Outcome:
    """serials.issued: the units of some grants have their serials."""
    issued = {UUID(grant.grant_id): grant.quantity for grant in event.data.grants}
    order = _order(world, event.key)
    return keep(world, issuance.confirm_issuance(order, issued, event.data.issued_at))


def claim_refund(world: World, event: Event[RefundAccepted], context: Context) -> Outcome:
    """refund.accepted: the refunds service asks for units."""
    order, data = _order(world, event.key), event.data
    refund_id, asked = UUID(data.refund_id), line_units(data.lines)
    claimed = refunds.claim_refund(
        order,
        refund_id,
        asked,
        data.refund_request_id,
        event.time,
        data.everything,
        consumed_won(data.lines),
    )
    return keep(world, claimed)


def note_open_refund(world: World, event: Event[RefundHeld | RefundBounced], context: Context) -> Outcome:
    """refund.held, refund.bounced: a refund goes on that has no claim here."""
    order = _order(world, event.key)
    return keep(world, refunds.note_open_refund(order, UUID(event.data.refund_id)))


def note_ended_refund(world: World, event: Event[RefundRejected | RefundRepaid], context: Context) -> Outcome:
    """refund.rejected, refund.repaid: it goes on no more; its order may never have become known."""
    order = world.orders.get(event.key)
    if order is None:
        return Applied()
    return keep(world, refunds.note_ended_refund(order, UUID(event.data.refund_id)))


def complete_refund(world: World, event: Event[RefundCompleted], context: Context) -> Outcome:
    """refund.completed: the money of a refund went out."""
    order, data = _order(world, event.key), event.data
    return keep(world, refunds.complete_refund(order, UUID(data.refund_id), data.completed_at))


def release_refund(world: World, event: Event[RefundReleased], context: Context) -> Outcome:
    """refund.released: a granted refund will not be paid out."""
    order = _order(world, event.key)
    return keep(world, refunds.release_refund(order, UUID(event.data.refund_id), event.time))


def record_paid_twice(world: World, event: Event[RefundPaidTwice], context: Context) -> Outcome:
    """refund.paid_twice: money of a refund left that nobody was owed."""
    return keep(world, quarantine.record_paid_twice(_order(world, event.key), event.data))


def record_overpaid(world: World, event: Event[RefundOverpaid], context: Context) -> Outcome:
    """refund.overpaid: what a refund gave back had been used."""
    return keep(world, quarantine.record_overpaid(_order(world, event.key), event.data))


def record_underpaid(world: World, event: Event[RefundUnderpaid], context: Context) -> Outcome:
    """refund.underpaid: a refund would have given back more."""
    return keep(world, quarantine.record_underpaid(_order(world, event.key), event.data))


def withdraw_partner(world: World, event: Event[PartnerWithdrawalRequested], context: Context) -> Outcome:
    """partner.withdrawal_requested: a partner wants to leave."""
    assert event.content is not None
    partner = world.partners.get(event.key) or Partner(event.key)
    if world.has_news_of(event.key):
        return Wait("what came with it about this partner's orders to be kept", until_commit=True)
    blockers = world.blockers.get(event.key, [])
    return keep(world, partners.withdraw(partner, event.data, event.content, event.time, blockers))


def note_invoiced(world: World, event: Event[InvoiceIssued], context: Context) -> Outcome:
    """invoice.issued: these payments no longer keep their partner from leaving."""
    order_ids = event.data.order_ids
    for place, payment_id in enumerate(event.data.payment_ids):
        world.invoiced.append((payment_id, order_ids[place] if order_ids else None))
    return Applied()


def refuse_late(world: World, event: Event[Any], reject: Reject, context: Context) -> Applied:
    """A request to issue was accepted while its order was unknown, and is wrong: an event denies it."""
    order = world.orders.get(event.key)
    if order is None or not isinstance(event.data, IssuanceRequested):
        return Applied()
    is_duplicate = reject.code == "duplicate_request"
    deny = issuance.deny_duplicate if is_duplicate else issuance.deny_unknown_lines
    denied = deny(order, event.data)
    world.put(denied.state)
    return Applied(denied.events)


def _is_taken_back(payment: PaymentCompleted, waiting: Sequence[Event[Any]]) -> bool:
    """Whether one of the events that wait says that all of this payment went back, after it was paid."""
    return any(
        isinstance(event.data, PaymentCancelled)
        and event.data.payment_id == payment.payment_id
        and event.data.refund_id is None
        and event.data.cancelled_at >= payment.paid_at
        and (event.data.amount is None or event.data.amount >= payment.amount)
        for event in waiting
    )


def _order(world: World, order_id: str) -> Order | None:
    """The order, once anything of it has come."""
    order = world.orders.get(order_id)
    return None if order is None or order.state is OrderState.UNKNOWN else order


def _new_ids(context: Context) -> Iterator[UUID]:
    while True:
        yield context.new_id()


ROUTES: dict[str, Route] = {
    # upstream checkout
    "payment.pending.v1": Route(register_order),
    "payment.completed.v1": Route(record_payment),
    "payment.failed.v1": Route(note_failed_attempt),
    "payment.cancelled.v1": Route(cancel_payment),
    "quarantine.decided.v1": Route(decide_quarantine, cancel=cancel_decision),
    "issuance.requested.v1": Route(request_issuance, cancel=cancel_request),
    "partner.withdrawal_requested.v1": Route(withdraw_partner),
    # serials
    "serials.issued.v1": Route(confirm_issuance),
    "serials.issued.v2": Route(confirm_issuance),
    # refunds
    "refund.held.v1": Route(note_open_refund),
    "refund.rejected.v1": Route(note_ended_refund),
    "refund.accepted.v1": Route(claim_refund),
    "refund.completed.v1": Route(complete_refund),
    "refund.released.v1": Route(release_refund),
    "refund.bounced.v1": Route(note_open_refund),
    "refund.repaid.v1": Route(note_ended_refund),
    "refund.paid_twice.v1": Route(record_paid_twice),
    "refund.overpaid.v1": Route(record_overpaid),
    "refund.underpaid.v1": Route(record_underpaid),
    # invoices
    "invoice.issued.v1": Route(note_invoiced, tracked=False),
}
