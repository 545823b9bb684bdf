"""What happens on each event: the routes at the end are the table of contents of the orders service."""

from collections.abc import Iterator
from uuid import UUID

from services.orders import domain, partners
from services.orders.domain import Decided, Decision
from services.orders.partners import Partner
from services.orders.state import Asked
from services.orders.store import World
from shared.runtime.decisions import Applied, Context, Event, Outcome, Reject, Route

CANCELLED = "payment.cancelled.v1"


def register_order(world: World, event: Event, context: Context) -> Outcome:
    """payment.pending: an order waits for its deposit."""
    refused = event.data.partner.partner_id in world.withdrawn
    order = world.orders.get(event.key)
    return _keep(world, domain.register_order(order, event.data, event.id, event.time, refused))


def record_payment(world: World, event: Event, context: Context) -> Outcome:
    """payment.completed: money arrived, maybe after the news that it was taken back."""
    data = event.data
    arrival = domain.Arrival(
        event.id,
        event.time,
        refused=data.partner.partner_id in world.withdrawn,
        taken_back=any(
            waiting.type == CANCELLED and waiting.data.payment_id == data.payment_id
            for waiting in context.waiting(event.key)
        ),
    )
    order = world.orders.get(event.key)
    return _keep(world, domain.record_payment(order, data, arrival, _ids(context)))


def cancel_payment(world: World, event: Event, context: Context) -> Outcome:
    """payment.cancelled: upstream took a payment back."""
    return _keep(world, domain.cancel_payment(world.orders.get(event.key), event.data))


def request_issuance(world: World, event: Event, context: Context) -> Outcome:
    """issuance.requested: claim units to be issued."""
    assert event.content is not None
    order = world.orders.get(event.key)
    return _keep(world, domain.request_issuance(order, event.data, event.content, event.time, _ids(context)))


def confirm_issuance(world: World, event: Event, context: Context) -> Outcome:
    """serials.issued: the units of a grant have their serials."""
    order = world.orders.get(event.key)
    data = event.data
    return _keep(world, domain.confirm_issuance(order, UUID(data.grant_id), data.quantity, data.issued_at))


def claim_refund(world: World, event: Event, context: Context) -> Outcome:
    """refund.accepted: the refunds service asks for units."""
    order, data = world.orders.get(event.key), event.data
    asked = [Asked(line.line_id, line.quantity) for line in data.lines]
    refund_id, request_id = UUID(data.refund_id), data.refund_request_id
    return _keep(world, domain.claim_refund(order, refund_id, asked, request_id, event.time, data.everything))


def complete_refund(world: World, event: Event, context: Context) -> Outcome:
    """refund.completed: the money of a refund went out."""
    order = world.orders.get(event.key)
    return _keep(world, domain.complete_refund(order, UUID(event.data.refund_id), event.data.completed_at))


def release_refund(world: World, event: Event, context: Context) -> Outcome:
    """refund.released: a granted refund will not be paid out."""
    return _keep(
        world, domain.release_refund(world.orders.get(event.key), UUID(event.data.refund_id), event.time)
    )


def withdraw_partner(world: World, event: Event, context: Context) -> Outcome:
    """partner.withdrawal_requested: a partner wants to leave."""
    assert event.content is not None
    partner = world.partners.get(event.key) or Partner(event.key)
    blockers = world.blockers.get(event.key, [])
    partner, outcome = partners.withdraw(partner, event.data, event.content, event.time, blockers)
    if isinstance(outcome, Applied):
        world.put_partner(partner)
    return outcome


def note_invoiced(world: World, event: Event, context: Context) -> Outcome:
    """invoice.issued: these payments no longer keep their partner from leaving."""
    world.invoiced.extend(event.data.payment_ids)
    return Applied()


def refuse_late(world: World, event: Event, reject: Reject, context: Context) -> Applied:
    """A request that was accepted while its order was unknown, and turns out to be wrong: a fact says so."""
    order = world.orders.get(event.key)
    if event.type != "issuance.requested.v1" or order is None or reject.code == "duplicate_request":
        return Applied()
    decided = domain.deny_unknown_line(order, event.data, "unknown_line")
    world.put(decided.order)
    return decided.outcome


def _keep(world: World, decision: Decision) -> Outcome:
    if not isinstance(decision, Decided):
        return decision
    if world.orders.get(decision.order.order_id) is not decision.order:
        world.put(decision.order)
    return decision.outcome


def _ids(context: Context) -> Iterator[UUID]:
    while True:
        yield context.new_id()


ROUTES: dict[str, Route] = {
    # upstream checkout
    "payment.pending.v1": Route(register_order),
    "payment.completed.v1": Route(record_payment),
    "payment.cancelled.v1": Route(cancel_payment),
    "issuance.requested.v1": Route(request_issuance),
    "partner.withdrawal_requested.v1": Route(withdraw_partner),
    # serials
    "serials.issued.v1": Route(confirm_issuance),
    # refunds
    "refund.accepted.v1": Route(claim_refund),
    "refund.completed.v1": Route(complete_refund),
    "refund.released.v1": Route(release_refund),
    # invoices
    "invoice.issued.v1": Route(note_invoiced, tracked=False),
}
