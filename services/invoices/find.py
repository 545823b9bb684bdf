"""What a word names in invoices: documents, partners and requests to merge."""

from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import find_in_every_service
from shared.operators.finding import Found, Look, Row, by_email, by_number, by_text, by_uuid
from shared.operators.sentences import Sentence

INVOICES: Final = "invoices"


def document(row: Row) -> Found:
    """A document by its key, or by its id while it has none."""
    name = row["document_key"] or str(row["invoice_id"])
    says = Sentence(
        "{kind}, {words}, {month}, ₩{total:,}, partner {partner}",
        kind=row["kind"],
        words=row["state"].replace("_", " "),
        state=row["state"],
        month=row["month"],
        total=row["total"],
        partner=row["partner_id"],
    )
    return Found(INVOICES, "document", name, says, pawl("document", name))


def partner(row: Row) -> Found:
    """A partner as its last change says, or by the number on a payment of it."""
    says = ", ".join(filter(None, (row["name"], row["business_number"])))
    return Found(INVOICES, "partner", row["partner_id"], says, pawl("partner", row["partner_id"]))


def wish_to_merge(row: Row) -> Found:
    """A wish to merge a month, or not to."""
    wish = "a wish not to merge {month}" if row["undo"] else "a wish to merge {month}"
    says = Sentence(wish, month=row["month"])
    name = f"{row['request_id']} of {row['partner_id']}"
    return Found(INVOICES, "request", name, says, pawl("partner", row["partner_id"]))


FIND: Final = (
    Look("find_document_by_key", by_text, document),
    Look("find_document_by_id", by_uuid, document),
    Look("find_partner", by_text, partner),
    Look("find_partner_by_name", by_text, partner),
    Look("find_partner_by_email", by_email, partner),
    Look("find_partner_by_number", by_number, partner),
    Look("find_wish_to_merge", by_text, wish_to_merge),
    *find_in_every_service(INVOICES),
)
"""What can be found in invoices: statement, arguments, thing."""
