"""Faults as their readers see them."""

from pathlib import Path

import pytest

from shared.events.catalogue import TYPES
from shared.events.faults import CODES, Fault, pointer_to, rule_of, shown

GUIDE = Path(__file__).parents[3] / "docs" / "errors.md"


@pytest.mark.parametrize(
    ("path", "pointer"),
    [((), ""), (("lines", 0, "line_id"), "/lines/0/line_id"), (("a/b", "m~n", ""), "/a~1b/m~0n/")],
)
def test_a_pointer_is_escaped(path: tuple[str | int, ...], pointer: str) -> None:
    assert pointer_to(path) == pointer


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-5, "-5"),
        ("가나", '"가나"'),
        ("a\nb", '"a\\nb"'),
        (None, "null"),
        (True, "true"),
        ({"account": 1}, "an object"),
        ([1], "an array"),
    ],
)
def test_a_value_is_shown_as_json(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_value_is_cut_to_80_characters() -> None:
    assert len(shown("x" * 5_000)) == 80
    assert shown("x" * 5_000).endswith("...")


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code: str) -> None:
    fault = Fault(code, "/a", "because")
    assert fault.help == f"docs/errors.md#{code}"
    assert f"\n## {code}\n" in GUIDE.read_text(encoding="utf-8")


def test_a_fault_says_where_and_why() -> None:
    assert str(Fault("out_of_range", "/lines/0/quantity", "must be 1..9")) == (
        "out_of_range at /lines/0/quantity: must be 1..9"
    )
    assert str(Fault("unreadable", "", "no JSON")) == "unreadable at the whole document: no JSON"


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        (("lines", 3, "unit_price"), "an integer 0..1000000000"),
        (("lines", 0, "usage_days"), "an integer 1..3650"),
        (("lines",), "an array of 1..1000 items"),
        (("vat_mode",), "one of exclusive, inclusive"),
        (("paid_at",), "an RFC 3339 time with an offset, of the years 1900..2999"),
        (("partner", "name"), "text of 1..200 characters without NUL"),
        (("partner",), "an object"),
        (("order_id",), "text of 1..128 characters without control characters"),
    ],
)
def test_a_rule_comes_from_the_published_schema(path: tuple[str | int, ...], rule: str) -> None:
    assert rule_of(TYPES["payment.completed.v1"].model, path) == rule


def test_yes_and_no_and_months_have_rules_too() -> None:
    assert rule_of(TYPES["partner.changed.v1"].model, ("always_merge",)) == "true or false"
    assert rule_of(TYPES["merge.requested.v1"].model, ("month",)).startswith("a month YYYY-MM")
