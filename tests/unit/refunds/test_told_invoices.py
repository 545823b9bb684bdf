"""What refunds keeps of invoices: which payments stand on an issued one, and when that is corrected."""

from datetime import date
from typing import Any

from services.refunds.state import InvoicedPayment, ReplacedInvoice
from tests.unit.refunds.desk import Desk

KEY, RIGHT_KEY = "2026-10-1168200276-000001", "2026-10-1348672683-000001"
INVOICE = {
    "invoice_id": "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01",
    "partner_id": "P-17",
    "business_number": "1168200276",
}


def corrected(desk: Desk, modification: str, key: str, total: int, **more: Any) -> None:
    data = {
        **INVOICE,
        "document_key": key,
        "original_document_key": KEY,
        "modification": modification,
        "supply": total * 10 // 11,
        "vat": total - total * 10 // 11,
        "total": total,
        "written_date": "2026-10-31",
        **more,
    }
    desk.deliver("invoice.modified.v1", data)


def test_every_payment_of_an_issued_invoice_is_noted_with_all_of_its_won() -> None:
    desk = Desk()

    desk.deliver(
        "invoice.issued.v1",
        {
            **INVOICE,
            "month": "2026-10",
            "document_key": KEY,
            "payment_ids": ["pay-1", "pay-2"],
            "supply": 320_000,
            "vat": 32_000,
            "total": 352_000,
            "written_date": "2026-10-31",
            "issued_at": "2026-11-05T18:00:00+09:00",
            "late": False,
        },
    )

    told = (KEY, 320_000, 32_000, date(2026, 10, 31))
    assert desk.world.invoiced == [InvoicedPayment("pay-1", *told), InvoicedPayment("pay-2", *told)]


def test_a_correction_moves_the_payments_to_the_document_that_says_the_same() -> None:
    desk = Desk()

    corrected(desk, "correction", "2026-10-1168200276-000002", -176_000)
    corrected(desk, "correction", RIGHT_KEY, 176_000)

    assert desk.world.replaced == [ReplacedInvoice(KEY, RIGHT_KEY)]


def test_a_duplicate_holds_no_won_any_more() -> None:
    desk = Desk()

    corrected(desk, "issued_twice", "2026-10-1168200276-000002", -176_000)

    assert desk.world.replaced == [ReplacedInvoice(KEY, None)]


def test_what_a_refund_made_and_what_corrects_that_moves_nothing() -> None:
    desk = Desk()

    corrected(desk, "supply_value_changed", "2026-11-1168200276-000002", -70_400, refund_id="r-1")
    corrected(desk, "correction", "2026-11-1348672683-000003", 70_400, refund_id="r-1")

    assert desk.world.replaced == []
    assert desk.published == []
