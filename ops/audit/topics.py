"""Outbox = topic: the facts that a service committed against the records of one partition, read side by side.

The relay publishes each partition in the order of the outbox and may repeat what it could not be sure of, so
the records of a service, taken when they are first seen, are its rows one by one. Pure: rows and records are
handed in a page at a time, and only what lies between two pages is kept.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ops.audit.rules import Finding, Rule
from shared.events.catalogue import FEEDBACK, TYPES
from shared.partitioner import partition_for

NAMED = 1000  # violations named for each rule; all are counted
PASSED_OVER = 10_000  # rows that may still turn up late in a partition

IN_TOPIC = Rule("published_in_topic", "Each fact that the relay has published is in its topic")
FROM_OUTBOX = Rule("topic_from_outbox", "Each record of a service was a fact in its outbox before")
SAME_CONTENT = Rule(
    "topic_content", "Each record says what its outbox says: key, type, subject, number, data"
)
SAME_ORDER = Rule("topic_order", "The records of a key stand in the order of the outbox")
KEY = Rule("record_key", "The key of each record is the order, partner or month that its data names")
PARTITION = Rule("record_partition", "Each record is in the partition of its key (Murmur2)")
ANSWERED = Rule("inbound_answered", "Each record of checkout that its service has handled is answered")
IN_SCHEMA: dict[Rule, tuple[str, ...]] = {
    Rule("sequence_order", "The facts about a subject are numbered 1, 2, 3 as they were said"): (
        "orders",
        "serials",
        "refunds",
        "invoices",
    ),
    Rule(
        "one_grant_per_claim", "Each claim was told as one grant of its units, and no grant is without one"
    ): ("orders",),
    Rule("issued_once_per_grant", "Each grant that is issued was told as issued once, with all its units"): (
        "serials",
    ),
    Rule("answered_once", "Each event of checkout has exactly one answer, and no answer is for nothing"): (
        "orders",
        "refunds",
        "invoices",
        "serials",
    ),
}
"""Rules over what an outbox says; with the others they hold for the topic, which says the same."""

TOPIC_RULES = [IN_TOPIC, FROM_OUTBOX, SAME_CONTENT, SAME_ORDER, KEY, PARTITION, ANSWERED, *IN_SCHEMA]


class Said(NamedTuple):
    """A row of an outbox. `digest` is the SHA-256 of its data."""

    topic: str
    partition: int
    id: int
    event_id: str
    key: str
    type: str
    subject: str
    sequence: int | None
    time: str
    digest: bytes


class Seen(NamedTuple):
    """A record of a topic, as far as it can be read. `source` is the service that it names."""

    topic: str
    partition: int
    offset: int
    source: str
    event_id: str
    key: str | None
    type: str
    subject: str
    sequence: int | None
    time: str
    digest: bytes
    data: Any = None

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(slots=True)
class Findings:
    """Violations by rule: all of them counted, the first ones of each rule named."""

    counts: Counter[str] = field(default_factory=Counter)
    named: list[Finding] = field(default_factory=list)

    def add(self, rule: Rule, order_id: str | None, detail: str) -> None:
        self.counts[rule.name] += 1
        if self.counts[rule.name] <= NAMED:
            self.named.append(Finding(rule.name, order_id, detail))


@dataclass(slots=True)
class Matching:
    """The facts of one service in one partition, matched one by one with the records that say them.

    Everything up to the outbox id `published` must be in the topic. `begins` is the outbox id from which the
    topic still has everything: 0 while it has its first record, otherwise known with the first match; what
    comes before was deleted by retention and is no loss.
    """

    service: str
    published: int
    begins: int | None
    findings: Findings
    expected: deque[Said] = field(default_factory=deque)
    passed: int = 0
    skip_to: int = 0
    matched: int = 0
    repeated: int = 0
    expired: int = 0
    unpublished: int = 0
    passed_over: dict[str, Said] = field(default_factory=dict)

    def expect(self, rows: Iterable[Said]) -> None:
        """The next rows of the outbox for this partition, in their order."""
        for row in rows:
            if row.id <= self.skip_to:
                self._pass_over(row)
            else:
                self.expected.append(row)

    def take(self, record: Seen, known: Mapping[str, Said]) -> None:
        """The next record. `known` are the rows, expected or not, with the ids of this page's records."""
        row = known.get(record.event_id)
        if row is None:
            told = f"{record.place} says {record.type} {record.event_id}, which {self.service} never said"
            self.findings.add(FROM_OUTBOX, order_of(record.type, record.key), told)
            return
        if not self._same(row, record):
            return
        if row.id > self.passed:
            self._match(row)
        elif self.passed_over.pop(row.event_id, None) is not None:
            told = f"{record.place} says {row.type} {row.event_id} after facts that came later"
            self.findings.add(SAME_ORDER, order_of(row.type, row.key), told)
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

    def _match(self, row: Said) -> None:
        """The first record of a row: rows before it that were not seen are passed over."""
        if self.begins is None:
            self.begins = row.id
        self.skip_to = self.passed = row.id
        while self.expected and self.expected[0].id <= row.id:
            earlier = self.expected.popleft()
            if earlier.id < row.id:
                self._pass_over(earlier)
        self.matched += 1

    def _pass_over(self, row: Said) -> None:
        if row.id == self.passed:
            return
        if row.id > max(self.published, self.passed):
            self.unpublished += 1
        elif self.begins is None or row.id < self.begins:
            self.expired += 1
        elif len(self.passed_over) < PASSED_OVER:
            self.passed_over[row.event_id] = row
        else:
            self._missing(row)

    def _missing(self, row: Said) -> None:
        place = f"{row.topic}/{row.partition}"
        told = f"{row.type} {row.event_id} about {row.subject} is published and not in {place}"
        self.findings.add(IN_TOPIC, order_of(row.type, row.key), told)

    def _same(self, row: Said, record: Seen) -> bool:
        """Compares; whether the record is at least where the row belongs, so that their order matters."""
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
            told = f"{record.place} and the outbox of {self.service} {what}"
            self.findings.add(SAME_CONTENT, order_of(row.type, row.key), told)
        return (row.topic, row.partition) == (record.topic, record.partition)


def judge_record(record: Seen, partitions: int, findings: Findings) -> None:
    """The key and the partition of a record of ours, by the catalogue of events."""
    order_id = order_of(record.type, record.key)
    for named in wrong_keys(record):
        findings.add(KEY, order_id, f"{record.place} has the key {record.key!r}, its data {named!r}")
    judge_partition(record, partitions, findings)


def judge_partition(record: Seen, partitions: int, findings: Findings) -> None:
    """A record without a key may stand anywhere."""
    if record.key is None:
        return
    wanted = partition_for(record.key, partitions)
    if wanted != record.partition:
        told = f"{record.place} has the key {record.key!r}, which belongs to partition {wanted}"
        findings.add(PARTITION, order_of(record.type, record.key), told)


def wrong_keys(record: Seen) -> Iterator[object]:
    """What the data of a record names instead of its key."""
    kind = TYPES.get(record.type)
    data = record.data if isinstance(record.data, dict) else {}
    field_name = kind.key_field if kind is not None else "order_id"
    if record.topic == FEEDBACK and field_name not in data:
        field_name = "partner_id"
    if data.get(field_name) != record.key:
        yield data.get(field_name)


def order_of(type_name: str, key: str | None) -> str | None:
    """The order that a record is about; None where its key is a partner or a month."""
    kind = TYPES.get(type_name)
    return key if key and (kind is None or kind.key_field == "order_id") else None
