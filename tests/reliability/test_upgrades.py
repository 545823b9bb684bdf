"""An upgrade while work goes on: the last release and this tree run side by side, and back again.

Migrations first, under the services of before; then one service after the other, those that only read what
others say first: a new instance joins the group, the old one leaves. The way back is the other way round.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from devtools.releases import ROOT, last_release
from ops.local.running import RunningSystem
from ops.setup.provision import Database, migrate
from shared.events.catalogue import SERVICES, UPSTREAM
from tests.support.alone import assert_all_is_well
from tests.support.driver import Checkout
from tests.support.instances import Instances, until_healthy
from tests.support.load import Inflow, Load
from tests.support.released import Trees, services_of_before, unpack
from tests.support.servers import new_kafka, new_postgres, new_run_directory, remove
from tests.support.stories import BEGINS, Story

pytestmark = pytest.mark.faults

READERS_FIRST = ("serials", "orders", "invoices", "refunds")
"""Refunds last: orders and invoices read what only the new refunds says."""
A_SECOND = 4
"""Orders that come in all the while; each is paid, issued in part and refunded for the rest."""
FURTHER = 3 * A_SECOND
"""So many orders go through while two versions share a group."""
SEED = 20_261_130

Half = Callable[[Story], Awaitable[object]]


@dataclass(slots=True, frozen=True)
class Halves:
    """A story that one version begins and another ends."""

    begin: Half
    end: Half


async def is_issued_in_part(story: Story) -> None:
    await story.is_paid(quantity=100)
    await story.asks_to_issue(60)
    await story.until("serials.issued.v2")


async def is_issued_and_refunded(story: Story) -> None:
    await story.asks_to_issue(10, request="iss-2")
    await story.until("serials.issued.v2", 2)
    await story.is_refunded(30)


async def is_held(story: Story) -> None:
    await story.is_paid(quantity=10)
    await story.asks_refund(4, holder="홍길동")
    await story.until("refund.held.v1")


async def is_approved(story: Story) -> None:
    held = await story.until("refund.held.v1")
    await story.attaches_proof(held.data["refund_id"])
    await story.is_reviewed(held.data["refund_id"], "approve")
    await story.until("refund.payout_requested.v1")
    await story.is_paid_out(held.data["refund_id"])
    await story.until("refund.completed.v1")


async def is_rejected(story: Story) -> None:
    held = await story.until("refund.held.v1")
    await story.attaches_proof(held.data["refund_id"])
    await story.is_reviewed(held.data["refund_id"], "reject")
    await story.until("refund.rejected.v1")


async def is_in_review(story: Story) -> None:
    await is_held(story)
    held = await story.until("refund.held.v1")
    await story.answer_to(await story.attaches_proof(held.data["refund_id"]))


async def is_approved_from_review(story: Story) -> None:
    held = await story.until("refund.held.v1")
    await story.is_reviewed(held.data["refund_id"], "approve")
    await story.until("refund.payout_requested.v1")


async def fails(story: Story) -> None:
    await story.is_paid(quantity=10)
    await story.asks_refund(4)
    asked = await story.until("refund.payout_requested.v1")
    await story.payout_fails(asked.data["refund_id"], "account_closed")
    await story.until("refund.failed.v1")


async def is_released(story: Story) -> None:
    failed = await story.until("refund.failed.v1")
    await story.is_reviewed(failed.data["refund_id"], "release")
    await story.until("refund.released.v1")


async def is_completed(story: Story) -> None:
    await story.is_paid(quantity=10)
    await story.is_refunded(4)


async def bounces_and_is_repaid(story: Story) -> None:
    completed = await story.until("refund.completed.v1")
    refund_id = completed.data["refund_id"]
    await story.payout_fails(refund_id, "account_closed", completed.data["payout_id"])
    await story.until("refund.bounced.v1")
    await story.is_reviewed(refund_id, "retry")
    await story.is_paid_out(refund_id, "po-2")
    await story.until("refund.repaid.v1")
    await story.is_paid_out(refund_id, "po-3")
    await story.until("refund.paid_twice.v1")
    await story.until("payment.quarantined.v1")


async def waits_for_its_deposit(story: Story) -> None:
    await story.waits_for_deposit(BEGINS.replace(year=2040), quantity=3)
    await story.until("order.registered.v1")


async def is_paid_and_cancelled(story: Story) -> None:
    await story.pays()
    await story.until("order.paid.v1")
    await story.is_cancelled()
    await story.until("order.cancelled.v1")


async def is_paid_twice(story: Story) -> None:
    await story.is_paid(quantity=2)
    await story.pays(payment_id=f"{story.payment_id}-2")
    await story.until("payment.quarantined.v1")


async def is_settled(story: Story) -> None:
    await story.is_decided(f"{story.payment_id}-2", "returned")
    await story.until("quarantine.settled.v1")


HALVES = (
    Halves(is_issued_in_part, is_issued_and_refunded),
    Halves(is_held, is_approved),
    Halves(is_held, is_rejected),
    Halves(is_in_review, is_approved_from_review),
    Halves(fails, is_released),
    Halves(is_completed, bounces_and_is_repaid),
    Halves(waits_for_its_deposit, is_paid_and_cancelled),
    Halves(is_paid_twice, is_settled),
)


@dataclass(slots=True, frozen=True)
class Upgrading:
    """A system of the last release, on servers of one test's own."""

    trees: Trees
    system: RunningSystem
    checkout: Checkout
    instances: Instances

    async def replace(self, services: Iterable[str], tree: Path, load: Load) -> None:
        """One service after the other: an instance of `tree` joins, works, and the one of before leaves."""
        self.trees.use(tree)
        for service in services:
            joined = self.instances.start(service)
            await joined.until_healthy()
            await self.go_on(load)
            assert await self.system.services.stop(service), f"{service} had to be killed"
            await self.go_on(load)
            self.system.services.start(service)
            await until_healthy(self.system, service)
            assert await joined.stop(), f"the instance of {service} that had joined had to be killed"

    async def go_on(self, load: Load) -> None:
        """Returns when further orders have been through all four services."""
        wanted = load.handled() + FURTHER
        await self.checkout.until(lambda: load.handled() >= wanted, f"{wanted} orders are handled")

    async def begin(self) -> list[tuple[Story, Halves]]:
        """Tells the first half of each story."""
        stories = [(Story(self.checkout), halves) for halves in HALVES]
        await asyncio.gather(*(halves.begin(story) for story, halves in stories))
        return stories

    async def assert_nothing_was_set_aside(self) -> None:
        """Nothing is blocked, waits, or is a dead letter, and no service ended by itself."""
        assert await set_aside(self.system.database) == []
        assert {name: self.system.services.deaths(name) for name in SERVICES} == {
            name: [] for name in SERVICES
        }


@pytest.fixture
async def upgrading() -> AsyncIterator[Upgrading]:
    """The four services of the last release."""
    with new_run_directory() as folder:
        trees = Trees(folder, unpack(last_release(), folder.path / "before"))
        kafka, postgres = new_kafka(folder), new_postgres(folder)
        try:
            await kafka.start()
            await postgres.start()
            running = services_of_before(folder, trees, kafka.bootstrap_servers, postgres.url())
            async with running as (system, checkout):
                instances = Instances(system, checkout)
                yield Upgrading(trees, system, checkout, instances)
                await instances.end_all()
        finally:
            for server in (kafka, postgres):
                await server.stop()
                remove(server)


async def test_an_upgrade_under_load_loses_nothing_doubles_nothing_and_blocks_nobody(
    upgrading: Upgrading,
) -> None:
    checkout, system = upgrading.checkout, upgrading.system
    begun = await upgrading.begin()
    async with Inflow(checkout, A_SECOND) as inflow, repeating(checkout):
        await upgrading.go_on(inflow.load)

        await migrate(system.database)
        await upgrading.go_on(inflow.load)
        begun += await upgrading.begin()

        await upgrading.replace(READERS_FIRST, ROOT, inflow.load)
        await asyncio.gather(*(halves.end(story) for story, halves in begun))

    await inflow.load.end()
    inflow.load.assert_complete()
    await assert_all_is_well(system, checkout)
    await upgrading.assert_nothing_was_set_aside()


async def test_the_way_back_loses_nothing_doubles_nothing_and_blocks_nobody(upgrading: Upgrading) -> None:
    """What the new version has begun, the one of before ends over the new schemas; then it is upgraded."""
    checkout, system = upgrading.checkout, upgrading.system
    async with Inflow(checkout, A_SECOND) as inflow, repeating(checkout):
        await upgrading.go_on(inflow.load)
        await migrate(system.database)
        await upgrading.replace(READERS_FIRST, ROOT, inflow.load)
        begun = await upgrading.begin()

        await upgrading.replace(reversed(READERS_FIRST), upgrading.trees.before, inflow.load)
        await asyncio.gather(*(halves.end(story) for story, halves in begun))
        await upgrading.assert_nothing_was_set_aside()

        await upgrading.replace(READERS_FIRST, ROOT, inflow.load)

    await inflow.load.end()
    inflow.load.assert_complete()
    await assert_all_is_well(system, checkout)
    await upgrading.assert_nothing_was_set_aside()


@asynccontextmanager
async def repeating(checkout: Checkout) -> AsyncIterator[None]:
    """Meanwhile checkout says some of its events again, byte for byte."""

    async def repeat() -> None:
        dice = random.Random(SEED)
        while True:
            said = [record for record in checkout.records if record.topic == UPSTREAM]
            await checkout.publish_all(record.raw for record in dice.sample(said, min(len(said), A_SECOND)))
            await asyncio.sleep(1)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def set_aside(database: Database) -> list[str]:
    """What any service has blocked or made a dead letter, in a line each."""
    asking = " UNION ALL ".join(
        f"SELECT '{service} blocked ' || key || ': ' || reason AS line FROM {service}.parked "
        f"WHERE kind = 'blocked' UNION ALL "
        f"SELECT '{service} dead ' || coalesce(key, '') || ': ' || detail FROM {service}.dead_letters"
        for service in SERVICES
    )
    connection = await asyncpg.connect(database.admin_url)
    try:
        return [line for (line,) in await connection.fetch(asking)]
    finally:
        await connection.close()
