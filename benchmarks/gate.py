"""Consumers wait behind a gate until all of them have their partitions; then the clock starts."""

import asyncio
from collections.abc import Iterable
from typing import Any

READY_SECONDS = 60.0


async def until_assigned(consumers: Iterable[Any], partitions: int) -> None:
    """Returns when these consumers together own so many partitions."""
    known = list(consumers)
    async with asyncio.timeout(READY_SECONDS):
        while sum(len(consumer.assignment()) for consumer in known) < partitions:
            await asyncio.sleep(0.02)


class Gate:
    """Holds everybody back until `open()`, and counts who stands there."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self.waiting = 0

    async def passed(self) -> None:
        """Waits until the gate is open."""
        if self._open.is_set():
            return
        self.waiting += 1
        await self._open.wait()

    async def until_waiting(self, count: int) -> None:
        """Returns when so many stand before the gate."""
        async with asyncio.timeout(READY_SECONDS):
            while self.waiting < count:
                await asyncio.sleep(0.02)

    def open(self) -> None:
        """Lets everybody through."""
        self._open.set()
