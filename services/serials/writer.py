"""Serials made, hashed, encrypted and copied into their table.

Here, at the edge, random bytes become serials. They are readable in memory only, inside `SerialWriter.make`;
what leaves it is hashed and encrypted.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.serials.codes import RANDOM_BYTES, make_serials
from services.serials.rows import COLUMNS, copy_bytes
from services.serials.state import Part
from services.serials.vault import KeptSerials, Vault
from shared.ids import random_bytes
from shared.postgres import Connection
from shared.queries import load

SQL = load(__file__)
INLINE_UNITS = 2_000
"""More serials than this are made in a thread, so that the event loop goes on."""


@dataclass(slots=True)
class SerialWriter:
    """Makes serials and writes them. `random` is where their secrecy comes from."""

    vault: Vault
    random: Callable[[int], bytes] = field(default=random_bytes, repr=False)

    async def make(self, units: int) -> KeptSerials:
        """So many new serials, hashed and encrypted, in the order of their tags."""
        if units <= INLINE_UNITS:
            return self._make(units)
        return await asyncio.to_thread(self._make, units)

    async def write(self, connection: Connection, parts: Sequence[Part], kept: KeptSerials) -> None:
        """Inserts one serial for each unit of these parts.

        Raises UniqueViolationError when a unit has its serial already, or when chance has repeated 75 bits.
        """
        await connection.execute(SQL.note_key, kept.key_id)
        blocks = _Blocks(copy_bytes(parts, kept))
        status = await connection.copy_to_table("serials", source=blocks, columns=COLUMNS, format="binary")
        assert status == f"COPY {len(kept)}", f"{status} instead of {len(kept)} serials"

    def _make(self, units: int) -> KeptSerials:
        return self.vault.keep(make_serials(self.random(units * RANDOM_BYTES)))


class _Blocks:
    """Hands a COPY to the driver in blocks, so that a large one does not hold up the event loop."""

    SIZE = 1 << 20

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def __aiter__(self) -> "_Blocks":
        return self

    async def __anext__(self) -> memoryview:
        if self._at >= len(self._data):
            raise StopAsyncIteration
        block = self._data[self._at : self._at + self.SIZE]
        self._at += self.SIZE
        return block
