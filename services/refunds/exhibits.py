"""What refunds knows of an order when it is disputed: what was used, asked back, decided and paid out."""

from typing import Final

from services.refunds.policies.holds import next_step
from shared.business_days import legal_refund_day
from shared.evidence.entries import Entry, Evidence, Exhibit, Row, details_of, won, written
from shared.evidence.words import Says, english, korean
from shared.kst import kst_date

BY_OTHERS: Final = frozenset({"actor", "note"})


def delivery(row: Row) -> Entry:
    """When a line was delivered or activated, and what was used of it."""
    says_ko = [f"{what} {kst_date(row[at]).isoformat()}" for what, at in _INSTANTS_KO if row[at]]
    says_en = [f"{what} on {kst_date(row[at]).isoformat()}" for what, at in _INSTANTS_EN if row[at]]
    if row["used"] is not None:
        says_ko.append(f"사용량 {row['used']:,}")
        says_en.append(f"{row['used']:,} used")
    says = Says(
        f"품목 {row['line_id']}: {', '.join(says_ko) or '인도와 사용 기록이 없습니다'}.",
        f"Line {row['line_id']}: {', '.join(says_en) or 'nothing is recorded of a delivery or of use'}.",
    )
    return Entry(
        "delivery", row["line_id"], says, details_of(row), row["delivered_at"] or row["activated_at"]
    )


_INSTANTS_KO: Final = (("인도", "delivered_at"), ("사용 개시", "activated_at"))
_INSTANTS_EN: Final = (("delivered", "delivered_at"), ("activated", "activated_at"))


def refund(row: Row) -> Entry:
    """A refund: what was asked for and why, its state and why, its won and its days."""
    state, amount = row["state"], won(row["amount"])
    why_ko = f" ({korean(row['why'])})" if row["why"] else ""
    why_en = f" ({english(row['why'])})" if row["why"] else ""
    says = Says(
        f"환불 요청 {row['refund_request_id']}: 사유는 '{korean(row['reason'])}', 금액 {amount}, "
        f"상태는 '{korean(state)}'{why_ko}입니다.",
        f"Refund request {row['refund_request_id']} ({english(row['reason'])}): {amount}, "
        f"{english(state)}{why_en}.",
    )
    lines = [
        {"line_id": line_id, "quantity": quantity}
        for line_id, quantity in zip(row["line_ids"], row["quantities"], strict=True)
    ]
    details = {
        **details_of(row, "line_ids", "quantities"),
        "lines": lines,
        "legal_on": legal_refund_day(kst_date(row["returned_at"] or row["requested_at"])).isoformat(),
        "next": next_step(state, row["why"]),
    }
    return Entry("refund", str(row["refund_id"]), says, details, row["requested_at"])


def step(row: Row) -> Entry:
    """A change of a refund: its reason is told to everybody, who made it and their note to operators."""
    says = Says(
        f"환불 {row['refund_request_id']}: '{korean(row['state'])}' ({korean(row['reason'])}).",
        f"Refund {row['refund_request_id']}: {english(row['state'])} ({english(row['reason'])}).",
    )
    details = {
        **details_of(row, "position", "at", "recorded_at"),
        "reason": written(row["reason"]),
        "note": written(row["note"]),
    }
    name = f"{row['refund_id']} {row['position']}"
    return Entry("step", name, says, details, row["at"], row["recorded_at"], BY_OTHERS)


def payout(row: Row) -> Entry:
    """Money that went out for a refund."""
    says = Says(
        f"지급 {row['payout_id']}: {won(row['amount'])}, '{korean(row['state'], 'payout')}'.",
        f"Payout {row['payout_id']} of {won(row['amount'])}: {english(row['state'])}.",
    )
    return Entry("payout", row["payout_id"], says, details_of(row), row["paid_out_at"])


def failed_payout(row: Row) -> Entry:
    """A payout that surely did not reach anybody."""
    says = Says(
        f"지급 {row['payout_id']}이 실패했습니다 ({korean(row['reason'])}).",
        f"Payout {row['payout_id']} failed ({english(row['reason'])}).",
    )
    return Entry("failed_payout", row["payout_id"], says, details_of(row), row["failed_at"])


EVIDENCE: Final = Evidence(
    "evidence_owner",
    (
        Exhibit("evidence_deliveries", delivery),
        Exhibit("evidence_refunds", refund),
        Exhibit("evidence_payouts", payout),
        Exhibit("evidence_failed_payouts", failed_payout),
        Exhibit("evidence_steps", step),
    ),
)
"""Whose order it is, and what is told of it."""
