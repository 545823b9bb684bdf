"""The embedded servers: what they hold survives a stop and a kill, on the same port."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ops.local.kafka import EmbeddedKafka
from ops.local.postgres import EmbeddedPostgres
from ops.setup.provision import Database
from ops.setup.topics import Topic, create_topics, wanted_topics
from ops.shell.problem import Problem
from ops.shell.run_directory import RunDirectory
from ops.shell.urls import with_login


async def test_rows_survive_a_stop_and_a_kill_of_postgres(postgres_server: EmbeddedPostgres) -> None:
    port = postgres_server.port
    await _execute(postgres_server, "CREATE TABLE kept (what text); INSERT INTO kept VALUES ('stopped')")

    await postgres_server.stop()
    await postgres_server.start()
    await _execute(postgres_server, "INSERT INTO kept VALUES ('killed')")
    postgres_server.kill()
    await postgres_server.start()

    rows = await _execute(postgres_server, "SELECT what FROM kept")
    assert [what for (what,) in rows] == ["stopped", "killed"]
    assert postgres_server.port == port
    await _execute(postgres_server, "DROP TABLE kept")


async def _execute(postgres: EmbeddedPostgres, statement: str) -> Any:
    connection = await asyncpg.connect(postgres.url())
    try:
        return await (connection.fetch if statement.startswith("SELECT") else connection.execute)(statement)
    finally:
        await connection.close()


async def test_postgres_asks_everybody_for_a_password(postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(with_login(postgres_server.url(), "postgres", "a guess"))


async def test_a_commit_waits_for_the_disk(database: Database, admin: Any) -> None:
    assert await admin.fetchval("SHOW synchronous_commit") == "on"
    assert (await admin.fetchval("SHOW server_version")).startswith("18.")


async def test_records_survive_a_stop_and_a_kill_of_kafka(kafka_server: EmbeddedKafka) -> None:
    address = kafka_server.bootstrap_servers
    await create_topics(address, [Topic("kept", 1, 1, {})])
    await _say(address, b"stopped")

    await kafka_server.stop()
    await kafka_server.start()
    await _say(address, b"killed")
    kafka_server.kill()
    await kafka_server.start()

    assert kafka_server.bootstrap_servers == address
    assert await _hear(address, 2) == [b"stopped", b"killed"]


async def _say(address: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True) as producer:
        await producer.send_and_wait("kept", value)


async def _hear(address: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer("kept", bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_the_six_topics_exist_and_a_second_time_nothing_is_made(kafka: str) -> None:
    assert len(wanted_topics()) == 6
    assert {topic.partitions for topic in wanted_topics()} == {12}

    assert await create_topics(kafka) == []


@pytest.mark.parametrize("partitions", [6, 24])
async def test_another_number_of_partitions_is_refused(kafka: str, partitions: int) -> None:
    with pytest.raises(Problem) as caught:
        await create_topics(kafka, [Topic("orders.events", partitions, 1, {})])

    assert f"orders.events has 12 partitions; topics.yaml asks for {partitions}" in caught.value.message


async def test_a_setting_that_the_broker_refuses_is_named(kafka: str) -> None:
    with pytest.raises(Problem, match=r"refuses topic odd: .*cleanup\.policy"):
        await create_topics(kafka, [Topic("odd", 1, 1, {"cleanup.policy": "tidy"})])


async def test_no_broker_at_the_address_is_said(run_directory: RunDirectory) -> None:
    with pytest.raises(Problem, match=r"No Kafka broker answers at 127\.0\.0\.1:9"):
        await create_topics("127.0.0.1:9", [Topic("any", 1, 1, {})])


async def test_a_start_that_is_given_up_stops_a_slow_server_in_order(
    postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, it would recover at the next start, which takes longer still."""

    async def not_yet(url: str) -> bool:
        return False

    await postgres_server.stop()
    with monkeypatch.context() as slow:
        slow.setattr("ops.local.postgres.answers", not_yet)
        starting = asyncio.create_task(postgres_server.start())
        while "ready to accept connections" not in _log(postgres_server):
            await asyncio.sleep(0.05)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting

    assert not postgres_server.is_alive
    assert "database system is shut down" in _log(postgres_server)
    await postgres_server.start()
    assert "was not properly shut down" not in _log(postgres_server)


def _log(postgres: EmbeddedPostgres) -> str:
    return postgres.log.read_text() if postgres.log.exists() else ""


async def test_another_password_than_the_servers_is_refused_at_once(
    postgres_server: EmbeddedPostgres,
) -> None:
    file = postgres_server.directory / "superuser.password"
    right = file.read_text()
    await postgres_server.stop()
    file.write_text("of another server\n")
    try:
        with pytest.raises(Problem, match=r"refuses the password in .*superuser\.password") as caught:
            await postgres_server.start()
    finally:
        file.write_text(right)
        await postgres_server.start()

    assert "of another server" not in str(caught.value)
    assert "Put back a copy" in caught.value.hint
