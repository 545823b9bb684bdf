"""Postgres or the broker goes away under load, and comes back: everything goes on.

While a server is away a service waits and asks again ever more slowly: no attempt limit, and no spinning.
"""

import asyncio
import os
from pathlib import Path

import pytest

from ops.embedded.kafka import EmbeddedKafka
from ops.embedded.postgres import EmbeddedPostgres
from ops.provision import SERVICES
from ops.running import RunningSystem
from tests.reliability.conftest import Begin

pytestmark = pytest.mark.timeout(400)

ORDERS = 1_000
DATABASE_IS_AWAY = 60.0
BROKER_IS_AWAY = 120.0
BUSIEST = 0.25
"""The share of one core that a service may use while it waits for a server."""


@pytest.mark.parametrize("ending", [pytest.param("stopped", marks=pytest.mark.faults), "killed"])
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


@pytest.mark.parametrize("ending", [pytest.param("stopped", marks=pytest.mark.faults), "killed"])
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
async def test_a_database_that_is_away_for_a_minute_is_waited_for_in_peace(
    begin: Begin, system: RunningSystem, postgres_server: EmbeddedPostgres
) -> None:
    pids = system.services.pids()
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.2)

    postgres_server.kill()
    busy = await busy_while_away(system, DATABASE_IS_AWAY)
    await postgres_server.start()

    await load.end()
    load.assert_complete()
    assert system.services.pids() == pids, "a service ended instead of waiting for the database"
    assert max(busy.values()) < BUSIEST, busy


@pytest.mark.faults
async def test_a_broker_that_is_away_for_two_minutes_is_waited_for_in_peace(
    begin: Begin, system: RunningSystem, kafka_server: EmbeddedKafka
) -> None:
    pids = system.services.pids()
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.2)

    kafka_server.kill()
    busy = await busy_while_away(system, BROKER_IS_AWAY)
    await kafka_server.start()

    await load.end()
    load.assert_complete()
    assert system.services.pids() == pids, "a service ended instead of waiting for the broker"
    assert max(busy.values()) < BUSIEST, busy


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
    return {service: (processor_seconds(pid) - before[service]) / seconds for service, pid in pids.items()}


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
