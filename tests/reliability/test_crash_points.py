"""Every named moment of the runtime is hit by a crash exactly there: nothing is lost and nothing doubled.

All four services die at the same point of the same load (each of them has its own batches, relay and
offsets), and are started again; what only one service does is hit in that one.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from ops.local.running import RunningSystem
from shared.clock import now
from shared.crash_points import CrashPoint
from shared.events.catalogue import SERVICES
from shared.kst import KST, next_month, wire_time
from tests.reliability.conftest import Begin
from tests.support.driver import Checkout
from tests.support.instances import until, until_healthy
from tests.support.stories import Story, first_day, fresh_month

ORDERS = 300
OF_ONE_SERVICE = {
    CrashPoint.BEFORE_CHUNK_COMMIT,
    CrashPoint.AFTER_CHUNK_COMMIT,
    CrashPoint.BEFORE_HOME_INDEX,
    CrashPoint.BEFORE_HOME_OPEN,
    CrashPoint.BEFORE_REKEY_COMMIT,
    CrashPoint.AFTER_REKEY_COMMIT,
    CrashPoint.BEFORE_EXPIRY_COMMIT,
    CrashPoint.BEFORE_CLOSE_COMMIT,
    CrashPoint.AFTER_CLOSE_COMMIT,
}
LARGE_GRANT = 120_000
# The moments between what is done and what is told; the others are hit by `make test-faults`.
QUICK = {
    CrashPoint.BEFORE_COMMIT,
    CrashPoint.AFTER_COMMIT,
    CrashPoint.AFTER_ACKNOWLEDGEMENT,
}


class Armed:
    """Services that end themselves at a point, once."""

    def __init__(self, system: RunningSystem) -> None:
        self._system = system
        self._services = system.services
        self._pids: dict[str, int | None] = {}

    async def crash_at(self, place: str, *services: str, also: Mapping[str, str] | None = None) -> None:
        """Starts these services again, to die at `point:count`; after that they go on as ever.

        `also` is added to the environment of the process that dies.
        """
        await asyncio.gather(*(self._services.stop(service) for service in services))
        for service in services:
            self._services.start(service, {"PAWL_CRASH_AT": place, **(also or {})})
            self._pids[service] = self._services.pid(service)
        await asyncio.gather(*(until_healthy(self._system, service) for service in services))

    async def until_all_have_died(self) -> None:
        """Returns when each of them has reached its point, and lives again."""

        async def have_died() -> bool:
            return all(
                self._services.pid(service) != pid and self._services.is_alive(service)
                for service, pid in self._pids.items()
            )

        await until(have_died, f"each of {', '.join(self._pids)} reaches the point and dies there")
        await asyncio.gather(*(until_healthy(self._system, service) for service in self._pids))
        assert {service: self._services.deaths(service)[-1] for service in self._pids} == dict.fromkeys(
            self._pids, -9
        )


@pytest.fixture
def armed(system: RunningSystem) -> Armed:
    return Armed(system)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=[] if point in QUICK else pytest.mark.faults)
        for point in CrashPoint
        if point not in OF_ONE_SERVICE
    ],
)
async def test_a_crash_exactly_there_loses_and_doubles_nothing(
    begin: Begin, armed: Armed, point: CrashPoint
) -> None:
    await armed.crash_at(f"{point}:2", *SERVICES)

    load = await begin(ORDERS)
    await armed.until_all_have_died()

    await load.end()
    load.assert_complete()


@pytest.mark.parametrize(
    ("place", "home_from"),
    [
        (f"{CrashPoint.BEFORE_CHUNK_COMMIT}:2", LARGE_GRANT),
        (f"{CrashPoint.AFTER_CHUNK_COMMIT}:2", LARGE_GRANT),
        (f"{CrashPoint.BEFORE_HOME_INDEX}:1", LARGE_GRANT - 1),
        (f"{CrashPoint.BEFORE_HOME_OPEN}:1", LARGE_GRANT - 1),
    ],
)
async def test_a_crash_in_the_middle_of_a_large_grant_issues_every_serial_once(
    armed: Armed, checkout: Checkout, admin: Any, place: str, home_from: int
) -> None:
    await armed.crash_at(place, "serials", also={"SERIALS_HOME_FROM": str(home_from)})
    story = Story(checkout)
    story.snapshot(LARGE_GRANT)

    await story.pays()
    await story.asks_to_issue(LARGE_GRANT)
    await armed.until_all_have_died()
    await checkout.drain()

    made = await admin.fetchval(
        "SELECT count(*) FROM serials.serials JOIN serials.grants USING (grant_id) WHERE order_id = $1",
        story.order_id,
    )
    assert made == LARGE_GRANT


async def test_a_crash_while_deposits_expire_expires_each_of_them_once(
    armed: Armed, checkout: Checkout
) -> None:
    await armed.crash_at(CrashPoint.BEFORE_EXPIRY_COMMIT, "orders")
    last_week = now().astimezone(KST) - timedelta(days=8)
    stories = [Story(checkout, begins=last_week) for _ in range(20)]

    for story in stories:
        await story.waits_for_deposit(story.now + timedelta(days=7), quantity=10)
    await armed.until_all_have_died()

    for story in stories:
        await story.until("order.expired.v1")
    await checkout.drain()
    assert [len(story.facts("order.expired.v1")) for story in stories] == [1] * len(stories)


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_CLOSE_COMMIT, CrashPoint.AFTER_CLOSE_COMMIT])
async def test_a_close_that_dies_is_repeated_and_issues_each_document_once(
    armed: Armed, checkout: Checkout, close_month: Any, point: CrashPoint
) -> None:
    month = fresh_month()
    stories = [Story(checkout, begins=first_day(month)) for _ in range(12)]
    for story in stories:
        await story.pays()
    await checkout.drain()
    await armed.crash_at(f"{point}:2", "invoices", also={"INVOICES_CLOSE_SET": "5"})

    at = wire_time(first_day(next_month(month)))
    with pytest.raises(AssertionError):
        await close_month(month, at)
    await armed.until_all_have_died()
    summary = await close_month(month, at)

    assert summary["documents"] == len(stories)
    await checkout.drain()
    for story in stories:
        issued = {
            record.id for record in checkout.by_key[story.buyer.id] if record.type == "invoice.issued.v1"
        }
        assert len(issued) == 1, story.told()
