"""Faults as their readers see them."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.events.catalogue import TYPES, decode
from shared.events.envelope import read_envelope
from shared.events.examples import golden
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


def refused(type_name: str, **changes: Any) -> list[tuple[str, str]]:
    """The codes and places of what is wrong with the golden document of a type after these changes."""
    document = golden()[type_name]
    body = orjson.dumps({**document.data, **changes})
    with pytest.raises(Fault) as refusal:
        decode(read_envelope(document.header_bytes(), body), document.key)
    return [(fault.code, fault.pointer) for fault in refusal.value.all]


def test_everything_that_is_wrong_is_found_in_the_order_of_the_document() -> None:
    line = golden()["payment.completed.v1"].data["lines"][0]
    wrong = {
        "lines": [{**line, "quantity": 0}, {**line, "unit_price": "free"}],
        "vat_mode": "none",
        "amount": True,
        "paid_at": "2026",
    }
    fields = list(golden()["payment.completed.v1"].data)

    found = refused("payment.completed.v1", **wrong)

    assert sorted(found, key=lambda fault: fields.index(fault[1].split("/")[1])) == found
    assert set(found) == {
        ("out_of_range", "/vat_mode"),
        ("out_of_range", "/lines/0/quantity"),
        ("wrong_type", "/lines/1/unit_price"),
        ("wrong_type", "/amount"),
        ("out_of_range", "/paid_at"),
    }


def test_what_spans_several_fields_is_found_together_too_with_the_key_last() -> None:
    line = {k: v for k, v in golden()["payment.completed.v1"].data["lines"][0].items() if k != "usage_days"}

    assert refused("payment.completed.v1", order_id="another", lines=[line, line]) == [
        ("missing_field", "/lines/0/usage_days"),
        ("missing_field", "/lines/1/usage_days"),
        ("inconsistent", "/lines/1/line_id"),
        ("wrong_key", "/order_id"),
    ]


def test_of_very_many_faults_the_first_twenty_are_told() -> None:
    line = golden()["payment.completed.v1"].data["lines"][0]
    lines = [{**line, "line_id": str(n), "quantity": 0} for n in range(1_000)]

    assert refused("payment.completed.v1", lines=lines) == [
        ("out_of_range", f"/lines/{n}/quantity") for n in range(20)
    ]


@pytest.mark.parametrize("destination", [{"method": 1, "account_number": 110_123_456}, "110-123-456", None])
def test_nothing_of_a_destination_is_repeated_in_any_of_them(destination: Any) -> None:
    document = golden()["refund.requested.v1"]
    body = orjson.dumps({**document.data, "role": "nobody", "destination": destination})
    with pytest.raises(Fault) as refusal:
        decode(read_envelope(document.header_bytes(), body), document.key)

    assert len(refusal.value.all) > 1
    assert not any("110" in fault.detail for fault in refusal.value.all)
