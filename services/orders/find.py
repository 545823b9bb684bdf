"""What a word names in orders: orders, payments, partners, grants and requests."""

from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import find_in_every_service
from shared.operators.finding import Found, Look, Row, by_email, by_text, by_uuid
from shared.operators.sentences import Sentence

ORDERS: Final = "orders"


def order(row: Row) -> Found:
    """An order with its state and its won."""
    said = {"words": row["state"].replace("_", " "), "state": row["state"], "won": row["won"]}
    if row["partner_id"]:
        says = Sentence("{words}, ₩{won:,}, partner {partner}", partner=row["partner_id"], **said)
    else:
        says = Sentence("{words}, ₩{won:,}, partner not known", **said)
    return Found(ORDERS, "order", row["order_id"], says, pawl("order", row["order_id"]))


def payment(row: Row) -> Found:
    """A payment and the order that it can pay."""
    says = Sentence("₩{won:,} for order {order}", won=row["amount"], order=row["order_id"])
    return Found(ORDERS, "payment", row["payment_id"], says, pawl("order", row["order_id"]))


def grant(row: Row) -> Found:
    """Units claimed to be issued."""
    said = {"units": row["quantity"], "state": row["state"], "order": row["order_id"]}
    says = Sentence("{units:,} units to issue, {state}, order {order}", **said)
    return Found(ORDERS, "grant", str(row["claim_id"]), says, pawl("order", row["order_id"]))


def issue_request(row: Row) -> Found:
    """A request to issue. Its id is one of its order."""
    says = Sentence("a request to issue, order {order}", order=row["order_id"])
    return Found(
        ORDERS, "request", f"{row['request_id']} of {row['order_id']}", says, pawl("order", row["order_id"])
    )


def partner(row: Row) -> Found:
    """A partner as it was on one of its orders."""
    erased = Sentence("left, and its name is erased")
    says = f"{row['name']}, {row['business_number']}" if row["name"] else erased
    return Found(ORDERS, "partner", row["partner_id"], says, pawl("partner", row["partner_id"]))


def wish_to_leave(row: Row) -> Found:
    """A partner's request to leave."""
    name = f"{row['request_id']} of {row['partner_id']}"
    return Found(ORDERS, "request", name, Sentence("a request to leave"), pawl("partner", row["partner_id"]))


FIND: Final = (
    Look("find_order", by_text, order),
    Look("find_payment", by_text, payment),
    Look("find_grant", by_uuid, grant),
    Look("find_issue_request", by_text, issue_request),
    Look("find_partner", by_text, partner),
    Look("find_partner_by_name", by_text, partner),
    Look("find_partner_by_email", by_email, partner),
    Look("find_wish_to_leave", by_text, wish_to_leave),
    *find_in_every_service(ORDERS),
)
"""What can be found in orders: statement, arguments, thing."""
