"""Reading CloudEvents that anyone may send, and writing ours."""

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from shared.events.envelope import Envelope, read_envelope, read_key, read_trace_context, write_headers
from shared.events.faults import Fault
from tests.support.traces import OTHER_TRACE, TRACE

BODY = b'{"order_id": "A-1001"}'
STRUCTURED = [("content-type", b"application/cloudevents+json")]


def headers(**changes: bytes | None) -> list[tuple[str, bytes]]:
    """The headers of a good event; None takes one away."""
    good: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": b"evt-1",
        "ce_source": b"https://checkout.example/shop-1",
        "ce_type": b"payment.completed.v1",
        "ce_time": b"2026-10-21T14:03:07+09:00",
        **{f"ce_{name}": raw for name, raw in changes.items()},
    }
    return [(name, raw) for name, raw in good.items() if raw is not None]


def document(**changes: object) -> bytes:
    good = {
        "specversion": "1.0",
        "id": "evt-1",
        "source": "https://checkout.example/shop-1",
        "type": "payment.completed.v1",
        "time": "2026-10-21T14:03:07+09:00",
        "data": {"order_id": "A-1001"},
    }
    return orjson.dumps({**good, **changes})


def refused(given: list[tuple[str, bytes]], value: bytes | None) -> Fault:
    with pytest.raises(Fault) as caught:
        read_envelope(given, value)
    assert caught.value.envelope is not None
    return caught.value


def test_the_least_that_an_event_needs() -> None:
    assert read_envelope(headers(), BODY) == Envelope(
        source="https://checkout.example/shop-1",
        id="evt-1",
        type="payment.completed.v1",
        subject=None,
        time=datetime(2026, 10, 21, 5, 3, 7, tzinfo=UTC),
        correlation=None,
        causation=None,
        sequence=None,
        body=BODY,
        structured=False,
    )


def test_what_else_an_event_may_say() -> None:
    given = headers(subject=b"A-1001", correlationid=b"cart-7", causationid="원인".encode(), sequence=b"12")
    envelope = read_envelope([*given, ("content-type", b"application/json; charset=utf-8")], BODY)
    assert (envelope.subject, envelope.correlation, envelope.causation) == ("A-1001", "cart-7", "원인")
    assert envelope.sequence == 12


@pytest.mark.parametrize("written", [b"first", b"-1", b"1.5", b"", b"9" * 30, "①".encode()])
def test_a_sequence_that_is_no_number_is_none_of_ours(written: bytes) -> None:
    assert read_envelope(headers(sequence=written), BODY).sequence is None


def test_an_empty_subject_is_no_subject() -> None:
    assert read_envelope(headers(subject=b"", correlationid=b""), BODY).subject is None


def test_ids_of_upstream_are_any_text() -> None:
    for id_ in ("1", "주문-1 결제", "a" * 128, "\u200b\u00a0", "🙂"):
        assert read_envelope(headers(id=id_.encode()), BODY).id == id_


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "time"])
def test_a_required_attribute_that_is_absent_is_missing(name: str) -> None:
    binary = refused(headers(**{name: None}), BODY)
    assert (binary.code, binary.pointer) == ("missing_field", f"/{name}")
    attributes = orjson.loads(document())
    del attributes[name]
    structured = refused(STRUCTURED, orjson.dumps(attributes))
    assert (structured.code, structured.pointer) == ("missing_field", f"/{name}")


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "time"])
def test_an_attribute_is_text(name: str) -> None:
    for wrong in (5, None, {"a": 1}):
        fault = refused(STRUCTURED, document(**{name: wrong}))
        assert (fault.code, fault.pointer) == ("wrong_type", f"/{name}")


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "correlationid", "causationid"])
@pytest.mark.parametrize("wrong", ["x" * 300, "a\x00b", "a\nb", "a\x9fb"])
def test_an_attribute_is_short_and_clean(name: str, wrong: str) -> None:
    for fault in (
        refused(headers(**{name: wrong.encode()}), BODY),
        refused(STRUCTURED, document(**{name: wrong})),
    ):
        assert (fault.code, fault.pointer) == ("out_of_range", f"/{name}")
        assert fault.envelope is not None
        assert wrong not in (fault.envelope.id, fault.envelope.source, fault.envelope.type)


@pytest.mark.parametrize("name", ["id", "source", "type", "time"])
def test_an_empty_attribute_is_out_of_range(name: str) -> None:
    fault = refused(headers(**{name: b""}), BODY)
    assert (fault.code, fault.pointer) == ("out_of_range", f"/{name}")


def test_an_id_too_long_to_keep_can_still_be_named_in_the_answer() -> None:
    fault = refused(headers(id=b"x" * 129), BODY)
    assert (fault.code, fault.pointer) == ("out_of_range", "/id")
    assert fault.envelope is not None
    assert fault.envelope.id == "x" * 129


def test_other_versions_of_cloudevents_are_not_read() -> None:
    for version in (b"0.3", b"2.0", b"1.0.2"):
        fault = refused(headers(specversion=version), BODY)
        assert (fault.code, fault.pointer) == ("unreadable", "/specversion")


@pytest.mark.parametrize("written", [b"2026-10-21T14:03:07", b"2026-10-21 14:03:07.5"])
def test_a_time_needs_its_offset(written: bytes) -> None:
    fault = refused(headers(time=written), BODY)
    assert (fault.code, fault.pointer) == ("time_without_offset", "/time")
    assert fault.envelope is not None
    assert (fault.envelope.id, fault.envelope.time) == ("evt-1", None)


@pytest.mark.parametrize(
    "written",
    [
        *(b"now", b"1700000000", b"2026-10-21", b"2026-10-21T14:03+09:00", b"20261021T140307Z"),
        *(
            b"2026-02-30T00:00:00Z",
            b"2026-02-30T00:00:00",
            b"0001-01-01T00:00:00+09:00",
            b"2026-W43-3T00:00:00Z",
        ),
    ],
)
def test_a_time_is_rfc_3339(written: bytes) -> None:
    fault = refused(headers(time=written), BODY)
    assert (fault.code, fault.pointer) == ("out_of_range", "/time")


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        (b"2026-10-21T14:03:07Z", "2026-10-21T14:03:07+00:00"),
        (b"2026-10-21t14:03:07z", "2026-10-21T14:03:07+00:00"),
        (b"2026-10-21T14:03:07.1234567-03:30", "2026-10-21T17:33:07.123456+00:00"),
        (b"2011-03-01 00:00:00+09:00", "2011-02-28T15:00:00+00:00"),
    ],
)
def test_a_time_is_one_instant_however_it_is_written(written: bytes, utc: str) -> None:
    assert read_envelope(headers(time=written), BODY).time.isoformat() == utc


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source", "content-type", "trace", "ce_anything"])
def test_a_header_that_is_not_utf_8_makes_the_record_unreadable(name: str) -> None:
    given = [pair for pair in headers() if pair[0] != name]
    fault = refused([*given, (name, b"\xff\xfe")], BODY)
    assert (fault.code, fault.pointer) == ("unreadable", "")
    assert name in fault.detail
    assert fault.envelope is not None
    assert fault.envelope.id == (None if name == "ce_id" else "evt-1")


def test_a_header_without_a_value_is_absent() -> None:
    assert read_envelope([*headers(), ("trace", None)], BODY)  # type: ignore[list-item]
    fault = refused([*headers(id=None), ("ce_id", None)], BODY)  # type: ignore[list-item]
    assert (fault.code, fault.pointer) == ("missing_field", "/id")


def test_a_record_without_any_header_names_what_is_missing() -> None:
    fault = refused([], BODY)
    assert (fault.code, fault.pointer) == ("missing_field", "/specversion")


def test_a_tombstone_is_unreadable_but_named() -> None:
    fault = refused(headers(), None)
    assert (fault.code, fault.pointer) == ("unreadable", "")
    assert fault.envelope is not None
    assert (fault.envelope.source, fault.envelope.id) == ("https://checkout.example/shop-1", "evt-1")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b'{"id": "\xff"}', b"[" * 2_000])
def test_structured_mode_needs_a_json_object(body: bytes) -> None:
    assert refused(STRUCTURED, body).code == "unreadable"


def test_structured_mode_needs_data() -> None:
    attributes = orjson.loads(document())
    del attributes["data"]
    fault = refused(STRUCTURED, orjson.dumps(attributes))
    assert (fault.code, fault.pointer) == ("missing_field", "/data")


@pytest.mark.parametrize("wrong", ["not base64!", 5, None, "e30", "한"])
def test_data_base64_is_base64(wrong: object) -> None:
    attributes = orjson.loads(document(data_base64=wrong))
    del attributes["data"]
    assert refused(STRUCTURED, orjson.dumps(attributes)).code == "unreadable"


def test_batches_of_events_are_not_read() -> None:
    given = [("content-type", b"application/cloudevents-batch+json")]
    assert refused([*headers(), *given], b"[]").code == "unreadable"


def test_structured_mode_keeps_every_number_as_it_is_written() -> None:
    written = b'{"a":1.0,"b":1e2,"c":123456789012345678901234567890,"d":1}'
    body = read_envelope(STRUCTURED, document().replace(b'{"order_id":"A-1001"}', written)).body
    assert body == written


def test_structured_data_may_be_as_deep_as_binary_data() -> None:
    def nested(depth: int) -> object:
        inner: object = 0
        for _ in range(depth):
            inner = [inner]
        return inner

    assert read_envelope(STRUCTURED, document(data=nested(64))).structured
    assert refused(STRUCTURED, document(data=nested(65))).code == "unreadable"


def test_our_headers_are_in_seoul_time() -> None:
    written = write_headers(
        id="0199f068-d1c5-771b-916d-1d3ae2ce9798",
        source="/pawl/orders",
        type="order.paid.v1",
        subject="A-1001",
        time=datetime(2026, 10, 21, 0, 3, 7, 5, tzinfo=timezone(timedelta(hours=-5))),
        sequence=2,
        correlation="A-1001",
        causation="evt-1",
    )
    assert dict(written)["ce_time"] == b"2026-10-21T14:03:07.000005+09:00"
    assert [name for name, _ in written][-4:] == [
        "content-type",
        "ce_sequence",
        "ce_correlationid",
        "ce_causationid",
    ]


def test_a_time_already_written_is_kept() -> None:
    text = "2026-10-21T14:03:07+09:00"
    written = write_headers(id="1", source="/pawl/orders", type="x.v1", subject="A", time=text)
    assert dict(written)["ce_time"] == text.encode()
    assert "ce_sequence" not in dict(written)


@pytest.mark.parametrize("raw", [None, b"", b"\xff", b"a\x00b", b"x" * 129])
def test_a_key_that_cannot_be_an_id_is_none(raw: bytes | None) -> None:
    assert read_key(raw) is None


def test_a_key_is_text() -> None:
    assert read_key("주문-1".encode()) == "주문-1"


@pytest.mark.parametrize("name", ["traceparent", "ce_traceparent"])
def test_the_trace_context_is_a_header_of_tracing_clients_or_an_attribute(name: str) -> None:
    given = [*headers(), (name, TRACE.encode())]
    assert read_envelope(given, BODY).traceparent == TRACE
    assert read_trace_context(given) == TRACE


def test_the_header_of_tracing_clients_goes_before_the_attribute() -> None:
    """Whoever sends a record on writes the header anew, and leaves the attribute as it came."""
    given = headers(traceparent=OTHER_TRACE.encode())
    assert read_envelope([*given, ("traceparent", TRACE.encode())], BODY).traceparent == TRACE


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_a_record_may_come_without_a_trace_context(mode: str) -> None:
    given, value = (headers(), BODY) if mode == "binary" else (STRUCTURED, document())
    assert read_envelope(given, value).traceparent is None
    assert read_trace_context(given) is None


NO_TRACE = {
    "empty": "",
    "a word": "sampled",
    "upper case": TRACE.upper(),
    "too short": TRACE[:-1],
    "too long": f"{TRACE}0",
    "another separator": TRACE.replace("-", "_"),
    "a blank around it": f" {TRACE}",
    "a line end": f"{TRACE}\n",
    "digits of another script": TRACE.replace("0", "٠"),
    "the forbidden version": f"ff{TRACE[2:]}",
    "no trace id": f"00-{'0' * 32}-b7ad6b7169203331-01",
    "no parent id": f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
}


@pytest.mark.parametrize("written", NO_TRACE.values(), ids=NO_TRACE)
def test_a_trace_context_that_cannot_be_read_is_none_and_the_event_is_read(written: str) -> None:
    given = [*headers(), ("traceparent", written.encode())]
    for envelope in (
        read_envelope(given, BODY),
        read_envelope(STRUCTURED, document(traceparent=written)),
    ):
        assert (envelope.id, envelope.traceparent) == ("evt-1", None)
    assert read_trace_context(given) is None


def test_the_name_of_the_header_is_in_lower_case() -> None:
    """Names of Kafka headers are compared as they are written."""
    assert read_envelope([*headers(), ("Traceparent", TRACE.encode())], BODY).traceparent is None


def test_a_later_version_of_trace_contexts_is_read_when_it_looks_like_the_first() -> None:
    assert read_envelope([*headers(), ("traceparent", f"01{TRACE[2:]}".encode())], BODY).traceparent


def test_in_structured_mode_the_trace_context_is_an_attribute_or_a_header() -> None:
    assert read_envelope(STRUCTURED, document(traceparent=TRACE)).traceparent == TRACE
    given = [*STRUCTURED, ("traceparent", TRACE.encode())]
    assert read_envelope(given, document()).traceparent == TRACE
    assert read_envelope(given, document(traceparent=OTHER_TRACE)).traceparent == TRACE


@pytest.mark.parametrize("written", [5, None, ["x"], {"traceparent": TRACE}])
def test_a_trace_context_that_is_no_text_is_none(written: object) -> None:
    assert read_envelope(STRUCTURED, document(traceparent=written)).traceparent is None


def test_a_document_with_a_fault_keeps_its_trace_context_for_the_answer() -> None:
    trace = ("traceparent", TRACE.encode())
    for fault in (
        refused([*headers(time=b"yesterday"), trace], BODY),
        refused([*headers(), trace], None),
        refused([*headers(source=b"\xff"), trace], BODY),
        refused([*STRUCTURED, trace], b"{"),
        refused(STRUCTURED, document(time="yesterday", traceparent=TRACE)),
    ):
        assert fault.envelope is not None
        assert fault.envelope.traceparent == TRACE


def test_a_header_without_a_value_is_no_trace_context() -> None:
    assert read_trace_context([("traceparent", None), *headers()]) is None  # type: ignore[list-item]
    assert read_trace_context([("traceparent", b"\xff\xfe")]) is None


def test_our_trace_context_is_the_last_header_and_absent_where_there_is_none() -> None:
    written = write_headers(id="1", source="/pawl/orders", type="x.v1", subject="A", time="t", causation="c")
    with_trace = write_headers(
        id="1",
        source="/pawl/orders",
        type="x.v1",
        subject="A",
        time="t",
        causation="c",
        traceparent=TRACE,
    )
    assert with_trace == [*written, ("traceparent", TRACE.encode())]
