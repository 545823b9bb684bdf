"""What the replay says is what the published language asks for, and answers are read as they stand."""

from datetime import UTC, datetime
from types import SimpleNamespace

import orjson
import pytest

from ops.replay.driver import UpstreamEvent
from ops.replay.plan import SOURCE
from ops.replay.wire import answer_of, headers
from shared.events.catalogue import UPSTREAM, decode
from shared.events.envelope import read_envelope
from tests.unit.replay.histories import line, planned
from tests.unit.replay.test_driver import drive
from tests.unit.replay.toy_system import ToySystem


async def test_every_event_of_a_replay_is_readable_and_valid() -> None:
    system = ToySystem()
    await drive(planned(line(), line(product="POST", price="0"), line("C1002", quantity=-4)), system)
    published = {event.type for event in system.published}
    assert published == {
        "partner.changed.v1",
        "payment.completed.v1",
        "refund.requested.v1",
        "refund.paid_out.v1",
        "issuance.requested.v1",
    }
    for event in system.published:
        envelope = read_envelope(headers(event), orjson.dumps(event.data))
        assert (envelope.source, envelope.id, envelope.time) == (SOURCE, event.id, event.time.astimezone(UTC))
        decode(envelope, event.key, UPSTREAM)


def test_an_answer_is_read_from_its_record() -> None:
    event = UpstreamEvent("e-1", "order.paid.v1", "1001", datetime(2011, 3, 1, tzinfo=UTC), {"supply": 1})
    found = answer_of(SimpleNamespace(key=b"1001", headers=headers(event), value=b'{"supply":1}'))
    assert found is not None
    assert (found.key, found.type, found.time, found.data) == ("1001", event.type, event.time, {"supply": 1})


@pytest.mark.parametrize(
    "record",
    [
        {"key": None, "headers": [], "value": b"{}"},
        {"key": b"k", "headers": [("ce_type", b"x"), ("ce_time", b"yesterday")], "value": b"{}"},
        {
            "key": b"k",
            "headers": [("ce_type", b"\xff"), ("ce_time", b"2011-03-01T00:00:00Z")],
            "value": b"{}",
        },
        {"key": b"k", "headers": [("ce_type", b"x"), ("ce_time", b"2011-03-01T00:00:00Z")], "value": b"{"},
        {"key": b"k", "headers": [("ce_type", b"x"), ("ce_time", b"2011-03-01T00:00:00Z")], "value": None},
    ],
)
def test_a_record_that_is_no_event_is_passed_over(record: dict[str, object]) -> None:
    assert answer_of(SimpleNamespace(**record)) is None
