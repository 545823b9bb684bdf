"""Many rows at once are the same as each by itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.serials.codes import RANDOM_BYTES, grouped, make_serials
from services.serials.notices import MARK
from services.serials.sheets import filled, filled_texts, grouped_texts
from shared.spreadsheets import csv_row

CELLS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=MARK)), min_size=2)


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
