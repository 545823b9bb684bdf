"""`pawl storage` on a real database, before and after things were forgotten."""

from collections.abc import AsyncIterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from ops.setup.provision import Database
from ops.watch.storage import Storage, in_bytes, print_storage, read_storage
from shared.events.catalogue import SERVICES
from tests.support.retention import USUAL, forget, grow_old, set_policy
from tests.support.tabletop import Tabletop


@pytest.fixture
async def policy(admin: Any) -> AsyncIterator[None]:
    """Nothing has been forgotten; the usual policy afterwards."""
    await set_policy(admin, SERVICES)
    yield
    await set_policy(admin, SERVICES)


def shown(stored: dict[str, Storage]) -> str:
    console = Console(file=StringIO(), width=240)
    print_storage(console, stored)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_a_system_that_has_forgotten_nothing_goes_back_to_its_beginning(
    history: Tabletop, database: Database, admin: Any, policy: None
) -> None:
    for service in SERVICES:
        await admin.execute(f"ANALYZE {service}.outbox")

    stored = await read_storage(database.ops_url)

    for service, each in stored.items():
        facts = await history.pools[service].fetchval("SELECT count(*) FROM outbox")
        document = each.to_document()
        assert (document["keep_days"], document["horizon"], document["has_forgotten"]) == (400, None, False)
        assert document["tables"]["outbox"]["rows"] == facts
        assert document["bytes"] > sum(size["bytes"] for size in document["tables"].values()) > 0
    assert shown(stored).count("the beginning") == len(SERVICES)


async def test_after_things_were_forgotten_it_says_how_far_back_it_goes(
    history: Tabletop, database: Database, admin: Any, policy: None
) -> None:
    await grow_old(admin, SERVICES, USUAL + timedelta(days=1))
    for pool in history.pools.values():
        await forget(pool)

    stored = await read_storage(database.ops_url)

    horizon = await history.pools["orders"].fetchval("SELECT horizon FROM retention")
    assert stored["orders"].to_document()["horizon"] == horizon.isoformat()
    assert stored["orders"].has_forgotten
    assert "the beginning" not in shown(stored)


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (10**16, "10,000.0 TB"),
    ],
)
def test_bytes_are_told_in_the_unit_that_fits(count: int, told: str) -> None:
    assert in_bytes(count) == told
