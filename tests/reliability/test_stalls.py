"""A process that no longer gets anywhere, and cannot say so, ends itself and is started again."""

from pathlib import Path

import pytest

from ops.local.running import RunningSystem
from shared.runtime.health import STALLED_EXIT_CODE
from tests.reliability.conftest import Begin
from tests.support.instances import until, until_healthy

pytestmark = pytest.mark.faults

ORDERS = 300
DEAF_CLIENT = """
import asyncio
from aiokafka.consumer.fetcher import Fetcher

fetch = Fetcher._proc_fetch_request
answers = iter(range(20))

async def fetch_until_deaf(fetcher, *arguments):
    # Not those that read the topics while the service starts: how often they ask depends on what was written.
    if fetcher._subscriptions.partitions_auto_assigned() and next(answers, None) is None:
        await asyncio.Event().wait()
    return await fetch(fetcher, *arguments)

Fetcher._proc_fetch_request = fetch_until_deaf
"""
BLOCKED_LOOP = """
import time
from shared.runtime.fold import Fold

async def block(fold, records):
    time.sleep(120)

Fold.handle = block
"""


@pytest.mark.parametrize("fault", [DEAF_CLIENT, BLOCKED_LOOP], ids=["deaf_client", "blocked_loop"])
async def test_a_service_that_stands_still_is_ended_and_started_again(
    begin: Begin, system: RunningSystem, tmp_path: Path, fault: str
) -> None:
    """A deaf client knows of no lag, a blocked loop cannot look: nobody would notice by asking them."""
    (tmp_path / "sitecustomize.py").write_text(fault)
    await system.services.stop("orders")
    died_before = system.services.deaths("orders").copy()
    system.services.start("orders", {"PYTHONPATH": str(tmp_path), "STALL_SECONDS": "3"})
    await until_healthy(system, "orders")
    assert system.services.deaths("orders") == died_before, "only the first process has the fault"
    faulty = system.services.pid("orders")

    load = await begin(ORDERS)

    async def lives_again() -> bool:
        return system.services.pid("orders") != faulty and system.services.is_alive("orders")

    await until(lives_again, "the supervisor starts orders again")
    assert system.services.deaths("orders")[-1] == STALLED_EXIT_CODE
    await load.end()
    load.assert_complete()
