"""Outbox = topic, by hand: what a partition may hold, and what it may not."""

from collections.abc import Sequence

from ops.audit.topics.matching import Matching
from ops.audit.topics.rules import Findings, OutboxRow, TopicRecord, judge_record
from shared.partitioner import partition_for

ORDER = "A-1"


def row(number: int, key: str = ORDER) -> OutboxRow:
    """The event with this outbox id."""
    digest = b"%d" % number
    time = "2031-10-21T14:03:07+09:00"
    return OutboxRow(
        "orders.events", 0, number, f"id-{number}", key, "order.paid.v1", key, number, time, digest
    )


def record_of(row: OutboxRow, offset: int, **other: object) -> TopicRecord:
    """The record of an event, with other content where given."""
    record = TopicRecord(
        row.topic,
        row.partition,
        offset,
        "orders",
        row.event_id,
        row.key,
        row.type,
        row.subject,
        row.sequence,
        row.time,
        row.digest,
    )
    return record._replace(**other)  # type: ignore[arg-type]


def matched(
    rows: Sequence[OutboxRow], records: Sequence[TopicRecord], published: int = 9, begins: int | None = 0
) -> Matching:
    matching = Matching("orders", published, begins, Findings())
    matching.expect(rows)
    known = {row.event_id: row for row in rows}
    for record in records:
        matching.take(record, known)
    matching.finish()
    return matching


def records(*numbers: int) -> list[TopicRecord]:
    return [record_of(row(number), offset) for offset, number in enumerate(numbers)]


A, B, C = row(1), row(2), row(3)


def test_a_partition_that_says_the_outbox_is_right() -> None:
    matching = matched([A, B, C], records(1, 2, 3))
    assert not matching.findings.counts
    assert (matching.matched, matching.repeated) == (3, 0)


def test_what_the_relay_repeats_is_counted_and_no_violation() -> None:
    matching = matched([A, B, C], records(1, 2, 1, 2, 3, 3, 1))
    assert not matching.findings.counts
    assert (matching.matched, matching.repeated) == (3, 4)


def test_an_event_that_never_came_is_missing() -> None:
    assert matched([A, B, C], records(1, 3)).findings.counts == {"published_in_topic": 1}


def test_the_last_event_is_missed_once_it_is_published() -> None:
    assert matched([A, B], records(1), published=2).findings.counts == {"published_in_topic": 1}
    unpublished = matched([A, B], records(1), published=1)
    assert not unpublished.findings.counts
    assert unpublished.unpublished == 1


def test_an_event_that_comes_too_late_breaks_the_order() -> None:
    assert matched([A, B, C], records(1, 3, 2)).findings.counts == {"topic_order": 1}


def test_an_event_that_comes_late_behind_other_keys_breaks_nothing() -> None:
    """The broker refused it, and took it later."""
    rows = [row(1, "A-1"), row(2, "B-1"), row(3, "C-1"), row(4, "A-1")]
    late = [record_of(rows[n - 1], offset) for offset, n in enumerate((2, 3, 1, 4))]

    matching = matched(rows, late)

    assert not matching.findings.counts
    assert matching.matched == 4


def test_late_events_of_a_key_keep_their_order_among_each_other() -> None:
    rows = [row(1, "A-1"), row(2, "A-1"), row(3, "B-1")]
    turned = [record_of(rows[n - 1], offset) for offset, n in enumerate((3, 2, 1))]

    assert matched(rows, turned).findings.counts == {"topic_order": 1}


def test_what_is_set_aside_is_not_published_yet() -> None:
    matching = Matching("orders", 3, 0, Findings(), frozenset({2}))
    matching.expect([A, B, row(3, "C-1")])
    for record in (record_of(A, 0), record_of(row(3, "C-1"), 1)):
        matching.take(record, {A.event_id: A, "id-3": row(3, "C-1")})
    matching.finish()

    assert not matching.findings.counts
    assert (matching.matched, matching.unpublished) == (2, 1)


def taken_ahead(rows: Sequence[OutboxRow], first: Sequence[int], then: Sequence[int]) -> Matching:
    """The records `first` come before the rows were read, the others after that."""
    known = {each.event_id: each for each in rows}
    matching = Matching("orders", 9, 0, Findings())
    for number in first:
        matching.take(record_of(rows[number - 1], 0), known)
    matching.expect(rows)
    for number in then:
        matching.take(record_of(rows[number - 1], 0), known)
    matching.finish()
    return matching


def test_records_that_are_ahead_of_the_rows_that_were_read_are_matched_once() -> None:
    """Where thousands were set aside, what comes first in the topic is found by its id and read later."""
    matching = taken_ahead([row(n, f"key-{n}") for n in range(1, 6)], [3, 4], [1, 5, 2])

    assert not matching.findings.counts
    assert matching.matched == 5


def test_a_late_event_behind_one_of_its_key_that_was_ahead_breaks_the_order() -> None:
    assert taken_ahead([A, row(2, "B-1"), C], [3], [2, 1]).findings.counts == {"topic_order": 1}


def test_a_record_that_nobody_said_is_found() -> None:
    stranger = record_of(row(7), 1)
    assert matched([A], [record_of(A, 0), stranger]).findings.counts == {"topic_from_outbox": 1}


def test_a_record_that_says_something_else_is_found_and_told_how() -> None:
    matching = matched([A], [record_of(A, 0, digest=b"other", subject="A-2")])
    assert matching.findings.counts == {"topic_content": 1}
    assert "differ in subject, data" in matching.findings.named[0].detail


def test_a_repeat_with_other_content_is_found() -> None:
    repeats = [record_of(A, 0), record_of(A, 1, digest=b"other")]
    assert matched([A], repeats).findings.counts == {"topic_content": 1}


def test_a_record_in_a_foreign_partition_does_not_disturb_the_order_there() -> None:
    stray = row(8)._replace(partition=5)
    matching = Matching("orders", 9, 0, Findings())
    matching.expect([A, B])
    known = {row.event_id: row for row in (A, B, stray)}
    for record in (record_of(A, 0), record_of(stray, 1, partition=0), record_of(B, 2)):
        matching.take(record, known)
    matching.finish()
    assert matching.findings.counts == {"topic_content": 1}


def test_what_retention_deleted_is_no_loss_but_a_gap_after_it_is() -> None:
    rows = [row(number) for number in range(1, 7)]
    matching = matched(rows, records(4, 6), begins=None)
    assert matching.expired == 3
    assert matching.findings.counts == {"published_in_topic": 1}


def test_an_emptied_partition_has_lost_nothing() -> None:
    matching = matched([A, B], [], begins=None)
    assert not matching.findings.counts
    assert matching.expired == 2


def test_rows_that_come_in_later_pages_are_passed_over_too() -> None:
    matching = Matching("orders", 9, 0, Findings())
    matching.expect([A])
    matching.take(record_of(C, 0), {"id-1": A, "id-3": C})
    matching.expect([B, C, row(4)])
    matching.take(record_of(row(4), 1), {"id-4": row(4)})
    matching.finish()
    assert matching.findings.counts == {"published_in_topic": 2}
    assert matching.matched == 2


def test_a_wrong_partition_and_a_wrong_key_are_found() -> None:
    findings = Findings()
    right = record_of(A, 0, partition=partition_for(ORDER, 12), data={"order_id": ORDER})
    judge_record(right, [12], findings)
    assert not findings.counts
    judge_record(right._replace(partition=(right.partition + 1) % 12), [12], findings)
    judge_record(right._replace(data={"order_id": "A-2"}), [12], findings)
    assert findings.counts == {"record_partition": 1, "record_key": 1}


def test_a_record_may_stand_where_its_key_belonged_before_partitions_were_raised() -> None:
    findings = Findings()
    before = record_of(A, 0, partition=partition_for(ORDER, 7), data={"order_id": ORDER})
    assert before.partition != partition_for(ORDER, 12)

    judge_record(before, [12, 7], findings)
    assert not findings.counts
    judge_record(before, [12], findings)
    assert findings.counts == {"record_partition": 1}


def test_an_answer_about_a_partner_has_the_partners_key() -> None:
    findings = Findings()
    answer = record_of(A, 0, topic="checkout.feedback", type="event.accepted.v1", key="P-1")
    answer = answer._replace(partition=partition_for("P-1", 12), data={"partner_id": "P-1"})
    judge_record(answer, [12], findings)
    assert not findings.counts


def test_only_the_first_violations_of_a_rule_are_named_and_all_are_counted() -> None:
    rows = [row(number) for number in range(1, 1_202)]
    matching = matched(rows, [], published=5_000)
    assert matching.findings.counts["published_in_topic"] == 1_201
    assert len(matching.findings.named) == 1_000
