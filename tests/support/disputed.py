"""A disputed order, as the rows that four services have of it: 100 units, 60 issued, 40 asked back."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from ops.watch.evidence.collecting import EVIDENCE, document_of
from shared.events.examples import golden
from shared.evidence.entries import Entry
from shared.evidence.every_service import EVERY_SERVICE
from shared.kst import KST

ORDER = "A-1001"
TAKEN_AT = datetime(2026, 12, 1, 10, tzinfo=KST)
PAID_AT = datetime(2026, 10, 21, 14, 3, 5, tzinfo=KST)
GRANT = UUID("0199f0c1-0000-7c11-9a51-2f6f3f3c1b01")
REFUND = UUID("0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01")
INVOICE = UUID("0199f0d0-7d4a-7c11-9a51-2f6f3f3c1c02")
MODIFIED = UUID("0199f0d0-7d4a-7c11-9a51-2f6f3f3c1c03")
ACCOUNT = "110123456789"
SERIAL = "7KQ2-M0ZV-3XWJ-AB9T"
"""Neither may be in what is told, though people wrote them into their reasons."""


def after(**passed: float) -> datetime:
    """An instant after the payment."""
    return PAID_AT + timedelta(**passed)


def event(name: str, at: datetime, **data: Any) -> dict[str, Any]:
    """A row of the outbox: a golden event of the order."""
    document = golden()[name]
    return {
        "event_id": UUID(document.headers["ce_id"]),
        "topic": document.topic,
        "type": name,
        "subject": ORDER,
        "time": at.isoformat(),
        "causation": "evt-payment-completed",
        "data": orjson.dumps({**document.data, **data}),
        "recorded_at": at + timedelta(seconds=1),
    }


def decision(number: int, at: datetime, action: str, reason: str, **more: Any) -> dict[str, Any]:
    """A row of the audit log."""
    said = {
        "actor": "finance-kim",
        "target": f"{ORDER} {REFUND}",
        "result": "done",
        "request": "req-1",
        "before": None,
        "after": None,
    }
    return {"id": UUID(int=number), "recorded_at": at, "action": action, "reason": reason, **said, **more}


def step(
    position: int, state: str, at: datetime, reason: str, actor: str = "pawl", note: str | None = None
) -> dict[str, Any]:
    """A row of the history of the refund."""
    named = {"refund_id": REFUND, "refund_request_id": "rr-77", "position": position, "state": state}
    return {
        **named,
        "at": at,
        "recorded_at": at + timedelta(seconds=2),
        "actor": actor,
        "reason": reason,
        "note": note,
    }


def hand_out(number: int, at: datetime, form: str = "xlsx", **more: Any) -> dict[str, Any]:
    """A row of the custody log."""
    row = {
        "custody_id": UUID(int=number),
        "recorded_at": at,
        "form": form,
        "actor": "partner-lee",
        "partner_id": "P-17",
        "client": "203.0.113.7",
        "request": "req-9",
        "reason": "first export",
        "grant_id": GRANT,
        "first_unit": 1,
        "last_unit": 60,
        "state": "active",
        "serials": 60,
        "watermark": "WM-7K2Q",
        "owner": "P-17",
    }
    return {**row, **more}


def document(key: str, invoice_id: UUID, supply: int, vat: int, **more: Any) -> dict[str, Any]:
    """A row of a tax invoice."""
    row = {
        "invoice_id": invoice_id,
        "document_key": key,
        "kind": "payment",
        "state": "issued",
        "month": "2026-10",
        "business_number": "1168200276",
        "supply": supply,
        "vat": vat,
        "total": supply + vat,
        "payments": 1,
        "written_date": date(2026, 10, 31),
        "issued_at": after(days=15),
        "late": False,
        "modification": None,
        "original_id": None,
        "refund_id": None,
    }
    return {**row, **more}


def rows() -> dict[str, dict[str, list[Mapping[str, Any]]]]:
    """The rows of each statement, by service."""
    partner = {
        "partner_id": "P-17",
        "business_number": "1168200276",
        "name": "가나다 주식회사",
        "invoice_email": "tax@ganada.example",
    }
    return {
        "orders": {
            "evidence_party": [{"partner_id": "P-17", "partner": orjson.dumps(partner).decode()}],
            "evidence_order": [
                {
                    "order_id": ORDER,
                    "state": "paid",
                    "payment_method": "bank_transfer",
                    "evidence": "tax_invoice",
                    "issue_policy": "on_request",
                    "vat_mode": "exclusive",
                    "expected": 176_000,
                    "paid_total": 176_000,
                    "remaining": 105_600,
                    "taken_back": 0,
                    "payment_id": "pay-9001",
                    "registered_at": after(minutes=-20),
                    "deposit_deadline": None,
                    "paid_at": PAID_AT,
                    "closed_at": None,
                }
            ],
            "evidence_lines": [
                {
                    "line_id": "1",
                    "kind": "serials",
                    "product_id": "study-30",
                    "product_name": "스터디 이용권 30일",
                    "unit_price": 1_600,
                    "discount": 0,
                    "usage_days": 30,
                    "quantity": 100,
                    "paid": 100,
                    "issuing": 0,
                    "issued": 60,
                    "refunding": 0,
                    "refunded": 40,
                    "consumed": 0,
                }
            ],
            "evidence_payments": [{"payment_id": "pay-9001", "amount": 176_000, "paid_at": PAID_AT}],
            "evidence_cases": [
                {
                    "number": 0,
                    "payment_id": "pay-9001b",
                    "reason": "second_payment",
                    "amount": 176_000,
                    "opened_at": after(minutes=5),
                    "decision": "returned",
                    "settled_at": after(days=1),
                }
            ],
            "evidence_claims": [
                {
                    "claim_id": GRANT,
                    "line_id": "1",
                    "purpose": "issue",
                    "quantity": 60,
                    "request_id": "iss-1",
                    "state": "confirmed",
                    "supply": 0,
                    "vat": 0,
                    "consumed": 0,
                    "claimed_at": after(days=1),
                    "settled_at": after(days=1, minutes=1),
                },
                {
                    "claim_id": REFUND,
                    "line_id": "1",
                    "purpose": "refund",
                    "quantity": 40,
                    "request_id": "rr-77",
                    "state": "confirmed",
                    "supply": 64_000,
                    "vat": 6_400,
                    "consumed": 0,
                    "claimed_at": after(days=20),
                    "settled_at": after(days=23),
                },
            ],
            "evidence_decisions": [
                decision(
                    1,
                    after(days=1),
                    "quarantine.decide",
                    f"paid twice, back to {ACCOUNT}",
                    target=f"{ORDER} pay-9001b",
                    before='{"order": "paid", "open_cases": 1}',
                    after='{"ruling": "returned", "open_cases": 0}',
                )
            ],
            "evidence_refused": [
                {
                    "id": 17,
                    "topic": "checkout.events",
                    "type": "issuance.requested.v1",
                    "source": "https://checkout.example/shop-1",
                    "event_id": "evt-84",
                    "code": "out_of_range",
                    "pointer": "/lines/0/quantity",
                    "detail": "quantity must be 1..1000000, got -5",
                    "state": "resolved",
                    "dead_at": after(hours=3),
                    "edited_as": None,
                    "closed_at": after(hours=4),
                    "closed_by": "ops-park",
                    "close_reason": "sent by mistake",
                }
            ],
            "evidence_events": [
                event("event.accepted.v1", PAID_AT),
                event("order.paid.v1", PAID_AT),
                event("event.rejected.v1", after(hours=3)),
                event("issuance.granted.v2", after(days=1)),
                event("refund.granted.v1", after(days=20)),
            ],
        },
        "serials": {
            "evidence_issuances": [
                {
                    "grant_id": GRANT,
                    "line_id": "1",
                    "product_id": "study-30",
                    "product_name": "스터디 이용권 30일",
                    "usage_days": 30,
                    "quantity": 60,
                    "issued": 60,
                    "state": "issued",
                    "registered": 23,
                    "revoked": 1,
                    "reissued": 1,
                    "expired": None,
                    "granted_at": after(days=1),
                    "issued_at": after(days=1),
                    "registration_deadline": after(days=92),
                }
            ],
            "evidence_hand_outs": [
                hand_out(11, after(days=1, minutes=10)),
                hand_out(
                    12,
                    after(days=19),
                    "search",
                    actor="support-choi",
                    partner_id=None,
                    first_unit=7,
                    last_unit=7,
                    serials=1,
                    watermark=None,
                    reason=f"the customer says that {SERIAL} does not work",
                ),
            ],
            "evidence_registrations": [
                {"grant_id": GRANT, "day": date(2026, 10, 24), "count": 21, "first_at": after(days=3)},
                {"grant_id": GRANT, "day": date(2026, 10, 25), "count": 2, "first_at": after(days=4)},
            ],
            "evidence_revocations": [
                {
                    "grant_id": GRANT,
                    "day": date(2026, 11, 9),
                    "count": 1,
                    "reissued": 1,
                    "first_at": after(days=19),
                }
            ],
            "evidence_events": [event("serials.issued.v2", after(days=1))],
        },
        "refunds": {
            "evidence_refunds": [
                {
                    "refund_id": REFUND,
                    "refund_request_id": "rr-77",
                    "state": "completed",
                    "why": None,
                    "reason": "dissatisfied",
                    "requested_by": "partner-lee",
                    "role": "partner",
                    "requested_at": after(days=20),
                    "everything": False,
                    "destination_kind": "bank_account",
                    "destination_masked": "088 110-***-***789",
                    "supply": 64_000,
                    "vat": 6_400,
                    "fee": 0,
                    "amount": 70_400,
                    "expected_on": date(2026, 11, 13),
                    "deadline": None,
                    "returned_at": None,
                    "reviewed_at": None,
                    "completed_at": after(days=23),
                    "line_ids": ["1"],
                    "quantities": [40],
                }
            ],
            "evidence_payouts": [
                {
                    "payout_id": "po-551",
                    "refund_request_id": "rr-77",
                    "refund_id": REFUND,
                    "state": "paid",
                    "amount": 70_400,
                    "paid_out_at": after(days=23),
                }
            ],
            "evidence_failed_payouts": [
                {
                    "payout_id": "po-550",
                    "refund_request_id": "rr-77",
                    "refund_id": REFUND,
                    "reason": "account_closed",
                    "failed_at": after(days=21),
                }
            ],
            "evidence_steps": [
                step(1, "requested", after(days=20), "dissatisfied", "partner-lee"),
                step(2, "held", after(days=20), "holder_mismatch"),
                step(3, "in_review", after(days=20, hours=3), "proof_attached", "partner-lee"),
                step(
                    4, "accepted", after(days=20, hours=5), "approved", "finance-kim", "통장 사본을 확인함 🙂"
                ),
                step(5, "granted", after(days=20, hours=5), "granted", "orders"),
                step(6, "paying_out", after(days=20, hours=5), "granted"),
                step(7, "completed", after(days=23), "paid_out", "checkout"),
            ],
            "evidence_decisions": [
                decision(
                    2, after(days=20, hours=5), "refund.approve", "통장 사본의 예금주가 같은 회사입니다"
                ),
                decision(
                    3, after(days=20, hours=4), "refund.reject", "", result="cannot_decide", actor="ops-park"
                ),
            ],
            "evidence_events": [
                event("refund.accepted.v1", after(days=20)),
                event("refund.completed.v1", after(days=23)),
            ],
        },
        "invoices": {
            "evidence_standing": [
                {
                    "payment_id": "pay-9001",
                    "evidence": "tax_invoice",
                    "month": "2026-10",
                    "business_number": "1168200276",
                    "supply": 160_000,
                    "vat": 16_000,
                    "refunded_total": 70_400,
                    "standing": 176_000,
                    "invoice_id": INVOICE,
                    "paid_at": PAID_AT,
                }
            ],
            "evidence_documents": [
                document("2026-10-1168200276-000001", INVOICE, 160_000, 16_000),
                document(
                    "2026-11-1168200276-000002",
                    MODIFIED,
                    -64_000,
                    -6_400,
                    kind="modified",
                    month="2026-11",
                    modification="supply_value_changed",
                    original_id=INVOICE,
                    refund_id=str(REFUND),
                    written_date=date(2026, 11, 13),
                    issued_at=after(days=23),
                ),
            ],
            "evidence_corrections": [],
            "evidence_partner_events": [event("invoice.issued.v1", after(days=15))],
        },
    }


def entries() -> list[tuple[str, Entry]]:
    """What the four services tell of the order."""
    told: list[tuple[str, Entry]] = []
    for service, of_service in rows().items():
        for exhibit in (*EVIDENCE[service].exhibits, *EVERY_SERVICE):
            told += [(service, exhibit.entry(row)) for row in of_service.get(exhibit.query, ())]
    return told


def bundle() -> dict[str, Any]:
    """The document of it."""
    return document_of(ORDER, entries(), TAKEN_AT, at_once=True)
