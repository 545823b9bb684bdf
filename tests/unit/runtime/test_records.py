"""A record survives being kept, whatever its bytes are."""

from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.decisions import Position
from shared.runtime.records import StoredRecord, pack, seal_context, unpack

bytes_or_nothing = st.none() | st.binary(max_size=200)


@given(
    key=bytes_or_nothing,
    value=bytes_or_nothing,
    headers=st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=5),
)
def test_packing_and_unpacking_changes_nothing(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    record = StoredRecord("checkout.events", 3, 41_782, key, value, headers)

    assert unpack(Position("checkout.events", 3, 41_782), pack(record)) == record


def test_a_sealed_record_is_bound_to_its_place() -> None:
    assert seal_context(Position("checkout.events", 3, 41_782)) == b"checkout.events/3/41782"
