"""The documents that upstream would send for source lines: partners, payments, refund requests. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from hashlib import blake2b
from typing import Any

from ops.replay.purchases import Lot
from ops.replay.reader import Line
from shared import business_number
from shared.kst import wire_time

WON_PER_POUND = 1600
USAGE_DAYS = 30
ITEM = re.compile(r"\d{5}")


def unit_price(pounds: Decimal) -> int:
    """Won a unit, rounded half up; 1 pound is 1,600 won."""
    return int((pounds * WON_PER_POUND).quantize(Decimal(1), ROUND_HALF_UP))


def partner_snapshot(customer: str) -> dict[str, Any]:
    """The partner behind a customer id: a valid business number derived from it, the same on every replay."""
    return {
        "partner_id": f"C{customer}",
        "business_number": business_number.from_seed(_seed(customer)),
        "name": f"Customer {customer}",
        "representative": "이바다",
        "invoice_email": f"tax@c{_seed(customer)}.example",
    }


def always_merges(customer: str) -> bool:
    """Whether the partner prefers one invoice a month: every second one does, by its number."""
    return _seed(customer) % 2 == 1


def _seed(customer: str) -> int:
    if customer.isascii() and customer.isdigit() and len(customer) <= 9:
        return int(customer)
    return int.from_bytes(blake2b(customer.encode(), digest_size=4).digest(), "big")


def payment(order_id: str, amount: int, first: Line, sold: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The completed payment of an order with these lines, of `amount` won, at the time of its first line."""
    return {
        "order_id": order_id,
        "payment_id": f"pay-{order_id}",
        "amount": amount,
        "paid_at": wire_time(first.at),
        "partner": partner_snapshot(first.customer),
        "payment_method": "bank_transfer",
        "evidence": "tax_invoice",
        "issue_policy": "on_request",
        "vat_mode": "exclusive",
        "lines": sold,
    }


def merge_preference(customer: str, at: datetime) -> dict[str, Any]:
    """The partner's wish to get one invoice a month, from this instant on."""
    return partner_snapshot(customer) | {"always_merge": True, "changed_at": wire_time(at)}


def order_line(line_id: str, line: Line) -> dict[str, Any]:
    """A line of an order. Postage, carriage, manual entries and discounts are `goods`, never issued."""
    return {
        "line_id": line_id,
        "kind": "serials" if ITEM.match(line.product) else "goods",
        "product_id": line.product,
        "product_name": line.name,
        "unit_price": unit_price(line.price),
        "quantity": line.quantity,
        "usage_days": USAGE_DAYS,
    }


def refund_request(order_id: str, request_id: str, line: Line, lots: Sequence[Lot]) -> dict[str, Any]:
    """The request of the partner to refund these units of one order."""
    partner = partner_snapshot(line.customer)
    return {
        "order_id": order_id,
        "refund_request_id": request_id,
        "requested_by": partner["partner_id"],
        "role": "partner",
        "lines": [{"line_id": lot.line_id, "quantity": lot.quantity} for lot in lots],
        "reason": "dissatisfied",
        "message": f"{line.document}: {line.name}",
        "destination": {
            "method": "bank_account",
            "bank_code": "088",
            "account_number": f"{_seed(line.customer):012d}",  # plainly made up: it begins with zeros
            "holder": partner["name"],
        },
    }
