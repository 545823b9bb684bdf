"""Postgres or the broker goes away under load, and comes back: everything goes on.

While a server is away a service waits and asks again ever more slowly: no attempt limit, and no spinning.
Once it is back, what has gathered is handled at twice the rate at which more comes in, or faster: an outage
is made good in less time than it lasted.
"""

import asyncio
import os
from pathlib import Path

import pytest

from ops.local.kafka import EmbeddedKafka
from ops.local.postgres import EmbeddedPostgres
from ops.local.running import RunningSystem
from shared.events.catalogue import SERVICES
from tests.reliability.conftest import Alone, Begin
from tests.support.alone import assert_all_is_well
from tests.support.load import Inflow, Load

ORDERS = 1_000
DATABASE_IS_AWAY = 60.0
BROKER_IS_AWAY = 60.0
BROKER_IS_AWAY_FOR_LONG = 300.0
INFLOW = 40
"""Orders a second that come in before, during and after a long outage."""
AT_LEAST = 2.0
"""How many times as fast as orders come in they are handled afterwards."""
ENDINGS = [
    pytest.param("stopped", marks=pytest.mark.faults),
    pytest.param("killed", marks=pytest.mark.smoke),
]
BUSIEST = 0.25
"""The share of one core that a service may use while it waits for a server."""


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_database_that_goes_away_and_comes_back_loses_nothing(
    begin: Begin, system: RunningSystem, postgres_server: EmbeddedPostgres, ending: str
) -> None:
    pids = system.services.pids()
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.2)

    await end(postgres_server, ending)
    await postgres_server.start()

    await load.end()
    load.assert_complete()
    assert system.services.pids() == pids, "a service ended instead of waiting for the database"


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_broker_that_goes_away_and_comes_back_loses_nothing(
    begin: Begin, system: RunningSystem, kafka_server: EmbeddedKafka, ending: str
) -> None:
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.2)

    await end(kafka_server, ending)
    await kafka_server.start()

    await load.end()
    load.assert_complete()
    assert set(system.services.pids()) == set(SERVICES)


@pytest.mark.faults
@pytest.mark.alone
async def test_a_database_that_is_away_for_a_minute_is_waited_for_in_peace_and_caught_up_with(
    alone: Alone,
) -> None:
    """Meanwhile checkout goes on, and Kafka keeps what it says."""
    pids = alone.system.services.pids()
    async with Inflow(alone.checkout, INFLOW) as inflow:
        await inflow.until_steady(10)

        alone.postgres.kill()
        busy = await busy_while_away(alone.system, DATABASE_IS_AWAY)
        await alone.postgres.start()
        drained = await inflow.drain(2 * DATABASE_IS_AWAY)

    await assert_nothing_was_lost(alone, inflow.load)
    assert alone.system.services.pids() == pids, "a service ended instead of waiting for the database"
    assert max(busy.values()) < BUSIEST, busy
    assert drained.ratio >= AT_LEAST, str(drained)


@pytest.mark.faults
@pytest.mark.alone
async def test_a_broker_that_is_away_for_a_minute_is_waited_for_in_peace_and_caught_up_with(
    alone: Alone,
) -> None:
    await _waits_for_a_broker(alone, BROKER_IS_AWAY)


@pytest.mark.faults
@pytest.mark.alone
@pytest.mark.timeout(1800)
async def test_a_broker_that_is_away_for_five_minutes_is_waited_for_in_peace_and_caught_up_with(
    alone: Alone,
) -> None:
    """Nothing that a service does meanwhile grows over time."""
    await _waits_for_a_broker(alone, BROKER_IS_AWAY_FOR_LONG)


async def _waits_for_a_broker(alone: Alone, seconds: float) -> None:
    """Meanwhile checkout keeps what it has to say, as the services keep theirs."""
    pids = alone.system.services.pids()
    async with Inflow(alone.checkout, INFLOW) as inflow:
        await inflow.until_steady(10)

        async with inflow.cut_off:
            alone.kafka.kill()
            busy = await busy_while_away(alone.system, seconds)
            await alone.kafka.start()
        drained = await inflow.drain(2 * seconds)

    await assert_nothing_was_lost(alone, inflow.load)
    assert alone.system.services.pids() == pids, "a service ended instead of waiting for the broker"
    assert max(busy.values()) < BUSIEST, busy
    assert drained.ratio >= AT_LEAST, str(drained)


async def assert_nothing_was_lost(alone: Alone, load: Load) -> None:
    """The load comes to its end, nothing of it is missing or doubled, and every promise is kept."""
    await load.end()
    load.assert_complete()
    await assert_all_is_well(alone.system, alone.checkout)


async def end(server: EmbeddedKafka | EmbeddedPostgres, ending: str) -> None:
    if ending == "stopped":
        await server.stop()
    else:
        server.kill()


async def busy_while_away(system: RunningSystem, seconds: float) -> dict[str, float]:
    """Lets so much time pass; returns the share of a core that each service used meanwhile."""
    pids = system.services.pids()
    before = {service: processor_seconds(pid) for service, pid in pids.items()}
    await asyncio.sleep(seconds)
    assert system.services.pids() == pids, "a service ended instead of waiting"
    return {service: (processor_seconds(pid) - before[service]) / seconds for service, pid in pids.items()}


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
