"""A broker that asks for logins: each service does its work there, and nothing else."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from ops.local.running import RunningSystem
from ops.replay.run import replay_file
from ops.setup.broker import ADMINISTRATOR
from ops.setup.kafka_protocol import LITERAL, READ, TOPIC
from ops.setup.logins import connected, give, principals, secure_broker
from ops.setup.rights import Right
from ops.shell.acls import topics_read
from ops.shell.system import find_system
from ops.watch.lag import read_lag
from ops.watch.order import read_order
from shared.brokers import Brokers
from shared.events.catalogue import FEEDBACK, SERVICES, TOPICS, UPSTREAM
from shared.kafka import END_OF_TIME, oldest_record
from tests.support.logins import lets_in

WRITES = {
    **{f"pawl_{service}": {f"{service}.events", FEEDBACK} for service in SERVICES},
    "pawl_checkout": {UPSTREAM},
    "pawl_ops": set(),
}
READS = {f"pawl_{service}": topics for service, topics in topics_read().items()}
MAY_READ = {
    # What a service has written it reads too: after a restore it looks whether its schema is behind.
    **{name: {*topics, *WRITES[name]} for name, topics in READS.items()},
    "pawl_checkout": set(TOPICS) - {UPSTREAM},
    "pawl_ops": set(TOPICS),
}
WRITE_CASES = [(who, topic) for who, own in WRITES.items() for topic in TOPICS if topic not in own]
GROUP_CASES = [(f"pawl_{a}", f"pawl-{b}") for a in (*SERVICES, "checkout", "ops") for b in SERVICES if a != b]
HISTORY = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
S1001,22728,ALARM CLOCK,10,3/1/2011 10:00,3.75,812583,France
CS1002,22728,ALARM CLOCK,-4,3/4/2011 10:00,3.75,812583,France
"""


@pytest.fixture
def administrator(secure_system: RunningSystem) -> Brokers:
    """The broker for somebody who may do everything."""
    return Brokers.at(secure_system.system.administrator)


@pytest.fixture
def passwords(secure_system: RunningSystem) -> Mapping[str, str]:
    """Of everybody on the broker."""
    return secure_system.kafka_passwords()


@pytest.fixture
def logins(administrator: Brokers, passwords: Mapping[str, str]) -> dict[str, Brokers]:
    """The broker as each principal reaches it."""
    return {name: administrator.log_in_as(name, passwords[name]) for name in principals()}


@asynccontextmanager
async def producing(brokers: Brokers, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**brokers.client(), **options)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def administering(brokers: Brokers) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**brokers.client())
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def may_read(brokers: Brokers, topic: str) -> bool:
    consumer = AIOKafkaConsumer(**brokers.client(), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        # Without any right a topic is not even found; with that of writing alone the fetch is refused.
        await consumer._client.set_topics([topic])
        if topic in consumer._client.cluster.unauthorized_topics:
            return False
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.getmany(timeout_ms=200)
    except TopicAuthorizationFailedError:
        return False
    finally:
        await consumer.stop()
    return True


async def join(brokers: Brokers, topic: str, group: str) -> None:
    consumer = AIOKafkaConsumer(topic, **brokers.client(), group_id=group)
    try:
        await consumer.start()
        await consumer.getmany(timeout_ms=500)
    finally:
        await consumer.stop()


async def test_an_order_goes_through_all_four_services_with_logins(
    secure_system: RunningSystem, tmp_path: Path
) -> None:
    (tmp_path / "history.csv").write_text(HISTORY)

    replayed = await replay_file(
        tmp_path / "history.csv", secure_system.system, close_months=True, show=lambda progress: None
    )

    document = replayed.summary.document
    assert document["outcomes"] == {"issued_and_refunded": 1, "refund_completed": 1}
    assert document["check"]["ok"]
    story = await read_order(secure_system.system, "S1001")
    assert story is not None


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_learns_how_far_back_its_topics_go_also_those_that_it_only_writes(
    logins: dict[str, Brokers], administrator: Brokers, service: str
) -> None:
    """What it has said and answered may be forgotten only when these topics hold nothing so old."""
    topics = {f"{service}.events": 12, FEEDBACK: 12}
    if UPSTREAM in topics_read()[service]:
        topics[UPSTREAM] = 12
    await tell_something(administrator, topics)

    oldest = await oldest_record(logins[f"pawl_{service}"], topics)

    assert oldest < END_OF_TIME
    assert oldest == await oldest_record(administrator, topics)


async def tell_something(administrator: Brokers, topics: Iterable[str]) -> None:
    """So that no topic is empty. Nobody can read it, and it goes to the dead letters of whoever tries."""
    async with producing(administrator) as producer:
        for topic in topics:
            await producer.send_and_wait(topic, b"nobody")


async def test_another_command_finds_the_login_of_operators_in_the_run_directory(
    secure_system: RunningSystem,
) -> None:
    system = find_system(directory=secure_system.folder.path)

    assert Brokers.at(system.kafka).username == "pawl_ops"
    assert Brokers.at(system.checkout).username == "pawl_checkout"
    lag = await read_lag(system, system.kafka)
    assert set(lag) == set(SERVICES)


def test_the_file_of_rights_names_everybody() -> None:
    assert set(principals()) == set(WRITES)


@pytest.mark.parametrize(("who", "topic"), WRITE_CASES)
async def test_nobody_writes_the_topic_of_another(logins: dict[str, Brokers], who: str, topic: str) -> None:
    async with producing(logins[who]) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(topic, b"{}", key=b"A-1", partition=0)


@pytest.mark.parametrize("who", WRITES)
async def test_everybody_reads_what_they_need_and_nothing_else(logins: dict[str, Brokers], who: str) -> None:
    readable = {topic for topic in TOPICS if await may_read(logins[who], topic)}

    assert readable == MAY_READ[who]
    assert await may_read(logins[who], "__consumer_offsets") == (who == "pawl_ops")


@pytest.mark.parametrize(("who", "group"), GROUP_CASES)
async def test_nobody_reads_with_the_group_of_another(
    logins: dict[str, Brokers], who: str, group: str
) -> None:
    topic = sorted(MAY_READ[who])[0]

    with pytest.raises(GroupAuthorizationFailedError):
        await join(logins[who], topic, group)


async def test_checkout_reads_with_a_group_of_its_own(logins: dict[str, Brokers]) -> None:
    await join(logins["pawl_checkout"], FEEDBACK, "checkout-answers")


@pytest.mark.parametrize("who", WRITES)
async def test_nobody_makes_changes_or_removes_topics(logins: dict[str, Brokers], who: str) -> None:
    async with administering(logins[who]) as admin:
        made = await admin.create_topics([NewTopic("mine", 1, 1)])
        removed = await admin.delete_topics([UPSTREAM])
        resource = ConfigResource(ConfigResourceType.TOPIC, UPSTREAM, {"retention.ms": "1"})
        [changed] = await admin.alter_configs([resource])
        with pytest.raises(KafkaError):
            await admin.create_partitions({UPSTREAM: NewPartitions(50)})

    assert made.topic_errors[0][1] != 0
    assert removed.topic_error_codes[0][1] != 0
    assert changed.resources[0][0] != 0


@pytest.mark.parametrize("who", WRITES)
async def test_nobody_gives_rights_or_passwords(
    logins: dict[str, Brokers], passwords: Mapping[str, str], who: str
) -> None:
    with pytest.raises(Exception, match=r"refuses|does not let us"):
        await secure_broker(logins[who], passwords)


@pytest.mark.parametrize("who", WRITES)
async def test_nobody_writes_in_transactions(logins: dict[str, Brokers], who: str) -> None:
    with pytest.raises(TransactionalIdAuthorizationFailed):
        async with producing(logins[who], transactional_id="mine") as producer:
            await producer.begin_transaction()


async def test_without_a_login_nobody_gets_in(administrator: Brokers, passwords: Mapping[str, str]) -> None:
    anonymous = Brokers(administrator.servers)
    mistaken = administrator.log_in_as("pawl_orders", "mistaken")
    unknown = administrator.log_in_as("mallory", passwords["pawl_orders"])
    by_plain = administrator.log_in_as("pawl_orders", passwords["pawl_orders"], "PLAIN")

    for stranger in (anonymous, mistaken, unknown, by_plain):
        assert not await lets_in(stranger), stranger
    assert await lets_in(administrator.log_in_as("pawl_orders", passwords["pawl_orders"]))


async def test_the_controller_lets_nobody_in_either(
    secure_system: RunningSystem, passwords: Mapping[str, str]
) -> None:
    port = json.loads(secure_system.folder.ports.read_text())["kafka-controller"]
    controller = Brokers(f"127.0.0.1:{port}", "SASL_PLAINTEXT")

    assert not await lets_in(Brokers(controller.servers))
    for name in principals():
        assert not await lets_in(controller.log_in_as(name, passwords[name]))
        assert not await lets_in(controller.log_in_as(name, passwords[name], "PLAIN"))
    assert ADMINISTRATOR not in principals()


async def test_a_new_password_replaces_the_old_one(
    administrator: Brokers, passwords: Mapping[str, str]
) -> None:
    old, new = (administrator.log_in_as("pawl_ops", text) for text in (passwords["pawl_ops"], "another one"))

    await secure_broker(administrator, {**passwords, "pawl_ops": "another one"})
    try:
        assert await lets_in(new)
        assert not await lets_in(old)
    finally:
        await secure_broker(administrator, passwords)
    assert await lets_in(old)


async def test_rights_given_by_hand_are_taken_back(
    administrator: Brokers, logins: dict[str, Brokers], passwords: Mapping[str, str]
) -> None:
    async with connected(administrator) as admin:
        await give(admin, [Right("pawl_serials", TOPIC, UPSTREAM, LITERAL, READ)])

    await secure_broker(administrator, passwords)

    assert not await may_read(logins["pawl_serials"], UPSTREAM)
