"""Whatever a Kafka client may legally write is read or refused by name, within bounds, and never twice."""

import gzip
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from os import urandom
from time import process_time
from typing import Any, cast

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from shared.events.envelope import read_envelope
from shared.events.faults import Fault
from shared.runtime import unpacking
from shared.runtime.intake import Intake
from shared.runtime.records import StoredRecord, UnreadableBatch, pack, unpack
from shared.runtime.unpacking import (
    MAX_BATCH_BYTES,
    TRIES_OF_A_CHECKSUM,
    BoundedRecords,
    Budget,
    TooLarge,
    budget_of_poll,
    read_within_bounds,
    unlz4,
    unsnap,
    unzip,
    unzstd,
)
from tests.support.toy import toy

PLACE = TopicPartition("checkout.events", 0)
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
YEAR_1970, YEAR_2100, NO_TIME = 0, 4_102_444_800_000, -1
CODECS = {
    GZIP: (gzip_encode, unzip),
    SNAPPY: (snappy_encode, unsnap),
    LZ4: (lz4_encode, unlz4),
    ZSTD: (zstd_encode, unzstd),
}

read_within_bounds()

Written = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def batch(
    base: int,
    *records: Written,
    codec: int = NONE,
    at: int = 1_700_000_000_000,
    transactional: bool = False,
    producer: int = -1,
    control: bool = False,
) -> bytes:
    """A batch as a producer writes it, its first record at `base`."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, producer, 0, 0, 10**9)
    for number, (key, value, headers) in enumerate(records):
        builder.append(number, at, key, value, cast(Any, headers))
    content = bytearray(builder.build())
    content[0:8] = struct.pack(">q", base)
    if control:
        content[21:23] = struct.pack(">h", struct.unpack(">h", content[21:23])[0] | 0x20)
        _sign(content)
    return bytes(content)


def _sign(content: bytearray) -> None:
    from aiokafka.record.util import calc_crc32c

    content[17:21] = struct.pack(">I", calc_crc32c(bytes(content[21:])))


def with_body(base: int, count: int, body: bytes, codec: int) -> bytes:
    """A batch with a right checksum around any bytes."""
    content = bytearray(batch(base, *[(b"k", b"v", [])] * count))[:61] + bytearray(body)
    content[8:12] = struct.pack(">i", len(content) - 12)
    content[21:23] = struct.pack(">h", codec)
    _sign(content)
    return bytes(content)


def opened(content: bytes, fetch_offset: int = 0, aborted: Sequence[tuple[int, int]] = ()) -> BoundedRecords:
    return BoundedRecords(PLACE, MemoryRecords(content), list(aborted), fetch_offset, None, None, True, 1)


def said(*values: str) -> list[Written]:
    return [(b"A-1", value.encode(), []) for value in values]


def places(records: Any) -> list[int]:
    return [record.offset for record in records]


@pytest.mark.parametrize("codec", range(5))
def test_every_codec_is_read(codec: int) -> None:
    records = opened(batch(7, *said("one", "two"), codec=codec), 7)

    assert [(r.offset, r.value) for r in records] == [(7, b"one"), (8, b"two")]
    assert records.next_fetch_offset == 9


@pytest.mark.parametrize("at", [YEAR_1970, YEAR_2100, NO_TIME])
def test_a_time_of_any_year_is_read(at: int) -> None:
    assert [r.timestamp for r in opened(batch(0, *said("x"), at=at))] == [at]


def test_null_keys_tombstones_and_headers_of_every_kind_are_read() -> None:
    headers: list[tuple[str, bytes | None]] = [("a", b"1"), ("a", b"2"), ("b", None), ("주문", b"\xff")]

    (record,) = opened(batch(0, (None, None, headers)))

    assert (record.key, record.value, list(record.headers)) == (None, None, headers)
    kept = StoredRecord(*PLACE, 0, record.key, record.value, list(record.headers))
    assert [name for name, _ in unpack(cast(Any, (*PLACE, 0)), pack(kept)).headers] == ["a", "a", "b", "주문"]


@pytest.mark.parametrize("codec", range(5))
def test_a_batch_whose_records_are_all_compacted_away_is_passed(codec: int) -> None:
    empty = bytearray(with_body(5, 3, b"", codec))
    empty[57:61] = struct.pack(">i", 0)
    _sign(empty)
    records = opened(bytes(empty) + batch(9, *said("x")), 5)

    assert places(records) == [9]
    assert records.next_fetch_offset == 10


def test_holes_and_control_batches_are_passed_and_the_position_stands_behind_them() -> None:
    marker = [(struct.pack(">hh", 0, 1), struct.pack(">hi", 0, 0), [])]
    content = (
        batch(3, *said("kept"), transactional=True, producer=9)
        + batch(20, *marker, control=True, transactional=True, producer=9)
        + batch(31, *said("after a hole"))
        + batch(40, *marker, control=True, transactional=True, producer=9)
    )
    records = opened(content, 1)

    assert places(records) == [3, 31]
    assert records.next_fetch_offset == 41


def test_what_a_transaction_aborted_is_never_read_until_its_end() -> None:
    abort = [(struct.pack(">hh", 0, 0), struct.pack(">hi", 0, 0), [])]
    content = (
        batch(0, *said("aborted"), transactional=True, producer=9)
        + batch(1, *said("of another"))
        + batch(2, *abort, control=True, transactional=True, producer=9)
        + batch(3, *said("committed"), transactional=True, producer=9)
    )

    assert places(opened(content, 0, [(9, 0)])) == [1, 3]


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_unpacks_to_too_much_is_told_at_its_place_and_passed(codec: int) -> None:
    encode, decode = CODECS[codec]
    bomb = bytes(encode(b"\0" * (MAX_BATCH_BYTES + 1)))
    with pytest.raises(TooLarge):
        decode(bomb)

    records = opened(with_body(5, 4, bomb, codec) + batch(9, *said("behind it")), 5)
    unreadable, behind = list(records)

    assert isinstance(unreadable, UnreadableBatch)
    assert (unreadable.offset, behind.offset, records.next_fetch_offset) == (5, 9, 10)
    assert "the records 5 to 8 are in a batch that cannot be read" in unreadable.detail
    assert f"more than {MAX_BATCH_BYTES} bytes" in unreadable.detail


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_of_exactly_the_bound_is_unpacked(codec: int) -> None:
    encode, decode = CODECS[codec]

    assert len(decode(bytes(encode(b"\0" * MAX_BATCH_BYTES)))) == MAX_BATCH_BYTES


def test_gzip_of_several_members_and_raw_snappy_are_unpacked() -> None:
    assert unzip(gzip.compress(b"one") + gzip.compress(b"two")) == b"onetwo"
    assert unsnap(bytes(cramjam.snappy.compress_raw(b"raw"))) == b"raw"


EMPTY_MEMBER = gzip.compress(b"")
LARGEST_BATCH = 2_097_152
"""What checkout.events takes: deploy/kafka/topics.yaml."""
SNAPPY_HEADER = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
MANY_PIECES = {
    "gzip members": (GZIP, b"", EMPTY_MEMBER),
    "snappy blocks": (SNAPPY, SNAPPY_HEADER, struct.pack(">i", 1) + b"\0"),
    "lz4 frames": (LZ4, b"", bytes(cramjam.lz4.compress(b""))),
    "lz4 frames to be skipped": (LZ4, b"", struct.pack("<II", 0x184D2A50, 0)),
    "zstd frames": (ZSTD, b"", bytes(cramjam.zstd.compress(b""))),
    "zstd frames to be skipped": (ZSTD, b"", struct.pack("<II", 0x184D2A50, 0)),
    "zstd blocks": (ZSTD, b"\x28\xb5\x2f\xfd\0\x58", b"\0\0\0"),
}
MOST_CPU_SECONDS = 3.0
"""Far above what it takes, and far below what a member that costs the whole rest would take."""


@pytest.mark.parametrize("name", MANY_PIECES)
def test_the_time_of_a_batch_grows_with_its_bytes_however_small_its_pieces_are(name: str) -> None:
    codec, head, piece = MANY_PIECES[name]
    body = head + piece * ((LARGEST_BATCH - len(head)) // len(piece))
    before = process_time()

    with suppress(cramjam.DecompressionError):  # a last block that none is
        assert CODECS[codec][1](body) == b""

    assert process_time() - before < MOST_CPU_SECONDS


@pytest.mark.parametrize("name", ["gzip members", "snappy blocks"])
def test_a_batch_of_more_pieces_than_may_be_is_told_by_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MAX_PIECES", 10)
    codec, head, piece = MANY_PIECES[name]
    assert CODECS[codec][1](head + piece * 10) == b""

    (unreadable,) = opened(with_body(0, 1, head + piece * 11, codec))

    assert isinstance(unreadable, UnreadableBatch)
    assert "more than 10 pieces; compress it as one" in unreadable.detail


def test_members_of_every_size_are_unpacked_as_one() -> None:
    noise = [urandom(size) for size in (0, 1, 255, 256, 257, 70_000, 3, 200_000)]

    assert unzip(b"".join(map(gzip.compress, noise))) == b"".join(noise)


@pytest.mark.parametrize("rest", [pytest.param(EMPTY_MEMBER[:-1], id="cut short"), b"garbage"])
def test_what_follows_a_member_must_be_one(rest: bytes) -> None:
    with pytest.raises(zlib.error):
        unzip(gzip.compress(b"whole") + rest)


def test_a_poll_that_has_unpacked_many_pieces_ends_with_its_batch() -> None:
    members = b"".join(gzip.compress(bytes([byte])) for byte in batch(0, *said("one", "two"))[61:])
    batches = [with_body(base, 2, members, GZIP) for base in (0, 2, 4)]

    def poll(records: BoundedRecords) -> list[int]:
        budget_of_poll.set(Budget(pieces=10))
        return places(records)

    first = opened(b"".join(batches))
    assert copy_context().run(poll, first) == [0, 1], "a batch is read whole, so that reading goes on"
    second = opened(b"".join(batches[1:]), first.next_fetch_offset)
    assert copy_context().run(poll, second) == [2, 3]


@pytest.mark.parametrize("codec", [*CODECS, 5, 7])
def test_a_batch_that_no_codec_unpacks_is_told_and_passed(codec: int) -> None:
    records = opened(with_body(2, 1, b"no such thing", codec) + batch(3, *said("x")), 2)

    first, second = list(records)

    assert isinstance(first, UnreadableBatch)
    assert second.offset == 3


def test_records_before_a_broken_one_are_read_and_the_rest_is_told() -> None:
    whole = batch(0, *said("one", "two", "three"))
    broken = bytearray(whole)
    broken[-8:] = b"\xff" * 8
    _sign(broken)

    *read, unreadable = list(opened(bytes(broken) + batch(3, *said("x"))))[:-1]

    assert [record.value for record in read] == [b"one", b"two"]
    assert (unreadable.offset, isinstance(unreadable, UnreadableBatch)) == (2, True)


def test_a_header_whose_name_is_not_text_is_told() -> None:
    content = bytearray(batch(0, (b"k", b"v", [("name", b"x")])))
    at = content.index(b"name")
    content[at : at + 4] = b"\xff\xfe\xff\xfe"
    _sign(content)

    (unreadable,) = opened(bytes(content))

    assert isinstance(unreadable, UnreadableBatch)


def test_a_wrong_checksum_is_fetched_again_a_few_times_and_then_told() -> None:
    content = bytearray(batch(70, *said("x")))
    content[-1] ^= 1
    unpacking._wrong_checksums.clear()

    for _ in range(TRIES_OF_A_CHECKSUM - 1):
        with pytest.raises(CorruptRecordException):
            list(opened(bytes(content), 70))
    (unreadable,) = opened(bytes(content), 70)

    assert "checksum" in unreadable.detail


def test_a_poll_ends_when_it_has_given_out_enough_and_the_next_one_goes_on() -> None:
    content = batch(0, *said("x" * 600, "y" * 600, "z" * 600)) + batch(3, *said("w"))

    def poll(records: BoundedRecords) -> list[int]:
        budget_of_poll.set(Budget(1_000))
        return places(records)

    first = opened(content)
    assert copy_context().run(poll, first) == [0, 1]
    second = opened(content, first.next_fetch_offset)
    assert copy_context().run(poll, second) == [2, 3]


def test_without_a_poll_that_counts_everything_is_given_out() -> None:
    assert places(opened(batch(0, *said("x" * 600, "y" * 600)))) == [0, 1]


def test_a_header_that_says_two_things_is_refused_by_name() -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"evt-1"), ("ce_id", b"evt-2")]

    with pytest.raises(Fault) as refused:
        read_envelope(headers, b"{}")
    with pytest.raises(Fault) as other:
        read_envelope([*headers[:2], ("ce_id", b"evt-1")], b"{}")

    assert (refused.value.code, "ce_id is there twice" in refused.value.detail) == ("unreadable", True)
    assert other.value.pointer == "/source", "one that is repeated as it is says nothing new"


class TestTheDeadLetter:
    BATCH = UnreadableBatch(
        "checkout.events", 3, 41, "the records 41 to 44 are in a batch that cannot be read"
    )

    def test_orders_refuses_it_by_its_place(self) -> None:
        message = Intake(toy()).read_one(self.BATCH)

        assert message is not None
        assert message.fault is not None
        assert (message.fault.code, message.position) == ("unreadable", ("checkout.events", 3, 41))
        assert (message.source, message.event_id, message.key) == (None, None, "")

    def test_other_services_leave_it_to_orders(self) -> None:
        assert Intake(toy(name="refunds")).read_one(self.BATCH) is None

    def test_every_reader_of_a_topic_of_ours_tells_it(self) -> None:
        ours = UnreadableBatch("orders.events", 3, 41, "the records 41 to 44 ...")

        message = Intake(toy(name="refunds")).read_one(ours)

        assert message is not None
        assert message.fault is not None
        assert not message.upstream

    def test_it_can_be_kept_and_read_again(self) -> None:
        kept = unpack(cast(Any, ("checkout.events", 3, 41)), pack(self.BATCH))

        assert (kept.key, kept.value, kept.headers) == (None, None, [])
