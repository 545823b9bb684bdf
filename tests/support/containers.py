"""Kafka and PostgreSQL in containers, in the place of the embedded servers: PAWL_TEST_SERVERS=containers.

The images are those that everybody pulls (or makes with deploy/images/build.sh); other names come from
PAWL_KAFKA_IMAGE and PAWL_POSTGRES_IMAGE. Ports are published on 127.0.0.1 only and stay the same when a
container is stopped or killed and started again, as the embedded servers' do.
"""

import asyncio
import atexit
import os
import secrets
from contextlib import suppress
from typing import Any, Self

import docker.errors
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from ops.local import kafka, postgres
from ops.local.jars import KAFKA_VERSION
from ops.local.ports import HOST, Ports
from ops.setup import broker
from shared.brokers import Brokers
from tests.support.patience import PATIENCE_WITH_A_START

KAFKA_IMAGE = os.environ.get("PAWL_KAFKA_IMAGE", f"apache/kafka:{KAFKA_VERSION}")
POSTGRES_IMAGE = os.environ.get("PAWL_POSTGRES_IMAGE", "postgres:18")
STOP_SECONDS = 15
# The label by which tests/containers/run.sh finds what a killed test run has left behind.
RUN_LABEL = "org.pawl.tests"
RUN = os.environ.get("PAWL_TEST_RUN", f"pid-{os.getpid()}")

# The image of the usual reaper may be out of reach; here every owner removes what it has made.
testcontainers_config.ryuk_disabled = True


class OnLoopback(DockerContainer):
    """A container whose ports are published on 127.0.0.1 and which this test run removes, come what may."""

    def __init__(self, image: str, **keywords: Any) -> None:
        super().__init__(image, **keywords)
        self.with_kwargs(labels={RUN_LABEL: RUN})
        atexit.register(self.remove)

    def with_local_port(self, inside: int, outside: int) -> Self:
        """Publish a port. The tuple is how the engine's client names an address beside the port."""
        self.ports[f"{inside}/tcp"] = (HOST, outside)  # type: ignore[assignment]
        return self

    def remove(self) -> None:
        """Stop it at once and remove it with its volumes; a second time nothing happens."""
        with suppress(docker.errors.NotFound):
            self.stop()
        self._container = None


class KafkaContainer(OnLoopback):
    """apache/kafka as one KRaft node that is reached at 127.0.0.1 and a fixed port."""

    def __init__(self, port: int, proxy_port: int | None = None, image: str = KAFKA_IMAGE) -> None:
        super().__init__(image)
        self.with_local_port(9094, port)
        self.with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@127.0.0.1:9093",
            KAFKA_LISTENERS="INSIDE://127.0.0.1:9092,HOST://0.0.0.0:9094,CONTROLLER://127.0.0.1:9093",
            KAFKA_ADVERTISED_LISTENERS=f"INSIDE://127.0.0.1:9092,HOST://{HOST}:{proxy_port or port}",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="INSIDE:PLAINTEXT,HOST:PLAINTEXT,CONTROLLER:PLAINTEXT",
            KAFKA_INTER_BROKER_LISTENER_NAME="INSIDE",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_LOG_DIRS="/var/lib/kafka/data",
            KAFKA_HEAP_OPTS="-Xms256m -Xmx512m",
            **_from_properties(kafka.SETTINGS),
        )


def _from_properties(settings: str) -> dict[str, str]:
    """The embedded broker's settings that have nothing to do with addresses, as the image wants them."""
    pairs = (line.split("=", 1) for line in settings.splitlines())
    return {
        "KAFKA_" + name.upper().replace(".", "_"): value
        for name, value in pairs
        if "{" not in value
        and not name.startswith(("process.", "node.", "listener", "inter.", "controller."))
    }


class PostgresContainer(OnLoopback):
    """postgres:18 at 127.0.0.1 and a fixed port, with a random password."""

    def __init__(self, port: int, settings: dict[str, str], image: str = POSTGRES_IMAGE) -> None:
        super().__init__(image, shm_size="256m")
        self.password = secrets.token_urlsafe(24)
        self.with_local_port(5432, port)
        self.with_env("POSTGRES_PASSWORD", self.password)
        self.with_command(
            ["postgres", *(part for name in settings for part in ("-c", f"{name}={settings[name]}"))]
        )


class ContainerServer:
    """A container that is driven as the embedded servers are: start, stop, kill, start again."""

    def __init__(self, container: OnLoopback, port: int) -> None:
        self.container = container
        self.port = port

    async def start(self) -> None:
        """Start (again), and return when it answers."""
        await asyncio.to_thread(self._start)
        async with asyncio.timeout(PATIENCE_WITH_A_START):
            while not await self.answers():
                if not self.is_alive:
                    raise AssertionError(f"{self.container.image} ended while starting:\n{self.last_lines()}")
                await asyncio.sleep(0.25)

    async def answers(self) -> bool:
        raise NotImplementedError

    async def stop(self) -> None:
        """Ask it to end; the engine kills it after 15 s."""
        if self._made is not None:
            await asyncio.to_thread(self._made.stop, timeout=STOP_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.is_alive:
            self._made.kill()
            self._made.wait(timeout=STOP_SECONDS)

    @property
    def is_alive(self) -> bool:
        return bool(self._state.get("Running"))

    @property
    def pid(self) -> int | None:
        """The process on this machine, e.g. for SIGSTOP."""
        return self._state.get("Pid") or None

    def last_lines(self) -> str:
        return str(self._made.logs(tail=25).decode("utf-8", "replace"))

    def remove(self) -> None:
        self.container.remove()

    @property
    def _made(self) -> Any:
        return self.container._container

    @property
    def _state(self) -> dict[str, Any]:
        if self._made is None:
            return {}
        self._made.reload()
        return dict(self._made.attrs["State"])

    def _start(self) -> None:
        if self._made is None:
            self.container.start()
        else:
            self._made.start()


class ContainerKafka(ContainerServer):
    """The broker; looks like ops.local.kafka.EmbeddedKafka to a test."""

    def __init__(self, ports: Ports, proxy_port: int | None = None) -> None:
        port = ports.take("kafka")
        super().__init__(KafkaContainer(port, proxy_port), port)
        self._proxy_port = proxy_port

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self._proxy_port or self.port}"

    @property
    def administrator(self) -> Brokers:
        """The broker for somebody who may do everything: it asks nobody for a login."""
        return Brokers(self.bootstrap_servers)

    async def answers(self) -> bool:
        return await broker.answers(self.bootstrap_servers)


class ContainerPostgres(ContainerServer):
    """The database server; looks like ops.local.postgres.EmbeddedPostgres to a test."""

    def __init__(self, ports: Ports, settings: dict[str, str] | None = None) -> None:
        port = ports.take("postgres")
        addresses = ("listen_addresses", "unix_socket_directories")
        common = {name: value for name, value in postgres.SETTINGS.items() if name not in addresses}
        self._postgres = PostgresContainer(port, common | (settings or {}))
        super().__init__(self._postgres, port)

    def url(self, database: str = "postgres") -> str:
        """The address for the superuser, password included."""
        return f"postgresql://postgres:{self._postgres.password}@{HOST}:{self.port}/{database}"

    async def answers(self) -> bool:
        return await postgres.answers(self.url())
