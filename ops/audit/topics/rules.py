"""The rules of the topics, rows of outboxes, records of topics, and what one record alone can break. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ops.audit.rules import Finding, Rule
from shared.events.catalogue import FEEDBACK, TYPES
from shared.partitioner import partition_for

NAMED = 1000  # violations named for each rule; all are counted

IN_TOPIC = Rule("published_in_topic", "Each event that the relay has published is in its topic")
FROM_OUTBOX = Rule("topic_from_outbox", "Each record of a service was in its outbox before")
SAME_CONTENT = Rule(
    "topic_content", "Each record equals its row in the outbox: key, type, subject, number, data"
)
SAME_ORDER = Rule("topic_order", "The records of a key stand in the order of the outbox")
KEY = Rule("record_key", "The key of each record is the order, partner or month that its data names")
PARTITION = Rule("record_partition", "Each record is in the partition of its key (Murmur2)")
ANSWERED = Rule("inbound_answered", "Each record of checkout that its service has handled is answered")
PLACED = Rule("payments_placed", "Each accepted payment is on its order or in a case, with its won")
DECIDED = Rule("decisions_kept", "Each accepted decision about a case has ended it")
MERGES = Rule(
    "merges_answered", "Each accepted request about a merge is answered once, for all that it names"
)
READ = Rule(
    "read_in_time", "No record is deleted, and no group set forward, behind what its service has read"
)
IN_SCHEMA: dict[Rule, tuple[str, ...]] = {
    Rule("sequence_order", "The events about a subject are numbered 1, 2, 3 in the order of the outbox"): (
        "orders",
        "serials",
        "refunds",
        "invoices",
    ),
    Rule(
        "one_grant_per_claim", "Each claim has one granted event with its units, and each such event a claim"
    ): ("orders",),
    Rule("issued_once_per_grant", "Each issued grant has one issued event, with all its units"): ("serials",),
    Rule("answered_once", "Each event of checkout has exactly one answer, and no answer is for nothing"): (
        "orders",
        "refunds",
        "invoices",
        "serials",
    ),
    Rule("cases_told", "Each case was told with a proposal of its won, and its end with its decision"): (
        "orders",
    ),
    MERGES: ("invoices",),
}
"""Rules over an outbox alone. With the other rules they hold for the topic too, which has the same events."""

TOPIC_RULES = [
    *(IN_TOPIC, FROM_OUTBOX, SAME_CONTENT, SAME_ORDER, KEY, PARTITION, ANSWERED, PLACED, DECIDED, READ),
    *IN_SCHEMA,
]


class OutboxRow(NamedTuple):
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


class TopicRecord(NamedTuple):
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


def judge_record(record: TopicRecord, partitions: Sequence[int], findings: Findings) -> None:
    """The key and the partition of a record of ours, by the catalogue of events.

    `partitions` are the numbers of partitions that its topic has and had, the present one first.
    """
    order_id = order_of(record.type, record.key)
    for named in wrong_keys(record):
        findings.add(KEY, order_id, f"{record.place} has the key {record.key!r}, its data {named!r}")
    judge_partition(record, partitions, findings)


def judge_partition(record: TopicRecord, partitions: Sequence[int], findings: Findings) -> None:
    """A record without a key may stand anywhere, any other one where its key belongs or belonged."""
    if record.key is None:
        return
    wanted, *earlier = (partition_for(record.key, count) for count in partitions)
    if record.partition not in (wanted, *earlier):
        detail = f"{record.place} has the key {record.key!r}, which belongs to partition {wanted}"
        findings.add(PARTITION, order_of(record.type, record.key), detail)


def wrong_keys(record: TopicRecord) -> Iterator[object]:
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
