"""Which keys a rotation puts under the current one, what it refuses, and what is listed of it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.serials.codes import RANDOM_BYTES, make_serials
from services.serials.rotation import SERIALS_A_SECOND, Rotation, SerialKey, begin_rotation, seconds_of
from services.serials.todo import keys
from services.serials.vault import SerialKeys, Vault, WrongSerialError
from shared.ids import random_bytes
from shared.kst import KST
from shared.operators.todo import Moment
from shared.web.problems import Problem

AT = datetime(2026, 11, 29, 20, tzinfo=KST)
FIRST = SerialKeys("1", b"a" * 32, b"b" * 32)
SECOND = SerialKeys("2", b"c" * 32, b"d" * 32)


def used(key_id: str, **changes: Any) -> SerialKey:
    """A key that serials are under, and that nobody rotates."""
    key = SerialKey(key_id, AT, None, None, 0, 0, UUID(int=0), None, None)
    return replace(key, **changes)


def rotated(key_id: str, to: str, **changes: Any) -> SerialKey:
    return used(key_id, rotated_to=to, rotated_at=AT, to_rekey=100, **changes)


def code(outcome: Rotation | Problem) -> str:
    assert isinstance(outcome, Problem)
    return outcome.kind.code


def test_every_key_but_the_current_one_is_rotated_to_it() -> None:
    keys = [used("1"), used("2"), used("3")]

    assert begin_rotation(keys, "3", "3", {"1", "2", "3"}) == Rotation(["1", "2"], [])


def test_asked_again_it_goes_on_and_begins_nothing_anew() -> None:
    keys = [rotated("1", "2", stands_at=UUID(int=7)), used("2")]

    assert begin_rotation(keys, "2", "2", {"1", "2"}) == Rotation([], ["1"])


def test_a_rotation_to_a_third_key_takes_the_place_of_one_that_goes_on() -> None:
    keys = [rotated("1", "2"), used("2")]

    assert begin_rotation(keys, "3", "3", {"1", "2", "3"}) == Rotation(["1", "2"], [])


def test_a_retired_key_is_left_alone_also_where_it_is_gone() -> None:
    keys = [rotated("1", "2", retired_at=AT), used("2")]

    assert begin_rotation(keys, "2", "2", {"2"}) == Rotation([], [])


def test_a_key_that_is_not_the_current_one_of_the_process_is_refused() -> None:
    assert code(begin_rotation([used("1"), used("2")], "2", "1", {"1", "2"})) == "key_not_current"


def test_a_key_that_is_missing_is_named() -> None:
    refused = begin_rotation([used("0"), used("1"), used("2")], "2", "2", {"1", "2"})

    assert code(refused) == "key_missing"
    assert isinstance(refused, Problem)
    assert "(0)" in refused.document("en")["detail"]


@pytest.mark.parametrize(("serials", "seconds"), [(0, 0), (1, 1), (SERIALS_A_SECOND * 7, 7)])
def test_how_long_it_takes_follows_from_the_serials_under_old_keys(serials: int, seconds: int) -> None:
    counts = {"1": serials, "2": 10**9}

    assert seconds_of(counts, Rotation(["1"], [])) == seconds_of(counts, Rotation([], ["1"])) == seconds


@given(st.integers(1, 300))
def test_re_keyed_serials_are_the_same_in_their_order_under_the_current_key(count: int) -> None:
    serials = make_serials(random_bytes(count * RANDOM_BYTES))
    old = Vault(FIRST).keep(serials)
    texts, tags = [each.tobytes() for each in old.texts], [each.tobytes() for each in old.tags]
    vault = Vault(SECOND, [FIRST])

    new_tags, new_texts = vault.rekey("1", texts, tags)

    before = Vault(FIRST).open_all(["1"] * count, texts, tags)
    assert (Vault(SECOND).open_all(["2"] * count, new_texts, new_tags) == before).all()
    found = [vault.tags_of(bytes(serial).decode()) for serial in before]
    assert all(tag in tags_of for tag, tags_of in zip(new_tags, found, strict=True))
    assert {len(each) for each in (*new_tags, *new_texts)} == {16}


def test_a_row_that_was_changed_is_not_re_keyed() -> None:
    old = Vault(FIRST).keep(make_serials(random_bytes(2 * RANDOM_BYTES)))
    tags = [each.tobytes() for each in old.tags]

    with pytest.raises(WrongSerialError):
        Vault(SECOND, [FIRST]).rekey("1", [old.texts[0].tobytes(), b"x" * 16], tags)
    with pytest.raises(WrongSerialError):
        Vault(SECOND).rekey("1", [each.tobytes() for each in old.texts], tags)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"rotated_to": None, "stands_at": None}, "key 1, not rotated"),
        ({"rotated_to": "2", "stands_at": None}, "key 1, its serials are put under key 2"),
        ({"rotated_to": "2", "stands_at": UUID(int=7)}, f"key 1, stands still at serial {UUID(int=7)}"),
    ],
    ids=["not-rotated", "goes-on", "stands-still"],
)
def test_an_old_key_is_an_operators_until_nothing_is_under_it(row: dict[str, Any], reason: str) -> None:
    (group,) = keys([{"key_id": "1", "since": AT, **row}], Moment(AT + timedelta(days=1)))

    assert (group.code, group.reason, group.who, group.since) == ("key_not_retired", reason, "operator", AT)
    assert (group.count, group.members, group.command) == (1, ("1",), "pawl serials rotate")
