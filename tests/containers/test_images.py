"""The images behave as the originals do, as far as this project relies on it; the services' image is bare."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ops.local.ports import HOST, Ports
from ops.local.postgres import answers
from shared import __version__
from tests.support.containers import POSTGRES_IMAGE, ContainerKafka, ContainerPostgres, OnLoopback
from tests.support.patience import PATIENCE, PATIENCE_WITH_A_START

pytestmark = pytest.mark.containers

SERVICE_IMAGE = os.environ.get("PAWL_IMAGE", "pawl:local")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ports(tmp_path: Path) -> Ports:
    return Ports(tmp_path / "ports.json")


@pytest.fixture
def postgres_image(ports: Ports) -> Iterator[Callable[..., tuple[OnLoopback, int]]]:
    """A started container of the image with these variables and files, and its port."""
    made: list[OnLoopback] = []

    def start(folder: Path | None = None, **variables: str) -> tuple[OnLoopback, int]:
        port = ports.take("postgres")
        container = OnLoopback(POSTGRES_IMAGE).with_local_port(5432, port).with_envs(**variables)
        if folder:
            container.with_volume_mapping(folder, "/docker-entrypoint-initdb.d")
        made.append(container)
        return container.start(), port

    yield start
    for container in made:
        container.remove()


async def until_it_answers(url: str) -> None:
    async with asyncio.timeout(PATIENCE_WITH_A_START):
        while not await answers(url):
            await asyncio.sleep(0.25)


async def test_postgres_makes_user_and_database_and_runs_what_it_finds(
    postgres_image: Callable[..., tuple[OnLoopback, int]], tmp_path: Path
) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "1.sql").write_text("CREATE TABLE found (what text); INSERT INTO found VALUES ('sql');")
    (folder / "2.sh").write_text(
        """psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO found VALUES ('sh')"\n"""
    )
    folder.chmod(0o755)

    container, port = postgres_image(
        folder, POSTGRES_PASSWORD="a b'c", POSTGRES_USER="clerk", POSTGRES_DB="books"
    )
    url = f"postgresql://clerk:a%20b%27c@{HOST}:{port}/books"
    await until_it_answers(url)

    connection = await asyncpg.connect(url)
    found = await connection.fetch("SELECT what FROM found ORDER BY what")
    version = await connection.fetchval("SHOW server_version")
    await connection.close()
    assert [what for (what,) in found] == ["sh", "sql"]
    assert version.startswith(("17.", "18."))
    assert container.exec(["pg_isready", "-q", "-h", "127.0.0.1", "-U", "clerk"]).exit_code == 0


async def test_postgres_does_not_start_without_a_password(
    postgres_image: Callable[..., tuple[OnLoopback, int]],
) -> None:
    container, _ = postgres_image()

    code = await asyncio.to_thread(container.wait)

    assert code == 1
    assert b"POSTGRES_PASSWORD" in b"".join(container.get_logs())


async def test_rows_survive_a_stop_and_a_kill(ports: Ports) -> None:
    postgres = ContainerPostgres(ports)
    try:
        await postgres.start()
        await execute(postgres, "CREATE TABLE kept (what text); INSERT INTO kept VALUES ('stopped')")
        await postgres.stop()
        await postgres.start()
        await execute(postgres, "INSERT INTO kept VALUES ('killed')")
        postgres.kill()
        assert not postgres.is_alive
        await postgres.start()

        assert await execute(postgres, "DELETE FROM kept") == "DELETE 2"
    finally:
        postgres.remove()


async def execute(postgres: ContainerPostgres, statement: str) -> str:
    connection = await asyncpg.connect(postgres.url())
    try:
        return str(await connection.execute(statement))
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ContainerKafka]:
    kafka = ContainerKafka(Ports(tmp_path_factory.mktemp("broker") / "ports.json"))
    try:
        await kafka.start()
        yield kafka
    finally:
        kafka.remove()


async def test_variables_are_the_settings_of_the_broker(broker: ContainerKafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()

    settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["log.dirs"] == "/var/lib/kafka/data"
    assert settings["offsets.topic.num.partitions"] == "6"


async def test_records_survive_a_stop_and_a_kill(broker: ContainerKafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()

    offsets = [await say(broker, b"first")]
    await broker.stop()
    await broker.start()
    offsets.append(await say(broker, b"second"))
    broker.kill()
    await broker.start()
    offsets.append(await say(broker, b"third"))

    assert offsets == [0, 1, 2]


async def say(broker: ContainerKafka, value: bytes) -> int:
    servers = broker.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True) as producer:
        return int((await producer.send_and_wait("kept", value)).offset)


async def test_the_broker_runs_without_rights(broker: ContainerKafka) -> None:
    assert broker.container.exec(["id", "-u"]).output.strip() == b"1000"


@pytest.fixture
def run() -> Run:
    """Runs a command in the services' image, as docker-compose.yml runs it."""

    def run_it(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        return subprocess.run(
            ["docker", "run", "--rm", "--read-only", "--cap-drop=ALL", *variables, SERVICE_IMAGE, *command],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run_it


def test_the_services_run_without_rights_and_without_tools(run: Run) -> None:
    said = run("sh", "-c", "id -u; touch /srv/pawl/x; command -v gcc pip make git; python3 -m pip")

    assert said.stdout == "10001\n"
    assert "Read-only file system" in said.stderr
    assert "No module named pip" in said.stderr


def test_a_service_without_settings_says_in_one_line_what_it_lacks(run: Run) -> None:
    said = run("python3", "-m", "services.orders")

    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert "KAFKA_BOOTSTRAP_SERVERS" in said.stderr


def test_the_image_knows_its_version(run: Run) -> None:
    said = run("pawl", "version", "--json")

    assert json.loads(said.stdout)["pawl"] == __version__, said.stderr


def test_the_commands_are_in_the_image(run: Run) -> None:
    said = run("pawl", "migrate", "--help")

    assert said.returncode == 0
    assert "migrations" in said.stdout
