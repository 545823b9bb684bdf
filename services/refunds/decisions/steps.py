"""One step of a refund's life, and who takes it."""

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from services.refunds.state import Change, Order, Refund, RefundState
from shared.kst import wire_time
from shared.runtime.decisions import Decided, Reject

REFUNDS: Final = "refunds"
ORDERS: Final = "orders"
CHECKOUT: Final = "checkout"
BANK: Final = "bank"
"""The actors of steps that no person takes."""


def enter(
    refund: Refund, state: RefundState, at: datetime, actor: str, reason: str, note: str | None = None
) -> Refund:
    """The refund in `state`, with the step kept in its history."""
    change = Change(refund.refund_id, refund.steps + 1, state, at, actor, reason, note)
    return replace(refund, state=state, steps=change.position, changes=(*refund.changes, change))


def decided_silently(order: Order, refund: Refund) -> Decided[Order]:
    """The decision about a refund of the order from which no event follows."""
    return Decided(replace(order, refunds={**order.refunds, refund.refund_id: refund}))


def unfit(pointer: str, refund: Refund, why: str) -> Reject:
    """The fault of a document that does not fit the state of the refund it names."""
    return Reject("inconsistent", pointer, f"refund {refund.refund_id} is {refund.state} and {why}")


def before_payment(order: Order, instant: datetime, field: str) -> Reject | None:
    """The fault of an instant that lies before the payment of its order; None where there is none."""
    if order.paid_at is None or instant >= order.paid_at:
        return None
    paid_at, said = wire_time(order.paid_at), wire_time(instant)
    return Reject(
        "out_of_range", f"/{field}", f"{field} must not be before the payment of {paid_at}, got {said}"
    )
