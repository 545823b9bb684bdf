"""The end of each source line, from what the system answered. Pure."""

from typing import assert_never

from ops.replay.ledger import Ledger
from ops.replay.outcomes import OrderEnd, RefundEnd, Surprise, together, with_reason
from ops.replay.plan import Bought, Cancelled, Fate, Planned


def outcome(ledger: Ledger, fate: Fate) -> str:
    """The name of the end of one source line."""
    match fate:
        case Surprise():
            return fate.value
        case Bought():
            return _end_of_line(ledger, ledger.plan.orders[fate.order_id], fate.line_id)
        case Cancelled():
            return together([_end_of_refund(ledger, *request) for request in fate.requests])
        case _:
            assert_never(fate)


def _end_of_line(ledger: Ledger, planned: Planned, line_id: str) -> str:
    order = ledger.orders[planned.order_id]
    verdict = ledger.verdicts.get(f"{planned.order_id}:payment")
    if verdict is not None and not verdict.accepted:
        return with_reason(OrderEnd.REJECTED, verdict.code)
    if order.paid is None:
        return with_reason(OrderEnd.QUARANTINED, order.quarantined) if order.quarantined else OrderEnd.OPEN
    issued, refunded = order.line(line_id).units_issued, order.refunded(line_id)
    if issued + refunded < planned.units[line_id]:
        return OrderEnd.OPEN if line_id in planned.serials else OrderEnd.CHARGED
    if issued and refunded:
        return OrderEnd.ISSUED_AND_REFUNDED
    return OrderEnd.ISSUED if issued else OrderEnd.REFUNDED


def _end_of_refund(ledger: Ledger, order_id: str, request_id: str) -> str:
    order = ledger.orders[order_id]
    verdict = ledger.verdicts.get(f"{order_id}:{request_id}")
    if verdict is not None and not verdict.accepted:
        return with_reason(RefundEnd.INVALID, verdict.code)
    refund = order.requested(request_id)
    if refund is None:
        return RefundEnd.NOT_PAID if order.paid is None else RefundEnd.OPEN
    match refund.state:
        case "completed":
            return RefundEnd.COMPLETED
        case "rejected" | "denied" | "held" | "failed" | "released":
            return with_reason(RefundEnd(f"refund_{refund.state}"), refund.reason)
        case _:
            return RefundEnd.OPEN
