"""A record survives being kept, whatever its bytes are."""

from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.decisions import Position
from shared.runtime.records import StoredRecord, digest_of, pack, seal_context, unpack

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


def test_a_record_is_told_from_another_one_at_the_same_place() -> None:
    """A topic that was created anew has other records at the same offsets, perhaps of the same bytes."""

    class Consumed(StoredRecord):
        timestamp = 0

    def consumed(value: bytes, timestamp: int) -> Consumed:
        record = Consumed("checkout.events", 0, 0, b"A-1", value, [])
        object.__setattr__(record, "timestamp", timestamp)
        return record

    first = consumed(b"{", 1)
    assert digest_of(consumed(b"{", 1)) == digest_of(first)
    assert digest_of(consumed(b"[", 1)) != digest_of(first)
    assert digest_of(consumed(b"{", 2)) != digest_of(first)
    assert digest_of(consumed(b"{", 2), with_time=False) == digest_of(first, with_time=False)
