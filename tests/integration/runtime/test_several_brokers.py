"""A list of brokers of which some are away: it is enough that one of them answers."""

import pytest

from ops.setup.broker import answers
from shared.brokers import somebody_listens
from shared.kafka import partition_counts
from shared.runtime.consumer import new_broker

NOBODY = "127.0.0.1:1"


@pytest.fixture(params=["{nobody},{kafka}", "{kafka}, {nobody}"])
def servers(kafka: str, request: pytest.FixtureRequest) -> str:
    """One that is away and one that is there, in either order."""
    return str(request.param.format(nobody=NOBODY, kafka=kafka))


async def test_the_consumers_of_a_service_find_the_one_that_is_there(servers: str) -> None:
    broker = new_broker(servers, 5)
    try:
        await broker.start()
        assert await broker.ping(5)
    finally:
        await broker.stop()


async def test_everything_else_finds_it_too(servers: str) -> None:
    assert await partition_counts(servers, ["orders.events"]) == {"orders.events": 12}
    assert await answers(servers)
    assert await somebody_listens(servers, 3)


async def test_where_all_are_away_nobody_listens() -> None:
    assert not await somebody_listens(f"{NOBODY},127.0.0.1:2", 3)
