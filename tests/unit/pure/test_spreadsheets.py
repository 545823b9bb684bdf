"""Text for spreadsheets: what would be computed or guessed stays the text that it is."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serials.codes import RANDOM_BYTES, grouped, make_serials
from shared.spreadsheets import as_text, csv_line, csv_row

CELLS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2)


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+82", "-1", "@x", "\tx", "\rx", "\nx", "＝1", "00123", "1-2", "1E5", "1.5", "12:30", "3/4",
     "50%", "TRUE", "false", " 007 ", "1 000", "₩1,600", "2027-01-20", "2027-01-20 23:59:59"],
)  # fmt: skip
def test_what_would_be_computed_or_guessed_gets_an_apostrophe(cell: str) -> None:
    assert as_text(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell",
    ["", "스터디 이용권", "30일 이용권", "0123-4567-89AB-CDE4", "0000-0000-0000-0000", "until 2027-01-20",
     "2027-01-20까지", "https://x.kr/?a=1", "E", "30 days from registration", "(광고)[한빛]", "true story"],
)  # fmt: skip
def test_other_text_is_left_as_it_is(cell: str) -> None:
    assert as_text(cell) == cell


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_a_serial_is_never_taken_for_anything_else(draw: bytes) -> None:
    serial = grouped(make_serials(draw).tobytes().decode())

    assert as_text(serial) == serial


@given(CELLS)
def test_a_row_is_read_back_by_whoever_knows_the_standard(cells: list[str]) -> None:
    row = csv_row(cells)

    (read,) = csv.reader(io.StringIO(row, newline=""), strict=True)
    assert row.endswith("\r\n")
    assert [cell.removeprefix("'") for cell in read] == [cell.removeprefix("'") for cell in cells]


def test_a_line_leaves_numbers_as_they_are() -> None:
    assert csv_line(["12", "a,b", "-3"]) == '12,"a,b",-3\r\n'
