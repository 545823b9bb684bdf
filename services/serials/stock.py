"""Serials made ahead for a large grant, hashed and encrypted already.

While Postgres takes one chunk in, later ones are made on another core. They are made in growing blocks: each
is sorted as a whole, so the fewer blocks a grant has, the fewer times its inserts walk the unique index.
Serials that were handed out never come back, whatever became of their transaction.
"""

import asyncio

from services.serials.vault import KeptSerials
from services.serials.writer import SerialWriter

GROWTH = 3
"""Making serials is more than three times as fast as inserting them, so the next block is ready in time."""
LARGEST_BLOCK = 500_000


class Stock:
    """Hands out made serials; makes more of them in the background."""

    __slots__ = ("_coming", "_ready", "_writer")

    def __init__(self, writer: SerialWriter) -> None:
        self._writer = writer
        self._ready: KeptSerials | None = None
        self._coming: asyncio.Task[KeptSerials] | None = None

    async def take(self, units: int) -> KeptSerials:
        """So many serials, in the order of their tags; made now unless they are in stock."""
        if self._coming is not None and (self._ready is None or len(self._ready) < units):
            coming, self._coming = self._coming, None
            self._ready = await coming
        if self._ready is None or len(self._ready) < units:
            return await self._writer.make(units)
        taken, self._ready = self._ready.split(units)
        return taken

    def expect(self, units: int, chunk: int) -> None:
        """Prepare for so many more units, to be taken in chunks, unless that is under way."""
        missing = units - len(self._ready or ())
        if self._coming is None and missing > 0:
            chunks = max(1, min(GROWTH * max(len(self._ready or ()), chunk), LARGEST_BLOCK) // chunk)
            self._coming = asyncio.create_task(self._writer.make(min(missing, chunks * chunk)))

    def close(self) -> None:
        """Stop making more."""
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
