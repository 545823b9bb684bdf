"""Reading batches of records within bounds: what one unpacks to, and what one poll gives out.

The client unpacks whatever it is given, so a batch of two megabytes may become as many gigabytes; and it
reads a batch that it cannot unpack again and again. Here such a batch becomes one `UnreadableBatch` at its
place, which ends among the dead letters, and reading goes on behind it. A wrong checksum may come from the
way, so such a batch is fetched a few times before.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import cramjam
from aiokafka import TopicPartition
from aiokafka.codec import _detect_xerial_stream
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records, legacy_records

from shared.runtime.records import UnreadableBatch

MAX_BATCH_BYTES: Final = 32 * 1024 * 1024
"""`max_bytes` of docs/events.md."""
POLL_BYTES: Final = 32 * 1024 * 1024
"""When a poll has given out so much, it ends; the rest is the next one."""
MAX_PIECES: Final = 500_000
"""Members or blocks of one batch: each takes time, however little it holds, and nothing else of the process
goes on meanwhile. A batch of 2 MB has no room for so many."""
POLL_PIECES: Final = 50_000
"""When a poll has unpacked so many, it ends with the batch in hand."""
FIRST_WINDOW: Final = 256
LAST_WINDOW: Final = 64 * 1024
TRIES_OF_A_CHECKSUM: Final = 3
XERIAL_HEADER: Final = 16
_READ_COMMITTED: Final = fetcher.READ_COMMITTED


class TooLarge(Exception):
    """A batch unpacks to more than MAX_BATCH_BYTES."""

    def __init__(self) -> None:
        super().__init__(f"it unpacks to more than {MAX_BATCH_BYTES} bytes; send smaller batches")


class TooManyPieces(Exception):
    """A batch consists of more than MAX_PIECES members or blocks."""

    def __init__(self) -> None:
        super().__init__(f"it is compressed in more than {MAX_PIECES} pieces; compress it as one")


@dataclass(slots=True)
class Budget:
    """What one poll may give out."""

    left: int = POLL_BYTES
    pieces: int = POLL_PIECES


budget_of_poll: ContextVar[Budget | None] = ContextVar("budget_of_poll", default=None)
_wrong_checksums: Counter[tuple[TopicPartition, int]] = Counter()
# One for the process: nothing is awaited while a batch is unpacked.
_room = bytearray()


def unzip(payload: Any) -> bytes:
    """gzip, also of several members. Raises TooLarge, TooManyPieces, or whatever zlib says.

    A member is fed in windows that grow with it: what it leaves over is copied, so that the rest of the batch
    at once would be copied for each of a hundred thousand members.
    """
    data, parts, size, at = memoryview(bytes(payload)), list[bytes](), 0, 0
    for _ in _pieces():
        if at == len(data):
            break
        unpacker, window = zlib.decompressobj(wbits=31), FIRST_WINDOW
        while not unpacker.eof:
            if at >= len(data):
                raise zlib.error("the stream is cut off")
            parts.append(unpacker.decompress(data[at : at + window], MAX_BATCH_BYTES + 1 - size))
            size += len(parts[-1])
            if size > MAX_BATCH_BYTES:
                raise TooLarge
            at = min(at + window, len(data))
            window = min(window * 2, LAST_WINDOW)
        at -= len(unpacker.unused_data)
    return b"".join(parts)


def _pieces() -> Iterator[None]:
    """One for each piece that a batch may have; the poll is told how many were taken."""
    taken = 0
    try:
        while taken <= MAX_PIECES:  # once more, to see that there are no more
            yield
            taken += 1
        raise TooManyPieces
    finally:
        if (budget := budget_of_poll.get()) is not None:
            budget.pieces -= taken


def unsnap(payload: Any) -> bytes:
    """snappy, raw or in the frames of the Java client."""
    data = bytes(payload)
    if not data:
        return b""
    if not _detect_xerial_stream(data):
        return _unsnap_block(data, 0)
    parts, at, size = list[bytes](), XERIAL_HEADER, 0
    for _ in _pieces():
        if at >= len(data):
            break
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append(_unsnap_block(data[at + 4 : at + 4 + length], size))
        size += len(parts[-1])
        at += 4 + length
    return b"".join(parts)


def _unsnap_block(block: bytes, before: int) -> bytes:
    if before + cramjam.snappy.decompress_raw_len(block) > MAX_BATCH_BYTES:
        raise TooLarge
    return bytes(cramjam.snappy.decompress_raw(block))


def _into_room(unpack_into: Callable[[bytes, bytearray], int]) -> Callable[[Any], bytes]:
    def unpack(payload: Any) -> bytes:
        data = bytes(payload)
        if not data:
            return b""
        if not _room:
            _room.extend(bytes(MAX_BATCH_BYTES))
        try:
            return bytes(memoryview(_room)[: unpack_into(data, _room)])
        except cramjam.DecompressionError as failure:
            if "write whole buffer" in str(failure):
                raise TooLarge from None
            raise

    return unpack


unlz4 = _into_room(cramjam.lz4.decompress_into)
unzstd = _into_room(cramjam.zstd.decompress_into)


class BoundedRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one fetched partition, within bounds. What cannot be read is told at its place."""

    def _unpack_records(self) -> Iterator[Any]:
        while self._records.has_next():
            if _is_spent() or _has_unpacked_enough():
                return  # the position stands before this batch, which is fetched again
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                if self._is_tried_again(batch):
                    raise CorruptRecordException(f"Invalid CRC - {self._tp}")
                yield self._unreadable(batch, "its checksum is wrong")
                continue
            if self._is_aborted(batch) or batch.is_control_batch:
                self.next_fetch_offset = batch.next_offset
                continue
            try:
                for record in batch:
                    if record.offset < self.next_fetch_offset:
                        continue
                    if _is_spent():
                        return
                    read = self._consumer_record(self._tp, record)
                    self.next_fetch_offset = record.offset + 1
                    _spend(read)
                    yield read
            except Exception as failure:  # whatever a codec or a record that is none brings about
                yield self._unreadable(batch, f"{failure}".splitlines()[0] if f"{failure}" else repr(failure))
                continue
            self.next_fetch_offset = batch.next_offset

    def _is_aborted(self, batch: Any) -> bool:
        """Whether a transaction that was aborted has written the batch."""
        if self._isolation_level != _READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)

    def _is_tried_again(self, batch: Any) -> bool:
        place = (self._tp, batch.base_offset)
        _wrong_checksums[place] += 1
        if _wrong_checksums[place] < TRIES_OF_A_CHECKSUM:
            return True
        del _wrong_checksums[place]
        return False

    def _unreadable(self, batch: Any, why: str) -> UnreadableBatch:
        """What stands for the rest of a batch; reading goes on behind it."""
        first = max(self.next_fetch_offset, batch.base_offset)
        self.next_fetch_offset = max(batch.next_offset, first + 1)
        last = self.next_fetch_offset - 1
        topic, partition = self._tp
        detail = f"the records {first} to {last} are in a batch that cannot be read: {why[:500]}"
        return UnreadableBatch(topic, partition, first, detail, batch.max_timestamp)


def read_within_bounds() -> None:
    """Has the Kafka client of this process read so. Safe to repeat."""
    fetcher.PartitionRecords = BoundedRecords
    for module in (default_records, legacy_records, *_compiled()):
        for name, decoder in (
            ("gzip_decode", unzip),
            ("snappy_decode", unsnap),
            ("lz4_decode", unlz4),
            ("zstd_decode", unzstd),
        ):
            if name in vars(module):
                setattr(module, name, decoder)


def _compiled() -> list[Any]:
    """The same modules as they are compiled, where this platform has them."""
    try:
        from aiokafka.record._crecords import default_records as one
        from aiokafka.record._crecords import legacy_records as other
    except ImportError:
        return []
    return [one, other]


def _is_spent() -> bool:
    budget = budget_of_poll.get()
    return budget is not None and budget.left <= 0


def _has_unpacked_enough() -> bool:
    budget = budget_of_poll.get()
    return budget is not None and budget.pieces <= 0


def _spend(record: Any) -> None:
    budget = budget_of_poll.get()
    if budget is not None:
        budget.left -= len(record.key or b"") + len(record.value or b"")
        budget.left -= sum(len(name) + len(value or b"") for name, value in record.headers)
