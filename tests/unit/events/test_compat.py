"""The check that refuses a change which breaks a reader."""

import copy
from pathlib import Path
from typing import Any

import pytest

from shared.events.catalogue import TYPES
from shared.events.compat import breaks, main, placed, read_folder
from shared.events.schemas import FOLDER, places, schema_of, write_all


def whole(name: str) -> dict[str, Any]:
    """The schema of a type with its topic and record key."""
    return dict(placed(schema_of(name), places()[name]))


def change(name: str, **edits: Any) -> list[str]:
    """What breaks when the root of a schema is edited: properties, required, or whole keys."""
    old = {name: whole(name)}
    new = copy.deepcopy(old)
    schema = new[name]
    for field in edits.pop("removed", ()):
        del schema["properties"][field]
        schema["required"] = [kept for kept in schema["required"] if kept != field]
    schema["properties"] |= edits.pop("fields", {})
    schema.update(edits)
    return breaks(old, new)


def test_nothing_breaks_when_nothing_changes() -> None:
    assert breaks(read_folder(FOLDER), {name: whole(name) for name in TYPES}) == []


def test_a_new_optional_field_breaks_nobody() -> None:
    assert change("payment.completed.v1", fields={"coupon": {"type": "string"}}) == []
    assert change("order.paid.v1", fields={"coupon": {"type": "string"}}) == []


def test_a_new_type_breaks_nobody() -> None:
    paid = {"order.paid.v1": schema_of("order.paid.v1")}
    assert breaks(paid, {**paid, "order.paid.v2": {}}) == []


def test_a_type_that_is_gone_breaks_its_readers() -> None:
    assert breaks({"order.paid.v1": schema_of("order.paid.v1")}, {}) == [
        "order.paid.v1: the type was removed"
    ]


def test_a_field_that_is_gone_or_renamed_breaks_its_readers() -> None:
    renamed = {"won": {"type": "integer"}}
    assert change("order.paid.v1", removed=["amount"], fields=renamed) == [
        "order.paid.v1/amount: the field was removed",
        "order.paid.v1/amount: the field is no longer always there",
    ]


def test_another_type_breaks_both_sides() -> None:
    for name in ("order.paid.v1", "payment.completed.v1"):
        found = change(name, fields={"amount": {"type": "string"}})
        assert found == [f"{name}/amount: the type changed from integer to string"]


def test_a_field_that_becomes_required_breaks_those_who_send_it() -> None:
    required = [*schema_of("merge.requested.v1")["required"], "payment_ids"]
    assert change("merge.requested.v1", required=required) == [
        "merge.requested.v1/payment_ids: the field is now required"
    ]


def test_a_field_of_ours_that_becomes_optional_breaks_those_who_read_it() -> None:
    assert change("month.closed.v1", required=["month"])[0] == (
        "month.closed.v1/closed_at: the field is no longer always there"
    )


def test_a_narrower_limit_breaks_those_who_send_it() -> None:
    amount = {"type": "integer", "minimum": 2, "maximum": 10**6}
    assert change("payment.completed.v1", fields={"amount": amount}) == [
        "payment.completed.v1/amount: maximum fell from 1000000000000000 to 1000000",
        "payment.completed.v1/amount: minimum rose from 0 to 2",
    ]
    assert change("order.paid.v1", fields={"amount": amount}) == []


def test_a_word_that_is_no_longer_taken_breaks_those_who_send_it() -> None:
    mode = {"type": "string", "enum": ["exclusive", "both"]}
    assert change("payment.completed.v1", fields={"vat_mode": mode}) == [
        "payment.completed.v1/vat_mode: inclusive is no longer taken"
    ]


def test_fields_inside_lists_and_objects_are_compared_too() -> None:
    old = {"payment.completed.v1": whole("payment.completed.v1")}
    new = copy.deepcopy(old)
    del new["payment.completed.v1"]["$defs"]["Line"]["properties"]["unit_price"]
    new["payment.completed.v1"]["$defs"]["Partner"]["properties"]["name"] = {"type": "integer"}
    assert breaks(old, new) == [
        "payment.completed.v1/partner/name: the type changed from string to integer",
        "payment.completed.v1/lines/*/unit_price: the field was removed",
    ]


def test_null_breaks_the_side_that_does_not_expect_it() -> None:
    nothing = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}
    assert change("order.paid.v1", fields={"supply": nothing}) == [
        "order.paid.v1/supply: null is now possible"
    ]
    always = {"type": "string"}
    assert change("merge.requested.v1", fields={"request_id": always}) == [
        "merge.requested.v1/request_id: null is no longer taken"
    ]


def test_another_topic_or_key_breaks_everybody() -> None:
    assert change("order.paid.v1", **{"x-record-key": "payment_id"}) == [
        "order.paid.v1: record-key changed from order_id to payment_id"
    ]


def test_the_command_says_what_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(write_all(tmp_path)) == len(TYPES) + 1
    assert write_all(tmp_path) == []
    assert main([str(FOLDER), str(tmp_path)]) == 0
    (tmp_path / "order.paid.v1.json").unlink()
    assert main([str(FOLDER), str(tmp_path)]) == 3
    assert capsys.readouterr().err == "order.paid.v1: the type was removed\n"
    assert main([]) == 2


def test_schemas_of_types_that_are_gone_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "order.forgotten.v1.json").write_text("{}", encoding="utf-8")
    assert "order.forgotten.v1.json" in write_all(tmp_path)
    assert not (tmp_path / "order.forgotten.v1.json").exists()


RELEASED = Path(__file__).parents[2] / "contracts" / "released"


def test_contract_2_only_adds_to_contract_1() -> None:
    """New types, new optional fields, wider limits: who wrote or read contract 1 goes on as before."""
    old, new = read_folder(RELEASED / "contract-1"), read_folder(FOLDER)

    assert len(old) == 50
    assert {schema["x-topic"] for schema in old.values()} <= {place["topic"] for place in places().values()}
    assert breaks(old, new) == []
    assert len(new) > len(old)


STANDARD = {
    *("$defs", "$id", "$ref", "$schema", "anyOf", "const", "default", "description", "enum", "format", "if"),
    *("items", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "pattern"),
    *("properties", "required", "then", "title", "type"),
}


def words_of(schema: Any) -> set[str]:
    """Every keyword in a schema, at any depth."""
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for word, part in schema.items():
        below = (
            part.values() if word in ("properties", "$defs") else part if isinstance(part, list) else [part]
        )
        for one in below if word not in ("default", "enum", "const", "required") else ():
            found |= words_of(one)
    return found


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_has_standard_words_only(name: str) -> None:
    """A validator in its strict mode (the default of Ajv) refuses a schema with any other."""
    assert words_of(schema_of(name)) <= STANDARD
