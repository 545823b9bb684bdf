"""The events of serials: one function for each.

Their subject is the grant, the order once it is whole, or a serial. Those of a serial follow from a command,
so they name key and story themselves: the order's.
"""

from collections.abc import Sequence
from typing import Any, Final

from services.serials.state import Grant, Order, Serial
from shared.events.successors import spellings
from shared.kst import wire_time
from shared.runtime.decisions import NewEvent

LONGEST_ACTOR: Final = 128
"""So much of who did it stands in an event; the audit log has all of it."""
ONLY_HERE: Final = frozenset(
    name
    for latest in ("issuance.progressed.v1", "serials.issued.v2", "serial.reissued.v1")
    for name in spellings(latest)
)
"""Events of serials, which stand in no topic: made anew one would be another than its customer has."""


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


def serial_registered(serial: Serial, grant: Grant) -> NewEvent:
    """An account uses the serial from now on."""
    assert serial.registration is not None
    account, registered_at, usage_ends_at = serial.registration
    more = {
        "account": account,
        "registered_at": wire_time(registered_at),
        "usage_ends_at": wire_time(usage_ends_at),
    }
    return _of_serial("serial.registered.v1", serial, grant, more)


def serial_revoked(serial: Serial, grant: Grant, actor: str) -> NewEvent:
    """The serial is dead for ever."""
    assert serial.revocation is not None
    more = {"reason": serial.revocation.reason, "actor": actor[:LONGEST_ACTOR]}
    return _of_serial("serial.revoked.v1", serial, grant, more)


def serial_reissued(serial: Serial, grant: Grant, reason: str, actor: str) -> NewEvent:
    """The serial, a new one, takes the place of one that is dead."""
    more = {"replaces": str(serial.replaces), "reason": reason, "actor": actor[:LONGEST_ACTOR]}
    return _of_serial("serial.reissued.v1", serial, grant, more)


def _of_serial(type_name: str, serial: Serial, grant: Grant, more: dict[str, Any]) -> NewEvent:
    serial_id = str(serial.serial_id)
    data = {
        "order_id": grant.order_id,
        "grant_id": str(grant.grant_id),
        "line_id": grant.line_id,
        "serial_id": serial_id,
        **more,
    }
    return NewEvent(
        type_name, serial_id, serial.sequence, data, key=grant.order_id, correlation=grant.correlation
    )
