"""Requests of Kafka's protocol that aiokafka does not build: passwords (KIP-554) and rights."""

from typing import Any

from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest_v1
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

# The numbers of Kafka's protocol.
ANY, LITERAL, PREFIXED, ALLOW, SCRAM_SHA_512 = 1, 3, 4, 3, 2
TOPIC, GROUP, CLUSTER = 2, 3, 4
READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 8, 10
SECURITY_DISABLED = 54


class ExactVersion(Request[RequestStruct]):  # type: ignore[misc]
    """A request in the one version that we speak."""

    STRUCT: type[RequestStruct]
    API_KEY = -1

    def __init_subclass__(cls, struct: type[RequestStruct]) -> None:
        cls.STRUCT, cls.API_KEY, cls._CLASSES = struct, struct.API_KEY, (struct,)

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        return request_struct_class(*self._fields)


class _AlterScramCredentialsResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 51, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScramCredentialsStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 51, 0
    RESPONSE_TYPE = _AlterScramCredentialsResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterScramCredentials(ExactVersion, struct=_AlterScramCredentialsStruct):
    """Sets or removes SCRAM passwords (KIP-554)."""


class DescribeAcls(ExactVersion, struct=DescribeAclsRequest_v1):
    """Lists rights."""


class CreateAcls(ExactVersion, struct=CreateAclsRequest_v1):
    """Gives rights."""


class DeleteAcls(ExactVersion, struct=DeleteAclsRequest_v1):
    """Takes rights back."""
