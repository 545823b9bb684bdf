"""Serials as the bytes of a binary COPY: a million rows without a Python object for any of them.

Pure. Every field has a fixed width, so a block of rows is one numpy array of records.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.serials.state import Part
from services.serials.vault import KeptSerials

COLUMNS: Final = ("serial_id", "grant_id", "lookup_tag", "text", "last_four", "key_id")

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


def copy_bytes(parts: Sequence[Part], kept: KeptSerials) -> bytes:
    """The COPY data for `COLUMNS`: the serials of these parts of grants, in their order.

    Raises ValueError unless there is exactly one serial for each unit.
    """
    units = [part.units for part in parts]
    if sum(units) != len(kept):
        raise ValueError(f"{len(kept)} serials for {sum(units)} units")
    values = (
        _serial_ids(parts, units),
        _repeated([part.grant_id.bytes for part in parts], units),
        kept.tags,
        kept.texts,
        kept.last_four,
        _repeated([kept.key_id.encode()], [len(kept)]),
    )
    return _HEADER + _records(len(kept), values).tobytes() + _TRAILER


def _serial_ids(parts: Sequence[Part], units: Sequence[int]) -> NDArray[np.uint8]:
    """batch_id + n: the low 24 bits of a batch id are zero and hold the number of the serial."""
    ids = _repeated([part.batch_id.bytes for part in parts], units)
    numbers = np.concatenate([np.arange(part.first, part.first + part.units) for part in parts])
    ids[:, 13:] = numbers.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
    return ids


def _repeated(values: Sequence[bytes], times: Sequence[int]) -> NDArray[np.uint8]:
    width = len(values[0])
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(-1, width).repeat(times, axis=0)


def _records(count: int, values: Sequence[NDArray[np.uint8]]) -> NDArray[np.void]:
    """One record a row: how many fields, then the length and the bytes of each."""
    layout: list[tuple[str, str] | tuple[str, str, tuple[int]]] = [("fields", ">i2")]
    for column, value in zip(COLUMNS, values, strict=True):
        layout += [(f"{column}_length", ">i4"), (column, "u1", (value.shape[1],))]
    records = np.empty(count, dtype=layout)
    records["fields"] = len(COLUMNS)
    for column, value in zip(COLUMNS, values, strict=True):
        records[f"{column}_length"] = value.shape[1]
        records[column] = value
    return records
