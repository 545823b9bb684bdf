"""What is measured with: distinct orders of about 1 KB each, as checkout would send them."""

from datetime import datetime, timedelta

import orjson

from shared.business_number import from_seed
from shared.events.envelope import write_headers
from shared.kst import KST

SOURCE = "https://checkout.example/shop-1"
FIRST_DAY = datetime(2026, 10, 21, 14, 3, 5, tzinfo=KST)
ORDERS_OF_A_PARTNER = 20


def payment(
    number: int, policy: str, label: str, units: int = 2, lines: int = 1
) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    """payment.completed of one order of lines with so many units each: record key, body, headers."""
    order_id, partner = f"{label}-{number:07d}", number // ORDERS_OF_A_PARTNER
    paid_at = FIRST_DAY + timedelta(seconds=number % 86_400)
    data = {
        "order_id": order_id,
        "payment_id": f"pay-{order_id}",
        "amount": 17_600 * units * lines,
        "paid_at": paid_at.isoformat(),
        "partner": {
            "partner_id": f"P-{partner:06d}",
            "business_number": from_seed(partner),
            "name": "가나다 주식회사",
            "invoice_email": "tax@ganada.example",
        },
        "payment_method": "bank_transfer",
        "evidence": "tax_invoice",
        "issue_policy": policy,
        "vat_mode": "exclusive",
        "lines": [
            {
                "line_id": str(line),
                "kind": "serials",
                "product_id": "study-30",
                "product_name": "스터디 이용권 30일",
                "unit_price": 16_000,
                "quantity": units,
                "usage_days": 30,
            }
            for line in range(1, lines + 1)
        ],
    }
    headers = write_headers(
        id=f"evt-{order_id}",
        source=SOURCE,
        type="payment.completed.v1",
        subject=order_id,
        time=paid_at.isoformat(),
    )
    return order_id, orjson.dumps(data), headers


def payments(
    count: int, policy: str, label: str = "A", lines: int = 1
) -> list[tuple[str, bytes, list[tuple[str, bytes]]]]:
    """`count` distinct orders. Policy `on_request` only pays; `automatic` also issues everything."""
    return [payment(number, policy, label, lines=lines) for number in range(count)]
