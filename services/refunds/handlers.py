"""What refunds does on each event. The map at the end is the table of contents."""

from typing import Any
from uuid import UUID

from services.refunds import domain
from services.refunds.domain import Decision, Request
from services.refunds.policies import Units
from services.refunds.refund_order import BankAccount, Line, Payment, Refund, RefundOrder, Share
from services.refunds.store import World
from shared.events import checkout, orders
from shared.money import Money
from shared.runtime.decisions import Applied, Context, Event, Outcome, Reject, Route, Wait


def register_order(world: World, event: Event, context: Context) -> Outcome:
    """An order waits for its deposit; requests about it wait with it."""
    data: orders.OrderRegistered = event.data
    if event.key in world.orders:
        return Applied()
    payment = Payment(
        "registered", data.payment_method, data.vat_mode, data.partner.partner_id, data.partner.name
    )
    world.put(RefundOrder(event.key, payment, _lines(data)))
    return Applied()


def record_payment(world: World, event: Event, context: Context) -> Outcome:
    """The order is paid: from now on its units can be refunded. A terminal state wins over a late payment."""
    data: orders.OrderPaid = event.data
    known = world.orders.get(event.key)
    if known is not None and known.payment.state != "registered":
        return Applied()
    paid = Money(data.supply, data.vat)
    payment = Payment(
        "paid",
        data.payment_method,
        data.vat_mode,
        data.partner.partner_id,
        data.partner.name,
        data.payment_id,
        paid,
        remaining=paid,
        paid_at=data.paid_at,
    )
    world.put(RefundOrder(event.key, payment, _lines(data), known.refunds if known else {}))
    return Applied()


def expire_order(world: World, event: Event, context: Context) -> Outcome:
    data: orders.OrderExpired = event.data
    world.put(domain.expire(world.known(event.key), data.expired_at))
    return Applied()


def cancel_order(world: World, event: Event, context: Context) -> Outcome:
    """Upstream took the payment back. An order that orders knows from misfit money only has nothing here."""
    data: orders.OrderCancelled = event.data
    order = world.orders.get(event.key)
    if order is None:
        return Applied()
    return _settle(world, domain.cancel(order, data.cancelled_at))


def record_issuance(world: World, event: Event, context: Context) -> Outcome:
    """Units were granted to issue: they can never be refunded again."""
    data: orders.IssuanceGranted = event.data
    share = Share(data.line_id, data.quantity)
    return _settle(world, domain.record_issuance(world.known(event.key), share, event.time))


def record_grant(world: World, event: Event, context: Context) -> Outcome:
    """Orders gave the units of a refund: checkout is asked to pay it out."""
    data: orders.RefundGranted = event.data
    order, shares = world.known(event.key), _shares(data.lines)
    return _settle(
        world, domain.record_grant(order, UUID(data.refund_id), shares, _decided_money(data), event.time)
    )


def record_denial(world: World, event: Event, context: Context) -> Outcome:
    """Orders gave the units to somebody else first."""
    data: orders.RefundDenied = event.data
    order, lost_at = world.known(event.key), data.lost_at or event.time
    return _settle(world, domain.record_denial(order, UUID(data.refund_id), data.reason, lost_at, event.time))


def note_nothing(world: World, event: Event, context: Context) -> Outcome:
    """A fact of the order that no refund depends on; it only has its place in the order's sequence."""
    return Applied()


def request_refund(world: World, event: Event, context: Context) -> Outcome:
    """A partner or an operator wants money back. Waits until the order is paid or can never be."""
    order = world.orders.get(event.key)
    if order is None or order.payment.state == "registered":
        return Wait(f"order {event.key} to be paid")
    return _settle(world, domain.request_refund(order, _request(event), context.new_id))


def attach_proof(world: World, event: Event, context: Context) -> Outcome:
    """The requester shows that the bank account is its own."""
    data: checkout.RefundProofAttached = event.data
    order, refund = _named(world, event)
    if order is None or refund is None:
        return Wait(f"refund {data.refund_id}")
    kind = (data.proof and data.proof.kind) or "proof"
    reference = data.proof.reference if data.proof else data.note
    actor = data.actor or refund.requested_by
    return _settle(world, domain.attach_proof(order, refund, kind, reference, actor, event.time))


def review_refund(world: World, event: Event, context: Context) -> Outcome:
    """An operator approves or rejects what is in review, retries or releases what could not be paid."""
    data: checkout.RefundReviewed = event.data
    order, refund = _named(world, event)
    if order is None or refund is None:
        return Wait(f"refund {data.refund_id}")
    review = domain.Review(data.decision, data.amount, data.actor, data.note, event.time)
    return _settle(world, domain.review(order, refund, review))


def record_payout(world: World, event: Event, context: Context) -> Outcome:
    """Checkout has paid a refund out."""
    data: checkout.RefundPaidOut = event.data
    order, refund = _named(world, event)
    if order is None or refund is None:
        return Wait(f"refund {data.refund_id}")
    paid_out_at = data.paid_out_at or event.time
    return _settle(world, domain.record_payout(order, refund, data.payout_id, paid_out_at, event.time))


def record_payout_failure(world: World, event: Event, context: Context) -> Outcome:
    """Checkout could not pay a refund out."""
    data: checkout.RefundPayoutFailed = event.data
    order, refund = _named(world, event)
    if order is None or refund is None:
        return Wait(f"refund {data.refund_id}")
    return _settle(
        world, domain.record_payout_failure(order, refund, data.payout_id, data.reason, event.time)
    )


def refuse_unsupported(world: World, event: Event, context: Context) -> Outcome:
    """Belongs to product kinds that cannot be refunded by this system yet. Answered, never ignored."""
    return Reject("not_supported", "", f"{event.type} belongs to product kinds that are not supported yet")


def refuse_late(world: World, event: Event, reject: Reject, context: Context) -> Applied:
    """A document that checkout was told is accepted, because it waited, and that turned out to be wrong.

    A refund request ends with a fact; of any other event nothing follows.
    """
    order = world.orders.get(event.key)
    if event.type != "refund.requested.v1" or order is None:
        return Applied()
    reason = "unknown_line" if reject.code == "inconsistent" else reject.code
    decision = domain.refuse_accepted(order, _request(event), reason, context.new_id)
    _take(world, decision)
    return Applied(decision.events)


def _settle(world: World, outcome: Decision | Wait | Reject) -> Outcome:
    if not isinstance(outcome, Decision):
        return outcome
    _take(world, outcome)
    return Applied(outcome.events)


def _take(world: World, decision: Decision) -> None:
    world.put(decision.order)
    if decision.details is not None:
        world.details.append(decision.details)


def _named(world: World, event: Event) -> tuple[RefundOrder | None, Refund | None]:
    """The order of an event and the refund it names, as far as they are known."""
    order = world.orders.get(event.key)
    return order, order.find_refund(event.data.refund_id) if order else None


def _request(event: Event) -> Request:
    data: checkout.RefundRequested = event.data
    assert event.content is not None, "an upstream event carries the hash of its content"
    return Request(
        data.refund_request_id,
        event.content,
        data.requested_by,
        data.role,
        None if data.lines is None else _shares(data.lines),
        data.reason,
        data.message,
        _account(data.destination),
        event.time,
    )


def _account(to: checkout.Destination) -> BankAccount | None:
    if to.method != "bank_account":
        return None
    return BankAccount(to.bank_code or "", to.account_number or "", to.holder or "")


def _decided_money(granted: orders.RefundGranted) -> Money | None:
    """The won of a refund, where orders has said them with the units."""
    supply, vat = granted.supply, granted.vat
    return None if supply is None or vat is None else Money(supply, vat)


def _shares(lines: list[Any]) -> tuple[Share, ...]:
    return tuple(Share(line.line_id, line.quantity) for line in lines)


def _lines(snapshot: checkout.Snapshot) -> dict[str, Line]:
    return {
        line.line_id: Line(line.line_id, position, line.kind, line.unit_price, Units(line.quantity))
        for position, line in enumerate(snapshot.lines)
    }


ROUTES: dict[str, Route] = {
    # orders.events: who has paid, and who got which units
    "order.registered.v1": Route(register_order),
    "order.paid.v1": Route(record_payment),
    "order.expired.v1": Route(expire_order),
    "order.cancelled.v1": Route(cancel_order),
    "issuance.granted.v1": Route(record_issuance),
    "issuance.denied.v1": Route(note_nothing),
    "refund.granted.v1": Route(record_grant),
    "refund.denied.v1": Route(record_denial),
    "payment.quarantined.v1": Route(note_nothing),
    # checkout.events: what partners and operators want, and what became of payouts
    "refund.requested.v1": Route(request_refund),
    "refund.proof_attached.v1": Route(attach_proof),
    "refund.reviewed.v1": Route(review_refund),
    "refund.paid_out.v1": Route(record_payout),
    "refund.payout_failed.v1": Route(record_payout_failure),
    "return.confirmed.v1": Route(refuse_unsupported),
    "usage.recorded.v1": Route(refuse_unsupported),
    "balance.granted.v1": Route(refuse_unsupported),
}
