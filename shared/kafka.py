"""Kafka as the services use it: where the brokers are, an idempotent producer, partition counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ssl import create_default_context
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

LARGEST_RECORD = 4 * 1024 * 1024
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = {"SCRAM-SHA-512": SASLScram512, "SCRAM-SHA-256": SASLScram256, "PLAIN": SASLPlaintext}
USUAL_MECHANISM: Final = "SCRAM-SHA-512"


class MissingTopic(Exception):
    """A topic that a service reads or writes does not exist on this broker, or not for this service."""


@dataclass(slots=True, frozen=True)
class Brokers:
    """Where the brokers are and how to log in there. As text it names no password.

    `servers` is host:port[,host:port]; `protocol` one of PROTOCOLS, `mechanism` one of MECHANISMS.
    """

    servers: str
    protocol: str = "PLAINTEXT"
    mechanism: str = USUAL_MECHANISM
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.username}@{self.servers}" if self.username else self.servers

    @classmethod
    def at(cls, address: "str | Brokers") -> "Brokers":
        """Reads `host:port[,host:port]` or `sasl_ssl://user:password@host:port[,...][?mechanism=PLAIN]`.

        The scheme is the protocol in lower case. Raises ValueError, which never repeats a password.
        """
        if isinstance(address, Brokers):
            return address
        if "://" not in address:
            return cls(address)
        scheme, _, rest = address.partition("://")
        parts = urlsplit(f"//{rest}")
        login, _, servers = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        mechanism = dict(parse_qsl(parts.query)).get("mechanism", USUAL_MECHANISM)
        protocol = scheme.upper()
        if protocol not in PROTOCOLS or mechanism not in MECHANISMS:
            raise ValueError(f"{protocol} with {mechanism} is no way to reach Kafka")
        return cls(servers, protocol, mechanism, unquote(username), unquote(password))

    def address(self) -> str:
        """The text that `at` reads, password included."""
        if self.protocol == "PLAINTEXT":
            return self.servers
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        query = "" if self.mechanism == USUAL_MECHANISM else f"?mechanism={self.mechanism}"
        return f"{self.protocol.lower()}://{login}{self.servers}{query}"

    def log_in_as(self, username: str, password: str, mechanism: str = USUAL_MECHANISM) -> "Brokers":
        """The same brokers for somebody else."""
        return Brokers(self.servers, self.protocol, mechanism, username, password)

    def client(self) -> dict[str, Any]:
        """The arguments by which an aiokafka client gets there."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
        }
        if self.protocol.endswith("SSL"):
            arguments["ssl_context"] = create_default_context()
        if self.protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.mechanism
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self.password
        return arguments

    def security(self) -> BaseSecurity | None:
        """The same for FastStream."""
        use_ssl = self.protocol.endswith("SSL")
        context = create_default_context() if use_ssl else None
        if not self.protocol.startswith("SASL"):
            return BaseSecurity(ssl_context=context, use_ssl=True) if use_ssl else None
        login = MECHANISMS[self.mechanism]
        return login(self.username, self.password, ssl_context=context, use_ssl=use_ssl)


def new_producer(brokers: str | Brokers, service: str) -> AIOKafkaProducer:
    """A producer of whole batches: idempotent, acknowledged by all in-sync replicas."""
    return AIOKafkaProducer(
        **Brokers.at(brokers).client(),
        client_id=f"pawl-{service}-relay",
        acks="all",
        enable_idempotence=True,
        max_batch_size=LARGEST_RECORD // 4,
        max_request_size=LARGEST_RECORD,
        request_timeout_ms=20_000,
        linger_ms=0,
    )


async def partition_counts(brokers: str | Brokers, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has. Raises MissingTopic, or KafkaError when nobody answers."""
    brokers = Brokers.at(brokers)
    client = AIOKafkaClient(**brokers.client(), client_id="pawl-setup")
    await client.bootstrap()
    try:
        await client.set_topics(list(topics))
        counts = {topic: len(client.cluster.partitions_for_topic(topic) or ()) for topic in topics}
    finally:
        await client.close()
    missing = sorted(topic for topic, count in counts.items() if not count)
    if missing:
        rights = f", or {brokers.username} may not use it" if brokers.username else ""
        raise MissingTopic(
            f"topic {', '.join(missing)} does not exist on {brokers.servers}{rights}: "
            "run `pawl up` or create the topics of deploy/kafka/topics.yaml"
        )
    return counts
