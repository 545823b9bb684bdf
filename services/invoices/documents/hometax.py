"""Hometax's bulk sheet (엑셀 업로드 양식), and which line of its list tells of which document. Pure.

For a supplier without an agent: the sheet is uploaded at hometax.go.kr, and the list that Hometax gives after
that (`shared/hometax_list.py`) brings the approval numbers. A sheet has 59 columns, headers in row 6, data
from row 7, and at most 100 documents of at most four lines; modified documents are issued there one by one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from io import BytesIO
from typing import Any, BinaryIO, Final, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import xlsxwriter

from services.invoices.decisions.lines import PrintedLine, folded
from services.invoices.documents.kec import PURPOSES
from services.invoices.documents.tax_document import TaxDocument
from shared.hometax_list import ListedDocument
from shared.money import Money
from shared.spreadsheets import BOM, csv_row

COLUMNS: Final = 59
MOST_DOCUMENTS: Final = 100
MOST_LINES: Final = 4
HEADER_ROW: Final = 6
"""Counted from 1, as the sheet shows it; data follow."""
LEFT_OUT_FILE: Final = "left_out.csv"
ORDINARY: Final = "01"
"""일반, not 영세율."""

_PARTY = ("사업장주소", "업태", "종목")
_SELLER = ("등록번호 *", "종사업장번호", "상호 *", "성명 *", *_PARTY, "이메일")
_BUYER = (*_SELLER[:-1], "이메일1", "이메일2")
_LINE = ("일자", "품목", "규격", "수량", "단가", "공급가액", "세액", "품목비고")


def _of_line(number: int) -> Iterator[str]:
    for name in _LINE:
        told = f"{name}{number}"
        if number == 1:
            told = {"일자1": "일자1 (2자리) *", "공급가액1": "공급가액1 *", "세액1": "세액1 *"}.get(
                told, told
            )
        yield told


HEADERS: Final[Sequence[str]] = (
    "전자(세금)계산서 종류 (01 일반, 02 영세율) *",
    "작성일자 *",
    *(f"공급자 {name}" for name in _SELLER),
    *(f"공급받는자 {name}" for name in _BUYER),
    "공급가액 합계 *",
    "세액 합계 *",
    "비고",
    *(name for number in range(1, MOST_LINES + 1) for name in _of_line(number)),
    "현금",
    "수표",
    "어음",
    "외상미수금",
    "영수(01)/청구(02) *",
)
NOTICES: Final[Sequence[str]] = (
    "엑셀 업로드 양식(전자세금계산서-일반(영세율)) - 100건 이하",
    "행이나 열을 추가, 삭제하거나 순서를 바꾸지 마십시오. 수식은 쓸 수 없습니다.",
    "* 표시가 있는 항목은 반드시 있어야 합니다.",
    "품목은 네 줄까지이며, 나머지는 마지막 줄에 합쳐져 있습니다.",
    "수정세금계산서는 이 양식으로 발급할 수 없습니다.",
)

Cell = str | int | None


class LeftOut(NamedTuple):
    """A document that no sheet takes.

    It is `modified`, `incomplete` without what is `missing`, or was refused before, with the reason of that.
    """

    document_key: str
    reason: str
    missing: tuple[str, ...] = ()


class Awaited(NamedTuple):
    """An issued document as the list may name it. `approval_number` is None while nobody has told one."""

    document_key: str
    written_date: date
    buyer_number: str
    total: int
    approval_number: str | None = None

    @property
    def scope(self) -> tuple[date, str, int]:
        """What a document and a line have in common."""
        return self.written_date, self.buyer_number, self.total


class Matched(NamedTuple):
    """Lines by the key of their document, and those that a person has to look at.

    `ambiguous` lines fit several documents alike, or several lines fit one; `unknown` ones fit none here.
    `known` are told already.
    """

    approved: Mapping[str, ListedDocument]
    ambiguous: Sequence[ListedDocument]
    unknown: Sequence[ListedDocument]
    known: Sequence[ListedDocument]


class BulkSheets:
    """The sheets of a month in a ZIP file, 100 documents each, beside `left_out.csv`.

    Documents come one by one, so that memory does not grow with the month; the same ones make the same bytes.
    """

    def __init__(self, file: BinaryIO, month: str) -> None:
        self._zip, self._month = ZipFile(file, "w", ZIP_DEFLATED), month
        self._sheet: list[TaxDocument] = []
        self._left_out: list[LeftOut] = []
        self._sheets = self._documents = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """How many documents are in how many sheets, and how many are left out."""
        return {"documents": self._documents, "sheets": self._sheets, "left_out": len(self._left_out)}

    def add(self, documents: Iterable[TaxDocument]) -> None:
        """Puts each document into the sheet that is not full yet, or notes why none takes it."""
        for document in documents:
            self._add(document)

    def leave_out(self, document: LeftOut) -> None:
        """Notes a document that no sheet takes."""
        self._left_out.append(document)

    def finish(self) -> None:
        """Writes what is left, and makes the file whole."""
        if self._sheet:
            self._write_sheet()
        if self._left_out:
            rows = [(each.document_key, each.reason, " ".join(each.missing)) for each in self._left_out]
            named = [csv_row(row) for row in (("document_key", "reason", "missing"), *rows)]
            self._write(LEFT_OUT_FILE, BOM + "".join(named).encode())
        self._zip.close()

    def _add(self, document: TaxDocument) -> None:
        if document.modification is not None:
            self.leave_out(LeftOut(document.document_key, "modified"))
        elif document.missing:
            self.leave_out(LeftOut(document.document_key, "incomplete", document.missing))
        else:
            self._documents += 1
            self._sheet.append(document)
            if len(self._sheet) == MOST_DOCUMENTS:
                self._write_sheet()

    def _write_sheet(self) -> None:
        self._sheets += 1
        self._write(f"hometax-{self._month}-{self._sheets:04d}.xlsx", sheet(self._sheet))
        self._sheet = []

    def _write(self, name: str, content: bytes) -> None:
        self._zip.writestr(ZipInfo(name, _ZIPPED), content, ZIP_DEFLATED)


def row_of(document: TaxDocument) -> list[Cell]:
    """The 59 cells of a document: numbers and dates are text, won are integers."""
    supplier, buyer = document.supplier, document.buyer
    lines = folded(document.lines, MOST_LINES)
    cells: list[Cell] = [ORDINARY, f"{document.written_date:%Y%m%d}"]
    cells += [supplier.business_number, supplier.branch_number, supplier.name, supplier.representative]
    cells += [supplier.address, supplier.business_type, supplier.business_item, supplier.email]
    cells += [buyer.business_number, buyer.branch_number, buyer.name, buyer.representative]
    cells += [buyer.address, buyer.business_type, buyer.business_item, buyer.email, ""]
    cells += [document.amount.supply, document.amount.vat, ", ".join(document.remarks)]
    for line in lines:
        cells += _line_cells(line, f"{document.written_date:%d}")
    cells += [None] * (len(_LINE) * (MOST_LINES - len(lines)))
    cells += [None, None, None, None, PURPOSES[document.purpose]]
    return cells


def sheet(documents: Sequence[TaxDocument]) -> bytes:
    """A sheet to be uploaded, as XLSX; the same bytes for the same documents. At most 100 documents."""
    assert len(documents) <= MOST_DOCUMENTS
    made = BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True, "strings_to_formulas": False}) as workbook:
        workbook.set_properties({"created": _MADE})
        page = workbook.add_worksheet("엑셀업로드양식")
        text, bold = workbook.add_format({"num_format": "@"}), workbook.add_format({"bold": True})
        page.set_column(0, COLUMNS - 1, 14, text)
        for row, notice in enumerate(NOTICES):
            page.write_string(row, 0, notice)
        for column, header in enumerate(HEADERS):
            page.write_string(HEADER_ROW - 1, column, header, bold)
        number = workbook.add_format({"num_format": "0"})
        for row, document in enumerate(documents, start=HEADER_ROW):
            _write(page, row, row_of(document), text, number)
    return made.getvalue()


def match(lines: Iterable[ListedDocument], documents: Iterable[Awaited]) -> Matched:
    """Which line tells of which document: by written date, buyer and total. A person says what is open."""
    asked: dict[tuple[date, str, int], list[Awaited]] = defaultdict(list)
    told_before = set[str]()
    for document in documents:
        if document.approval_number is None:
            asked[document.scope].append(document)
        else:
            told_before.add(document.approval_number)
    known: list[ListedDocument] = []
    told: dict[tuple[date, str, int], list[ListedDocument]] = defaultdict(list)
    for line in dict.fromkeys(lines):
        if line.approval_number in told_before:
            known.append(line)
        else:
            told[line.scope].append(line)
    approved: dict[str, ListedDocument] = {}
    ambiguous: list[ListedDocument] = []
    unknown: list[ListedDocument] = []
    for scope, here in told.items():
        fitting = asked.get(scope, [])
        if len(here) == len(fitting) == 1:
            approved[fitting[0].document_key] = here[0]
        else:
            (ambiguous if fitting else unknown).extend(here)
    return Matched(approved, ambiguous, unknown, known)


_ZIPPED: Final = (2026, 1, 1, 0, 0, 0)
_MADE: Final = datetime(2026, 1, 1)  # noqa: DTZ001 - of the file's own properties, so that its bytes repeat


def _line_cells(line: PrintedLine, day: str) -> list[Cell]:
    amount: Money = line.amount
    return [day, line.name, "", line.quantity, line.unit_price, amount.supply, amount.vat, ""]


def _write(page: Any, row: int, cells: Sequence[Cell], text: Any, number: Any) -> None:
    for column, cell in enumerate(cells):
        if isinstance(cell, int):
            page.write_number(row, column, cell, number)
        elif cell:
            page.write_string(row, column, cell, text)
