"""Postgres or the broker goes away for a few seconds under load, and comes back: everything goes on."""

import pytest

from ops.embedded.kafka import EmbeddedKafka
from ops.embedded.postgres import EmbeddedPostgres
from ops.provision import SERVICES
from ops.running import RunningSystem
from tests.reliability.conftest import Begin

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

ORDERS = 1_000


@pytest.mark.parametrize("ending", ["stopped", "killed"])
async def test_a_database_that_goes_away_and_comes_back_loses_nothing(
    begin: Begin, system: RunningSystem, postgres_server: EmbeddedPostgres, ending: str
) -> None:
    pids = system.services.pids()
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.2)

    if ending == "stopped":
        await postgres_server.stop()
    else:
        postgres_server.kill()
    await postgres_server.start()

    await load.end()
    load.assert_complete()
    assert system.services.pids() == pids, "a service ended instead of waiting for the database"


@pytest.mark.parametrize("ending", ["stopped", "killed"])
async def test_a_broker_that_goes_away_and_comes_back_loses_nothing(
    begin: Begin, system: RunningSystem, kafka_server: EmbeddedKafka, ending: str
) -> None:
    load = await begin(ORDERS)
    await load.until("order.paid.v1", 0.2)

    if ending == "stopped":
        await kafka_server.stop()
    else:
        kafka_server.kill()
    await kafka_server.start()

    await load.end()
    load.assert_complete()
    assert set(system.services.pids()) == set(SERVICES)
