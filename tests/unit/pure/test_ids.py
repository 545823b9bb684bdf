"""Ids are UUIDv7 and never go back."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import now
from shared.ids import RUN_LIMIT, random_bytes, uuid7, uuid7_batch, uuid7_run


def test_an_id_is_a_uuid_of_version_seven_that_carries_the_present_millisecond() -> None:
    before = int(now().timestamp() * 1000)
    made = uuid7()
    after = int(now().timestamp() * 1000)

    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after
    assert UUID(str(made)) == made


@given(st.integers(1, 500))
def test_ids_strictly_increase_however_they_are_asked_for(count: int) -> None:
    run = uuid7_run(count)
    ids = [uuid7(), *uuid7_batch(count), uuid7(), uuid7_run(count), uuid7()]

    assert run < ids[0]
    assert ids == sorted(set(ids))
    assert all(each.version == 7 for each in ids)


@given(st.integers(1, 100_000))
def test_the_ids_of_a_run_belong_to_nobody_else(count: int) -> None:
    first = uuid7_run(count)
    last = UUID(int=first.int + count - 1)

    assert (last.version, last.variant) == (7, RFC_4122)
    assert last < uuid7()


def test_a_run_has_a_limit() -> None:
    for count in (0, RUN_LIMIT + 1):
        with pytest.raises(ValueError, match="run"):
            uuid7_run(count)


def test_random_bytes_are_as_many_as_asked_and_differ() -> None:
    assert len(random_bytes(32)) == 32
    assert random_bytes(32) != random_bytes(32)
