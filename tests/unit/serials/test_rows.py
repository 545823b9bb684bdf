"""Serials as COPY data: one row a unit, each in its place."""

import struct
from uuid import UUID

import pytest

from services.serials.codes import RANDOM_BYTES, make_serials
from services.serials.rows import COLUMNS, copy_bytes
from services.serials.state import Part
from services.serials.vault import KeptSerials
from shared.ids import random_bytes, uuid7, uuid7_run
from tests.support.granted import new_vault


def kept(units: int) -> KeptSerials:
    return new_vault().keep(make_serials(random_bytes(units * RANDOM_BYTES)))


def read_back(data: bytes) -> list[dict[str, bytes]]:
    """A COPY reader, written from the documentation of the format."""
    assert data.startswith(b"PGCOPY\n\xff\r\n\0" + bytes(8))
    rows, at = [], 19
    while (fields := struct.unpack_from(">h", data, at)[0]) != -1:
        row, at = {}, at + 2
        assert fields == len(COLUMNS)
        for column in COLUMNS:
            (length,) = struct.unpack_from(">i", data, at)
            row[column], at = data[at + 4 : at + 4 + length], at + 4 + length
        rows.append(row)
    assert at + 2 == len(data)
    return rows


def test_every_unit_of_every_part_gets_one_row_with_an_id_of_its_grant() -> None:
    first, second = (
        Part(uuid7(), uuid7_run(10**6), start, units) for start, units in ((1, 300), (999_901, 100))
    )
    serials = kept(400)

    rows = read_back(copy_bytes([first, second], serials))

    assert [row["serial_id"] for row in rows] == [
        UUID(int=part.batch_id.int + part.first + n).bytes
        for part in (first, second)
        for n in range(part.units)
    ]
    assert [row["grant_id"] for row in rows] == [first.grant_id.bytes] * 300 + [second.grant_id.bytes] * 100
    assert [row["lookup_tag"] for row in rows] == [tag.tobytes() for tag in serials.tags]
    assert [row["text"] for row in rows] == [text.tobytes() for text in serials.texts]
    assert [row["last_four"] for row in rows] == [four.tobytes() for four in serials.last_four]
    assert {row["key_id"] for row in rows} == {b"test-1"}


def test_both_indexes_are_fed_in_order() -> None:
    parts = sorted(Part(uuid7(), uuid7_run(100), 1, 100) for _ in range(3))

    rows = read_back(copy_bytes(parts, kept(300)))

    assert [row["serial_id"] for row in rows] == sorted(row["serial_id"] for row in rows)
    assert [row["lookup_tag"] for row in rows] == sorted(row["lookup_tag"] for row in rows)


def test_a_serial_too_many_or_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="3 serials for 2 units"):
        copy_bytes([Part(uuid7(), uuid7_run(2), 1, 2)], kept(3))
