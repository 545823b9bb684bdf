"""Books to audit: a tabletop of the four services for each test, and one real system for the topics.

Tests plant faults in the topics and outboxes of that system after its stories are told.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.local.postgres import wipe
from ops.local.running import RunningSystem, Wanted, run_system
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE_WITH_A_START
from tests.support.servers import FOR_TESTS
from tests.support.stories import Story
from tests.support.tabletop import history, table

__all__ = ["history", "table"]


@pytest.fixture(scope="session")
def own_directory() -> Iterator[Path]:
    """Removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="pawl-topics-"))
    path.chmod(0o755)
    yield path
    wipe(path / "postgres")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
async def own_system(own_directory: Path) -> AsyncIterator[RunningSystem]:
    """Servers and services that no other test shares."""
    wanted = Wanted(
        own_directory,
        ready_seconds=PATIENCE_WITH_A_START,
        postgres_settings=FOR_TESTS,
        environment={"LOG_LEVEL": "WARNING"},
    )
    async with run_system(wanted) as system:
        yield system


@pytest.fixture(scope="session")
async def told(own_system: RunningSystem) -> AsyncIterator[Checkout]:
    """Stories with every kind of answer and end in them; the system is quiet afterwards."""
    checkout = Checkout(own_system.system.kafka, own_system.database)
    await checkout.start()
    await tell_stories(checkout)
    await checkout.drain()
    await own_system.services.stop_all()  # nobody reacts to what is planted
    yield checkout
    await checkout.stop()


async def tell_stories(checkout: Checkout) -> None:
    """Refunds that win and lose, a cancelled payment, a second payment, repeats, and what nobody can read."""
    both = Story(checkout)
    await both.is_paid()
    await both.is_refunded(40)
    await both.asks_to_issue(60)
    await both.until("serials.issued.v2")
    await both.asks_to_issue(5, request="iss-2")
    await both.until("issuance.denied.v1")
    await both.asks_refund(10, request="rr-late")
    await both.until("refund.rejected.v1")

    automatic = await Story(checkout).is_issued()
    await automatic.is_cancelled()
    await automatic.until("order.cancelled.v1")
    twice = await Story(checkout).is_paid(quantity=7, price=3)
    await twice.pays(payment_id=f"{twice.payment_id}-again")
    await twice.until("payment.quarantined.v1")
    await twice.is_refunded(2)
    await twice.pays(payment_id=f"{twice.payment_id}-third")
    await twice.until("payment.quarantined.v1", times=2)
    await twice.is_decided(f"{twice.payment_id}-third", "returned")
    await twice.until("quarantine.settled.v1")
    await twice.buyer.asks_merge(twice.month, twice.now)

    await tell_of_money_and_merges(checkout, twice)

    early = Story(checkout)
    early.snapshot()
    await early.asks_to_issue(10)
    await early.pays()
    await early.until("serials.issued.v2")
    await early.asks_refund(1)
    await checkout.publish(b"nobody", b"not json", [("ce_id", b"evt-unreadable")])
    await checkout.publish(None, b"{}", [])
    await checkout.publish(b"no value", None, [])
    asked = next(r for r in checkout.records if r.topic == "checkout.events" and r.key == both.order_id)
    await checkout.publish_all([asked.raw])
    await checkout.say(
        "issuance.requested.v1",
        early.order_id,
        {"order_id": early.order_id, "request_id": "other"},
        at=early.now,
        event_id=asked.id,
    )


async def tell_of_money_and_merges(checkout: Checkout, twice: Story) -> None:
    """A payment under two orders, one that is refused, one that had gone before; merges."""
    other = Story(checkout)
    other.snapshot()
    await other.pays(payment_id=twice.payment_id)
    await other.until("payment.quarantined.v1")
    await other.pays(evidence="card_slip")  # refused: no card paid it

    gone = Story(checkout)
    gone.snapshot()
    await gone.waits_for_deposit(gone.now + timedelta(days=3650))
    await gone.until("order.registered.v1")
    paid_at = gone.now
    await gone.is_cancelled()
    await gone.pays(paid_at=paid_at)

    await twice.buyer.asks_merge("2026-10", twice.now, [twice.payment_id, "pay-of-nobody"])
    await twice.buyer.undoes_merge("2026-10", twice.now)
    await twice.buyer.until("merge.answered.v1", times=3)


@pytest.fixture
async def owner(own_system: RunningSystem) -> AsyncIterator[Any]:
    """A connection that may do everything."""
    connection = await asyncpg.connect(own_system.database.admin_url)
    yield connection
    await connection.close()
