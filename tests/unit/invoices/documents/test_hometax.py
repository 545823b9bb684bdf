"""Hometax's bulk sheet as openpyxl reads it, and its list of results, matched to documents."""

from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from openpyxl import load_workbook

from services.invoices.documents.hometax import (
    HEADER_ROW,
    HEADERS,
    UnreadableList,
    match,
    results_of,
    row_of,
    sheet,
    sheets_of,
)
from services.invoices.documents.tax_document import Party, TaxDocument
from shared.kst import KST
from tests.unit.invoices.documents.samples import document, modified, printed
from tests.unit.invoices.test_golden_cases import expected
from tests.unit.invoices.test_golden_cases import given as golden

FORM: Any = orjson.loads((Path(__file__).parents[3] / "golden" / "hometax_excel.json").read_bytes())


@dataclass
class Listed:
    """Hometax's list as it would come, with notices above its header."""

    rows: list[list[Any]]

    @classmethod
    def of(cls, *lines: tuple[Any, Any, Any, Any]) -> "Listed":
        header = [f"열{n}" for n in range(33)]
        header[0], header[1], header[2], header[9], header[14] = (
            "작성일자",
            "승인번호",
            "발급일자",
            "공급받는자사업자등록번호",
            "합계금액",
        )
        rows: list[list[Any]] = [["목록"], [], [], [], [], header]
        for written, approval, buyer, total in lines:
            row: list[Any] = [""] * 33
            row[0], row[1], row[2], row[9], row[14] = written, approval, "2026-11-06", buyer, total
            rows.append(row)
        return cls(rows)


def approval(number: int) -> str:
    return f"2026103110261106{number:08d}"


def single(number: int, units: int = 100) -> TaxDocument:
    key = f"2026-10-1168200276-{number:06d}"
    return document(printed("이용권", 1_600, units), document_key=key)


def test_the_headers_are_those_of_the_form() -> None:
    assert list(HEADERS) == FORM["columns"]
    assert len(HEADERS) == FORM["limits"]["columns"] == expected("H1")["columns"]


def test_a_hundred_and_one_documents_are_two_files() -> None:
    sheets = sheets_of(single(number) for number in range(golden("H1")["documents"]))
    assert [len(each) for each in sheets.files] == expected("H1")["files"]
    assert sheets.left_out == ()


def test_cells_are_text_but_for_won() -> None:
    book = load_workbook(BytesIO(sheet([single(1), single(2)])))
    (page,) = book.worksheets
    rows = list(page.iter_rows(values_only=True))

    assert list(rows[expected("H1")["header_row"] - 1]) == FORM["columns"]
    first = rows[expected("H1")["first_data_row"] - 1]
    assert len(rows) == HEADER_ROW + 2
    assert len(first) == expected("H1")["columns"]
    assert first[0] in expected("H1")["column_A"]
    assert first[58] in expected("H1")["column_BG"]
    assert first[:3] == ("01", "20261031", "1188120586")
    assert (first[10], first[12], first[13]) == ("1168200276", "가나다 주식회사", "이도윤")
    assert first[19:21] == (160_000, 16_000)
    assert first[22:29] == ("31", "이용권", None, 100, 1_600, 160_000, 16_000)
    assert {type(cell) for cell in first} == {str, int, type(None)}


def test_six_lines_become_four_with_the_rest_in_the_last() -> None:
    each = golden("H2")["each_supply"]
    row = row_of(document(*(printed(f"상품 {n}", each, 1) for n in range(golden("H2")["lines"]))))
    assert len(row) == len(HEADERS)
    names = [row[23 + 8 * group] for group in range(4)]
    last = expected("H2")["last"]
    assert names == ["상품 0", "상품 1", "상품 2", last["name"]]
    assert (row[51], row[52]) == (last["supply"], last["vat"])
    assert row[19:21] == expected("H2")["sum"]


def test_a_modified_document_and_one_without_a_representative_are_left_out_and_named() -> None:
    nameless = document(buyer=Party("1168200276", "가나다 주식회사"))
    sheets = sheets_of([modified(), nameless, single(3)])
    assert [[each.document_key for each in file] for file in sheets.files] == [[single(3).document_key]]
    assert [(each.reason, each.missing) for each in sheets.left_out] == [
        ("modified", ()),
        ("incomplete", ("buyer.representative",)),
    ]


def test_what_looks_like_a_formula_is_text() -> None:
    page = load_workbook(BytesIO(sheet([document(printed("=1+1", 1_600, 1))]))).worksheets[0]
    cell = page.cell(HEADER_ROW + 1, 24)
    assert (cell.value, cell.data_type) == ("=1+1", "s")


def test_the_same_documents_are_the_same_bytes() -> None:
    assert sheet([single(1)]) == sheet([single(1)])


@pytest.mark.parametrize(
    "written", ["2026-10-31", "20261031", "2026/10/31", datetime(2026, 10, 31, tzinfo=KST)]
)
def test_a_line_of_the_list_brings_an_approval_number(written: Any) -> None:
    listed = Listed.of((written, approval(1), "116-82-00276", "176,000"))
    (result,) = results_of(listed.rows)

    matched = match([result], [single(1), single(2, 60)])

    assert matched.approved == {single(1).document_key: result}
    assert (result.approval_number, result.issued_on) == (approval(1), date(2026, 11, 6))
    assert matched.silent == (single(2).document_key,)
    assert (matched.ambiguous, matched.unknown) == ((), ())


def test_two_documents_alike_are_for_a_person() -> None:
    lines = [("2026-10-31", approval(n), "1168200276", 176_000.0) for n in (1, 2)]
    matched = match(results_of(Listed.of(*lines).rows), [single(1), single(2)])
    assert not matched.approved
    assert [each.approval_number for each in matched.ambiguous] == [approval(1), approval(2)]


def test_a_line_of_somebody_else_is_unknown() -> None:
    matched = match(
        results_of(Listed.of(("2026-10-31", approval(1), "1348672683", 176_000)).rows), [single(1)]
    )
    assert [each.buyer_number for each in matched.unknown] == ["1348672683"]
    assert matched.silent == (single(1).document_key,)


@pytest.mark.parametrize(
    "line",
    [
        ("2026-13-31", approval(1), "1168200276", 176_000),
        ("2026-10-31", "12", "1168200276", 176_000),
        ("2026-10-31", approval(1), "nobody", 176_000),
        ("2026-10-31", approval(1), "1168200276", "much"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_with_its_row(line: Any) -> None:
    with pytest.raises(UnreadableList, match="row 7"):
        results_of(Listed.of(line).rows)


def test_another_file_is_refused() -> None:
    with pytest.raises(UnreadableList, match="작성일자"):
        results_of([["a", "b"]] * 10)
