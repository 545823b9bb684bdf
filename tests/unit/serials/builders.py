"""A grant whose units are issued, and a serial of it, with defaults for everything."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.serials.state import Grant, GrantState, Product, Registration, Revocation, Serial, SerialState
from shared.kst import KST

GRANTED_AT = datetime(2026, 10, 21, 14, 3, 7, tzinfo=KST)
DEADLINE = datetime(2027, 1, 20, 23, 59, 59, 999_999, tzinfo=KST)
BATCH = UUID("0199f0c1-1111-7c11-9a51-2f6f3f000000")
AT = datetime(2026, 11, 1, 12, tzinfo=KST)


def grant(**changes: Any) -> Grant:
    issued = Grant(
        grant_id=UUID("0199f0c1-0000-7c11-9a51-2f6f3f3c1b01"),
        batch_id=BATCH,
        order_id="A-1001",
        line_id="1",
        partner_id="P-17",
        product=Product("study-30", "스터디 이용권 30일", 1_600, 30),
        quantity=100,
        granted_at=GRANTED_AT,
        registration_deadline=DEADLINE,
        correlation="story-7",
        causation="evt-1",
        issued=100,
        state=GrantState.ISSUED,
        issued_at=GRANTED_AT,
    )
    return replace(issued, **changes)


def serial(state: SerialState = SerialState.ACTIVE, replaces: UUID | None = None) -> Serial:
    """A serial in one of the states that are stored."""
    registration = Registration("acct-1", AT, AT) if state is SerialState.REGISTERED else None
    revocation = Revocation(AT, "lost") if state is SerialState.REVOKED else None
    serial_id = UUID(int=BATCH.int + 1)
    return Serial(serial_id, grant().grant_id, replaces, state, registration, revocation)
