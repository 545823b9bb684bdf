"""What a word names in orders: orders, payments, partners, grants and requests."""

from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import find_in_every_service
from shared.operators.finding import Found, Look, Row, by_email, by_text, by_uuid

ORDERS: Final = "orders"


def order(row: Row) -> Found:
    """An order with its state and its won."""
    says = f"{row['state'].replace('_', ' ')}, ₩{row['won']:,}, partner {row['partner_id'] or 'not known'}"
    return Found(ORDERS, "order", row["order_id"], says, pawl("order", row["order_id"]))


def payment(row: Row) -> Found:
    """A payment and the order that it can pay."""
    says = f"₩{row['amount']:,} for order {row['order_id']}"
    return Found(ORDERS, "payment", row["payment_id"], says, pawl("order", row["order_id"]))


def grant(row: Row) -> Found:
    """Units claimed to be issued."""
    says = f"{row['quantity']:,} units to issue, {row['state']}, order {row['order_id']}"
    return Found(ORDERS, "grant", str(row["claim_id"]), says, pawl("order", row["order_id"]))


def issue_request(row: Row) -> Found:
    """A request to issue. Its id is one of its order."""
    says = f"a request to issue, order {row['order_id']}"
    return Found(
        ORDERS, "request", f"{row['request_id']} of {row['order_id']}", says, pawl("order", row["order_id"])
    )


def partner(row: Row) -> Found:
    """A partner as it was on one of its orders."""
    says = f"{row['name']}, {row['business_number']}" if row["name"] else "left, and its name is erased"
    return Found(ORDERS, "partner", row["partner_id"], says, pawl("partner", row["partner_id"]))


def wish_to_leave(row: Row) -> Found:
    """A partner's request to leave."""
    name = f"{row['request_id']} of {row['partner_id']}"
    return Found(ORDERS, "request", name, "a request to leave", pawl("partner", row["partner_id"]))


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
