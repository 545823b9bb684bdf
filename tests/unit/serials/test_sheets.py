"""Rows of files: what a spreadsheet must take as text, and many rows at once."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serials.codes import RANDOM_BYTES, grouped, make_serials
from services.serials.notices import MARK
from services.serials.sheets import as_text, csv_row, filled, filled_texts, grouped_texts

CELLS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=MARK)), min_size=2)


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


@given(st.integers(1, 40), CELLS, st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_a_block_of_rows_is_each_row_by_itself(count: int, cells: list[str], draw: bytes) -> None:
    serials = make_serials(draw * count)
    template = csv_row([MARK, *cells, f"https://x.kr/{MARK}?again={MARK}"])

    one_by_one = "".join(template.replace(MARK, grouped(bytes(row).decode())) for row in serials)

    assert filled(template, serials).decode() == one_by_one


def test_serials_are_printed_in_groups_of_four() -> None:
    serials = make_serials(bytes(range(RANDOM_BYTES)) * 2)

    texts = grouped_texts(serials)

    assert texts == [grouped(bytes(row).decode()) for row in serials]
    assert filled_texts("x", texts) == ["x", "x"]
    assert filled_texts(f"x/{MARK}", texts) == [f"x/{text}" for text in texts]
    assert grouped_texts(np.empty((0, 16), dtype=np.uint8)) == []
