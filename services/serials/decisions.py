"""What serials decides. Pure: state and event in, new state and events out; ids are passed in.

A grant is issued once: with its event when it is small, in chunks by the issuing worker when it is large. All
its events happen at the logical time of the grant, however long the work takes (domain.md section 3). Its
progress is an event about the grant; that it is whole is an event about the order, together with the other
grants of its decision that become whole at the same time.

A serial is registered once, inside its window. As long as it can be, it can be reissued or revoked instead.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, assert_never
from uuid import UUID

from msgspec.structs import replace

from services.serials.events import (
    issuance_progressed,
    serial_registered,
    serial_reissued,
    serial_revoked,
    serials_issued,
)
from services.serials.problems import (
    ALREADY_REGISTERED,
    REGISTERED,
    REGISTRATION_EXPIRED,
    REISSUE_QUOTA,
    SERIAL_REVOKED,
)
from services.serials.state import (
    Grant,
    GrantState,
    Order,
    Product,
    Registration,
    Revocation,
    Serial,
    SerialState,
    state_at,
)
from shared.events.orders import IssuanceGrantedTogether, LineGrant
from shared.kst import kst_date, window_end
from shared.runtime.decisions import Decided, Event
from shared.web.problems import Problem

PRODUCT_KIND = "serials"
REISSUED: Final = "reissued"
"""Why a serial died that another one took the place of."""


class Ruling(NamedTuple):
    """Who wants a serial reissued or revoked, why, and when."""

    actor: str
    reason: str
    at: datetime


class Replaced(NamedTuple):
    """A serial that died, its grant as it counts now, and the serial in its place, if one was reissued."""

    dead: Serial
    grant: Grant
    new: Serial | None = None


def start_issuing(
    event: Event[IssuanceGrantedTogether], granted: LineGrant, batch_id: UUID, window_days: int
) -> Grant:
    """One grant of an `issuance.granted` event, of which no unit exists yet.

    Its serials can be registered until the end of the KST day `window_days` after the grant.
    Raises ValueError for a line of another kind: orders never grants those.
    """
    if granted.kind != PRODUCT_KIND:
        raise ValueError(f"only lines of kind {PRODUCT_KIND} can be issued, not {granted.kind}")
    return Grant(
        grant_id=UUID(granted.grant_id),
        batch_id=batch_id,
        order_id=event.data.order_id,
        line_id=granted.line_id,
        partner_id=event.data.partner_id,
        product=Product(granted.product_id, granted.product_name, granted.unit_price, granted.usage_days),
        quantity=granted.quantity,
        granted_at=event.time,
        registration_deadline=window_end(event.time, window_days),
        correlation=event.correlation,
        causation=event.id,
    )


def issue_units(grant: Grant, units: int) -> Decided[Grant]:
    """The grant with `units` more units in existence: progressed, or whole, which `tell_issued` tells.

    Raises ValueError when the grant does not have so many units left.
    """
    if not 1 <= units <= grant.left:
        raise ValueError(f"grant {grant.grant_id} has {grant.left} units left, {units} cannot be issued")
    issued = grant.issued + units
    if issued == grant.quantity:
        return Decided(replace(grant, issued=issued, state=GrantState.ISSUED, issued_at=grant.granted_at))
    after = replace(grant, issued=issued, sequence=grant.sequence + 1)
    return Decided(after, [issuance_progressed(after)])


def tell_issued(order: Order, whole: Sequence[Grant]) -> Decided[Order]:
    """The order when it was said that these grants of one decision are whole; nothing is said of none."""
    if not whole:
        return Decided(order)
    after = replace(order, sequence=order.sequence + 1)
    return Decided(after, [serials_issued(after, whole)])


def register_serial(serial: Serial, grant: Grant, account: str, at: datetime) -> Decided[Serial] | Problem:
    """The serial as this account uses it; again for the same account nothing changes.

    The last instant of the window is in it, and the whole usage period begins then: it ends with the day in
    Seoul `usage_days` after the registration.
    """
    match state_at(serial.state, grant.registration_deadline, at):
        case SerialState.ACTIVE:
            registration = Registration(account, at, window_end(at, grant.product.usage_days))
            after = replace(serial, state=SerialState.REGISTERED, registration=registration)
            return Decided(after, [serial_registered(after, grant)])
        case SerialState.REGISTERED:
            assert serial.registration is not None
            if serial.registration.account == account:
                return Decided(serial)
            return Problem(ALREADY_REGISTERED)
        case SerialState.EXPIRED:
            return _expired(grant)
        case SerialState.REVOKED:
            return _revoked(serial)
        case other:
            assert_never(other)


def revoke_serial(serial: Serial, grant: Grant, ruling: Ruling) -> Decided[Replaced] | Problem:
    """The serial is dead, for ever."""
    problem = _not_active(serial, grant, ruling.at)
    if problem is not None:
        return problem
    replaced = _kill(serial, grant, ruling.reason, ruling.at)
    return Decided(replaced, [serial_revoked(replaced.dead, grant, ruling.actor)])


def reissue_serial(
    serial: Serial, grant: Grant, ruling: Ruling, quota: int | None
) -> Decided[Replaced] | Problem:
    """The serial is dead, and a new one has its grant, its deadline and its place.

    `quota` is how many of the grant may be reissued; None for an operator, who may exceed it.
    """
    problem = _not_active(serial, grant, ruling.at)
    if problem is not None:
        return problem
    if quota is not None and grant.reissued >= quota:
        return Problem(REISSUE_QUOTA, reissued=grant.reissued, quota=quota)
    dead, counted, _ = _kill(serial, grant, REISSUED, ruling.at)
    new = Serial(grant.next_reissued, grant.grant_id, replaces=serial.serial_id)
    after = replace(counted, reissued=grant.reissued + 1)
    events = [
        serial_revoked(dead, grant, ruling.actor),
        serial_reissued(new, grant, ruling.reason, ruling.actor),
    ]
    return Decided(Replaced(dead, after, new), events)


def _kill(serial: Serial, grant: Grant, reason: str, at: datetime) -> Replaced:
    dead = replace(serial, state=SerialState.REVOKED, revocation=Revocation(at, reason))
    return Replaced(dead, replace(grant, revoked=grant.revoked + 1))


def _not_active(serial: Serial, grant: Grant, at: datetime) -> Problem | None:
    """Why a serial is neither reissued nor revoked; None where it may be."""
    match state_at(serial.state, grant.registration_deadline, at):
        case SerialState.ACTIVE:
            return None
        case SerialState.REGISTERED:
            assert serial.registration is not None
            return Problem(REGISTERED, at=kst_date(serial.registration.registered_at))
        case SerialState.EXPIRED:
            return _expired(grant)
        case SerialState.REVOKED:
            return _revoked(serial)
        case other:
            assert_never(other)


def _expired(grant: Grant) -> Problem:
    return Problem(REGISTRATION_EXPIRED, deadline=kst_date(grant.registration_deadline))


def _revoked(serial: Serial) -> Problem:
    assert serial.revocation is not None
    return Problem(SERIAL_REVOKED, at=kst_date(serial.revocation.revoked_at))
