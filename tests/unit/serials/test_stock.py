"""Serials made ahead are each handed out once, in the order of their tags."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serials.stock import LARGEST_BLOCK, Stock
from services.serials.vault import KeptSerials
from services.serials.writer import SerialWriter
from tests.support.granted import new_vault


class CountingWriter(SerialWriter):
    """Notes how many serials each block has."""

    def __init__(self) -> None:
        super().__init__(new_vault())
        self.blocks: list[int] = []

    async def make(self, units: int) -> KeptSerials:
        self.blocks.append(units)
        return await super().make(units)


def tags(kept: KeptSerials) -> list[bytes]:
    return [tag.tobytes() for tag in kept.tags]


async def issue(stock: Stock, quantity: int, chunk: int) -> list[KeptSerials]:
    """What the worker does for one large grant."""
    taken = []
    for start in range(0, quantity, chunk):
        units = min(chunk, quantity - start)
        taken.append(await stock.take(units))
        stock.expect(quantity - start - units, chunk)
    return taken


async def test_a_grant_is_made_in_a_few_growing_blocks_and_not_one_serial_too_many() -> None:
    writer = CountingWriter()

    taken = await issue(Stock(writer), 2_050, 100)

    assert [len(kept) for kept in taken] == [100] * 20 + [50]
    assert sum(writer.blocks) == 2_050
    assert len(writer.blocks) <= 6
    assert all(later >= earlier for earlier, later in pairwise(writer.blocks[:-1]))
    assert len({tag for kept in taken for tag in tags(kept)}) == 2_050
    assert all(tags(kept) == sorted(tags(kept)) for kept in taken)


@given(st.lists(st.tuples(st.integers(1, 3_000), st.integers(1, 400)), min_size=1, max_size=4))
async def test_whatever_is_asked_each_serial_is_handed_out_once(grants: list[tuple[int, int]]) -> None:
    stock = Stock(CountingWriter())
    seen: set[bytes] = set()

    for quantity, chunk in grants:
        taken = await issue(stock, quantity, chunk)
        handed = [tag for kept in taken for tag in tags(kept)]
        assert len(handed) == quantity
        assert seen.isdisjoint(handed)
        seen.update(handed)
        assert len(seen) >= quantity


async def test_a_block_never_exceeds_what_memory_is_meant_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.serials.stock.LARGEST_BLOCK", 300)
    writer = CountingWriter()

    await issue(Stock(writer), 3_000, 100)

    assert max(writer.blocks) == 300
    assert LARGEST_BLOCK == 500_000


async def test_a_worker_that_stops_leaves_nothing_running() -> None:
    stock = Stock(CountingWriter())
    stock.expect(5_000, 5_000)

    stock.close()

    assert len(await stock.take(10)) == 10
