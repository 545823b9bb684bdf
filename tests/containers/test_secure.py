"""The profile `secure` of docker-compose.yml: Kafka asks everybody for a login, and all works as without."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError

from shared.brokers import Brokers
from shared.events.catalogue import FEEDBACK, SERVICES, TOPICS, UPSTREAM
from tests.containers.stack import Stack, excerpt, running
from tests.support.logins import lets_in

pytestmark = pytest.mark.containers

LINES = 200


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running("pawl-secure", tmp_path_factory.mktemp("compose"), secure=True) as stack:
        yield stack


@pytest.fixture
def broker(stack: Stack) -> Brokers:
    """As operators reach it from this machine."""
    return Brokers.at(stack.environment["PAWL_KAFKA"])


@pytest.fixture
def logins(stack: Stack, broker: Brokers) -> dict[str, Brokers]:
    """The broker as each principal reaches it, by name."""
    services = {
        f"pawl_{service}": stack.environment[f"PAWL_{service.upper()}_KAFKA_PASSWORD"] for service in SERVICES
    }
    checkout = Brokers.at(stack.environment["PAWL_KAFKA_CHECKOUT"])
    return {
        broker.username: broker,
        checkout.username: checkout,
        **{name: broker.log_in_as(name, password) for name, password in services.items()},
    }


async def may_write(brokers: Brokers, topic: str) -> bool:
    producer = AIOKafkaProducer(**brokers.client())
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"{}", key=b"A-1", partition=0)
    except TopicAuthorizationFailedError:
        return False
    finally:
        await producer.stop()
    return True


def test_a_real_history_goes_through_and_every_rule_holds(stack: Stack, tmp_path: Path) -> None:
    replayed = stack.pawl("replay", str(excerpt(tmp_path / "excerpt.csv", LINES)))
    checked = stack.pawl("check", "--topics")

    assert replayed["lines"] == LINES
    assert checked["ok"]
    assert checked["orders"] > 5
    assert checked["topics"]["ok"]
    assert set(stack.pawl("lag")["services"]) == set(SERVICES)


async def test_nobody_writes_the_topic_of_another(logins: dict[str, Brokers]) -> None:
    own = {f"pawl_{service}": {f"{service}.events", FEEDBACK} for service in SERVICES}
    own |= {"pawl_checkout": {UPSTREAM}, "pawl_ops": set()}

    written = {
        (name, topic)
        for name, brokers in logins.items()
        for topic in set(TOPICS) - own[name]
        if await may_write(brokers, topic)
    }

    assert set(own) == set(logins)
    assert written == set()


async def test_without_a_login_nobody_gets_in(broker: Brokers) -> None:
    strangers = (
        Brokers(broker.servers),
        broker.log_in_as("pawl_orders", "mistaken"),
        broker.log_in_as("pawl_admin", "mistaken", "PLAIN"),
    )

    for stranger in strangers:
        assert not await lets_in(stranger), stranger
    assert await lets_in(broker)


def test_each_service_knows_its_own_login_only(stack: Stack) -> None:
    containers = stack.containers()

    for service in SERVICES:
        others = {name for name in SERVICES if name != service}
        values = " ".join(containers[service]["Config"]["Env"])
        assert f"KAFKA_SASL_USERNAME=pawl_{service}" in containers[service]["Config"]["Env"]
        assert not any(stack.environment[f"PAWL_{name.upper()}_KAFKA_PASSWORD"] in values for name in others)
        assert stack.environment["PAWL_KAFKA_PASSWORD"] not in values


def test_everything_is_published_on_this_machine_only(stack: Stack) -> None:
    assert stack.bindings() == ["127.0.0.1"] * 6
