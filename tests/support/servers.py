"""Real servers for tests, started once per session: Kafka with six topics, PostgreSQL with four schemas.

A test keeps to itself by using fresh ids, or asks for `clean_schemas`. Only what a test asks for is started.
They are the embedded servers, or with PAWL_TEST_SERVERS=containers the same servers in containers.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from ops.local.kafka import EmbeddedKafka
from ops.local.ports import Ports
from ops.local.postgres import EmbeddedPostgres, wipe
from ops.local.running import RunningSystem, Wanted, run_system
from ops.setup.provision import Database, kept_passwords, migrate, provision
from ops.setup.topics import create_topics
from ops.shell.run_directory import RunDirectory
from shared.events.catalogue import TOPICS
from tests.support.patience import PATIENCE_WITH_A_START

Connect = Callable[[str], Awaitable[Any]]
# Nothing in a test survives a power cut, and waiting for the disk is most of a small test's time.
FOR_TESTS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}

ALL_TABLES = """
    SELECT string_agg(format('%I.%I', schemaname, tablename), ', ')
    FROM pg_tables
    WHERE schemaname IN ('orders', 'serials', 'refunds', 'invoices')
      AND tablename NOT IN ('schema_migrations', 'relay', 'retention')
"""


def in_containers() -> bool:
    """Whether this session's servers run in containers."""
    chosen = os.environ.get("PAWL_TEST_SERVERS", "embedded")
    if chosen not in ("embedded", "containers"):
        raise pytest.UsageError(f"PAWL_TEST_SERVERS is {chosen!r}: embedded or containers")
    return chosen == "containers"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Whoever asks for containers wants every test to run on them: one that is skipped fails the run."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if in_containers() and reporter and reporter.stats.get("skipped"):
        reporter.write_line("With PAWL_TEST_SERVERS=containers nothing passes by being skipped.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def new_kafka(run_directory: RunDirectory, proxy_port: int | None = None) -> Any:
    """A broker that is not started yet. With the port of a proxy, clients are told to come through that."""
    ports = Ports(run_directory.ports)
    if in_containers():
        from tests.support.containers import ContainerKafka  # the Docker client is needed for these only

        return ContainerKafka(ports, proxy_port)
    return EmbeddedKafka(run_directory.kafka, ports, proxy_port=proxy_port)


def new_postgres(run_directory: RunDirectory) -> Any:
    """A database server that is not started yet."""
    ports = Ports(run_directory.ports)
    if in_containers():
        from tests.support.containers import ContainerPostgres

        return ContainerPostgres(ports, FOR_TESTS)
    return EmbeddedPostgres(run_directory.postgres, ports, settings=FOR_TESTS)


def remove(server: Any) -> None:
    """A container is removed; what an embedded server leaves goes with the run directory."""
    if in_containers():
        server.remove()


@contextmanager
def new_run_directory() -> Iterator[RunDirectory]:
    """A run directory that is removed at the end.

    Not under tmp_path: that is closed to the account which runs PostgreSQL when the tests run as root.
    """
    path = Path(tempfile.mkdtemp(prefix="pawl-tests-"))
    path.chmod(0o755)
    folder = RunDirectory(path)
    folder.create()
    yield folder
    wipe(folder.postgres)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def run_directory() -> Iterator[RunDirectory]:
    """The run directory of this session."""
    with new_run_directory() as folder:
        yield folder


@pytest.fixture(scope="session")
async def kafka_server(run_directory: RunDirectory) -> AsyncIterator[EmbeddedKafka]:
    """The broker itself, for tests that stop or kill it; they start it again before they end."""
    kafka = new_kafka(run_directory)
    try:
        await kafka.start()
        yield kafka
        await kafka.stop()
    finally:
        remove(kafka)


@pytest.fixture(scope="session")
async def kafka(kafka_server: EmbeddedKafka) -> str:
    """The address of a broker with the six topics."""
    await create_topics(kafka_server.bootstrap_servers)
    return kafka_server.bootstrap_servers


@pytest.fixture(scope="session")
async def postgres_server(run_directory: RunDirectory) -> AsyncIterator[EmbeddedPostgres]:
    """The server itself, for tests that stop or kill it; they start it again before they end."""
    postgres = new_postgres(run_directory)
    try:
        await postgres.start()
        yield postgres
        await postgres.stop()
    finally:
        remove(postgres)


@pytest.fixture(scope="session")
async def database(postgres_server: EmbeddedPostgres, run_directory: RunDirectory) -> Database:
    """The database `pawl`, roles and migrations included; `database.service_url("orders")` is a URL."""
    url = postgres_server.url()
    database = await provision(url, kept_passwords(run_directory.passwords, url))
    await migrate(database)
    return database


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open a connection to a URL; all are closed after the test."""
    opened: list[Any] = []

    async def open_one(url: str) -> Any:
        connection = await asyncpg.connect(url)
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        await connection.close()


@pytest.fixture
async def admin(database: Database, connect: Connect) -> Any:
    """A connection that may do everything in the database `pawl`."""
    return await connect(database.admin_url)


@pytest.fixture
async def clean_schemas(admin: Any) -> None:
    """Every table of the four schemas is empty when the test begins."""
    await empty_all_tables(admin)


async def empty_all_tables(admin: Any) -> None:
    """Empties every table of the four schemas, the audit log too, which only a superuser can.

    A session of the test before may still be ending, and holds some of them: then again.
    """
    tables = await admin.fetchval(ALL_TABLES)
    while True:
        with suppress(asyncpg.DeadlockDetectedError):
            await admin.execute(f"SET LOCAL session_replication_role = replica; TRUNCATE {tables} CASCADE")
            return


async def empty_all_topics(kafka: str) -> None:
    """Deletes every record of the six topics."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await consumer.start()
    await admin.start()
    await consumer._client.set_topics(list(TOPICS))
    places = [
        TopicPartition(topic, place)
        for topic in TOPICS
        for place in consumer.partitions_for_topic(topic) or ()
    ]
    ends = await consumer.end_offsets(places)
    await admin.delete_records({place: RecordsToDelete(end) for place, end in ends.items() if end})
    await admin.close()
    await consumer.stop()


@pytest.fixture(scope="session")
async def running(
    run_directory: RunDirectory, kafka: str, postgres_server: EmbeddedPostgres, database: Database
) -> AsyncIterator[RunningSystem]:
    """The four services as processes on the session's servers; `running.services.kill("orders")` etc."""
    # Tests before this one may have published from tables that are empty by now.
    await empty_all_topics(kafka)
    wanted = Wanted(
        run_directory.path,
        kafka=kafka,
        postgres=postgres_server.url(),
        environment={"LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING")},
        ready_seconds=PATIENCE_WITH_A_START,
    )
    async with run_system(wanted) as system:
        yield system
