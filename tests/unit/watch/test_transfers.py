"""The sheet of a bank's bulk transfer: what banks take, and what is read back of what they did."""

import csv
import io
from datetime import datetime
from typing import Any

import orjson
import pytest
from openpyxl import load_workbook

from ops.watch.decide.payouts import event_of
from ops.watch.decide.transfers import HEADER, Transferred, WrongSheet, csv_sheet, read_result, xlsx_sheet
from shared.events.checkout import RefundPaidOut, RefundPayoutFailed
from shared.kst import KST

REFUND = "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01"
ACCOUNT = "001-10-123456"


def payout(**other: Any) -> dict[str, Any]:
    return {
        "reference": f"{REFUND}/3",
        "refund_id": REFUND,
        "order_id": "A-1001",
        "partner_id": "P-17",
        "amount": 70_400,
        "masked": "088-*****3456",
        "bank_code": "088",
        "account_number": ACCOUNT,
        "holder": "가나다 주식회사",
        "expected_on": "2026-10-27",
        "legal_on": "2026-10-26",
    } | other


def rows_of(sheet: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(sheet.decode("utf-8-sig"), newline="")))


def result(encoding: str = "utf-8-sig", **cells: str) -> bytes:
    """The sheet as it comes back from the bank, with these cells in its row."""
    header, row = rows_of(csv_sheet([payout()]))
    filled = [cells.get(name, cell) for name, cell in zip(header, row, strict=True)]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, filled])
    return text.getvalue().encode(encoding)


def test_a_sheet_has_what_a_bank_needs_and_what_names_the_payout() -> None:
    header, row = rows_of(csv_sheet([payout()]))

    assert tuple(header) == HEADER
    assert row == [
        "088",
        "00110123456",
        "70400",
        "가나다 주식회사",
        "환불-1001",
        "환불-1001",
        "A-1001",
        f"{REFUND}/3",
        "",
        "",
        "",
    ]


def test_a_workbook_has_the_same_cells_and_keeps_zeros_before_an_account_number() -> None:
    sheet = load_workbook(io.BytesIO(xlsx_sheet([payout()]))).active
    assert sheet is not None

    header, row = sheet.iter_rows(values_only=True)

    assert header == HEADER
    assert row[:4] == ("088", "00110123456", 70_400, "가나다 주식회사")
    assert row[7] == f"{REFUND}/3"


@pytest.mark.parametrize("field", ["holder", "bank_code", "order_id"])
def test_what_a_spreadsheet_would_compute_stays_text(field: str) -> None:
    _, row = rows_of(csv_sheet([payout(**{field: "=1+1"})]))

    assert "'=1+1" in row
    assert "=1+1" not in row


def test_a_row_without_a_result_is_left_out() -> None:
    assert read_result(result()) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_a_transfer_that_was_made_is_read_in_either_encoding(encoding: str) -> None:
    (made,) = read_result(
        result(encoding, 처리결과="정상", 처리일시="2026-10-23 15:02:11", 입금금액="70,400")
    )

    at = datetime(2026, 10, 23, 15, 2, 11, tzinfo=KST)
    assert made == Transferred(f"{REFUND}/3", "A-1001", 70_400, "paid", at, "")
    assert (made.refund_id, made.key) == (REFUND, REFUND)


def test_an_order_id_of_digits_comes_back_as_it_was() -> None:
    header, row = rows_of(csv_sheet([payout(order_id="0542106")]))
    row[header.index("처리결과")] = "완료"
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, row])

    (made,) = read_result(text.getvalue().encode())

    assert made.order_id == "0542106"


def test_a_reason_is_kept_without_the_account_number_that_a_bank_puts_into_it() -> None:
    (failed,) = read_result(result(처리결과="오류", 오류사유=f"{ACCOUNT} 해지된 계좌"))

    assert (failed.outcome, failed.why) == ("failed", "*** 해지된 계좌")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"처리결과": "아마도"}, "row 2: the column 처리결과"),
        ({"처리결과": "정상", "입금금액": "많이"}, "row 2: the column 입금금액"),
        ({"처리결과": "정상", "환불번호": "rr-77"}, "row 2: the column 환불번호"),
        ({"처리결과": "정상", "환불번호": f"{REFUND}/x"}, "row 2: the column 환불번호"),
        ({"처리결과": "정상", "주문번호": ""}, "row 2: the column 주문번호"),
        ({"처리결과": "정상", "처리일시": "어제"}, "row 2: the column 처리일시"),
    ],
    ids=str,
)
def test_a_cell_that_cannot_be_read_is_named_by_its_row_and_column(cells: dict[str, str], says: str) -> None:
    with pytest.raises(WrongSheet, match=says):
        read_result(result(**cells))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04\xff\xff\x81", "은행,금액\r\n".encode()])
def test_another_file_is_no_result(content: bytes) -> None:
    with pytest.raises(WrongSheet):
        read_result(content)


def test_a_payout_that_stands_there_twice_is_refused() -> None:
    once = result(처리결과="정상").decode("utf-8-sig")
    with pytest.raises(WrongSheet, match="twice"):
        read_result((once + once.splitlines(keepends=True)[1]).encode())


def test_a_transfer_that_was_made_is_told_as_checkout_would() -> None:
    at = datetime(2026, 10, 23, 15, 2, tzinfo=KST)
    id_, type_name, data = event_of(Transferred(f"{REFUND}-2/5", "A-1001", 70_400, "paid", at, ""))

    said = RefundPaidOut.model_validate_json(orjson.dumps(data))
    assert (id_, type_name) == (f"bank-{REFUND}-2/5:paid", "refund.paid_out.v1")
    assert (said.refund_id, said.payout_id, said.amount) == (REFUND, f"bank-{REFUND}-2", 70_400)
    assert said.paid_out_at == at


@pytest.mark.parametrize(
    ("outcome", "why", "reason"),
    [("failed", "해지된 계좌", "해지된 계좌"), ("failed", "", "refused_by_bank"), ("unknown", "", "unknown")],
)
def test_a_transfer_that_was_not_made_is_told_with_its_reason(outcome: Any, why: str, reason: str) -> None:
    _, type_name, data = event_of(Transferred(f"{REFUND}/3", "A-1001", 70_400, outcome, None, why))

    assert type_name == "refund.payout_failed.v1"
    assert RefundPayoutFailed.model_validate_json(orjson.dumps(data)).reason == reason
