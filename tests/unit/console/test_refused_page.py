"""The document of a refused record, with its fault marked."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from console.screens.refused import document_of, marked, row_of
from ops.shell.ways import find_path, letter_path, order_path, way_of

DOCUMENT = {"amount": -5, "partner": {}, "lines": [{"line_id": "1", "a/b": 2}, {"line_id": "2"}]}


def faults(document: Any, pointer: str) -> list[str]:
    return [line.text.strip() for line in marked(document, pointer) if line.is_fault]


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/amount", ['"amount": -5,']),
        ("/lines/1", ["{", '"line_id": "2"', "}"]),
        ("/lines/0/a~1b", ['"a/b": 2']),
        ("/lines/1/quantity", ["{", '"line_id": "2"', "}"]),
        ("", []),
        ("/nothing", []),
    ],
)
def test_the_lines_are_marked_that_a_pointer_names_or_its_parent(pointer: str, expected: list[str]) -> None:
    assert faults(DOCUMENT, pointer) == expected


def test_the_lines_are_the_document() -> None:
    text = "\n".join(line.text for line in marked(DOCUMENT, "/amount"))

    assert orjson.loads(text) == DOCUMENT
    assert text == orjson.dumps(DOCUMENT, option=orjson.OPT_INDENT_2).decode()


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"document": {"a": 1}, "value": "x"}, {"a": 1}),
        ({"value": '{"a": 2}'}, {"a": 2}),
        ({"value": "no json"}, None),
        ({"value": None}, None),
    ],
)
def test_a_record_without_a_document_is_shown_as_it_came(shown: dict[str, Any], expected: Any) -> None:
    assert document_of(shown) == expected


def test_a_cause_leads_to_its_records_and_a_lonely_one_to_itself() -> None:
    group = {
        "service": "orders", "kind": "dead", "code": "out_of_range", "pointer": "/amount", "state": "open",
        "type": "payment.completed.v1", "count": 2, "newest": "2026-11-30T18:00:00+09:00",
        "example": "orders:7", "oldest": "2026-11-30T17:00:00+09:00", "keys": 2, "won": 352_000,
        "senders": ["https://shop.example"],
    }  # fmt: skip

    at = datetime.fromisoformat("2026-11-30T18:30:00+09:00")
    row = row_of(group, at)
    assert row["way"] == "/refused?service=orders&code=out_of_range&type=payment.completed.v1"
    assert (row["won"], row["keys"], row["age"]) == (352_000, 2, timedelta(minutes=90))
    assert (row["kind"], row["sender"]) == ("dead", "https://shop.example")
    assert row_of({**group, "count": 1}, at)["way"] == "/refused/orders:7"


@pytest.mark.parametrize(
    ("command", "way"),
    [
        ("pawl order A-1", order_path("A-1")),
        ("pawl order -- -A/1", order_path("-A/1")),
        ("pawl order 'A 1&x'", "/order?id=A+1%26x"),
        ("pawl dead show orders:p17", letter_path("orders:p17")),
        ("pawl order cancel-request A-1 e", ""),
        ("pawl 'unfinished", ""),
        ("", ""),
    ],
)
def test_a_command_is_the_page_that_shows_the_same(command: str, way: str) -> None:
    assert way_of(command) == way
    assert find_path("a b") == "/find?word=a+b"
