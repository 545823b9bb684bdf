"""What a document or a payment is explained by, as the store reads it, of a world in memory."""

from collections.abc import Iterable
from uuid import UUID

from services.invoices.decisions.explaining import PaymentSources, Sources
from services.invoices.state import Document, Payment, Refund, World


def sources_of(world: World, document: Document) -> Sources:
    """What explains a document."""
    related = [
        each
        for each in world.documents.values()
        if each.original_id == document.invoice_id or each.invoice_id == document.original_id
    ]
    if document.state == "in_merge":
        (payment,) = (p for p in world.payments.values() if p.draft_id == document.invoice_id)
        merged = world.document_of(payment)
        assert merged is not None
        return Sources(document, related=[merged])
    if document.order_id is not None:
        payments, later = [world.payments[document.order_id]], frozenset[str]()
    else:
        of = document.original_id if document.kind == "modified" else document.invoice_id
        assert of is not None
        family = _family(world, of)
        payments = [p for p in world.payments.values() if p.invoice_id in family]
        later = frozenset(
            d.refund_id for d in world.documents.values() if d.original_id in family and d.refund_id
        )
    orders = {payment.order_id for payment in payments}
    return Sources(
        document,
        payments,
        {each.order_id: each for each in world.snapshots if each.order_id in orders},
        _completed(world, orders),
        later,
        any(_is_reversal_of_duplicate(world, payment) for payment in payments),
        related,
    )


def sources_of_payment(world: World, payment: Payment) -> PaymentSources:
    """What explains a payment."""
    documents = list(world.documents.values())
    above: set[UUID] = set()
    place = payment.invoice_id
    while place is not None:
        above.add(place)
        place = world.documents[place].original_id
    stood = above | {d.invoice_id for d in documents if d.original_id in above and d.refund_id is None}
    of_order = [d for d in documents if d.refund_id is not None and d.order_id == payment.order_id]
    modified = {d.invoice_id for d in of_order if d.original_id in stood}
    taken_back = {d.invoice_id for d in of_order if d.original_id in modified}
    return PaymentSources(
        payment,
        next((each for each in world.snapshots if each.order_id == payment.order_id), None),
        _completed(world, {payment.order_id}),
        [d for d in documents if d.invoice_id in stood | modified | taken_back],
    )


def _family(world: World, invoice_id: UUID) -> set[UUID]:
    """A document, and whatever corrects it or its correction."""
    family = {invoice_id}
    while (
        more := {
            d.invoice_id for d in world.documents.values() if d.original_id in family and d.refund_id is None
        }
        - family
    ):
        family |= more
    return family


def _completed(world: World, order_ids: Iterable[str]) -> list[Refund]:
    wanted = set(order_ids)
    return [each for each in world.refunds.values() if each.order_id in wanted and each.state == "completed"]


def _is_reversal_of_duplicate(world: World, payment: Payment) -> bool:
    document = world.document_of(payment)
    return document is not None and document.modification == "issued_twice"
