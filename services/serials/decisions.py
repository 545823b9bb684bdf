"""What serials decides. Pure: state and event in, new state and events out; ids are passed in.

A grant is issued once: with its event when it is small, in chunks by the issuing worker when it is large. All
its events happen at the logical time of the grant, however long the work takes (domain.md section 3). Its
progress is an event about the grant; that it is whole is an event about the order, together with the other
grants of its decision that become whole at the same time.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from services.serials.events import issuance_progressed, serials_issued
from services.serials.state import Grant, GrantState, Order, Product
from shared.events.orders import IssuanceGrantedTogether, LineGrant
from shared.kst import window_end
from shared.runtime.decisions import Decided, Event

PRODUCT_KIND = "serials"


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
