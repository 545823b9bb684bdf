"""The rights that deploy/kafka/acls.yaml gives, in the numbers of Kafka's protocol."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.setup.kafka_protocol import (
    CLUSTER,
    DESCRIBE,
    DESCRIBE_CONFIGS,
    GROUP,
    LITERAL,
    PREFIXED,
    READ,
    TOPIC,
    WRITE,
)
from ops.shell.acls import acls


@dataclass(slots=True, frozen=True, order=True)
class Right:
    """One allowed operation of one principal, in the numbers of Kafka's protocol."""

    principal: str
    resource: int
    name: str
    pattern: int
    operation: int


def wanted_rights() -> set[Right]:
    """What the file allows."""
    return {right for name, wanted in acls().items() for right in _rights(name, wanted)}


def _rights(principal: str, wanted: Mapping[str, Any]) -> Iterator[Right]:
    for topic in (*wanted.get("reads", ()), *wanted.get("looks_back", ())):
        yield Right(principal, TOPIC, topic, LITERAL, READ)
    for topic in wanted.get("writes", ()):
        yield Right(principal, TOPIC, topic, LITERAL, WRITE)
    if "group" in wanted:
        for topic in {*wanted.get("reads", ()), *wanted.get("writes", ())}:
            yield Right(principal, TOPIC, topic, LITERAL, DESCRIBE_CONFIGS)
        yield Right(principal, GROUP, wanted["group"], LITERAL, READ)
    if "groups" in wanted:
        yield Right(principal, GROUP, wanted["groups"], PREFIXED, READ)
    if wanted.get("watches"):
        yield Right(principal, GROUP, "*", LITERAL, DESCRIBE)
        yield Right(principal, CLUSTER, "kafka-cluster", LITERAL, DESCRIBE)
        yield Right(principal, TOPIC, "*", LITERAL, DESCRIBE_CONFIGS)
