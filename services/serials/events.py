"""The events of serials: one function for each. Their subject is the grant, or the order once it is whole."""

from collections.abc import Sequence

from services.serials.state import Grant, Order
from shared.kst import wire_time
from shared.runtime.decisions import NewEvent


def issuance_progressed(grant: Grant) -> NewEvent:
    """So many units of a large grant exist, and more are to come."""
    grant_id = str(grant.grant_id)
    data = {
        "order_id": grant.order_id,
        "grant_id": grant_id,
        "line_id": grant.line_id,
        "issued": grant.issued,
        "quantity": grant.quantity,
    }
    return NewEvent("issuance.progressed.v1", grant_id, grant.sequence, data)


def serials_issued(order: Order, grants: Sequence[Grant]) -> NewEvent:
    """All units of these grants of one decision exist."""
    data = {
        "order_id": order.order_id,
        "issued_at": wire_time(grants[0].granted_at),
        "registration_deadline": wire_time(grants[0].registration_deadline),
        "grants": [
            {
                "grant_id": str(grant.grant_id),
                "batch_id": str(grant.batch_id),
                "line_id": grant.line_id,
                "quantity": grant.quantity,
            }
            for grant in grants
        ],
    }
    return NewEvent("serials.issued.v2", order.order_id, order.sequence, data)
