"""Hometax's bulk sheets as openpyxl reads them, and its list of results, matched to documents."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import orjson
import pytest
from openpyxl import load_workbook

from services.invoices.documents.hometax import (
    HEADER_ROW,
    HEADERS,
    LEFT_OUT_FILE,
    Awaited,
    BulkSheets,
    LeftOut,
    Matched,
    match,
    row_of,
    sheet,
)
from services.invoices.documents.tax_document import Party, TaxDocument
from shared.hometax_list import ListedDocument, UnreadableList, lines_of_list
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


def named(number: int) -> TaxDocument:
    key = f"2026-10-1168200276-{number:06d}"
    return document(printed(f"상품 {number}", 1_600, 1), document_key=key)


def awaited(number: int, units: int = 100) -> Awaited:
    of = single(number, units)
    return Awaited(of.document_key, of.written_date, of.buyer.business_number, of.amount.total)


def test_the_headers_are_those_of_the_form() -> None:
    assert list(HEADERS) == FORM["columns"]
    assert len(HEADERS) == FORM["limits"]["columns"] == expected("H1")["columns"]


def packed(*documents: TaxDocument, refused: Sequence[LeftOut] = ()) -> tuple[BulkSheets, bytes]:
    """The sheets of a month, made of these documents one after the other."""
    file = BytesIO()
    sheets = BulkSheets(file, "2026-10")
    for each in documents:
        sheets.add([each])
    for each in refused:
        sheets.leave_out(each)
    sheets.finish()
    return sheets, file.getvalue()


def keys_in(file: bytes) -> list[str]:
    """The first line of each document of a sheet: the name that `single` gave it."""
    (page,) = load_workbook(BytesIO(file)).worksheets
    return [str(row[23]) for row in page.iter_rows(min_row=HEADER_ROW + 1, values_only=True)]


def test_a_hundred_and_one_documents_are_two_files() -> None:
    sheets, file = packed(*(named(number) for number in range(golden("H1")["documents"])))

    with ZipFile(BytesIO(file)) as files:
        names = files.namelist()
        found = [keys_in(files.read(name)) for name in names]
    assert names == ["hometax-2026-10-0001.xlsx", "hometax-2026-10-0002.xlsx"]
    assert [len(each) for each in found] == expected("H1")["files"]
    assert [key for each in found for key in each] == [f"상품 {n}" for n in range(101)]
    assert sheets.counts == {"documents": 101, "sheets": 2, "left_out": 0}


def test_a_full_sheet_is_followed_by_no_empty_one() -> None:
    sheets, _ = packed(*(named(number) for number in range(100)))
    assert sheets.counts["sheets"] == 1


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


def test_lines_beyond_the_99_of_a_document_count_on_the_sheet_too() -> None:
    """120 kinds: the document has 98 and 그 밖의 22종, the sheet three of them and all the others."""
    row = row_of(document(*(printed(f"상품 {n:03}", 1_000, 1) for n in range(120))))
    names = [row[23 + 8 * group] for group in range(4)]
    assert names == ["상품 000", "상품 001", "상품 002", "그 밖의 117종"]
    assert (row[51], row[52]) == (117_000, 11_700)
    assert row[19:21] == [120_000, 12_000]


def test_what_no_sheet_takes_is_named_with_its_reason_in_a_file_beside_them() -> None:
    nameless = document(buyer=Party("1168200276", "가나다 주식회사"))
    refused = LeftOut("2026-10-1168200276-000009", "wrong_number")

    sheets, file = packed(modified(), nameless, single(3), refused=[refused])

    with ZipFile(BytesIO(file)) as files:
        assert files.namelist() == ["hometax-2026-10-0001.xlsx", LEFT_OUT_FILE]
        assert len(keys_in(files.read("hometax-2026-10-0001.xlsx"))) == 1
        listed = list(csv.reader(StringIO(files.read(LEFT_OUT_FILE).decode("utf-8-sig"))))
    assert listed == [
        ["document_key", "reason", "missing"],
        [modified().document_key, "modified", ""],
        [nameless.document_key, "incomplete", "buyer.representative"],
        [refused.document_key, "wrong_number", ""],
    ]
    assert sheets.counts == {"documents": 1, "sheets": 1, "left_out": 3}


def test_what_looks_like_a_formula_is_text() -> None:
    page = load_workbook(BytesIO(sheet([document(printed("=1+1", 1_600, 1))]))).worksheets[0]
    cell = page.cell(HEADER_ROW + 1, 24)
    assert (cell.value, cell.data_type) == ("=1+1", "s")


def test_the_same_documents_are_the_same_bytes() -> None:
    assert sheet([single(1)]) == sheet([single(1)])
    assert packed(single(1), modified())[1] == packed(single(1), modified())[1]


@pytest.mark.parametrize(
    "written", ["2026-10-31", "20261031", "2026/10/31", datetime(2026, 10, 31, tzinfo=KST)]
)
def test_a_line_of_the_list_brings_an_approval_number(written: Any) -> None:
    listed = Listed.of((written, approval(1), "116-82-00276", "176,000"))
    (line,) = lines_of_list(listed.rows)

    matched = match([line], [awaited(1), awaited(2, 60)])

    assert matched == Matched({single(1).document_key: line}, [], [], [])
    assert (line.approval_number, line.issued_on) == (approval(1), date(2026, 11, 6))


def lines(*numbers: int, buyer: str = "1168200276", total: Any = 176_000.0) -> list[ListedDocument]:
    return lines_of_list(Listed.of(*(("2026-10-31", approval(n), buyer, total) for n in numbers)).rows)


def test_two_documents_alike_are_for_a_person() -> None:
    matched = match(lines(1, 2), [awaited(1), awaited(2)])
    assert not matched.approved
    assert [each.approval_number for each in matched.ambiguous] == [approval(1), approval(2)]


def test_two_lines_for_one_document_are_for_a_person() -> None:
    matched = match(lines(1, 2), [awaited(1)])
    assert (matched.approved, matched.ambiguous) == ({}, lines(1, 2))


def test_a_line_that_stands_there_twice_counts_once() -> None:
    assert match(lines(1, 1), [awaited(1)]).approved.keys() == {single(1).document_key}


def test_a_line_of_somebody_else_is_unknown() -> None:
    foreign = lines(1, buyer="1348672683")
    assert match(foreign, [awaited(1)]) == Matched({}, [], foreign, [])


def test_what_was_told_before_is_known_and_helps_to_tell_the_other_one() -> None:
    """Of two documents alike one has its number: the second line can only be about the other one."""
    before, new = lines(1, 2)
    matched = match([before, new], [awaited(1)._replace(approval_number=approval(1)), awaited(2)])
    assert matched == Matched({single(2).document_key: new}, [], [], [before])


def test_a_second_number_for_a_document_that_has_one_is_unknown() -> None:
    second = lines(2)
    assert match(second, [awaited(1)._replace(approval_number=approval(1))]).unknown == second


def test_a_modified_document_is_found_by_its_negative_won() -> None:
    (line,) = lines(1, total="-70,400")
    back = Awaited("2026-10-1168200276-000007", date(2026, 10, 31), "1168200276", -70_400)
    assert match([line], [back]).approved == {back.document_key: line}


@pytest.mark.parametrize(
    "line",
    [
        ("2026-13-31", approval(1), "1168200276", 176_000),
        ("2026-10-31", "12", "1168200276", 176_000),
        ("2026-10-31", approval(1)[:-1] + "가", "1168200276", 176_000),
        ("2026-10-31", approval(1), "nobody", 176_000),
        ("2026-10-31", approval(1), "1168200276", "much"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_with_its_row(line: Any) -> None:
    with pytest.raises(UnreadableList, match="row 7"):
        lines_of_list(Listed.of(line).rows)


def test_another_file_is_refused() -> None:
    with pytest.raises(UnreadableList, match="작성일자"):
        lines_of_list([["a", "b"]] * 10)
