"""The events of serials: one function for each. Their subject is the grant."""

from typing import Any

from services.serials.state import Grant
from shared.kst import wire_time
from shared.runtime.decisions import NewEvent


def issuance_progressed(grant: Grant) -> NewEvent:
    """So many units of a large grant exist, and more are to come."""
    return _event("issuance.progressed.v1", grant, {"issued": grant.issued, "quantity": grant.quantity})


def serials_issued(grant: Grant) -> NewEvent:
    """All units of a grant exist."""
    data = {
        "batch_id": str(grant.batch_id),
        "quantity": grant.quantity,
        "issued_at": wire_time(grant.granted_at),
        "registration_deadline": wire_time(grant.registration_deadline),
    }
    return _event("serials.issued.v1", grant, data)


def _event(type_name: str, grant: Grant, data: dict[str, Any]) -> NewEvent:
    grant_id = str(grant.grant_id)
    identity = {"order_id": grant.order_id, "grant_id": grant_id, "line_id": grant.line_id}
    return NewEvent(type_name, grant_id, grant.sequence, {**identity, **data})
