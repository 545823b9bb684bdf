"""Each service is killed in the middle of a load, or asked to stop: nothing is lost and nothing doubled."""

import asyncio

import pytest

from ops.local.running import RunningSystem
from shared.events.catalogue import SERVICES
from tests.reliability.conftest import Begin
from tests.support.driver import Checkout

ORDERS = 1_000
MIDDLE = {
    "orders": "order.paid.v1",
    "serials": "serials.issued.v2",
    "refunds": "refund.accepted.v1",
    "invoices": "invoice.drafted.v1",
}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_killed_in_the_middle_of_a_load_loses_and_doubles_nothing(
    begin: Begin, system: RunningSystem, service: str
) -> None:
    load = await begin(ORDERS)
    await load.until(MIDDLE[service], 0.2)

    system.services.kill(service)
    system.services.start(service)

    await load.end()
    load.assert_complete()


@pytest.mark.smoke
async def test_all_services_killed_at_once_go_on_where_they_were(begin: Begin, system: RunningSystem) -> None:
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.3)

    for service in SERVICES:
        system.services.kill(service)
    for service in SERVICES:
        system.services.start(service)

    await load.end()
    load.assert_complete()


async def test_a_graceful_restart_of_every_service_under_load_is_not_noticed(
    begin: Begin, checkout: Checkout, system: RunningSystem
) -> None:
    first = len(checkout.records)
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.1)

    ended_by_itself = []
    for service in SERVICES:
        ended_by_itself.append(await system.services.stop(service))
        system.services.start(service)
    await load.end()

    assert ended_by_itself == [True] * len(SERVICES)
    load.assert_complete()
    said = [record.id for record in checkout.records[first:] if record.is_ours]
    assert len(said) == len(set(said)), "a graceful stop published something twice"


async def test_services_that_stop_and_start_together_are_quiet_and_well(system: RunningSystem) -> None:
    ended = await asyncio.gather(*(system.services.stop(service) for service in SERVICES))
    codes = [system.services.exit_code(service) for service in SERVICES]
    for service in SERVICES:
        system.services.start(service)

    assert ended == [True] * len(SERVICES)
    assert codes == [0] * len(SERVICES)
