"""A checkout written against the golden documents alone is answered, and hears what they show."""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import orjson
import pytest
from jsonschema import Draft202012Validator

from ops.local.running import RunningSystem
from shared.events.catalogue import FEEDBACK, TYPES, UPSTREAM, owner_of
from shared.events.examples import Golden, golden
from shared.events.schemas import schema_of
from shared.events.successors import SUCCESSORS
from tests.support.driver import Checkout, Heard
from tests.support.tour import tell_everything

NOT_YET = {
    "invoice.approved.v1",
    "invoice.transmitted.v1",
    "invoice.transmission_failed.v1",
}
"""Types whose features come later; nobody produces them yet."""
ABOUT_NOTHING = {
    "quarantine.decided.v1",
    "line.activated.v1",
    "line.delivered.v1",
    "usage.recorded.v1",
    "balance.granted.v1",
}
"""Their golden documents name a case, and lines, that the order of the other documents does not have."""
INBOUND = [name for name, document in golden().items() if document.topic == UPSTREAM]


def told_again(document: Golden, order: str, partner: str) -> dict[str, Any]:
    """The data of a golden document about another order and partner, so that its story is its own."""
    data = copy.deepcopy(document.data)
    if "order_id" in data:
        data["order_id"] = order
    if "partner_id" in data:
        data["partner_id"] = partner
    if "partner" in data:
        data["partner"]["partner_id"] = partner
    if "payment_id" in data:
        data["payment_id"] = f"pay-{order}"
    return data


async def replay_golden(checkout: Checkout, structured: bool) -> dict[str, str]:
    """Says every inbound golden document, in the order of their times; the ids by type."""
    order, partner = f"A-{uuid4().hex[:8]}", f"P-{uuid4().hex[:8]}"
    said = {}
    for document in sorted((golden()[name] for name in INBOUND), key=lambda d: d.headers["ce_time"]):
        key = partner if "order_id" not in document.data else order
        said[document.type] = await checkout.say(
            document.type,
            key,
            told_again(document, order, partner),
            at=document.headers["ce_time"],
            event_id=f"{document.headers['ce_id']}-{uuid4().hex[:8]}",
            structured=structured,
        )
    return said


@pytest.mark.parametrize("structured", [False, True], ids=["binary", "structured"])
async def test_every_inbound_golden_document_is_answered_by_the_service_that_decides(
    checkout: Checkout, structured: bool
) -> None:
    said = await replay_golden(checkout, structured)
    await checkout.drain()

    for name, event_id in said.items():
        (answer,) = checkout.answers_to(event_id)
        assert answer.source == f"/pawl/{owner_of(name)}"
        assert answer.data["event"]["type"] == name
        if name in ABOUT_NOTHING:  # or accepted, where it waits for the order to be known
            assert answer.data.get("code", "inconsistent") == "inconsistent", answer.data
        else:
            assert answer.type == "event.accepted.v1", answer.data


async def test_the_golden_documents_are_answered_byte_for_byte_as_they_stand(checkout: Checkout) -> None:
    """The very bodies, ids and keys of the examples, each said when the one before it is answered."""
    for document in sorted((golden()[name] for name in INBOUND), key=lambda d: d.headers["ce_time"]):
        place = await checkout.publish(
            document.key.encode(), orjson.dumps(document.data), document.header_bytes()
        )
        (answer,) = await checkout.until(partial(checkout.answers_at, place), f"an answer to {document}")
        if document.type in ABOUT_NOTHING:
            assert answer.data.get("code", "inconsistent") == "inconsistent", answer.data
        else:
            assert answer.data["outcome"] == "accepted", answer.data


# -- what the services say --------------------------------------------------------------------------------


async def test_every_type_of_this_release_is_said_in_the_shape_of_its_golden_document(
    checkout: Checkout, close_month: Any, system: RunningSystem
) -> None:
    first = len(checkout.records)
    await tell_everything(checkout, close_month, system)
    await checkout.drain()

    records = [record for record in checkout.records[first:] if record.topic != UPSTREAM]
    wanted = {name for name, kind in TYPES.items() if kind.topic != UPSTREAM}
    wanted -= NOT_YET | SUCCESSORS.keys()
    assert wanted - {record.type for record in records} <= {"event.rejected.v1"}
    assert [fault for record in records for fault in faults_of(record)] == []


async def test_whatever_was_said_in_this_session_has_its_shape(checkout: Checkout) -> None:
    records = [record for record in checkout.records if record.is_ours]

    assert [fault for record in records for fault in faults_of(record)][:20] == []


def faults_of(record: Heard) -> Iterator[str]:
    """How a record differs from what its golden document and its JSON Schema promise."""
    document = golden().get(record.type)
    if document is None or document.topic != record.topic:
        yield f"{record.type} is nothing that belongs on {record.topic}"
        return
    for error in Draft202012Validator(schema_of(record.type)).iter_errors(record.data):
        yield f"{record.type}: {error.json_path} {error.message}"
    missing = set(document.headers) - set(record.headers)
    if missing - {"ce_causationid"}:
        yield f"{record.type} lacks the headers {missing}"
    if record.topic == FEEDBACK and "ce_sequence" in record.headers:
        yield f"{record.type} carries a sequence"
    if record.headers.get("ce_dataschema") != f"urn:pawl:schema:{record.type}":
        yield f"{record.type} names another schema"
    yield from _other_shape(record.type, document.data, record.data)


# What has no value: a request where the policy asked, a line where the whole order blocks, days of goods.
OPTIONAL = {
    "event.accepted.v1": {"/order_id"},
    "event.rejected.v1": {"/order_id", "/event", "/event/type", "/event/source"},
    "issuance.granted.v2": {"/request_id"},
    "merge.answered.v1": {"/invoice_id", "/excluded/*/order_id"},
    "order.paid.v1": {"/lines/*/usage_days"},
    "order.registered.v1": {"/lines/*/usage_days"},
    "partner.withdrawal_refused.v1": {"/blockers/*/line_id", "/blockers/*/quantity"},
}


def _other_shape(name: str, golden_value: Any, said: Any, pointer: str = "") -> Iterator[str]:
    """Every field of the golden document is there and has its JSON type; more fields may be."""
    if said is None and pointer in OPTIONAL.get(name, ()):
        return
    if isinstance(golden_value, dict) and isinstance(said, dict):
        for field, value in golden_value.items():
            place = f"{pointer}/{field}"
            if field in said:
                yield from _other_shape(name, value, said[field], place)
            elif place not in OPTIONAL.get(name, ()):
                yield f"{name} lacks {place}: {said}"
    elif isinstance(golden_value, list) and isinstance(said, list):
        for one in said:
            if golden_value:
                yield from _other_shape(name, golden_value[0], one, f"{pointer}/*")
    elif type(golden_value) is not type(said):
        yield f"{name} {pointer} is {said!r}, the golden document has {golden_value!r}"
