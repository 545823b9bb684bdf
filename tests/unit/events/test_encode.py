"""How data goes on the wire, and how long it may be."""

from datetime import UTC, date, datetime
from uuid import UUID

import orjson
import pytest

from shared.events.catalogue import encode
from shared.events.checkout import LineUnits
from shared.events.envelope import MAX_BYTES, MAX_OWN_BYTES, read_envelope
from shared.events.examples import golden
from shared.events.faults import Fault


def test_instants_are_written_in_seoul_time_and_days_as_dates() -> None:
    data = {
        "order_id": "A-1001",
        "refund_id": UUID("0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01"),
        "at": datetime(2026, 10, 31, 15, 0, 0, 1, tzinfo=UTC),
        "due_on": date(2026, 11, 10),
        "lines": [LineUnits(line_id="1", quantity=40)],
    }
    assert orjson.loads(encode(data)) == {
        "order_id": "A-1001",
        "refund_id": "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01",
        "at": "2026-11-01T00:00:00.000001+09:00",
        "due_on": "2026-11-10",
        "lines": [{"line_id": "1", "quantity": 40}],
    }


@pytest.mark.parametrize("stranger", [{1, 2}, b"bytes", object()])
def test_what_has_no_place_in_an_event_is_refused(stranger: object) -> None:
    with pytest.raises(TypeError) as caught:
        encode({"order_id": stranger})
    assert "has no place in an event" in str(caught.value.__cause__)


def test_a_time_without_offset_never_gets_out() -> None:
    with pytest.raises(TypeError) as caught:
        encode({"at": datetime(2026, 10, 31)})  # noqa: DTZ001 - that is the mistake
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_event_of_ours_may_be_longer_than_the_document_that_caused_it() -> None:
    headers = golden()["order.paid.v1"].header_bytes()
    body = b"{" + b" " * MAX_BYTES + b"}"
    assert read_envelope(headers, body, limit=MAX_OWN_BYTES).body == body
    with pytest.raises(Fault, match="at most 1000000 bytes"):
        read_envelope(headers, body)
