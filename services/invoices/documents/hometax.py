"""Hometax's bulk sheet (엑셀 업로드 양식), and its list of what was issued, read back in. Pure.

For a supplier without an agent: the sheet is uploaded at hometax.go.kr, and the list that Hometax gives after
that (매출전자세금계산서목록) brings the approval numbers. A sheet has 59 columns, headers in row 6, data from
row 7, and at most 100 documents of at most four lines; modified documents are issued there one by one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from io import BytesIO
from typing import Any, Final, NamedTuple

import xlsxwriter

from services.invoices.decisions.lines import PrintedLine, folded
from services.invoices.documents.kec import PURPOSES
from services.invoices.documents.tax_document import TaxDocument
from shared.business_number import normalise
from shared.money import Money

COLUMNS: Final = 59
MOST_DOCUMENTS: Final = 100
MOST_LINES: Final = 4
HEADER_ROW: Final = 6
"""Counted from 1, as the sheet shows it; data follow."""
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
    """A document that no sheet takes: `modified`, or `incomplete` without what is `missing`."""

    document_key: str
    reason: str
    missing: tuple[str, ...] = ()


class Sheets(NamedTuple):
    """Documents by the file that they go into, 100 at most in each, and those that go into none."""

    files: tuple[tuple[TaxDocument, ...], ...]
    left_out: tuple[LeftOut, ...]


class Result(NamedTuple):
    """One line of Hometax's list; `issued_on` is the day of issue."""

    written_date: date
    approval_number: str
    issued_on: date | None
    buyer_number: str
    total: int


class Matched(NamedTuple):
    """Approval numbers by document key, and the lines and documents that a person has to look at.

    `ambiguous` lines fit several documents alike, or several lines fit one; `unknown` ones fit none here.
    `silent` documents are on no line.
    """

    approved: Mapping[str, Result]
    ambiguous: tuple[Result, ...]
    unknown: tuple[Result, ...]
    silent: tuple[str, ...]


class UnreadableList(Exception):
    """Why a file is not Hometax's list, in words for whoever has sent it."""


def sheets_of(documents: Iterable[TaxDocument]) -> Sheets:
    """Which documents go into which sheet, in their order."""
    fit: list[TaxDocument] = []
    left_out: list[LeftOut] = []
    for document in documents:
        if document.modification is not None:
            left_out.append(LeftOut(document.document_key, "modified"))
        elif document.missing:
            left_out.append(LeftOut(document.document_key, "incomplete", document.missing))
        else:
            fit.append(document)
    files = (tuple(fit[first : first + MOST_DOCUMENTS]) for first in range(0, len(fit), MOST_DOCUMENTS))
    return Sheets(tuple(files), tuple(left_out))


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


def results_of(rows: Iterable[Sequence[Any]]) -> list[Result]:
    """The lines of Hometax's list, whose first row is row 1 of its sheet. Raises UnreadableList."""
    listed = [list(row) for row in rows]
    header = [str(cell) for cell in listed[HEADER_ROW - 1]] if len(listed) >= HEADER_ROW else []
    for place, name in _PLACES.items():
        if len(header) <= place or name not in header[place].replace(" ", ""):
            raise UnreadableList(
                f"column {place + 1} of row {HEADER_ROW} is not {name}: send the list as Hometax gives it"
            )
    told = enumerate(listed[HEADER_ROW:], start=HEADER_ROW + 1)
    return [_result(number, row) for number, row in told if len(row) > _TOTAL and str(row[_APPROVAL]).strip()]


def match(results: Iterable[Result], documents: Iterable[TaxDocument]) -> Matched:
    """Which line tells of which document: by written date, buyer and total. A person says what is open."""
    told: dict[tuple[date, str, int], list[Result]] = defaultdict(list)
    for result in results:
        told[result.written_date, result.buyer_number, result.total].append(result)
    asked: dict[tuple[date, str, int], list[TaxDocument]] = defaultdict(list)
    for document in documents:
        scope = document.written_date, document.buyer.business_number, document.amount.total
        asked[scope].append(document)
    approved: dict[str, Result] = {}
    ambiguous: list[Result] = []
    for scope, here in asked.items():
        lines = told.get(scope, [])
        if len(here) == len(lines) == 1:
            approved[here[0].document_key] = lines[0]
        else:
            ambiguous += lines
    unknown = [line for scope, lines in told.items() if scope not in asked for line in lines]
    silent = [each.document_key for scope, here in asked.items() if scope not in told for each in here]
    return Matched(approved, tuple(ambiguous), tuple(unknown), tuple(silent))


_MADE: Final = datetime(2026, 1, 1)  # noqa: DTZ001 - of the file's own properties, so that its bytes repeat
_WRITTEN, _APPROVAL, _ISSUED, _BUYER_NUMBER, _TOTAL = 0, 1, 2, 9, 14
_PLACES: Final = {
    _WRITTEN: "작성일자",
    _APPROVAL: "승인번호",
    _ISSUED: "발급일자",
    _BUYER_NUMBER: "등록번호",
    _TOTAL: "합계",
}


def _line_cells(line: PrintedLine, day: str) -> list[Cell]:
    amount: Money = line.amount
    return [day, line.name, "", line.quantity, line.unit_price, amount.supply, amount.vat, ""]


def _write(page: Any, row: int, cells: Sequence[Cell], text: Any, number: Any) -> None:
    for column, cell in enumerate(cells):
        if isinstance(cell, int):
            page.write_number(row, column, cell, number)
        elif cell:
            page.write_string(row, column, cell, text)


def _result(number: int, row: Sequence[Any]) -> Result:
    buyer, approval = normalise(str(row[_BUYER_NUMBER])), str(row[_APPROVAL]).replace("-", "").strip()
    try:
        written = _day(row[_WRITTEN])
        total = int(str(row[_TOTAL]).replace(",", "").removesuffix(".0"))
    except ValueError as error:
        raise UnreadableList(f"row {number}: {error}; send the list as Hometax gives it") from None
    if written is None or buyer is None or len(approval) != 24 or not approval.isalnum():
        raise UnreadableList(
            f"row {number} has no date, buyer or approval number; send the list as Hometax gives it"
        )
    return Result(written, approval, _day(row[_ISSUED]), buyer, total)


def _day(cell: Any) -> date | None:
    """A day as a sheet has it: a date, `2026-10-31`, `2026/10/31` or `20261031`; None for an empty cell."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    digits = "".join(c for c in str(cell)[:10] if c.isdigit())
    return date.fromisoformat(digits) if digits else None
