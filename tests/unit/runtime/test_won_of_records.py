"""The won that a refused record is about, whatever else is wrong with it."""

from typing import Any

import orjson
import pytest

from shared.runtime.records import StoredRecord, won_of

LINE = {"unit_price": 1_600, "quantity": 100}


@pytest.mark.parametrize(
    ("document", "won"),
    [
        ({"amount": 176_000}, 176_000),
        ({"amount": -5, "lines": [LINE, LINE]}, 320_000),
        ({"amount": -5}, None),
        ({"amount": True}, None),
        ({"amount": "176000"}, None),
        ({"amount": 2**60}, None),
        ({"lines": [LINE, {"quantity": 1}]}, None),
        ({"lines": [{"unit_price": 2**52, "quantity": 2**52}]}, None),
        ({"lines": ["x"]}, None),
        ({"lines": []}, None),
        ([1], None),
        ("x", None),
    ],
)
def test_it_is_the_amount_or_what_the_lines_come_to(document: Any, won: int | None) -> None:
    assert won_of(StoredRecord("t", 0, 1, b"k", orjson.dumps(document), ())) == won


def test_a_record_that_is_no_document_says_none() -> None:
    assert won_of(StoredRecord("t", 0, 1, None, b"\xff{", ())) is None
    assert won_of(StoredRecord("t", 0, 1, None, None, ())) is None
