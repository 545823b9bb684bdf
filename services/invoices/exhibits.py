"""What invoices knows of an order when it is disputed: which evidence its won stand on, and its documents."""

from typing import Final

from shared.evidence.entries import Entry, Evidence, Exhibit, Row, details_of, won, written
from shared.evidence.every_service import told
from shared.evidence.words import Says, english, korean

BY_OTHERS: Final = frozenset({"actor", "reason"})


def standing(row: Row) -> Entry:
    """Which evidence the won of the payment stand on."""
    name, evidence, stands = row["payment_id"], row["evidence"], won(row["standing"])
    says = Says(
        f"결제 {name}의 증빙은 {korean(evidence)}이고 그 금액은 {stands}입니다.",
        f"{stands} of payment {name} stand on its {english(evidence)}.",
    )
    return Entry("standing", row["payment_id"], says, details_of(row), row["paid_at"])


def document(row: Row) -> Entry:
    """A tax invoice that the won stand on or stood on, or a modified one."""
    name, total = row["document_key"] or str(row["invoice_id"]), won(row["total"])
    says = Says(
        f"세금계산서 {name} ({korean(row['kind'])}): {total}, '{korean(row['state'], 'document')}'.",
        f"Tax invoice {name} ({english(row['kind'])}) of {total}: {english(row['state'])}.",
    )
    return Entry("document", name, says, details_of(row), row["issued_at"])


def correction(row: Row) -> Entry:
    """That a document names the wrong business, and what an operator decided."""
    key = row["document_key"] or str(row["invoice_id"])
    says = Says(
        f"세금계산서 {key}의 사업자등록번호 정정: '{korean(row['state'])}'.",
        f"A correction of the business number on {key}: {english(row['state'])}.",
    )
    details = {**details_of(row), "reason": written(row["reason"])}
    return Entry("correction", key, says, details, row["proposed_at"], inside=BY_OTHERS)


EVIDENCE: Final = Evidence(
    "evidence_owner",
    (
        Exhibit("evidence_standing", standing),
        Exhibit("evidence_documents", document),
        Exhibit("evidence_corrections", correction),
        Exhibit("evidence_partner_events", told),
    ),
)
"""Whose order it is, and what is told of it."""
