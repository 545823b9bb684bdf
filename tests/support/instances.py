"""Second instances of services beside the system's own, as a deployment with replicas has them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from ops.local.child import Child, last_lines
from ops.local.ports import HOST, Ports
from ops.local.running import RunningSystem
from ops.local.supervisor import STOP_SECONDS
from ops.shell.http_client import fetch
from shared.clock import monotonic
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE

Holds = Callable[[], Awaitable[bool]]


async def until(holds: Holds, what: str, seconds: float = PATIENCE) -> None:
    """Looks again and again, for what nobody signals."""
    deadline = monotonic() + seconds
    while not await holds():
        assert monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.1)


async def until_healthy(system: RunningSystem, service: str) -> None:
    """Returns when the system's own instance of a service is ready to work."""
    url = system.system.service(service).health

    async def healthy() -> bool:
        return (await fetch(url)).status == 200

    await until(healthy, f"{service} is healthy")


async def until_halted(pid: int | None) -> None:
    """Returns when a process has halted itself at the point that it was given."""

    async def halted() -> bool:
        return is_halted(pid)

    await until(halted, f"process {pid} halts itself")


def is_halted(pid: int | None) -> bool:
    """Whether a process stands still (Linux)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Instance:
    """One more process of a service."""

    def __init__(self, service: str, url: str, child: Child) -> None:
        self.service = service
        self.url = url
        self.child = child

    async def until_healthy(self) -> None:
        """Returns when it is ready to work."""

        async def healthy() -> bool:
            assert self.child.is_alive, f"{self.service} ended: {last_lines(self.child.log)}"
            return (await fetch(f"{self.url}/health")).status == 200

        await until(healthy, f"a second {self.service} is healthy")

    async def stop(self) -> bool:
        """Asks it to end; whether it ended by itself."""
        return await self.child.stop(signal.SIGTERM, STOP_SECONDS)

    def kill(self) -> None:
        """As a power cut does it."""
        self.child.kill()


class Instances:
    """Starts second instances on the session's servers; all of them are ended after the test."""

    def __init__(self, system: RunningSystem, checkout: Checkout) -> None:
        self._system = system
        self._checkout = checkout
        self._ports = Ports(system.folder.path / "ports-of-instances.json")
        self._started: list[Instance] = []

    def start(self, service: str, also: Mapping[str, str] | None = None) -> Instance:
        """Starts one, as the system's own is started; `also` is added to its environment."""
        launch = self._system.services.launch(service)
        name = f"{service}-{len(self._started) + 2}"
        port = self._ports.take(name)
        log = self._system.folder.logs / f"{name}.log"
        environment = {**os.environ, **launch.environment, **(also or {}), "HTTP_PORT": str(port)}
        instance = Instance(service, f"http://{HOST}:{port}", Child(launch.command, log, environment))
        self._started.append(instance)
        return instance

    async def end_all(self) -> None:
        """Nothing that was started here is left."""
        for instance in self._started:
            instance.child.send(signal.SIGCONT)
        await asyncio.gather(*(instance.stop() for instance in self._started))

    async def members(self, service: str) -> int:
        """How many members the service's group has: the partition consumers of all its processes."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._checkout.bootstrap_servers)
        await admin.start()
        try:
            (response,) = await admin.describe_consumer_groups([f"pawl-{service}"])
        finally:
            await admin.close()
        (_, _, _, _, _, members, *_) = response.groups[0]
        return len(members)

    async def until_members(self, service: str, holds: Callable[[int], bool], what: str) -> None:
        """Waits for the group of a service to have so many members."""

        async def reached() -> bool:
            return holds(await self.members(service))

        await until(reached, what)


@pytest.fixture
async def instances(system: RunningSystem, checkout: Checkout) -> AsyncIterator[Instances]:
    """Second instances: `second = instances.start("orders")`; they end before the closing audit."""
    instances = Instances(system, checkout)
    yield instances
    await instances.end_all()
