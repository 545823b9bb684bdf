"""What serials decides. Pure: state and event in, new state and events out; ids are passed in.

A grant is issued once: with its event when it is small, in chunks by the issuing worker when it is large. All
its events happen at the logical time of the grant, however long the work takes (domain.md section 3).
"""

from uuid import UUID

from msgspec.structs import replace

from services.serials.events import issuance_progressed, serials_issued
from services.serials.state import Grant, GrantState, Product
from shared.events.orders import IssuanceGranted
from shared.kst import window_end
from shared.runtime.decisions import Decided, Event

PRODUCT_KIND = "serials"


def start_issuing(event: Event[IssuanceGranted], batch_id: UUID, window_days: int) -> Decided[Grant]:
    """The grant of an `issuance.granted` event, of which no unit exists yet.

    Its serials can be registered until the end of the KST day `window_days` after the grant.
    Raises ValueError for a line of another kind: orders never grants those.
    """
    data = event.data
    if data.kind != PRODUCT_KIND:
        raise ValueError(f"only lines of kind {PRODUCT_KIND} can be issued, not {data.kind}")
    grant = Grant(
        grant_id=UUID(data.grant_id),
        batch_id=batch_id,
        order_id=data.order_id,
        line_id=data.line_id,
        partner_id=data.partner_id,
        product=Product(data.product_id, data.product_name, data.unit_price, data.usage_days),
        quantity=data.quantity,
        granted_at=event.time,
        registration_deadline=window_end(event.time, window_days),
        correlation=event.correlation,
        causation=event.id,
    )
    return Decided(grant)


def issue_units(grant: Grant, units: int) -> Decided[Grant]:
    """The grant with `units` more units in existence: progressed, or issued once all exist.

    Raises ValueError when the grant does not have so many units left.
    """
    if not 1 <= units <= grant.left:
        raise ValueError(f"grant {grant.grant_id} has {grant.left} units left, {units} cannot be issued")
    after = replace(grant, issued=grant.issued + units, sequence=grant.sequence + 1)
    if after.left:
        return Decided(after, [issuance_progressed(after)])
    whole = replace(after, state=GrantState.ISSUED, issued_at=grant.granted_at)
    return Decided(whole, [serials_issued(whole)])
