"""The AsyncAPI document of a service."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from shared.events.asyncapi import asyncapi
from shared.events.catalogue import SERVICES, TYPES
from tests.support.routes import ROUTES


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolve(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize("service", SERVICES)
def test_every_reference_leads_somewhere(service: str) -> None:
    document = asyncapi(service, ROUTES[service])
    assert document["asyncapi"] == "3.0.0"
    for reference in references(document):
        assert resolve(document, reference) is not None
    assert orjson.dumps(document)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sends_its_own_events_and_answers(service: str) -> None:
    sent = asyncapi(service, ROUTES[service])["operations"]
    assert f"send-{service}.events" in sent
    assert "send-checkout.feedback" in sent
    assert "send-checkout.events" not in sent


@pytest.mark.parametrize("service", SERVICES)
def test_every_payload_and_header_schema_accepts_its_example(service: str) -> None:
    document = asyncapi(service, ROUTES[service])
    for message in document["components"]["messages"].values():
        whole = {**message["payload"], "components": document["components"]}
        example = message["examples"][0]
        Draft202012Validator(whole).validate(example["payload"])
        Draft202012Validator(message["headers"]).validate(example["headers"])
        assert message["summary"]


def test_the_first_thing_said_is_the_partitioner() -> None:
    description = asyncapi("orders", ROUTES["orders"])["info"]["description"]
    assert "murmur2_random" in description.partition("\n\n")[0]
    assert "record key" in description


def test_a_service_may_name_what_it_reads_and_where_the_broker_is() -> None:
    document = asyncapi("serials", ["issuance.granted.v1"], kafka="127.0.0.1:9092")
    assert [name for name in document["operations"] if name.startswith("receive")] == [
        "receive-orders.events"
    ]
    assert document["servers"]["kafka"]["host"] == "127.0.0.1:9092"


def test_models_of_one_name_have_one_schema() -> None:
    document = asyncapi("orders", list(TYPES))
    assert len(document["components"]["messages"]) == len(TYPES)


def test_there_is_no_document_of_a_stranger() -> None:
    with pytest.raises(ValueError, match="none of orders"):
        asyncapi("shipping", [])
