"""The troubles that the demonstration plants: a partner of their own, in a month that nothing closes. Pure.

Each order is named for what is wrong with it. None of it breaks a rule: it is what waits for somebody.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ops.replay.driver import UpstreamEvent
from shared import business_number

SOURCE = "https://demo.pawl.example/checkout"
LATE, SHORT, BANK, PROOF, UNPAID = ORDERS = ("LATE", "SHORT", "BANK", "PROOF", "WAIT")
PARTNER = {
    "partner_id": "TROUBLE",
    "business_number": business_number.from_seed(1),
    "name": "Trouble Trading",
    "invoice_email": "tax@trouble.example",
}
LINE = {
    "line_id": "1",
    "kind": "serials",
    "product_id": "study-30",
    "product_name": "Study pass, 30 days",
    "unit_price": 1600,
    "quantity": 10,
    "usage_days": 30,
}
COSTS = 17_600

MEND = (
    "dead ls --key {order_id}",
    "dead show {dead_letter}",
    'dead replay {dead_letter} --reason "the proof is here now"',
)
"""What mends one of them: the commands behind `pawl`, in their order."""
MENDED = PROOF
"""The order that MEND is about: an operator's approval that overtook the proof which it approves."""


def first_events() -> list[UpstreamEvent]:
    """The payments, and what was asked for before anything could go wrong with it."""
    pending = _order(LATE) | {"amount": COSTS, "deposit_deadline": "2012-01-10T23:59:59+09:00"}
    asked = {"order_id": UNPAID, "request_id": "all"}
    return [
        _event(LATE, 1, "payment.pending.v1", "2012-01-09T10:00:00+09:00", pending),
        _paid(LATE, 2, COSTS, "2012-01-12T09:30:00+09:00"),
        _paid(SHORT, 1, COSTS - 1_000, "2012-01-09T11:00:00+09:00"),
        _paid(BANK, 1, COSTS, "2012-01-09T12:00:00+09:00"),
        _refund(BANK, 2, PARTNER["name"], "2012-01-10T12:00:00+09:00"),
        _paid(PROOF, 1, COSTS, "2012-01-09T13:00:00+09:00"),
        _refund(PROOF, 2, "Somebody Else", "2012-01-10T13:00:00+09:00"),
        _event(UNPAID, 1, "issuance.requested.v1", "2012-01-09T14:00:00+09:00", asked),
    ]


def later_events(refunds: Mapping[str, str]) -> list[UpstreamEvent]:
    """What goes wrong with the two refunds; `refunds` has their ids by order."""
    bank = {"order_id": BANK, "refund_id": refunds[BANK]}
    failed = bank | {"payout_id": "po-1", "reason": "account_closed"}
    proof = {"order_id": PROOF, "refund_id": refunds[PROOF]}
    approved = proof | {"decision": "approve", "actor": "operator:kim", "note": "the account is theirs"}
    shown = proof | {"proof": {"reference": "s3://proofs/PROOF.pdf", "kind": "bankbook_copy"}}
    return [
        _event(BANK, 3, "refund.payout_failed.v1", "2012-01-11T12:00:00+09:00", failed),
        _event(PROOF, 4, "refund.reviewed.v1", "2012-01-11T15:00:00+09:00", approved),
        _event(PROOF, 3, "refund.proof_attached.v1", "2012-01-11T14:00:00+09:00", shown),
    ]


def _order(order_id: str) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "partner": PARTNER,
        "payment_method": "bank_transfer",
        "evidence": "tax_invoice",
        "issue_policy": "on_request",
        "vat_mode": "exclusive",
        "lines": [LINE],
    }


def _paid(order_id: str, number: int, amount: int, at: str) -> UpstreamEvent:
    money = {"payment_id": f"pay-{order_id}", "amount": amount, "paid_at": at}
    return _event(order_id, number, "payment.completed.v1", at, _order(order_id) | money)


def _refund(order_id: str, number: int, holder: str, at: str) -> UpstreamEvent:
    account = {"bank_code": "088", "account_number": "000000000001", "holder": holder}
    data = {
        "order_id": order_id,
        "refund_request_id": "r1",
        "requested_by": PARTNER["partner_id"],
        "role": "partner",
        "lines": [{"line_id": "1", "quantity": 5}],
        "reason": "financial_burden",
        "message": "fewer people came than we thought",
        "destination": {"method": "bank_account", **account},
    }
    return _event(order_id, number, "refund.requested.v1", at, data)


def _event(order_id: str, number: int, type_: str, at: str, data: dict[str, Any]) -> UpstreamEvent:
    """The event of an order that happened as its `number`th."""
    when = datetime.fromisoformat(at)
    return UpstreamEvent(f"{order_id}:{number}", type_, order_id, when, data, SOURCE)
