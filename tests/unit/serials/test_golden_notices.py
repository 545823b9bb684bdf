"""The cases of serials.json about what is told to customers, and about files of serials."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import orjson
import pytest

from services.serials.codes import LENGTH
from services.serials.notices import MARK, Items, Message, message_kind, size_of
from services.serials.sheets import filled
from services.serials.workbook import MOST_SERIALS, Workbook
from shared.spreadsheets import BOM, csv_row
from tests.support.guides import ROOT

CASES: dict[str, Any] = {
    case["id"]: case for case in orjson.loads((ROOT / "tests/golden/serials.json").read_bytes())
}
COMPLETE = Items(MARK, "춤추는 라이언", "등록일부터 30일", "2027-01-20까지", "https://e.kakao.com/x")
SERIAL = np.frombuffer(b"0123456789ABCDE4", dtype=np.uint8).reshape(-1, LENGTH)


@pytest.mark.parametrize(
    ("text", "size", "kind"),
    list(zip(CASES["N1"]["given"]["texts"], *CASES["N1"]["expect"].values(), strict=True)),
    ids=lambda each: str(each)[:12],
)
def test_n1_bytes_are_those_of_cp949(text: str, size: int, kind: str) -> None:
    assert size_of(text) == size
    assert message_kind(size) == kind.lower()


@pytest.mark.parametrize("text", CASES["N2"]["given"]["texts"])
def test_n2_what_a_phone_cannot_show_is_named_with_a_substitute(text: str) -> None:
    message = Message("sms", text)

    assert (message.bytes, message.fits) == (None, False)
    (named,) = message.unsendable
    assert named.character in text
    assert named.substitute == {"—": "-", "₩": "원", "\xa0": " ", "é": "e"}.get(named.character)


@pytest.mark.parametrize("missing", CASES["N3"]["given"]["missing"])
def test_n3_one_missing_item_is_named(missing: str) -> None:
    assert COMPLETE.missing == []
    assert COMPLETE._replace(**{missing: " "}).missing == [missing]


def test_x1_a_csv_is_text_for_a_spreadsheet() -> None:
    given, expected = CASES["X1"]["given"], CASES["X1"]["expect"]
    row = csv_row([MARK, given["product_name"], "30 days from registration"])

    content = filled(row, SERIAL)

    assert BOM.hex().upper() == expected["starts_with_bytes"]
    assert content.decode().endswith(expected["line_end"].encode().decode("unicode_escape"))
    assert f'"{expected["cell"].removesuffix(" quoted")}"' in content.decode()
    assert content.decode().split(",")[0] == expected["serial_cell"] == given["serial"]


def test_x2_a_sheet_takes_the_largest_grant_as_text_without_a_shared_table(tmp_path: Path) -> None:
    given, expected = CASES["X2"]["given"], CASES["X2"]["expect"]
    workbook = Workbook(tmp_path, COMPLETE, COMPLETE._replace(product_name="=1+1"), "7KP2-M0ZV-3XW1")
    workbook.add(SERIAL)
    workbook.close()

    with zipfile.ZipFile(workbook.path) as book:
        sheets = [name for name in book.namelist() if name.startswith("xl/worksheets/")]
        xml = book.read(sheets[0]).decode()

    assert len(sheets) == expected["sheets"]
    assert given["units"] + 1 == expected["rows"] <= MOST_SERIALS + 1 == expected["limit"]
    assert xml.count("<c ") == xml.count('t="inlineStr"') == 10
    assert "<f>" not in xml


@pytest.mark.parametrize("value", CASES["X3"]["given"]["values"])
def test_x3_text_stays_text_in_a_workbook_and_in_a_csv(value: str, tmp_path: Path) -> None:
    workbook = Workbook(tmp_path, COMPLETE, COMPLETE._replace(product_name=value), "7KP2-M0ZV-3XW1")
    workbook.add(SERIAL)
    workbook.close()
    cell = openpyxl.load_workbook(workbook.path).active["B2"]
    (of_csv,) = csv.reader(io.StringIO(csv_row([value])))

    assert (cell.value == value) is CASES["X3"]["expect"]["read_back_equal"]
    assert cell.data_type == "s"
    assert of_csv == [f"'{value}"]
