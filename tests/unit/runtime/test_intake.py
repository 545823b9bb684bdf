"""Which records concern a service, and what becomes of those that cannot be read: never silence."""

from dataclasses import replace

import orjson
import pytest

from shared.events.canonical import content_hash
from shared.events.catalogue import TYPES, UPSTREAM, owner_of
from shared.events.examples import golden
from shared.runtime.intake import InboundMessage, Intake
from shared.runtime.records import StoredRecord
from tests.support.toy import messages, own, said, toy

SERVICES = ("orders", "serials", "refunds", "invoices")
STRUCTURED = ("content-type", b"application/cloudevents+json")


def named(service: str) -> Intake:
    """The intake of a service that answers for its upstream types and follows nothing."""
    return Intake(toy(name=service, routes={}))


def answered_by(record: StoredRecord) -> list[str]:
    """The services that answer for an upstream record."""
    read = {service: named(service).read([record]) for service in SERVICES}
    return [service for service, items in read.items() if any(not item.foreign for item in items)]


def only(record: StoredRecord) -> InboundMessage:
    (one,) = messages(record)
    return one


def header(record: StoredRecord, name: str, value: bytes) -> StoredRecord:
    kept = [(other, text) for other, text in record.headers if other != name]
    return replace(record, headers=[*kept, (name, value)])


def without(record: StoredRecord, name: str) -> StoredRecord:
    return replace(record, headers=[(other, text) for other, text in record.headers if other != name])


def structured(record: StoredRecord, *more: tuple[str, bytes]) -> StoredRecord:
    attributes = {name.removeprefix("ce_"): text.decode() for name, text in record.headers}
    del attributes["content-type"]
    body = orjson.dumps({**attributes, "data": orjson.loads(record.value or b"")})
    return replace(record, value=body, headers=[STRUCTURED, *more])


POISON = {
    "not JSON": (lambda r: replace(r, value=b"{"), "unreadable", ""),
    "no value": (lambda r: replace(r, value=None), "unreadable", ""),
    "a list": (lambda r: replace(r, value=b"[]"), "unreadable", ""),
    "not UTF-8": (lambda r: replace(r, value=b'{"order_id": "\xff"}'), "unreadable", ""),
    "a header not UTF-8": (lambda r: header(r, "ce_id", b"\xff\xfe"), "unreadable", ""),
    "too large": (lambda r: replace(r, value=b'"%b"' % (b"x" * 1_100_000)), "unreadable", ""),
    "no type": (lambda r: without(r, "ce_type"), "missing_field", "/type"),
    "no id": (lambda r: without(r, "ce_id"), "missing_field", "/id"),
    "unknown type": (lambda r: header(r, "ce_type", b"payment.imagined.v1"), "unknown_type", "/type"),
    "a type of ours": (lambda r: header(r, "ce_type", b"order.paid.v1"), "unknown_type", "/type"),
    "no offset": (
        lambda r: header(r, "ce_time", b"2031-10-21T14:03:07"),
        "time_without_offset",
        "/time",
    ),
    "another key": (lambda r: replace(r, key=b"A-2"), "wrong_key", "/order_id"),
    "no key": (lambda r: replace(r, key=None), "wrong_key", "/order_id"),
    "a key not UTF-8": (lambda r: replace(r, key=b"\xff"), "wrong_key", "/order_id"),
    "a key with NUL": (lambda r: replace(r, key=b"A\x00"), "wrong_key", "/order_id"),
    "a long key": (lambda r: replace(r, key=b"A" * 9_000), "wrong_key", "/order_id"),
    "a missing field": (
        lambda r: replace(r, value=b'{"order_id": "A-1", "payment_id": "p"}'),
        "missing_field",
        "/cancelled_at",
    ),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisonous_record_is_an_item_with_its_fault(kind: str) -> None:
    spoil, code, pointer = POISON[kind]

    one = only(spoil(said("pay-1")))

    assert one.event is None
    assert one.fault is not None
    assert (one.fault.code, one.fault.pointer) == (code, pointer)


@pytest.mark.parametrize("kind", POISON)
def test_exactly_one_service_answers_for_a_poisonous_record(kind: str) -> None:
    assert answered_by(POISON[kind][0](said("pay-1"))) == ["orders"]


@pytest.mark.parametrize("kind", POISON)
def test_what_is_kept_of_a_poisonous_record_can_be_stored_and_sent(kind: str) -> None:
    one = only(POISON[kind][0](said("pay-1")))

    for text in (one.key, one.source or "", one.event_id or "", one.type or ""):
        assert len(text) <= 256
        assert "\0" not in text


@pytest.mark.parametrize("name", [name for name, kind in TYPES.items() if kind.topic == UPSTREAM])
@pytest.mark.parametrize("mode", ["binary", "structured", "structured with headers"])
def test_every_inbound_type_is_answered_by_its_owner_alone(name: str, mode: str) -> None:
    document = golden()[name]
    record = StoredRecord(
        UPSTREAM, 0, 0, document.key.encode(), orjson.dumps(document.data), document.header_bytes()
    )
    if mode == "structured":
        record = structured(record)
    if mode == "structured with headers":
        record = structured(record, ("ce_type", b"payment.completed.v1"), ("ce_type", b"merge.undone.v1"))

    assert answered_by(record) == [owner_of(name)]


def test_of_two_type_headers_all_services_believe_the_same_one() -> None:
    record = said("pay-1")
    twice = replace(record, headers=[("ce_type", b"merge.undone.v1"), *record.headers])

    assert answered_by(twice) == ["orders"]


def test_structured_mode_says_the_same_content_as_binary_mode() -> None:
    binary = only(said("pay-1"))
    other = only(structured(said("pay-1")))

    assert other.event is not None
    assert other.content == binary.content
    assert other.event.data == binary.event.data if binary.event else False


def test_content_is_type_and_data_whatever_the_spacing() -> None:
    record = said("pay-1")
    spaced = replace(
        record, value=orjson.dumps(orjson.loads(record.value or b""), option=orjson.OPT_INDENT_2)
    )

    assert only(spaced).content == only(record).content
    assert content_hash("payment.cancelled.v1", record.value or b"") == only(record).content


def test_a_type_of_another_service_is_none_of_our_business() -> None:
    (one,) = named("refunds").read([said("pay-1")])

    assert one.foreign
    assert (one.event, one.fault, one.event_id) == (None, None, "pay-1")


def test_an_upstream_type_without_a_handler_is_not_supported_yet() -> None:
    (one,) = named("orders").read([said("pay-1")])

    assert one.fault is not None
    assert one.fault.code == "not_supported"


def test_an_event_of_ours_without_a_handler_is_followed_when_its_subject_is() -> None:
    expired = golden()["order.expired.v1"]
    record = StoredRecord(
        "orders.events", 0, 0, expired.key.encode(), orjson.dumps(expired.data), expired.header_bytes()
    )

    (followed,) = messages(record)

    assert followed.route is None
    assert followed.event is not None
    assert Intake(toy(routes={})).read([record]) == []


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda r: without(r, "ce_sequence"), "missing_field"),
        (lambda r: replace(r, value=b"{"), "unreadable"),
        (lambda r: replace(r, key=b"A-2"), "wrong_key"),
        (lambda r: header(r, "ce_type", b"payment.cancelled.v1"), "unknown_type"),
    ],
)
def test_a_broken_event_of_ours_is_a_fault_too(spoil: object, code: str) -> None:
    (one,) = messages(spoil(own("r-1", 1)))  # type: ignore[operator]

    assert one.fault is not None
    assert one.fault.code == code
    assert not one.upstream
