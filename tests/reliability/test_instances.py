"""Two instances of a service: they share the work, take it over from each other, and never do it twice.

A halted instance (SIGSTOP) keeps its connections, its locks and its belief that it owns its partitions:
the hardest kind of absence. What it holds moves on within a bound: its partitions after the session timeout
of the group (6 s), the lead of its relay after the lease (10 s), an open transaction after
`idle_in_transaction_session_timeout` (15 s).
"""

import asyncio

import pytest

from ops.local.running import RunningSystem
from shared.clock import monotonic
from shared.crash_points import CrashPoint
from shared.events.catalogue import SERVICES
from shared.runtime.consumer import REPEAT_COMMIT_SECONDS
from tests.reliability.conftest import Begin
from tests.support.instances import Instances, until_halted, until_healthy

ORDERS = 600
BOUND_SECONDS = 45.0
"""The longest of the bounds above, what the others cost on the way, and the load itself on a busy machine."""


@pytest.mark.smoke
async def test_instances_that_join_and_leave_under_load_lose_and_double_nothing(
    begin: Begin, system: RunningSystem, instances: Instances
) -> None:
    load = await begin(2 * ORDERS)
    await load.until("order.paid.v1", 0.1)

    seconds = [instances.start(service) for service in SERVICES]
    await asyncio.gather(*(second.until_healthy() for second in seconds))
    await asyncio.gather(*(system.services.stop(service) for service in SERVICES))
    for service in SERVICES:
        system.services.start(service)
    await asyncio.gather(*(until_healthy(system, service) for service in SERVICES))
    seconds[0].kill()
    ended_by_themselves = await asyncio.gather(*(second.stop() for second in seconds[1:]))

    await load.end()
    load.assert_complete()
    assert ended_by_themselves == [True] * 3


@pytest.mark.faults
@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_that_was_halted_and_resumed_goes_on(
    begin: Begin, system: RunningSystem, instances: Instances, service: str
) -> None:
    """Alone, so that nobody takes over: the group has let it go when it wakes up, and it joins again."""
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.2)

    system.services.halt(service)
    await instances.until_members(service, lambda members: members == 0, f"the group forgets {service}")
    system.services.resume(service)

    await load.end()
    load.assert_complete()


@pytest.mark.faults
@pytest.mark.alone
@pytest.mark.parametrize("service", SERVICES)
async def test_the_work_of_a_halted_service_is_done_by_the_other_instance(
    begin: Begin, system: RunningSystem, instances: Instances, service: str
) -> None:
    """Partitions and relay move while it is halted past its lease; then it wakes up and does no harm."""
    second = instances.start(service)
    await second.until_healthy()
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.1)

    halted_at = monotonic()
    system.services.halt(service)
    try:
        await load.end()
        took = monotonic() - halted_at
        load.assert_complete()
    finally:
        system.services.resume(service)

    assert took < BOUND_SECONDS
    await until_healthy(system, service)


@pytest.mark.faults
@pytest.mark.parametrize(
    "point",
    [
        CrashPoint.AFTER_CLAIM,
        CrashPoint.BEFORE_COMMIT,
        CrashPoint.AFTER_COMMIT,
        CrashPoint.BEFORE_SEND,
        CrashPoint.AFTER_SEND,
        CrashPoint.AFTER_ACKNOWLEDGEMENT,
        CrashPoint.BEFORE_MARK,
        CrashPoint.BEFORE_OFFSET_COMMIT,
    ],
)
async def test_an_instance_that_still_holds_a_batch_when_its_partitions_move_does_no_harm(
    begin: Begin, system: RunningSystem, instances: Instances, point: CrashPoint
) -> None:
    """The first of each service halts itself exactly there; the others finish the load; then all wake up."""
    await _halt_and_wake(point, begin, system, instances)


@pytest.mark.faults
async def test_an_instance_that_was_halted_for_long_does_not_set_its_group_back(
    begin: Begin, system: RunningSystem, instances: Instances
) -> None:
    """It wakes up with an old commit to make and one to repeat; the others have read all there is by then."""
    await _halt_and_wake(CrashPoint.BEFORE_OFFSET_COMMIT, begin, system, instances, REPEAT_COMMIT_SECONDS + 1)


async def _halt_and_wake(
    point: CrashPoint, begin: Begin, system: RunningSystem, instances: Instances, at_least_seconds: float = 0
) -> None:
    """The story of both: what the others finish meanwhile is complete, and still is when all are awake."""
    await asyncio.gather(*(system.services.stop(service) for service in SERVICES))
    for service in SERVICES:
        system.services.start(service, {"PAWL_PAUSE_AT": f"{point}:2"})
    await asyncio.gather(*(until_healthy(system, service) for service in SERVICES))
    others = [instances.start(service) for service in SERVICES]
    await asyncio.gather(*(other.until_healthy() for other in others))

    load = await begin(ORDERS)
    try:
        await asyncio.gather(*(until_halted(system.services.pid(service)) for service in SERVICES))
        halted_at = monotonic()
        await load.end()
        load.assert_complete()
        await asyncio.sleep(halted_at + at_least_seconds - monotonic())
    finally:
        for service in SERVICES:
            system.services.resume(service)

    await asyncio.gather(*(until_healthy(system, service) for service in SERVICES))
    load.assert_complete()
