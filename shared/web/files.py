"""Files that are made and read beside the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

PART_BYTES: Final = 1 << 18

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """What the work makes, beside the event loop. It is never left alone: its files are to be removed."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


async def parts_of(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a file, so many at a time."""
    with path.open("rb") as file:
        while part := await asyncio.to_thread(file.read, PART_BYTES):
            yield part
