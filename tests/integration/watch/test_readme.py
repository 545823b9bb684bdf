"""README's example in Python runs outside of the project, and what it sends becomes an order."""

import asyncio
import sys
from asyncio.subprocess import create_subprocess_exec
from pathlib import Path

from ops.local.running import RunningSystem
from ops.watch.order import read_order
from tests.contracts.test_readme import blocks
from tests.support.patience import PATIENCE


async def test_the_example_of_readme_publishes_an_order_that_is_paid(
    tmp_path: Path, running: RunningSystem
) -> None:
    [example] = blocks("python")
    script = tmp_path / "checkout.py"
    script.write_text(example.replace("127.0.0.1:9092", running.system.kafka), encoding="utf-8")

    process = await create_subprocess_exec(sys.executable, script, cwd=tmp_path)

    assert await process.wait() == 0
    async with asyncio.timeout(PATIENCE):
        while (story := await read_order(running.system, "A-1001")) is None or story.state != "paid":
            await asyncio.sleep(0.05)
