"""What serials decides. Pure: state and event in, new state and facts out; ids are passed in.

A grant is the order's promise that so many units of a line become serials. It is issued once: with its event
when it is small, in chunks by the issuing worker when it is large. Everything it says happens at the logical
time of the grant, however long the work takes (domain.md section 3).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from shared.events.orders import IssuanceGranted
from shared.kst import window_end, wire_time
from shared.runtime.decisions import Event, NewEvent

PRODUCT_KIND = "serials"


class GrantState(StrEnum):
    """How far a grant is: some units are missing, or all exist."""

    ISSUING = "issuing"
    ISSUED = "issued"


class Product(NamedTuple):
    """What the order sold, as of payment. `unit_price` is in won, `usage_days` in KST days."""

    product_id: str
    product_name: str
    unit_price: int
    usage_days: int


class Part(NamedTuple):
    """Some units of a grant: the serials numbered `first` to `first + units - 1` of it, counted from 1."""

    grant_id: UUID
    batch_id: UUID
    first: int
    units: int


@dataclass(slots=True, frozen=True)
class Grant:
    """Units to issue and how many of them exist. `sequence` counts the facts said about it.

    `batch_id` is the first of a run of ids that this grant owns: its n-th serial has the id batch_id + n.
    """

    grant_id: UUID
    batch_id: UUID
    order_id: str
    line_id: str
    partner_id: str
    product: Product
    quantity: int
    granted_at: datetime
    registration_deadline: datetime
    correlation: str
    causation: str
    issued: int = 0
    sequence: int = 0

    @property
    def state(self) -> GrantState:
        """Follows from the counts."""
        return GrantState.ISSUED if self.issued == self.quantity else GrantState.ISSUING

    @property
    def issued_at(self) -> datetime | None:
        """The logical time of issue: that of the grant, once all units exist."""
        return self.granted_at if self.state is GrantState.ISSUED else None

    @property
    def left(self) -> int:
        """Units that do not exist yet."""
        return self.quantity - self.issued

    def next_part(self, units: int) -> Part:
        """The next `units` units."""
        return Part(self.grant_id, self.batch_id, self.issued + 1, units)


def start_issuing(event: Event, batch_id: UUID, window_days: int) -> Grant:
    """The grant that an `issuance.granted` event tells of. No unit exists yet.

    Its serials can be registered until the end of the KST day `window_days` after the grant.
    Raises ValueError for a line of another kind: orders never grants those.
    """
    data: IssuanceGranted = event.data
    if data.kind != PRODUCT_KIND:
        raise ValueError(f"only lines of kind {PRODUCT_KIND} can be issued, not {data.kind}")
    return Grant(
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


def issue_units(grant: Grant, units: int) -> tuple[Grant, NewEvent]:
    """The grant with `units` more units in existence, and what there is to say about it.

    Raises ValueError when the grant does not have so many units left.
    """
    if not 1 <= units <= grant.left:
        raise ValueError(f"grant {grant.grant_id} has {grant.left} units left, {units} cannot be issued")
    after = replace(grant, issued=grant.issued + units, sequence=grant.sequence + 1)
    return after, _issued(after) if after.state is GrantState.ISSUED else _progressed(after)


def _progressed(grant: Grant) -> NewEvent:
    data = {**_identity(grant), "issued": grant.issued, "quantity": grant.quantity}
    return NewEvent("issuance.progressed.v1", str(grant.grant_id), grant.sequence, data)


def _issued(grant: Grant) -> NewEvent:
    data = {
        **_identity(grant),
        "batch_id": str(grant.batch_id),
        "quantity": grant.quantity,
        "issued_at": wire_time(grant.granted_at),
        "registration_deadline": wire_time(grant.registration_deadline),
    }
    return NewEvent("serials.issued.v1", str(grant.grant_id), grant.sequence, data)


def _identity(grant: Grant) -> dict[str, str]:
    return {"order_id": grant.order_id, "grant_id": str(grant.grant_id), "line_id": grant.line_id}
