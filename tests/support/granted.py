"""The event that serials reads from orders, built with defaults: grants of units to issue."""

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from uuid import UUID

from services.serials.vault import SerialKeys, Vault
from shared.events.orders import IssuanceGrantedTogether
from shared.ids import uuid7
from shared.runtime.decisions import Context, Event, Position

GRANTED_AT = datetime.fromisoformat("2026-10-23T09:00:01+09:00")
CONTEXT = Context(new_id=uuid7)

_offsets = count()


def granted(
    quantity: int = 60,
    *,
    grant_id: UUID | None = None,
    order_id: str = "A-1001",
    time: datetime = GRANTED_AT,
    kind: str = "serials",
    product_name: str = "스터디 이용권 30일",
    more: Sequence[int] = (),
) -> Event[IssuanceGrantedTogether]:
    """`issuance.granted.v2` as the service gets it; `more` are the units of further lines."""
    product = {
        "kind": kind,
        "product_id": "study-30",
        "product_name": product_name,
        "unit_price": 1600,
        "usage_days": 30,
    }
    first = {"grant_id": str(grant_id or uuid7()), "line_id": "1", "quantity": quantity, **product}
    others = [
        {"grant_id": str(uuid7()), "line_id": str(number), "quantity": units, **product}
        for number, units in enumerate(more, start=2)
    ]
    data = IssuanceGrantedTogether.model_validate(
        {
            "order_id": order_id,
            "request_id": "iss-1",
            "partner_id": "P-17",
            "grants": [first, *others],
        }
    )
    offset = next(_offsets)
    return Event(
        source="/pawl/orders",
        id=str(uuid7()),
        type="issuance.granted.v2",
        subject=order_id,
        key=order_id,
        time=time,
        correlation=order_id,
        sequence=offset + 1,
        content=None,
        data=data,
        position=Position("orders.events", 0, offset),
    )


def new_vault() -> Vault:
    """Keys that only this test knows."""
    return Vault(SerialKeys("test-1", bytes(range(32)), bytes(range(32, 64))))
