"""Orders and events with defaults, so that a test says only what matters to it."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from services.orders.decisions.payments import Arrival, record_payment
from services.orders.state import Order
from shared.events.checkout import (
    IssuanceRequested,
    PartnerWithdrawalRequested,
    PaymentCancelled,
    PaymentCompleted,
    PaymentPending,
    QuarantineDecided,
)
from shared.events.refunds import RefundAccepted, RefundCompleted, RefundReleased
from shared.runtime.decisions import Decided

AT = datetime(2026, 10, 21, 5, 3, 5, tzinfo=UTC)
DEADLINE = datetime(2026, 10, 28, 14, 59, 59, tzinfo=UTC)
_numbers = count(1)


def new_id() -> UUID:
    """A fresh id."""
    return UUID(int=next(_numbers))


def ids() -> Any:
    """Fresh ids without end."""
    return iter(new_id, None)


def line(
    line_id: str = "1", quantity: int = 100, unit_price: int = 1600, kind: str = "serials", **more: Any
) -> dict[str, Any]:
    """An order line."""
    return {
        "line_id": line_id,
        "kind": kind,
        "product_id": f"study-{line_id}",
        "product_name": "Study pass",
        "unit_price": unit_price,
        "quantity": quantity,
        "usage_days": 30,
        **more,
    }


def snapshot(order_id: str = "A-1", *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The order snapshot that payments carry."""
    partner = {
        "partner_id": "P-17",
        "business_number": "1168200276",
        "name": "Ganada",
        "invoice_email": "tax@ganada.example",
    }
    return {
        "order_id": order_id,
        "partner": partner,
        "payment_method": "bank_transfer",
        "evidence": "tax_invoice",
        "issue_policy": "on_request",
        "vat_mode": "exclusive",
        "lines": list(lines) or [line()],
        **more,
    }


def payment(
    *lines: dict[str, Any], payment_id: str = "pay-1", amount: int = 176_000, at: datetime = AT, **more: Any
) -> PaymentCompleted:
    """Money that arrived."""
    data = {
        **snapshot("A-1", *lines, **more),
        "payment_id": payment_id,
        "amount": amount,
        "paid_at": at.isoformat(),
    }
    return PaymentCompleted.model_validate(data, strict=False)


def pending(*lines: dict[str, Any], deadline: datetime = DEADLINE, **more: Any) -> PaymentPending:
    """An order that waits for its deposit."""
    return PaymentPending.model_validate(
        {**snapshot("A-1", *lines, **more), "deposit_deadline": deadline.isoformat()}, strict=False
    )


def cancelled(payment_id: str = "pay-1", at: datetime = AT, **more: Any) -> PaymentCancelled:
    """A payment that upstream took back."""
    data = {"order_id": "A-1", "payment_id": payment_id, "cancelled_at": at.isoformat(), **more}
    return PaymentCancelled.model_validate(data, strict=False)


def decision(payment_id: str = "pay-1", decided: str = "returned", **more: Any) -> QuarantineDecided:
    """What an operator decided about money in quarantine."""
    data = {
        "order_id": "A-1",
        "payment_id": payment_id,
        "decision": decided,
        "actor": "op-kim",
        "note": "looked at",
        "decided_at": (AT + timedelta(days=1)).isoformat(),
        **more,
    }
    return QuarantineDecided.model_validate(data, strict=False)


def accepted(*units: tuple[str, int], refund_id: UUID, everything: bool = False) -> RefundAccepted:
    """What refunds publishes when it asks for units."""
    lines = [{"line_id": line_id, "quantity": quantity} for line_id, quantity in units]
    data = {
        "order_id": "A-1",
        "refund_id": str(refund_id),
        "refund_request_id": "rr-1",
        "lines": lines,
        "everything": everything,
    }
    return RefundAccepted.model_validate(data)


def completed(refund_id: UUID) -> RefundCompleted:
    """What refunds publishes when the money of a refund is out."""
    return RefundCompleted.model_construct(order_id="A-1", refund_id=str(refund_id), completed_at=AT)


def released(refund_id: UUID) -> RefundReleased:
    """What refunds publishes when a refund will not be paid out."""
    return RefundReleased.model_construct(order_id="A-1", refund_id=str(refund_id))


def request(*lines: tuple[str, int], request_id: str = "iss-1") -> IssuanceRequested:
    """A request to issue; without lines everything left."""
    asked = [{"line_id": line_id, "quantity": quantity} for line_id, quantity in lines] or None
    return IssuanceRequested.model_validate({"order_id": "A-1", "request_id": request_id, "lines": asked})


def withdrawal(
    request_id: str | None = "wd-1", requested_at: datetime | None = None
) -> PartnerWithdrawalRequested:
    """A partner that wants to leave."""
    at = None if requested_at is None else requested_at.isoformat()
    return PartnerWithdrawalRequested.model_validate(
        {"partner_id": "P-17", "request_id": request_id, "requested_at": at}, strict=False
    )


def paid_order(*lines: dict[str, Any], amount: int = 176_000, **more: Any) -> Order:
    """An order whose money is here."""
    return settled(record_payment(None, payment(*lines, amount=amount, **more), Arrival("evt-1", AT), ids()))


def settled(decision: Any) -> Order:
    """The new state of a decision that must have been made."""
    assert isinstance(decision, Decided), decision
    return decision.state


def events(decision: Any) -> list[tuple[str, dict[str, Any]]]:
    """Type and data of the events that follow."""
    assert isinstance(decision, Decided), decision
    return [(event.type, event.data) for event in decision.events]


def types(decision: Any) -> list[str]:
    """The types of the events that follow, without their version."""
    return [name.rpartition(".v")[0] for name, _ in events(decision)]
