"""The documents of a month as a workbook, for an accountant: one row each, and what they come to."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import xlsxwriter

from services.invoices.documents.tax_document import REASONS
from services.invoices.state import DocumentKind, DocumentState, Modification
from shared.kst import KST
from shared.money import NOTHING, Money

MOST_ROWS: Final = 1_048_575
"""A sheet has 1,048,576 rows, and one is the header."""
KINDS: Final[Mapping[DocumentKind, str]] = {"payment": "단건", "merged": "병합", "modified": "수정"}
STATES: Final[Mapping[DocumentState, str]] = {
    "draft": "발행 전",
    "in_merge": "병합됨",
    "undone": "병합 취소",
    "void": "없음",
    "approved": "승인",
    "issue_failed": "발행 실패",
    "issued": "발행",
}
EVIDENCE: Final[Mapping[str, str]] = {
    "tax_invoice": "세금계산서 (원본)",
    "modified": "수정세금계산서",
    "card_slip": "카드매출전표",
    "cash_receipt": "현금영수증",
}


class MonthRow(NamedTuple):
    """A document of a month as its row shows it. `penalty` in won is estimated, of a late one."""

    document_key: str | None
    approval_number: str | None
    kind: DocumentKind
    state: DocumentState
    modification: Modification | None
    original_key: str | None
    partner_id: str
    business_number: str
    name: str
    written_date: date | None
    issued_at: datetime | None
    amount: Money
    payments: int
    late: bool = False
    penalty: int | None = None


class Sum(NamedTuple):
    """What one kind of evidence comes to in a month."""

    evidence: str
    documents: int
    amount: Money


_COLUMNS: Final = (
    ("문서번호", 28),
    ("승인번호", 28),
    ("종류", 8),
    ("상태", 10),
    ("수정사유", 22),
    ("당초 문서번호", 28),
    ("거래처", 14),
    ("사업자등록번호", 14),
    ("상호", 26),
    ("작성일자", 12),
    ("발급일시", 19),
    ("공급가액", 14),
    ("세액", 12),
    ("합계", 14),
    ("결제 건수", 9),
    ("지연", 6),
    ("예상 가산세", 12),
)
_WON: Final = "#,##0"


class MonthSheet:
    """A workbook of a month on disk, row by row; memory does not grow with the documents."""

    def __init__(self, path: Path, month: str, made_at: datetime) -> None:
        options = {"constant_memory": True, "tmpdir": str(path.parent)}
        self._workbook = xlsxwriter.Workbook(path, options)
        made = made_at.astimezone(KST).replace(tzinfo=None)
        self._workbook.set_properties({"title": f"{month} 세금계산서", "created": made})
        self._bold = self._workbook.add_format({"bold": True, "bg_color": "#eef3fa", "border": 1})
        self._won = self._workbook.add_format({"num_format": _WON})
        self._sheet = self._workbook.add_worksheet("문서")
        self._head(self._sheet, _COLUMNS)
        self._row = 0

    def add(self, rows: Iterable[MonthRow]) -> None:
        """A row for each of these documents. Raises OverflowError for more than a sheet holds."""
        for row in rows:
            self._row += 1
            if self._row > MOST_ROWS:
                raise OverflowError(f"a sheet holds {MOST_ROWS:,} documents")
            for column, cell in enumerate(cells_of(row)):
                self._write(self._sheet, self._row, column, cell)

    def finish(self, sums: Iterable[Sum]) -> None:
        """What the month comes to, by evidence, on a sheet of its own."""
        sheet = self._workbook.add_worksheet("증빙별 합계")
        self._head(sheet, (("증빙", 22), ("건수", 10), ("공급가액", 16), ("세액", 14), ("합계", 16)))
        count, whole, row = 0, NOTHING, 0
        for row, each in enumerate(sums, start=1):
            self._sum(sheet, row, EVIDENCE[each.evidence], each.documents, each.amount)
            count, whole = count + each.documents, whole.plus(each.amount)
        self._sum(sheet, row + 1, "합계", count, whole)

    def close(self) -> None:
        """Makes the file whole."""
        self._workbook.close()

    def _sum(self, sheet: Any, row: int, name: str, count: int, amount: Money) -> None:
        cells: tuple[str | int, ...] = (name, count, amount.supply, amount.vat, amount.total)
        for column, cell in enumerate(cells):
            self._write(sheet, row, column, cell)

    def _head(self, sheet: Any, columns: Iterable[tuple[str, int]]) -> None:
        sheet.freeze_panes(1, 0)
        for column, (name, width) in enumerate(columns):
            sheet.set_column(column, column, width)
            sheet.write_string(0, column, name, self._bold)

    def _write(self, sheet: Any, row: int, column: int, cell: str | int | None) -> None:
        if isinstance(cell, int):
            sheet.write_number(row, column, cell, self._won)
        elif cell:
            sheet.write_string(row, column, cell)


def cells_of(row: MonthRow) -> list[str | int | None]:
    """The cells of a row: keys, numbers and dates are text, won and counts are integers."""
    number = row.business_number
    return [
        row.document_key,
        row.approval_number,
        KINDS[row.kind],
        STATES[row.state],
        None if row.modification is None else REASONS[row.modification],
        row.original_key,
        row.partner_id,
        f"{number[:3]}-{number[3:5]}-{number[5:]}",
        row.name,
        None if row.written_date is None else f"{row.written_date:%Y-%m-%d}",
        None if row.issued_at is None else f"{row.issued_at.astimezone(KST):%Y-%m-%d %H:%M:%S}",
        row.amount.supply,
        row.amount.vat,
        row.amount.total,
        row.payments,
        "지연" if row.late else None,
        row.penalty,
    ]
