"""Asks a broker what its topics are by now: how large, under which id (each has its own), how cleaned."""

import asyncio
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, Final, NamedTuple
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from shared.brokers import Brokers
from shared.kafka import renewing_arguments

ANSWER_SECONDS: Final = 10.0
TEXT: Final = CompactString("utf-8")
NOBODY: Final = UUID(int=0)
RESOURCE_TOPIC: Final = 2
CLEANUP_POLICY: Final = "cleanup.policy"


class Topic(NamedTuple):
    """A topic as the broker has it now."""

    id: UUID
    partitions: int


class _Uuid(AbstractType[UUID]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 3, 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT), ("tags", TaggedFields)
            ),
        ),
        ("cluster_id", TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 3, 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_MetadataStruct]):  # type: ignore[misc]
    API_KEY = _MetadataStruct.API_KEY
    _CLASSES = (_MetadataStruct,)

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics: list[tuple[UUID, str, dict[int, bytes]]] = [(NOBODY, name, {}) for name in topics]

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class(self._topics, False, False, {})


class TopicAsker:
    """One connection that asks about topics, again and again."""

    def __init__(self, brokers: Brokers, topics: Iterable[str]) -> None:
        self._brokers, self._topics = brokers, sorted(topics)
        self._client: Any = None

    async def ask(self) -> Mapping[str, Topic]:
        """What each topic is now; one that is not there is left out.

        Raises KafkaError, OSError, or TimeoutError when nobody answers.
        """
        answer = await self._send(_Metadata(self._topics))
        return {
            name: Topic(topic_id, len(partitions))
            for code, name, topic_id, _, partitions, *_ in answer.topics
            if code == 0 and partitions
        }

    async def ask_policies(self) -> Mapping[str, str]:
        """The `cleanup.policy` of each topic; one whose settings this login may not see is left out.

        Raises as `ask` does.
        """
        resources = [(RESOURCE_TOPIC, name, [CLEANUP_POLICY]) for name in self._topics]
        answer = await self._send(DescribeConfigsRequest(resources))
        return {
            name: entry[1]
            for code, _, _, name, entries in answer.resources
            for entry in entries
            if code == 0 and entry[0] == CLEANUP_POLICY
        }

    async def _send(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._client is None:
                    self._client = AIOKafkaClient(
                        **renewing_arguments(self._brokers), client_id="pawl-topics"
                    )
                    await self._client.bootstrap()
                return await self._client.send(self._client.get_random_node(), request)
        except (KafkaError, OSError):  # TimeoutError is one of these
            await self.close()
            raise

    async def close(self) -> None:
        """Ends the connection; the next question makes another one."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
