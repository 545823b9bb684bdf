"""A service small enough to see through: it counts what it is told, and can be made to wait, refuse or fail.

Its events are those of the published language: `payment.cancelled` from checkout (an upstream event) and
`refund.granted` from orders (one of our own, ordered by `ce_sequence`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson

from shared.events.envelope import write_headers
from shared.ids import uuid7
from shared.runtime.decisions import Applied, Context, Event, NewEvent, Outcome, Position, Reject, Route, Wait
from shared.runtime.intake import InboundMessage, Intake
from shared.runtime.records import StoredRecord
from shared.runtime.service import Service

NOW = datetime(2031, 10, 21, 5, 3, 7, tzinfo=UTC)
SAID, OWN = "payment.cancelled.v1", "refund.granted.v1"
CONTEXT = Context(new_id=uuid7)

_offsets = count()


@dataclass(slots=True)
class World:
    """What was applied, in order, and how to behave: `behave` maps a payment or refund id to an outcome."""

    applied: list[str] = field(default_factory=list)
    behave: dict[str, Any] = field(default_factory=dict)


def record_it(world: World, event: Event, context: Context) -> Outcome:
    """Remembers the event and says so; waits, rejects or raises when the world is set to."""
    name = event.data.payment_id if event.type == SAID else event.data.refund_id
    outcome = world.behave.get(name)
    if isinstance(outcome, Exception):
        raise outcome
    if isinstance(outcome, Wait | Reject):
        return outcome
    world.applied.append(name)
    fact = {"order_id": event.key, "expired_at": "2031-10-21T14:03:07+09:00"}
    return Applied([NewEvent("order.expired.v1", event.key, len(world.applied), fact)])


def say_it_was_refused(world: World, event: Event, reject: Reject, context: Context) -> Applied:
    world.applied.append(f"refused {reject.code}")
    return Applied()


class NoStore:
    """Tables that nobody reads or writes."""

    async def load(self, connection: Any, events: Sequence[Event[Any]]) -> World:
        return World()

    async def save(self, connection: Any, world: World) -> None:
        """Nothing to write."""


def toy(**changes: Any) -> Service:
    """The toy service; it goes by the name `orders`, so that it answers for payments."""
    parts: dict[str, Any] = {
        "name": "orders",
        "routes": {SAID: Route(record_it), OWN: Route(record_it)},
        "store": NoStore(),
        "refuse_late": say_it_was_refused,
    }
    return Service(**{**parts, **changes})


def said(
    payment: str,
    order: str = "A-1",
    *,
    event_id: str | None = None,
    offset: int | None = None,
    type_name: str = SAID,
    **data: Any,
) -> StoredRecord:
    """`payment.cancelled` as checkout publishes it. `payment` is also its event id unless one is given."""
    document = {
        "order_id": order,
        "payment_id": payment,
        "cancelled_at": "2031-10-21T14:03:07+09:00",
        **data,
    }
    headers = write_headers(
        id=event_id or payment, source="https://checkout.example/toy", type=type_name, subject=order, time=NOW
    )
    where = next(_offsets) if offset is None else offset
    return StoredRecord("checkout.events", 0, where, order.encode(), orjson.dumps(document), headers)


def own(refund: str, sequence: int, order: str = "A-1", *, offset: int | None = None) -> StoredRecord:
    """`refund.granted` as orders publishes it: the `sequence`-th event about its order."""
    document = {"order_id": order, "refund_id": refund, "lines": [{"line_id": "1", "quantity": 1}]}
    headers = write_headers(
        id=str(uuid7()), source="/pawl/orders", type=OWN, subject=order, time=NOW, sequence=sequence
    )
    where = next(_offsets) if offset is None else offset
    return StoredRecord("orders.events", 0, where, order.encode(), orjson.dumps(document), headers)


def messages(*records: StoredRecord, service: Service | None = None) -> list[InboundMessage]:
    """The records as the intake of the toy service reads them."""
    return Intake(service or toy()).read(records)


def message(record: StoredRecord, service: Service | None = None) -> InboundMessage:
    (one,) = messages(record, service=service)
    return one


def place(record: StoredRecord) -> Position:
    return Position(record.topic, record.partition, record.offset)
