"""JSON Pointers: what stands there, another value there, and what differs between two documents."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pointers import ABSENT, Change, NoSuchPlace, differences, same_json, value_at, with_value

ORDER: dict[str, Any] = {"order_id": "A-1", "lines": [{"line_id": "1", "quantity": 5}], "a/b~c": None}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", ORDER),
        ("/order_id", "A-1"),
        ("/lines/0/quantity", 5),
        ("/a~1b~0c", None),
        ("/lines/1", ABSENT),
        ("/lines/x", ABSENT),
        ("/order_id/x", ABSENT),
        ("/none", ABSENT),
    ],
)
def test_what_stands_at_a_pointer(pointer: str, value: Any) -> None:
    assert value_at(ORDER, pointer) == value


def test_another_value_leaves_the_document_as_it_was() -> None:
    changed = with_value(ORDER, "/lines/0/quantity", 7)

    assert changed["lines"] == [{"line_id": "1", "quantity": 7}]
    assert ORDER["lines"][0]["quantity"] == 5


def test_a_member_is_added_and_removed_and_an_element_is_put_behind_the_others() -> None:
    assert with_value(ORDER, "/note", "x")["note"] == "x"
    assert "order_id" not in with_value(ORDER, "/order_id", ABSENT)
    assert len(with_value(ORDER, "/lines/-", {"line_id": "2"})["lines"]) == 2
    assert with_value(ORDER, "/lines/0", ABSENT)["lines"] == []


@pytest.mark.parametrize("pointer", ["lines", "/none/x", "/lines/5", "/lines/x", "/lines/-/x", "/order_id/x"])
def test_a_pointer_that_leads_nowhere_is_told(pointer: str) -> None:
    with pytest.raises(NoSuchPlace):
        with_value(ORDER, pointer, 1)


def test_numbers_and_booleans_that_python_takes_for_equal_differ() -> None:
    assert not same_json({"quantity": 1}, {"quantity": True})
    assert not same_json([5], [5.0])
    assert same_json({"a": 1, "b": 2}, {"b": 2, "a": 1})


@given(before=values, after=values)
def test_the_differences_make_one_document_of_the_other(before: Any, after: Any) -> None:
    made = before
    for change in differences(before, after):
        assert same_json(value_at(before, change.pointer), change.before)
        made = with_value(made, change.pointer, change.after)

    assert same_json(made, after)


def test_documents_that_are_written_alike_do_not_differ() -> None:
    assert list(differences(ORDER, dict(ORDER))) == []
    assert list(differences({"a": [1, 2]}, {"a": [1, 2, 3]})) == [Change("/a", [1, 2], [1, 2, 3])]
