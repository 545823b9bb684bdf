"""Outbox = topic: the events that a service committed against the records of one partition, side by side.

The relay publishes each partition in the order of the outbox and may repeat what it could not be sure of, so
the records of a service, taken when they first appear, are its rows one by one. What the broker refused and
takes later comes behind records of other keys, but never behind a later one of its own. Pure: the caller
hands in rows and records a page at a time, and only what lies between two pages is kept.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ops.audit.topics.rules import (
    FROM_OUTBOX,
    IN_TOPIC,
    SAME_CONTENT,
    SAME_ORDER,
    Findings,
    OutboxRow,
    TopicRecord,
    order_of,
)
from shared.events.catalogue import FEEDBACK

PASSED_OVER = 10_000  # rows that may still turn up late in a partition


@dataclass(slots=True)
class Matching:
    """The events of one service in one partition, matched one by one with their records.

    Everything up to the outbox id `published` must be in the topic. `begins` is the outbox id from which the
    topic still has everything: 0 while it has its first record, otherwise known with the first match; what
    comes before was deleted by retention and is no loss. `unsent` are the ids of rows that the relay has set
    aside since the broker refuses them.
    """

    service: str
    published: int
    begins: int | None
    findings: Findings
    unsent: frozenset[int] = frozenset()
    expected: deque[OutboxRow] = field(default_factory=deque)
    passed: int = 0
    skip_to: int = 0
    matched: int = 0
    repeated: int = 0
    expired: int = 0
    unpublished: int = 0
    passed_over: dict[str, OutboxRow] = field(default_factory=dict)
    # Of the rows that are passed over: by key, and those behind a later one of their key.
    late_of_key: dict[str, set[str]] = field(default_factory=dict)
    overtaken: set[str] = field(default_factory=set)
    # Rows that had their record before they were expected, and how many of each key.
    expected_to: int = 0
    ahead: set[int] = field(default_factory=set)
    keys_ahead: Counter[str] = field(default_factory=Counter)

    def expect(self, rows: Iterable[OutboxRow]) -> None:
        """The next rows of the outbox for this partition, in their order."""
        for row in rows:
            self.expected_to = row.id
            if row.id in self.ahead:
                self.ahead.remove(row.id)
                self.keys_ahead[row.key] -= 1
            elif row.id <= self.skip_to:
                self._pass_over(row)
                if self.keys_ahead[row.key] > 0:
                    self.overtaken.add(row.event_id)
            else:
                self.expected.append(row)

    def take(self, record: TopicRecord, known: Mapping[str, OutboxRow]) -> None:
        """The next record. `known` are the rows, expected or not, with the ids of this page's records."""
        row = known.get(record.event_id)
        if row is None:
            what = f"{record.place} holds {record.type} {record.event_id}"
            detail = f"{what}, which {self.service} never committed"
            self.findings.add(FROM_OUTBOX, order_of(record.type, record.key), detail)
            return
        if not self._same(row, record):
            return
        if row.id > self.passed:
            self._match(row)
        elif self.passed_over.pop(row.event_id, None) is not None:
            self._come_late(row, record)
        else:
            self.repeated += 1

    def give_up_expected(self) -> None:
        """The partition has ended before the rows that were expected."""
        while self.expected:
            self._pass_over(self.expected.popleft())

    def finish(self) -> None:
        """Neither the partition nor the outbox has more."""
        self.give_up_expected()
        for row in self.passed_over.values():
            self._missing(row)
        self.passed_over.clear()

    def _match(self, row: OutboxRow) -> None:
        """The first record of a row: rows before it without a record are passed over."""
        if self.begins is None:
            self.begins = row.id
        self.skip_to = self.passed = row.id
        while self.expected and self.expected[0].id <= row.id:
            earlier = self.expected.popleft()
            if earlier.id < row.id:
                self._pass_over(earlier)
        if row.id > self.expected_to:
            self.ahead.add(row.id)
            self.keys_ahead[row.key] += 1
        self.overtaken |= self.late_of_key.get(row.key, set())
        self.matched += 1

    def _come_late(self, row: OutboxRow, record: TopicRecord) -> None:
        """The record of a row that was passed over."""
        self.late_of_key[row.key].remove(row.event_id)
        earlier = {name for name in self.late_of_key[row.key] if self.passed_over[name].id < row.id}
        self.overtaken |= earlier
        self.matched += 1
        if row.event_id in self.overtaken:
            detail = f"{record.place} holds {row.type} {row.event_id} after later events of its key"
            self.findings.add(SAME_ORDER, order_of(row.type, row.key), detail)

    def _pass_over(self, row: OutboxRow) -> None:
        if row.id > max(self.published, self.passed) or row.id in self.unsent:
            self.unpublished += 1
        elif self.begins is None or row.id < self.begins:
            self.expired += 1
        elif len(self.passed_over) < PASSED_OVER:
            self.passed_over[row.event_id] = row
            self.late_of_key.setdefault(row.key, set()).add(row.event_id)
        else:
            self._missing(row)

    def _missing(self, row: OutboxRow) -> None:
        place = f"{row.topic}/{row.partition}"
        detail = f"{row.type} {row.event_id} about {row.subject} is published and not in {place}"
        self.findings.add(IN_TOPIC, order_of(row.type, row.key), detail)

    def _same(self, row: OutboxRow, record: TopicRecord) -> bool:
        """Compares the two. Returns whether the record is where the row belongs, so that order matters."""
        differing = [
            name
            for name, ours, theirs in (
                ("topic", row.topic, record.topic),
                ("partition", row.partition, record.partition),
                ("key", row.key, record.key),
                ("type", row.type, record.type),
                ("subject", row.subject, record.subject),
                ("sequence", None if row.topic == FEEDBACK else row.sequence, record.sequence),
                ("time", row.time, record.time),
                ("data", row.digest, record.digest),
            )
            if ours != theirs
        ]
        if differing:
            what = f"differ in {', '.join(differing)} of {row.event_id}"
            detail = f"{record.place} and the outbox of {self.service} {what}"
            self.findings.add(SAME_CONTENT, order_of(row.type, row.key), detail)
        return (row.topic, row.partition) == (record.topic, record.partition)
