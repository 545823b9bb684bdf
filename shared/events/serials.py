"""What the serials service says on `serials.events`. Never a serial: only its id."""

from typing import Annotated

from pydantic import Field

from shared.events.fields import MAX_LINES, Data, Id, Instant, Name, Quantity, Units


class IssuanceProgressed(Data):
    """issuance.progressed.v1: `issued` of the `quantity` units of a large grant exist."""

    order_id: Id
    grant_id: Id
    line_id: Id
    issued: Units
    quantity: Quantity


class SerialsIssued(Data):
    """serials.issued.v1: all units of a grant exist. They can be registered until `registration_deadline`."""

    order_id: Id
    grant_id: Id
    batch_id: Id
    line_id: Id
    quantity: Quantity
    issued_at: Instant
    registration_deadline: Instant


class IssuedGrant(Data):
    """A grant whose units all have their serials."""

    grant_id: Id
    batch_id: Id
    line_id: Id
    quantity: Quantity


class SerialsIssuedTogether(Data):
    """serials.issued.v2: all units of these grants exist.

    They can be registered until `registration_deadline`.
    """

    order_id: Id
    issued_at: Instant
    registration_deadline: Instant
    grants: Annotated[list[IssuedGrant], Field(min_length=1, max_length=MAX_LINES)]


class Serial(Data):
    """Which serial, without the serial."""

    order_id: Id
    grant_id: Id
    line_id: Id
    serial_id: Id


class SerialRegistered(Serial):
    """serial.registered.v1: a customer uses the product until `usage_ends_at`."""

    account: Id
    registered_at: Instant
    usage_ends_at: Instant


class SerialReissued(Serial):
    """serial.reissued.v1: `serial_id` takes the place of `replaces`, which is dead forever."""

    replaces: Id
    reason: Name
    actor: Id


class SerialRevoked(Serial):
    """serial.revoked.v1: the serial is dead forever."""

    reason: Name
    actor: Id
