"""What brings a restored schema forward: the order, the ids of the topics, and what is lost."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from shared.events.catalogue import FEEDBACK
from shared.events.envelope import write_headers
from shared.runtime.decisions import Position
from shared.runtime.intake import InboundMessage
from shared.runtime.outgoing import COLUMNS
from shared.runtime.records import StoredRecord
from shared.runtime.recovery_rules import (
    Told,
    acted_at_told,
    causes_of,
    ids_told,
    in_order,
    lost_of,
    said_of,
    same,
)
from shared.runtime.topic_events import TopicEvent, event_of_record, told_of

AT = datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC)
TIME = "2026-11-29T10:02:03+09:00"
ASKED, ISSUED = ("checkout.events", 0), ("serials.events", 0)
OURS, THEIRS, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)


def entry(**changes: Any) -> TopicEvent:
    usual: dict[str, Any] = {
        "topic": "orders.events",
        "partition": 0,
        "offset": 7,
        "appended_at": AT,
        "event_id": UUID(int=99),
        "type": "issuance.granted.v2",
        "key": "A-1",
        "subject": "A-1",
        "sequence": 2,
        "time": TIME,
        "correlation": "A-1",
        "causation": "iss-1",
        "data": b'{"order_id":"A-1"}',
        "traceparent": None,
    }
    return TopicEvent(**{**usual, **changes})


def row(like: TopicEvent, **changes: Any) -> dict[str, Any]:
    """The row of the outbox that this event was, but for the id of its event."""
    told = {**like._asdict(), **changes}
    return said_of([told[column] for column in COLUMNS if column != "event_id"])


def grant(grant_id: UUID) -> bytes:
    return orjson.dumps({"order_id": "A-1", "grants": [{"grant_id": str(grant_id), "units": 5}]})


class Stamped:
    """A record that the broker has stamped."""

    def __init__(self, timestamp: int) -> None:
        self.timestamp = timestamp


def message(event_id: str, timestamp: int, topic: str = "checkout.events", offset: int = 0) -> InboundMessage:
    record: Any = Stamped(timestamp)
    position = Position(topic, 0, offset)
    return InboundMessage(record, position, "A-1", topic == "checkout.events", event_id=event_id)


def names(messages: Any) -> list[str]:
    return [each.event_id for each in messages]


class TestOrder:
    def test_topics_are_handled_in_the_order_of_what_they_led_to(self) -> None:
        """The broker's time alone would take the issue before the payment that it waited for."""
        queues = {
            ASKED: [message("pay", 10), message("iss", 30, offset=1)],
            ISSUED: [message("issued", 20, "serials.events")],
        }
        limits = {ASKED: 2, ISSUED: 1}

        assert names(in_order(queues, ["pay", "iss", "issued"], limits)) == ["pay", "iss", "issued"]
        assert names(in_order(queues, [], limits)) == ["pay", "issued", "iss"]

    def test_what_led_to_nothing_comes_where_the_brokers_time_puts_it(self) -> None:
        queues = {
            ASKED: [message("pay", 10), message("ask", 40, offset=1)],
            ISSUED: [message("issued", 20, "serials.events")],
        }

        ordered = in_order(queues, ["pay", "ask"], {ASKED: 2, ISSUED: 1})

        assert names(ordered) == ["pay", "issued", "ask"]

    def test_behind_the_group_only_what_the_topics_tell_the_consequence_of_is_handled(self) -> None:
        queues = {ASKED: [message(name, n, offset=n) for n, name in enumerate("abcd")]}

        assert names(in_order(queues, [], {ASKED: 2})) == ["a", "b"]
        assert names(in_order(queues, ["c"], {ASKED: 2})) == ["a", "b", "c"]
        assert names(in_order(queues, ["c", "a", "a", "elsewhere"], {})) == ["a", "b", "c"]

    def test_partitions_are_handled_in_the_order_in_which_was_decided(self) -> None:
        """By the ids of what was told: the broker has written the request before the payments."""
        queues = {
            ASKED: [message("leave", 5)],
            ("checkout.events", 1): [message("pay-1", 10), message("pay-3", 30, offset=1)],
            ("checkout.events", 2): [message("pay-2", 20)],
        }
        decided = [("pay-1", 1, 1), ("pay-2", 2, 2), ("leave", 0, 3), ("pay-3", 1, 4)]
        entries = [
            entry(causation=cause, partition=number, offset=at, event_id=UUID(int=at))
            for cause, number, at in reversed(decided)
        ]

        causes = causes_of(entries)

        assert causes == ["pay-1", "pay-2", "leave", "pay-3"]
        assert names(in_order(queues, causes, dict.fromkeys(queues, 2))) == causes

    def test_a_partition_is_believed_also_where_its_ids_do_not_grow(self) -> None:
        """Two processes that did not wait for each other: the first to come asked the clock last."""
        entries = [
            entry(causation="first", offset=1, event_id=UUID(int=8)),
            entry(causation="second", offset=2, event_id=UUID(int=7)),
            entry(causation="elsewhere", partition=1, offset=1, event_id=UUID(int=9)),
        ]

        assert causes_of(entries) == ["first", "second", "elsewhere"]

    def test_an_early_cause_comes_before_what_led_to_nothing(self) -> None:
        """But not before what stands in front of another cause that was decided before it."""
        queues = {
            ASKED: [message("leave", 40)],
            ISSUED: [
                message("noted", 10, "serials.events"),
                message("told", 20, "serials.events", 1),
                message("later", 30, "serials.events", 2),
            ],
        }
        limits = {ASKED: 1, ISSUED: 3}

        assert names(in_order(queues, ["told", "leave"], limits)) == ["noted", "told", "later", "leave"]
        ordered = in_order(queues, ["told", "leave"], limits, {"leave"})
        assert names(ordered) == ["noted", "told", "leave", "later"]


class TestIds:
    def test_the_ids_of_the_topic_take_the_place_of_fresh_ones(self) -> None:
        told = entry(data=grant(THEIRS))
        produced = row(told, data=grant(OURS))

        assert Told([told]).counterparts([produced]) == [told]
        assert ids_told([OTHER, OURS], [(produced, told)]) == [OTHER, THEIRS]

    def test_a_subject_that_is_a_fresh_id_is_told_too(self) -> None:
        told = entry(subject=str(THEIRS), sequence=1)
        produced = row(told, subject=str(OURS))

        assert Told([told]).counterparts([produced]) == [told]
        assert ids_told([OURS], [(produced, told)]) == [THEIRS]

    def test_events_of_one_cause_that_only_ids_tell_apart_are_taken_in_their_order(self) -> None:
        first = entry(subject=str(THEIRS), sequence=1, event_id=UUID(int=11))
        second = entry(subject=str(OTHER), sequence=1, event_id=UUID(int=12), offset=8)
        rows = [row(first, subject=str(UUID(int=21))), row(second, subject=str(UUID(int=22)))]

        assert Told([first, second]).counterparts(rows) == [first, second]

    def test_an_event_that_was_published_twice_is_one(self) -> None:
        told = Told([entry(), entry(offset=8)])

        assert len(told.entries()) == 1
        told.forget(told.entries())
        assert told.entries() == []


class TestContradictions:
    def test_what_the_topics_tell_may_only_be_said_again(self) -> None:
        told = Told([entry(data=grant(THEIRS))])
        right, wrong = row(entry(data=grant(THEIRS))), row(entry(data=grant(OTHER)))
        (known,) = told.counterparts([right])

        assert told.contradiction(right, known) is None
        assert "the topic tells otherwise" in str(told.contradiction(wrong, known))

    def test_an_event_that_no_topic_tells_was_never_published(self) -> None:
        told = Told([entry(sequence=2)])

        assert told.contradiction(row(entry(sequence=3, type="issuance.denied.v1")), None) is None

    def test_it_contradicts_what_the_topics_tell_under_its_number_or_behind_it(self) -> None:
        told = Told([entry(sequence=3)])

        denied = row(entry(sequence=2, type="issuance.denied.v1"))
        assert "the topic tells issuance.granted.v2" in str(told.contradiction(denied, None))

    def test_an_answer_may_have_another_time(self) -> None:
        answer = entry(topic="checkout.feedback", sequence=None, data=b'{"event":{"id":"e","source":"s"}}')

        assert same(row(answer, time="2030-01-01T00:00:00+09:00"), answer)
        assert not same(row(entry(), time="2030-01-01T00:00:00+09:00"), entry())


def test_what_is_lost_is_named_one_by_one() -> None:
    (lost,) = lost_of([entry(type="order.expired.v1")], "its cause is in no topic")

    assert (lost.key, lost.type, lost.sequence, lost.at, lost.why) == (
        "A-1",
        "order.expired.v1",
        2,
        "2026-11-29T10:02:03+09:00",
        "its cause is in no topic",
    )


def test_a_refusal_to_start_says_which_orders_since_when_and_what_to_do() -> None:
    entries: Sequence[TopicEvent] = [entry(key=f"A-{n}") for n in range(25)]

    told = told_of("orders", entries)

    assert "25 events of A-0, A-1" in told
    assert "and 5 more" in told
    assert "from 2026-11-29T10:02:03+09:00 on" in told
    assert "pawl recover orders" in told


def test_an_answer_to_a_record_without_a_key_is_an_event_too() -> None:
    """It stands in the topic under an empty key. One that no schema knows was lost, and is not said twice."""
    headers = write_headers(
        id=str(THEIRS), source="/pawl/orders", type="event.rejected.v1", subject="", time=TIME
    )
    answer = StoredRecord(FEEDBACK, 1, 3, b"", b"{}", headers)

    said = event_of_record(answer, "orders")

    assert said is not None
    assert (said.key, said.subject, said.event_id) == ("", "", THEIRS)


# When our own acts were


def test_the_instant_of_an_act_of_ours_is_the_one_that_the_topics_tell() -> None:
    """A document was issued at noon; by now it would be issued when the schema is brought forward."""
    drafted, issued = entry(), entry(time="2026-11-29T12:00:00+09:00")
    again = row(issued, time="2026-12-03T09:00:00+09:00")
    noon = datetime(2026, 11, 29, 3, tzinfo=UTC)
    assert acted_at_told([(row(drafted), drafted), (again, issued)]) == noon


def test_where_no_act_is_told_the_clock_counts() -> None:
    assert acted_at_told([(row(entry()), entry())]) is None
    assert acted_at_told([]) is None
    answer = entry(topic=FEEDBACK)
    assert acted_at_told([(row(answer, time="2026-12-03T09:00:00+09:00"), answer)]) is None


def test_an_act_after_what_led_to_it_does_not_hide_when_it_was_handled() -> None:
    """One of them was caused by an event from the future, and is dated as that."""
    ahead, usual = entry(time="2026-11-30T12:00:00+09:00"), entry(time="2026-11-29T12:00:00+09:00")
    later = {"time": "2026-12-03T09:00:00+09:00"}
    pairs = [(row(each, **later), each) for each in (ahead, usual)]
    assert acted_at_told(pairs) == datetime(2026, 11, 29, 3, tzinfo=UTC)
