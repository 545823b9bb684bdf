"""The content of an event is its type and its JSON values, however they are written."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, TypeAlias, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.events.canonical import content_hash, deeper_than
from shared.events.catalogue import TYPES, UPSTREAM
from shared.events.examples import golden

Path: TypeAlias = tuple[Any, ...]
TYPE = "payment.completed.v1"
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(left: str, right: str) -> bool:
    return content_hash(TYPE, left.encode()) == content_hash(TYPE, right.encode())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ('{"a": [1, {"x": 1, "y": 2}]}', '{"a":[1,{"y":2,"x":1}]}'),
        ('{"a": "\\u00e9\\/"}', '{"a": "é/"}'),
        ('{"a": "\\ud83d\\ude42"}', '{"a": "🙂"}'),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
        ('{"a": 1.0}', '{"a": 1}'),
        ('{"a": 1e2}', '{"a": 100}'),
        ('{"a": 1E+2}', '{"a": 100.00}'),
        ('{"a": -0.0}', '{"a": 0}'),
        ('{"a": -0}', '{"a": 0}'),
        ('{"a": 0.10}', '{"a": 1e-1}'),
        ('{"a": 1e400}', '{"a": 10e399}'),
        ('{"a": 18446744073709551616}', '{"a": 18446744073709551616.0}'),
        ('{"a": 123456789012345678901234567890}', '{"a": 12345678901234567890123456789.0e1}'),
    ],
)
def test_equal_values_are_the_same_content(left: str, right: str) -> None:
    assert same(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": null}', "{}"),
        ('{"a": [1, 2]}', '{"a": [2, 1]}'),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992.0}'),
        ('{"a": 123456789012345678901234567890}', '{"a": 123456789012345678901234567891}'),
        ('{"a": 0.1}', '{"a": 0.10000000000000001}'),
        ('{"a": 1e400}', '{"a": 1e401}'),
        ('{"a": 1.5}', '{"a": "15E-1"}'),
        ('{"a": "é"}', '{"a": "e\u0301"}'),
        ("not json", "not  json"),
    ],
)
def test_other_values_are_other_content(left: str, right: str) -> None:
    assert not same(left, right)


def test_the_type_is_part_of_the_content() -> None:
    body = b'{"order_id": "A-1"}'
    assert content_hash("payment.pending.v1", body) != content_hash(TYPE, body)
    assert len(content_hash(TYPE, body)) == 16


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b"[" * 1_000 + b"]" * 1_000,
        b'{"a": 1e99999999999999999999}',
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b"1.5",
    ],
)
def test_what_is_not_json_still_has_content(body: bytes) -> None:
    assert content_hash(TYPE, body) == content_hash(TYPE, bytes(body))
    assert content_hash(TYPE, body) != content_hash(TYPE, body + b"x")


def test_a_document_too_deep_to_read_still_has_content() -> None:
    deep = b'{"a":' + b"[" * 900 + b"1.0" + b"]" * 900 + b"}"
    assert content_hash(TYPE, deep) == content_hash(TYPE, bytes(deep))


def test_a_number_of_a_thousand_digits_takes_no_time_and_no_memory() -> None:
    assert same('{"a": 1e999999999}', '{"a": 1.0e999999999}')
    assert same('{"a": 1' + "0" * 9_000 + "}", '{"a": 1e9000}')


@given(json_values)
def test_spelling_makes_no_difference(value: object) -> None:
    compact = json.dumps({"v": value}, ensure_ascii=False, separators=(",", ":"))
    roomy = json.dumps({"v": value}, ensure_ascii=True, indent=1, sort_keys=True)
    assert same(compact, roomy)


@given(json_values, json_values)
def test_contents_are_equal_exactly_when_values_are(left: object, right: object) -> None:
    written = [json.dumps({"v": value}) for value in (left, right)]
    alike = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert same(*written) == alike


def places_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every place of a document, however deep, with what stands there."""
    yield path, value
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inside:
        yield from places_in(each, (*path, name))


def changed_at(document: Any, path: Path, value: Any) -> Any:
    """The document with another value at this place."""
    if not path:
        return value
    copied = document.copy()
    copied[path[0]] = changed_at(document[path[0]], path[1:], value)
    return copied


@pytest.mark.parametrize("name", [name for name, kind in TYPES.items() if kind.topic == UPSTREAM])
def test_every_place_of_a_document_is_part_of_its_content(name: str) -> None:
    """A hash that skips a nested field takes a changed document for a repeated one."""
    document = golden()[name].data
    content = content_hash(name, orjson.dumps(document))
    for path, value in places_in(document):
        other = changed_at(document, path, [value])
        assert content_hash(name, orjson.dumps(other)) != content, path
    for path, value in places_in(document):
        if isinstance(value, dict):
            more = changed_at(document, path, {**value, "one_more": None})
            assert content_hash(name, orjson.dumps(more)) != content, path


def names_of(model: type[BaseModel]) -> Iterator[str]:
    """The fields of a document and of everything in it, also those that the golden document leaves out."""
    for name, field in model.model_fields.items():
        yield name
        yield from names_in(field.annotation)


def names_in(hint: Any) -> Iterator[str]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield from names_of(hint)
    for inner in get_args(hint):
        yield from names_in(inner)


def test_no_field_of_any_document_is_passed_over_in_an_object_or_a_list_of_any_name() -> None:
    models = [kind.model for kind in TYPES.values() if kind.topic == UPSTREAM]
    names = sorted({name for model in models for name in names_of(model)})
    assert {"discount", "usage_days", "business_number", "lines", "reference"} <= set(names)
    for outer in (*names, "one_more"):
        objects, lists = ({name: [name] for name in names}, [{name: [name]} for name in names])
        contents = [content_hash(TYPE, orjson.dumps({outer: inside})) for inside in (objects, lists)]
        for place, name in enumerate(names):
            changed = {**objects, name: [1]}, [*lists[:place], {name: [1]}, *lists[place + 1 :]]
            for content, inside in zip(contents, changed, strict=True):
                assert content_hash(TYPE, orjson.dumps({outer: inside})) != content, (outer, name)


@given(json_values, st.data())
def test_a_change_at_any_depth_is_other_content(value: object, data: st.DataObject) -> None:
    path, there = data.draw(st.sampled_from(list(places_in({"v": value}))))
    assert not same(json.dumps({"v": value}), json.dumps(changed_at({"v": value}, path, [there])))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_fraction_written_shortest_and_in_full_is_the_same(number: float) -> None:
    assert same(f'{{"a": {number!r}}}', f'{{"a": {number!r}0}}') or "e" in repr(number)


@pytest.mark.parametrize(("depth", "too_deep"), [(0, False), (3, False), (4, True)])
def test_depth_counts_objects_and_arrays(depth: int, too_deep: bool) -> None:
    document = orjson.loads(
        b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b"]" * (depth % 2) + b"]}" * (depth // 2) or b"0"
    )
    assert deeper_than(document, 3) is too_deep


def changed_in_one_place(value: Any) -> Iterator[Any]:
    """The document with one thing in it changed, taken away or added, wherever it stands."""
    if isinstance(value, dict):
        for name in value:
            yield {other: each for other, each in value.items() if other != name}
            yield {(f"{name}_" if other == name else other): each for other, each in value.items()}
            for changed in changed_in_one_place(value[name]):
                yield {**value, name: changed}
        yield {**value, "one_more": None}
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield [*value[:place], *value[place + 1 :]]
            yield from (
                [*value[:place], changed, *value[place + 1 :]] for changed in changed_in_one_place(each)
            )
        yield [*value, None]
    else:
        yield [value]
        yield f"{value}_" if isinstance(value, str) else (0 if value is None else None)
        yield not value if isinstance(value, bool) else (value + 1 if isinstance(value, int) else 0)


@pytest.mark.parametrize("document", golden().values(), ids=lambda document: document.type)
def test_whatever_changes_anywhere_in_a_document_changes_its_content(document: Any) -> None:
    """Also a field of a field of a line: a repeat that says something else is never taken for the same."""
    said = content_hash(document.type, orjson.dumps(document.data))

    for changed in changed_in_one_place(deepcopy(document.data)):
        assert content_hash(document.type, orjson.dumps(changed)) != said, changed


@given(json_values)
def test_whatever_changes_anywhere_changes_the_content(value: object) -> None:
    said = json.dumps({"v": value})

    for changed in changed_in_one_place(value):
        assert not same(json.dumps({"v": changed}), said) or changed == value
