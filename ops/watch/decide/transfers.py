"""The sheet of a bank's bulk transfer: payouts to make as rows, and its result as what became of each. Pure.

The first columns are those that banks take; the last ones tell us afterwards which payout a row is and what
the bank did. Banks differ in the order of their columns, so they are found by their names.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import xlsxwriter

from shared.kst import KST
from shared.spreadsheets import BOM, as_text, csv_line

BANK, ACCOUNT, AMOUNT, HOLDER = "입금은행", "입금계좌번호", "입금금액", "예금주"
SHOWN_THERE, SHOWN_HERE = "받는분통장표시", "내통장표시"
ORDER, REFERENCE, RESULT, DONE_AT, WHY = "주문번호", "환불번호", "처리결과", "처리일시", "오류사유"
HEADER: Final = (
    *(BANK, ACCOUNT, AMOUNT, HOLDER, SHOWN_THERE, SHOWN_HERE),
    *(ORDER, REFERENCE, RESULT, DONE_AT, WHY),
)
NEEDED: Final = (AMOUNT, ORDER, REFERENCE, RESULT)
"""The columns without which a result cannot be read."""
MEMO: Final = 7
"""Characters that a bank prints beside a transfer, at least."""
WIDTHS: Final = (10, 20, 14, 24, 16, 16, 24, 46, 10, 20, 24)

Outcome = Literal["paid", "failed", "unknown"]
OUTCOMES: Final[Mapping[str, Outcome]] = {
    "정상": "paid",
    "성공": "paid",
    "완료": "paid",
    "paid": "paid",
    "오류": "failed",
    "실패": "failed",
    "불능": "failed",
    "failed": "failed",
    "확인중": "unknown",
    "미확인": "unknown",
    "unknown": "unknown",
}
"""What a bank calls the result of a transfer."""

_ACCOUNT: Final = re.compile(r"\d[\d -]{4,}\d")
"""What may be an account number: a bank names it in its reasons, and no event may."""


class WrongSheet(Exception):
    """The file is no result of a bulk transfer. Names the row and the column, never what stands there."""


class Transferred(NamedTuple):
    """What a bank did with one transfer of `amount` won. `reference` names the payout as it was asked for.

    `at` is when, where the sheet says so; `why` the bank's reason of a failure, empty without one.
    """

    reference: str
    order_id: str
    amount: int
    outcome: Outcome
    at: datetime | None
    why: str

    @property
    def key(self) -> str:
        """The idempotency key of the payout."""
        return self.reference.rpartition("/")[0]

    @property
    def refund_id(self) -> str:
        """The refund that it pays."""
        return self.key[:36]


def csv_sheet(payouts: Sequence[Mapping[str, Any]]) -> bytes:
    """The sheet as CSV in UTF-8. Account numbers are digits, so a spreadsheet drops zeros before them."""
    rows = (_csv_row(*_cells(payout)) for payout in payouts)
    return BOM + "".join([csv_line(HEADER), *rows]).encode()


def _csv_row(bank: str, account: str, amount: int, *texts: str) -> str:
    code = bank if bank.isdigit() else as_text(bank)
    return csv_line([code, account, str(amount), *map(as_text, texts)])


def xlsx_sheet(payouts: Sequence[Mapping[str, Any]]) -> bytes:
    """The sheet as a workbook whose cells are text but for the won. It is made in memory, not on a disk."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as workbook:
        sheet = workbook.add_worksheet()
        sheet.freeze_panes(1, 0)
        for column, (name, width) in enumerate(zip(HEADER, WIDTHS, strict=True)):
            sheet.set_column(column, column, width)
            sheet.write_string(0, column, name)
        for row, cells in enumerate(map(_cells, payouts), start=1):
            for column, cell in enumerate(cells):
                write = sheet.write_number if isinstance(cell, int) else sheet.write_string
                write(row, column, cell)
    return made.getvalue()


def _cells(payout: Mapping[str, Any]) -> tuple[Any, ...]:
    memo = f"환불{payout['order_id'][-(MEMO - 2) :]}"
    account = "".join(filter(str.isdigit, payout["account_number"]))
    money = (payout["bank_code"], account, payout["amount"], payout["holder"])
    return (*money, memo, memo, payout["order_id"], payout["reference"], "", "", "")


def read_result(content: bytes) -> Sequence[Transferred]:
    """What a bank did, by the rows of a CSV that have a result, in UTF-8 or CP949. Raises WrongSheet."""
    rows = list(csv.reader(io.StringIO(_decoded(content), newline="")))
    header = [_plain(cell) for cell in rows[0]] if rows else []
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise WrongSheet(f"the column {missing[0]} is missing")
    found = list(_transfers(header, rows[1:]))
    references = [each.reference for each in found]
    if len(set(references)) < len(references):
        raise WrongSheet(f"a payout stands there twice in the column {REFERENCE}")
    return found


def _transfers(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Transferred]:
    for number, cells in enumerate(rows, start=2):
        row = {name: _unquoted(cell.strip()) for name, cell in zip(header, cells, strict=False)}
        if row.get(RESULT):
            try:
                yield _transferred(row)
            except _WrongCell as wrong:
                raise WrongSheet(f"row {number}: the column {wrong} cannot be read") from None


class _WrongCell(Exception):
    """The name of a column."""


def _transferred(row: Mapping[str, str]) -> Transferred:
    outcome = OUTCOMES.get(row[RESULT].lower())
    if outcome is None:
        raise _WrongCell(RESULT)
    amount = row.get(AMOUNT, "").replace(",", "")
    if not (amount.isascii() and amount.isdigit()):
        raise _WrongCell(AMOUNT)
    if not row.get(ORDER):
        raise _WrongCell(ORDER)
    reference = row.get(REFERENCE, "")
    return Transferred(
        _checked(reference),
        row[ORDER],
        int(amount),
        outcome,
        _instant(row.get(DONE_AT, "")),
        _ACCOUNT.sub("***", row.get(WHY, "")),
    )


def _checked(reference: str) -> str:
    key, _, asked = reference.rpartition("/")
    try:
        UUID(key[:36])
    except ValueError:
        raise _WrongCell(REFERENCE) from None
    if not asked.isdigit():
        raise _WrongCell(REFERENCE)
    return reference


def _instant(text: str) -> datetime | None:
    """An instant as a bank writes it, in Seoul unless it names an offset."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.replace(".", "-").replace("/", "-"))
    except ValueError:
        raise _WrongCell(DONE_AT) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=KST)


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise WrongSheet("it is text neither in UTF-8 nor in CP949; save it as CSV")


def _plain(name: str) -> str:
    return "".join(name.split())


def _unquoted(cell: str) -> str:
    """The cell without the apostrophe by which a spreadsheet was made to take it as text."""
    return cell[1:] if cell.startswith("'") and as_text(cell[1:]) == cell else cell
