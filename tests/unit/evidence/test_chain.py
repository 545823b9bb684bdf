"""A chain of entries: whatever is taken out, moved, added or changed is noticed, and named."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.evidence.chain import beginning, chained, digest, faults_of, head_of, index_of

HEAD = {"form": "pawl.evidence.v1", "order_id": "A-1001", "taken_at": "2026-12-01T10:00:00+09:00"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
CONTENTS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["event", "payment"]),
            "name": st.text(max_size=8),
            "details": st.dictionaries(st.text(max_size=6), VALUES, max_size=4),
        }
    ),
    min_size=2,
    max_size=12,
)


def faults(found: dict[str, Any], original: dict[str, Any]) -> list[str]:
    """What is wrong with `found` by what was noted of the original."""
    return faults_of(found, beginning(original), index_of(original))


def relinked(document: dict[str, Any]) -> dict[str, Any]:
    """What a forger makes of changed entries who knows how hashes are made."""
    contents = [
        {name: value for name, value in entry.items() if name not in ("number", "previous", "hash")}
        for entry in document["entries"]
    ]
    return chained({name: value for name, value in document.items() if name != "entries"}, contents)


@given(CONTENTS)
def test_what_nobody_touched_is_whole(contents: list[dict[str, Any]]) -> None:
    document = chained(HEAD, contents)

    assert faults(copy.deepcopy(document), document) == []
    assert head_of(document) == document["entries"][-1]["hash"]
    assert [entry["number"] for entry in document["entries"]] == list(range(1, len(contents) + 1))


@given(CONTENTS, st.data())
def test_each_entry_that_is_taken_out_is_named(contents: list[dict[str, Any]], data: st.DataObject) -> None:
    document = chained(HEAD, contents)
    gone = data.draw(st.integers(0, len(contents) - 1))
    found = {**document, "entries": [e for place, e in enumerate(document["entries"]) if place != gone]}

    named = f"entry {gone + 1} ({contents[gone]['kind']} {contents[gone]['name']}) is missing"
    assert named in faults(found, document)


@given(CONTENTS, st.data())
def test_entries_that_change_places_are_named(contents: list[dict[str, Any]], data: st.DataObject) -> None:
    document = chained(HEAD, contents)
    pairs = st.lists(st.integers(0, len(contents) - 1), min_size=2, max_size=2, unique=True)
    first, second = sorted(data.draw(pairs))
    entries = list(document["entries"])
    entries[first], entries[second] = entries[second], entries[first]

    told = faults({**document, "entries": entries}, document)
    assert f"entry {first + 1} stands behind entry {second + 1}" in told


@given(CONTENTS, st.data())
def test_any_edit_is_named(contents: list[dict[str, Any]], data: st.DataObject) -> None:
    document = chained(HEAD, contents)
    place = data.draw(st.integers(0, len(contents) - 1))
    name, value = data.draw(st.tuples(st.text(max_size=6), VALUES))
    found = copy.deepcopy(document)
    found["entries"][place]["details"][name] = value
    if digest(found) == digest(document):
        return

    assert any(f"entry {place + 1} " in told and "was changed" in told for told in faults(found, document))


@given(CONTENTS, st.data())
def test_one_who_makes_all_hashes_anew_is_caught_by_what_was_noted(
    contents: list[dict[str, Any]], data: st.DataObject
) -> None:
    document = chained(HEAD, contents)
    place = data.draw(st.integers(0, len(contents) - 1))
    found = copy.deepcopy(document)
    found["entries"][place]["details"]["amount"] = "another"
    forged = relinked(found)
    if digest(forged) == digest(document):
        return

    assert head_of(forged) != head_of(document)
    assert any(f"entry {place + 1} " in told and "was changed" in told for told in faults(forged, document))


@given(CONTENTS)
def test_an_entry_that_is_added_or_repeated_is_named(contents: list[dict[str, Any]]) -> None:
    document = chained(HEAD, contents)
    count = len(contents)
    last = document["entries"][-1]
    added = {"number": count + 1, **contents[0], "previous": last["hash"]}
    entries = [*document["entries"], {**added, "hash": digest(added)}]

    assert f"entry {count + 1} was added: nothing is noted of it" in faults(
        {**document, "entries": entries}, document
    )
    twice = faults({**document, "entries": [*document["entries"], last]}, document)
    assert f"entry {count} is there twice" in twice


@given(CONTENTS)
def test_what_stands_before_the_entries_is_in_the_chain_too(contents: list[dict[str, Any]]) -> None:
    document = chained(HEAD, contents)
    told = faults({**document, "order_id": "A-1002"}, document)

    assert told == ["what stands before the entries was changed"]


@given(CONTENTS)
def test_a_gap_is_seen_though_the_index_was_changed_with_the_entries(contents: list[dict[str, Any]]) -> None:
    document = chained(HEAD, contents)
    shorter = {**document, "entries": document["entries"][1:]}

    assert faults_of(shorter, beginning(document), index_of(shorter)) == [
        "entry 2 does not follow the beginning"
    ]


def test_a_document_without_entries_has_its_beginning_for_a_head() -> None:
    empty = chained(HEAD, [])

    assert head_of(empty) == beginning(empty)
    assert faults_of(empty, beginning(empty), []) == []
