"""Every type has a golden document, and both sides can read and write it as it stands."""

import base64
import json

import orjson
import pytest
from jsonschema import Draft202012Validator

from shared.events.canonical import content_hash
from shared.events.catalogue import (
    FEEDBACK,
    SERVICES,
    TOPICS,
    TYPES,
    UPSTREAM,
    decode,
    encode,
    owner_of,
    source_of,
    topics_of,
)
from shared.events.envelope import read_envelope, write_headers
from shared.events.examples import Golden, golden
from shared.events.schemas import FOLDER, schema_of, schema_text
from shared.subjects import subject_of
from tests.support.routes import ROUTES

EVERY = pytest.mark.parametrize("document", golden().values(), ids=list(golden()))
INBOUND = pytest.mark.parametrize(
    "document",
    [document for document in golden().values() if document.topic == UPSTREAM],
    ids=[name for name, document in golden().items() if document.topic == UPSTREAM],
)

ANSWERED_BY: dict[str, str] = {
    "payment.pending.v1": "orders",
    "payment.completed.v1": "orders",
    "payment.cancelled.v1": "orders",
    "payment.failed.v1": "orders",
    "quarantine.decided.v1": "orders",
    "issuance.requested.v1": "orders",
    "line.activated.v1": "refunds",
    "line.delivered.v1": "refunds",
    "usage.recorded.v1": "refunds",
    "balance.granted.v1": "refunds",
    "refund.requested.v1": "refunds",
    "refund.proof_attached.v1": "refunds",
    "refund.reviewed.v1": "refunds",
    "return.confirmed.v1": "refunds",
    "refund.paid_out.v1": "refunds",
    "refund.payout_failed.v1": "refunds",
    "merge.requested.v1": "invoices",
    "merge.undone.v1": "invoices",
    "partner.changed.v1": "invoices",
    "partner.withdrawal_requested.v1": "orders",
}
"""Who decides on what checkout says: written from the published language, not from the catalogue."""


def structured(document: Golden, **changes: object) -> bytes:
    attributes = {
        name.removeprefix("ce_"): value for name, value in document.headers.items() if name != "content-type"
    }
    return orjson.dumps({**attributes, "data": document.data, **changes})


def test_no_two_models_share_a_name() -> None:
    assert len({kind.model.__name__ for kind in TYPES.values()}) == len(TYPES)


@EVERY
def test_the_catalogue_agrees_with_the_golden_document(document: Golden) -> None:
    kind = TYPES[document.type]
    assert kind.topic == document.topic
    assert document.data[kind.key_field] == document.key
    assert document.headers["ce_dataschema"] == f"urn:pawl:schema:{kind.name}"
    if document.topic not in (UPSTREAM, FEEDBACK):
        assert document.headers["ce_source"] == source_of(document.type, kind.owner)


@EVERY
def test_the_subject_of_a_golden_document_is_what_the_catalogue_says(document: Golden) -> None:
    data, subject = document.data, document.headers["ce_subject"]
    match TYPES[document.type].subject_kind:
        case "line":
            assert subject == subject_of(data["order_id"], data["line_id"])
        case "merge":
            assert subject == subject_of(data["partner_id"], data["request_id"])
        case "month":
            assert subject == data["month"]
        case kind:
            assert subject == data[f"{kind}_id"]


@EVERY
def test_a_golden_document_survives_reading_and_writing(document: Golden) -> None:
    envelope = read_envelope(document.header_bytes(), orjson.dumps(document.data))
    data = decode(envelope, document.key, document.topic)
    assert json.loads(encode(data)) == document.data


@EVERY
def test_its_schema_accepts_a_golden_document(document: Golden) -> None:
    schema = schema_of(document.type)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document.data)


@EVERY
def test_the_schema_file_is_what_the_model_says(document: Golden) -> None:
    kept = (FOLDER / f"{document.type}.json").read_text(encoding="utf-8")
    assert kept == schema_text(document.type), "run: python -m shared.events.schemas"


@EVERY
def test_we_write_the_headers_of_a_golden_document_byte_for_byte(document: Golden) -> None:
    envelope = read_envelope(document.header_bytes(), orjson.dumps(document.data))
    written = write_headers(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        subject=envelope.subject or "",
        time=envelope.time,
        sequence=envelope.sequence,
        correlation=envelope.correlation,
        causation=envelope.causation,
    )
    assert written == document.header_bytes()


@INBOUND
@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "application/cloudevents+json; charset=utf-8",
        "Application/CloudEvents+JSON;charset=UTF-8",
    ],
)
def test_structured_mode_says_the_same_as_binary_mode(document: Golden, content_type: str) -> None:
    binary = read_envelope(document.header_bytes(), orjson.dumps(document.data))
    headers = [("content-type", content_type.encode())]
    other = read_envelope(headers, structured(document, datacontenttype="application/json"))
    assert other.structured
    assert (other.source, other.id, other.type, other.subject, other.time) == (
        binary.source,
        binary.id,
        binary.type,
        binary.subject,
        binary.time,
    )
    assert decode(other, document.key, UPSTREAM) == decode(binary, document.key, UPSTREAM)
    assert content_hash(other.type, other.body) == content_hash(binary.type, binary.body)


@INBOUND
def test_structured_data_may_be_base64(document: Golden) -> None:
    attributes = json.loads(structured(document))
    del attributes["data"]
    attributes["data_base64"] = base64.b64encode(orjson.dumps(document.data)).decode()
    headers = [("content-type", b"application/cloudevents+json")]
    envelope = read_envelope(headers, orjson.dumps(attributes))
    assert json.loads(encode(decode(envelope, document.key))) == document.data


@INBOUND
def test_fields_and_headers_that_nobody_knows_are_ignored(document: Golden) -> None:
    data = {**document.data, "campaign": {"name": "autumn", "share": 0.25}, "": None}
    headers = [*document.header_bytes(), ("ce_traceparent", b"00-0af7-01"), ("retries", b"3")]
    envelope = read_envelope(headers, orjson.dumps(data))
    assert decode(envelope, document.key, UPSTREAM)


@pytest.mark.parametrize(("name", "owner"), ANSWERED_BY.items())
def test_each_inbound_type_is_answered_by_the_service_that_decides(name: str, owner: str) -> None:
    assert owner_of(name) == owner


def test_the_table_of_owners_covers_every_inbound_type() -> None:
    inbound = {name for name, kind in TYPES.items() if kind.topic == UPSTREAM}
    assert set(ANSWERED_BY) == inbound, f"in one of them only: {sorted(set(ANSWERED_BY) ^ inbound)}"


@pytest.mark.parametrize("name", [None, "", "payment.completed.v2", "order.paid.v1", "event.accepted.v1"])
def test_orders_answers_what_nobody_knows(name: str | None) -> None:
    assert owner_of(name) == "orders"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_checkout_when_it_answers_for_it_and_never_its_own_topic(service: str) -> None:
    topics = topics_of(ROUTES[service])
    answers = any(kind.owner == service for kind in TYPES.values() if kind.topic == UPSTREAM)
    assert (UPSTREAM in topics) == answers
    assert f"{service}.events" not in topics


def test_checkout_reads_what_concerns_it() -> None:
    read = tuple(name for name, topic in TOPICS.items() if "checkout" in topic.outside_readers)
    assert read == ("orders.events", "refunds.events", "invoices.events", FEEDBACK)
    assert set(TOPICS) == {kind.topic for kind in TYPES.values()}
