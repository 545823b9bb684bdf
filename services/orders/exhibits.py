"""What orders knows of an order when it is disputed: who bought what, what was paid, who claimed units."""

from typing import Final

import orjson

from shared.evidence.entries import Entry, Evidence, Exhibit, Row, details_of, won
from shared.evidence.words import Says, english, korean


def party(row: Row) -> Entry:
    """The buyer, as of the order; of one that was purged nothing is left but its id."""
    buyer = {name: value for name, value in orjson.loads(row["partner"]).items() if value is not None}
    name = buyer.get("name") or row["partner_id"]
    says = Says(
        f"구매자는 {name} ({row['partner_id']})입니다.", f"The buyer is {name} ({row['partner_id']})."
    )
    shown = ("partner_id", "name", "business_number", "invoice_email")
    return Entry("party", row["partner_id"], says, {key: buyer[key] for key in shown if key in buyer})


def order(row: Row) -> Entry:
    """The order: how it was bought, what it costs, what came and what is left."""
    method, money = row["payment_method"], won(row["expected"])
    says = Says(
        f"주문 금액은 {money}이며 상태는 '{korean(row['state'])}'입니다. 결제 수단은 {korean(method)}입니다.",
        f"The order comes to {money} and is {english(row['state'])}; it is paid by {english(method)}.",
    )
    return Entry("order", row["order_id"], says, details_of(row, "order_id"), row["registered_at"])


def line(row: Row) -> Entry:
    """A line and where its units are."""
    rest = row["paid"] - row["issuing"] - row["issued"] - row["refunding"] - row["refunded"]
    name, units = row["product_name"], f"{row['quantity']:,}"
    says = Says(
        f"{name} {units}개를 개당 {won(row['unit_price'])}에 주문했습니다. 발급 {row['issued']:,}, "
        f"환불 {row['refunded']:,}, 미사용 {rest:,}.",
        f"{units} units of {name} at {won(row['unit_price'])} each: {row['issued']:,} issued, "
        f"{row['refunded']:,} refunded, {rest:,} open.",
    )
    return Entry("line", row["line_id"], says, {**details_of(row), "open": rest})


def payment(row: Row) -> Entry:
    """A payment that can pay the order only."""
    says = Says(
        f"결제 {row['payment_id']}: {won(row['amount'])}.",
        f"Payment {row['payment_id']} of {won(row['amount'])}.",
    )
    return Entry("payment", row["payment_id"], says, details_of(row), row["paid_at"])


def case(row: Row) -> Entry:
    """Money in quarantine, and what became of it."""
    end_ko = (
        f"'{korean(row['decision'])}'(으)로 정리되었습니다" if row["decision"] else "아직 결정되지 않았습니다"
    )
    end_en = f"it ended as {english(row['decision'])}" if row["decision"] else "nobody has decided yet"
    name, money, reason = row["payment_id"], won(row["amount"]), row["reason"]
    says = Says(
        f"결제 {name}의 {money}이 격리되었습니다 ({korean(reason)}). {end_ko}.",
        f"{money} of payment {name} went to quarantine ({english(reason)}); {end_en}.",
    )
    return Entry("case", f"{row['payment_id']} {row['number']}", says, details_of(row), row["opened_at"])


def claim(row: Row) -> Entry:
    """Units that were claimed, to be issued or to be refunded."""
    units, line_id = f"{row['quantity']:,}", row["line_id"]
    says = Says(
        f"품목 {line_id}의 {units}개가 {korean(row['purpose'])} 대상으로 확정되었습니다.",
        f"{units} units of line {line_id} were claimed to {english(row['purpose'])} them.",
    )
    at = row["claimed_at"]
    return Entry("claim", f"{row['claim_id']} {line_id}", says, details_of(row), at, at)


EVIDENCE: Final = Evidence(
    "evidence_owner",
    (
        Exhibit("evidence_party", party),
        Exhibit("evidence_order", order),
        Exhibit("evidence_lines", line),
        Exhibit("evidence_payments", payment),
        Exhibit("evidence_cases", case),
        Exhibit("evidence_claims", claim),
    ),
)
"""Whose order it is, and what is told of it."""
