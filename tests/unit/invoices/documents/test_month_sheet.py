"""The workbook of a month, as openpyxl and calamine read it."""

from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import get_args

from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from services.invoices.documents.month_sheet import EVIDENCE, KINDS, STATES, MonthRow, MonthSheet, Sum
from services.invoices.documents.tax_document import REASONS
from services.invoices.state import DocumentKind, DocumentState, Evidence, Modification
from shared.kst import KST
from shared.money import Money

MADE_AT = datetime(2026, 11, 6, 9, 0, tzinfo=KST)
ISSUED = MonthRow(
    document_key="2026-10-1168200276-000001",
    approval_number=None,
    kind="merged",
    state="issued",
    modification=None,
    original_key=None,
    partner_id="P-17",
    business_number="1168200276",
    name="=가나다 주식회사",
    written_date=date(2026, 10, 31),
    issued_at=datetime(2026, 11, 5, 9, 0, 1, tzinfo=KST),
    amount=Money(160_000, 16_000),
    payments=2,
)
MODIFIED = ISSUED._replace(
    document_key="2026-10-1168200276-000002",
    kind="modified",
    modification="supply_value_changed",
    original_key=ISSUED.document_key,
    amount=Money(-64_000, -6_400),
    late=True,
    penalty=640,
)
SUMS = (Sum("tax_invoice", 1, Money(160_000, 16_000)), Sum("modified", 1, Money(-64_000, -6_400)))


def made(path: Path) -> Path:
    with closing(MonthSheet(path, "2026-10", MADE_AT)) as sheet:
        sheet.add([ISSUED, MODIFIED])
        sheet.finish(SUMS)
    return path


def test_each_document_is_a_row_and_the_month_is_summed_by_evidence(tmp_path: Path) -> None:
    book = load_workbook(made(tmp_path / "month.xlsx"))
    documents, sums = book.worksheets

    header, first, second = documents.iter_rows(values_only=True)
    shown = dict(zip(header, first, strict=True))
    assert shown["문서번호"] == "2026-10-1168200276-000001"
    assert shown["사업자등록번호"] == "116-82-00276"
    assert shown["상호"] == "=가나다 주식회사"
    assert (shown["작성일자"], shown["발급일시"]) == ("2026-10-31", "2026-11-05 09:00:01")
    assert (shown["공급가액"], shown["세액"], shown["합계"]) == (160_000, 16_000, 176_000)
    changed = dict(zip(header, second, strict=True))
    assert (changed["수정사유"], changed["당초 문서번호"]) == ("공급가액 변동", "2026-10-1168200276-000001")
    assert (changed["합계"], changed["지연"], changed["예상 가산세"]) == (-70_400, "지연", 640)
    assert list(sums.iter_rows(values_only=True))[-1] == ("합계", 2, 96_000, 9_600, 105_600)


def test_another_reader_sees_the_same(tmp_path: Path) -> None:
    sheets = CalamineWorkbook.from_path(str(made(tmp_path / "month.xlsx")))
    assert sheets.sheet_names == ["문서", "증빙별 합계"]
    rows = sheets.get_sheet_by_name("문서").to_python()
    assert [row[11] for row in rows[1:]] == [160_000, -64_000]


def test_the_same_month_is_the_same_bytes(tmp_path: Path) -> None:
    assert made(tmp_path / "a.xlsx").read_bytes() == made(tmp_path / "b.xlsx").read_bytes()


def test_every_document_that_there_may_be_has_its_words() -> None:
    assert set(KINDS) == set(get_args(DocumentKind))
    assert set(STATES) == set(get_args(DocumentState))
    assert set(REASONS) == set(get_args(Modification))
    assert set(EVIDENCE) == {*get_args(Evidence), "modified"}
