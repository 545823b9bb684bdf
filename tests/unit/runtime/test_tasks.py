"""Tasks end when they are told to, also when one of them does not hear it the first time."""

import asyncio

from shared.runtime.tasks import end_all
from tests.support.patience import PATIENCE


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    begun = asyncio.Event()

    async def connects_and_works() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)  # as a wait_for does whose result has just come

    task = asyncio.create_task(connects_and_works())
    await begun.wait()

    async with asyncio.timeout(PATIENCE):
        await end_all([task], again_seconds=0.01)

    assert task.cancelled()


async def test_a_task_that_has_failed_stops_nobody_from_ending() -> None:
    async def fails() -> None:
        raise ValueError

    failed, waiting = asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE):
        await end_all([failed, waiting])

    assert (failed.done(), waiting.cancelled()) == (True, True)
    await end_all([])
