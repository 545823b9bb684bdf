"""Three brokers on this machine that are one cluster, as production has it: each partition on all of them.

They are embedded brokers also where the other servers of a run are containers.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.local.kafka import EmbeddedKafka, new_cluster_id
from ops.local.ports import HOST, Ports
from ops.setup.topics import create_topics, wanted_topics
from tests.support.instances import until

NODES = (1, 2, 3)
NOBODY = -1
REPLICATED = """\
node.id={number}
controller.quorum.voters={voters}
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
min.insync.replicas=2
"""


class Node(EmbeddedKafka):
    """One of them. Of a setting that is there twice, the last one counts."""

    def __init__(self, number: int, directory: Path, ports: Ports, cluster_id: str) -> None:
        super().__init__(directory, ports)
        self.number = number
        self.cluster_id = cluster_id
        self.controller_port = ports.take("kafka-controller")
        self.voters = ""

    def _all_settings(self, controller_port: int) -> str:
        own = REPLICATED.format(number=self.number, voters=self.voters)
        return super()._all_settings(controller_port) + own


class Cluster:
    """The nodes by number, and what is known of the six topics on them."""

    def __init__(self, directory: Path) -> None:
        cluster_id = new_cluster_id()
        self.nodes = {n: self._node(n, directory / f"node-{n}", cluster_id) for n in NODES}
        voters = ",".join(f"{n}@{HOST}:{node.controller_port}" for n, node in self.nodes.items())
        for node in self.nodes.values():
            node.voters = voters

    @staticmethod
    def _node(number: int, directory: Path, cluster_id: str) -> Node:
        directory.mkdir()
        return Node(number, directory, Ports(directory / "ports.json"), cluster_id)

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.bootstrap_servers for node in self.nodes.values())

    async def start(self) -> None:
        """Starts them together, since none answers without another, and makes the topics."""
        await asyncio.gather(*(node.start() for node in self.nodes.values()))
        topics = [
            replace(topic, replication=len(NODES), config={**topic.config, "min.insync.replicas": "2"})
            for topic in wanted_topics()
        ]
        await create_topics(self.bootstrap_servers, topics)
        await self.until_in_sync()

    def kill(self) -> None:
        for node in self.nodes.values():
            node.kill()

    async def leaders(self) -> Counter[int]:
        """How many partitions each node leads."""
        return Counter(partition["leader"] for partition in await self._partitions())

    async def until_in_sync(self) -> None:
        """Returns when every partition is on every node again: then any one of them may go."""

        async def in_sync() -> bool:
            partitions = await self._partitions()
            return bool(partitions) and all(len(partition["isr"]) == len(NODES) for partition in partitions)

        await until(in_sync, "every partition is on every node")

    async def until_led_by_others(self, number: int) -> None:
        """Returns when this node, which is gone, leads nothing any more."""

        async def led_by_others() -> bool:
            leaders = await self.leaders()
            return bool(leaders) and not leaders[number] and NOBODY not in leaders

        await until(led_by_others, f"node {number} leads nothing any more")

    async def _partitions(self) -> list[dict[str, Any]]:
        """Every partition of the six topics; none while the client still asks a node that is gone."""
        alive = ",".join(node.bootstrap_servers for node in self.nodes.values() if node.is_alive)
        admin = AIOKafkaAdminClient(bootstrap_servers=alive)
        try:
            await admin.start()
            described = await admin.describe_topics([topic.name for topic in wanted_topics()])
        except (KafkaError, OSError):
            return []
        finally:
            await admin.close()
        return [partition for topic in described for partition in topic["partitions"]]


@asynccontextmanager
async def running_cluster(directory: Path) -> AsyncIterator[Cluster]:
    """A cluster whose data lives in `directory`; gone when the block ends."""
    cluster = Cluster(directory)
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.kill()
