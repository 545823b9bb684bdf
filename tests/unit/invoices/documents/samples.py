"""Documents to be shown, with a default for everything."""

from datetime import date, datetime
from typing import Any

from services.invoices.decisions.lines import PrintedLine, opposite, sum_of
from services.invoices.documents.tax_document import Original, Party, TaxDocument
from shared.kst import KST
from shared.money import payment_money

SUPPLIER = Party(
    "1188120586",
    "주식회사 스터디웍스",
    "김하늘",
    "서울특별시 강남구 테헤란로 123, 7층",
    "정보통신업",
    "소프트웨어 개발 및 공급",
    "",
    "tax@studyworks.example",
)
BUYER = Party(
    "1168200276",
    "가나다 주식회사",
    "이도윤",
    "부산광역시 해운대구 센텀중앙로 90, A동 1203호",
    "도매 및 소매업",
    "교육용품",
    "0001",
    "tax@ganada.example",
)
APPROVAL = "202610314100001200012458"


def printed(name: str, price: int, quantity: int) -> PrintedLine:
    line = PrintedLine(name, name, price, abs(quantity), payment_money("exclusive", price * abs(quantity)))
    return line if quantity > 0 else opposite(line)


def document(*lines: PrintedLine, **more: Any) -> TaxDocument:
    """A merged document of October 2026 over 100 units, unless told otherwise."""
    shown = lines or (printed("스터디 이용권 30일", 1_600, 100),)
    values: dict[str, Any] = {
        "document_key": "2026-10-1168200276-000001",
        "month": "2026-10",
        "partner_id": "P-17",
        "supplier": SUPPLIER,
        "buyer": BUYER,
        "written_date": date(2026, 10, 31),
        "issued_at": datetime(2026, 11, 5, 18, 0, 1, tzinfo=KST),
        "lines": shown,
        "amount": sum_of(shown),
    }
    return TaxDocument(**{**values, **more})


def modified(quantity: int = -40, **more: Any) -> TaxDocument:
    """What takes units of it back in November."""
    values: dict[str, Any] = {
        "document_key": "2026-11-1168200276-000007",
        "month": "2026-11",
        "written_date": date(2026, 11, 12),
        "issued_at": datetime(2026, 11, 12, 15, 20, 7, tzinfo=KST),
        "modification": "supply_value_changed",
        "original": Original("2026-10-1168200276-000001", date(2026, 10, 31)),
    }
    return document(printed("스터디 이용권 30일", 1_600, quantity), **{**values, **more})
