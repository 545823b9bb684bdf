"""`pawl check --topics`: what the services committed, what the topics hold, what checkout was answered.

Everything is read once: each outbox with one cursor in the order of places, each partition from its first
record, both a page at a time, so memory does not grow with the number of events. The order of reading makes
the comparison exact while work goes on: first how far the relays and the readers are, then where the topics
end, then one snapshot of the tables. What was published before must be in a topic, what is in a topic must be
in the snapshot, and what was handled must be answered.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ops.audit.books import SQL
from ops.audit.inbound import Inbound, inbound
from ops.audit.rules import Finding
from ops.audit.topic_pages import PAGE, Pages, open_pages, seen
from ops.audit.topics import (
    ANSWERED,
    FROM_OUTBOX,
    IN_SCHEMA,
    IN_TOPIC,
    NAMED,
    Findings,
    Matching,
    Said,
    Seen,
    judge_partition,
    judge_record,
    order_of,
)
from ops.shell.databases import Connections, Urls, Where, connected, one_moment, urls_of
from ops.shell.output import Tell, tell_nobody
from ops.shell.problem import Problem
from ops.shell.system import System
from ops.shell.topic_reader import reading_topics
from shared.events.catalogue import FEEDBACK, SERVICES, TOPICS, UPSTREAM


@dataclass(slots=True)
class TopicReport:
    """What the topics hold and which rules they break.

    `records` counts what was read of each topic; `facts` what was matched with an outbox; `repeated` records
    that the relay published again; `unpublished` facts that no relay has published yet; `unread` records of
    checkout that their service has not handled yet; `deleted` the first offset of each partition whose
    beginning retention has deleted, and `expired` the facts that went with it.
    """

    records: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    facts: int = 0
    repeated: int = 0
    unpublished: int = 0
    answered: int = 0
    unread: int = 0
    deleted: dict[str, int] = field(default_factory=dict)
    expired: int = 0
    findings: Findings = field(default_factory=Findings)

    @property
    def ok(self) -> bool:
        """Whether every rule holds."""
        return not self.findings.counts

    @property
    def violations(self) -> list[Finding]:
        return self.findings.named

    def to_document(self) -> dict[str, Any]:
        """`topics` in the JSON document of `pawl check --topics --json`."""
        return {
            "ok": self.ok,
            "violations": [
                {"rule": found.rule, "order_id": found.order_id, "detail": found.detail}
                for found in self.violations
            ],
            "broken": dict(self.findings.counts),
            "records": self.records,
            "totals": self.totals(),
            "deleted": self.deleted,
        }

    def totals(self) -> dict[str, int]:
        """What the comparison came to, in records."""
        return {
            "facts": self.facts,
            "repeated": self.repeated,
            "unpublished": self.unpublished,
            "answered": self.answered,
            "unread": self.unread,
            "expired": self.expired,
        }


async def audit_topics(where: Where, kafka: str = "", tell: Tell = tell_nobody) -> TopicReport:
    """Checks the topics against the four schemas. `where` is as for `audit`. Raises Problem."""
    urls = urls_of(where)
    bootstrap = kafka or (where.require_kafka() if isinstance(where, System) else "")
    if not bootstrap:
        raise Problem("The topics need a broker.", "Name it with --kafka HOST:PORT.")
    published, handled = await _how_far(urls, bootstrap)
    async with open_pages(bootstrap) as pages:
        begins, ends = await pages.offsets(list(TOPICS))
        async with one_moment(urls) as (connections, _):
            audit = TopicAudit(pages, connections, published, handled, begins, ends)
            await audit.run(tell)
            return audit.report


async def _how_far(urls: Urls, bootstrap: str) -> tuple[dict[str, int], dict[str, dict[Any, int]]]:
    """The mark of each relay, and the offsets that each service has committed."""
    async with connected(urls) as connections:
        published = {name: await c.fetchval(SQL.published) for name, c in connections.items()}
    async with reading_topics(bootstrap) as topics:
        return published, await topics.committed()


class TopicAudit:
    """One reading of all topics beside one snapshot of the schemas."""

    def __init__(
        self,
        pages: Pages,
        connections: Connections,
        published: dict[str, int],
        handled: dict[str, dict[Any, int]],
        begins: dict[Any, int],
        ends: dict[Any, int],
    ) -> None:
        self.report = TopicReport()
        self._pages, self._connections = pages, connections
        self._published, self._handled = published, handled
        self._begins, self._ends = begins, ends
        self._shelves: dict[str, Facts] = {}

    async def run(self, tell: Tell) -> None:
        """Reads everything; `report` then has the result."""
        await self._judge_schemas()
        for service in SERVICES:
            self._shelves[service] = await Facts.open(self._connections[service])
        # Feedback first: it is the first topic of every outbox, in the order of the cursor.
        await self._read_topic(FEEDBACK, SERVICES, tell)
        for service in SERVICES:
            await self._read_topic(f"{service}.events", (service,), tell)
            await self._nothing_else(service)
        await self._read_upstream(tell)

    async def _judge_schemas(self) -> None:
        for rule, services in IN_SCHEMA.items():
            for service in services:
                rows = await self._connections[service].fetch(getattr(SQL, rule.name), NAMED)
                for row in rows:
                    self.report.findings.add(rule, row["order_id"] or None, row["detail"])

    async def _read_topic(self, topic: str, writers: Sequence[str], tell: Tell) -> None:
        tell(f"reading {topic}")
        for partition in range(self._pages.partitions[topic]):
            await self._match(topic, partition, writers)

    async def _match(self, topic: str, partition: int, writers: Sequence[str]) -> None:
        begin, end = self._span(topic, partition)
        matchings = {
            service: Matching(service, self._published[service], None if begin else 0, self.report.findings)
            for service in writers
        }
        async for page in self._pages.read(topic, partition, begin, end):
            self.report.records[topic] += len(page)
            records = [seen(record) for record in page]
            by_writer: dict[str, list[Seen]] = defaultdict(list)
            for record in records:
                judge_record(record, self._pages.partitions[topic], self.report.findings)
                by_writer[record.source].append(record)
            for source, some in by_writer.items():
                await self._take(matchings.get(source), source, some)
        for service, matching in matchings.items():
            await self._finish(matching, self._shelves[service], topic, partition)

    async def _take(self, matching: Matching | None, source: str, records: Sequence[Seen]) -> None:
        if matching is None:
            for record in records:
                told = (
                    f"{record.place} says {record.type} {record.event_id} in the name of {source or 'nobody'}"
                )
                self.report.findings.add(FROM_OUTBOX, order_of(record.type, record.key), told)
            return
        shelf = self._shelves[matching.service]
        missing = len(records) - len(matching.expected)
        if missing > 0:
            matching.expect(await shelf.next(records[0].topic, records[0].partition, max(missing, PAGE)))
        known = {row.event_id: row for row in matching.expected}
        strange = [record for record in records if record.event_id not in known]
        if strange:
            known |= await shelf.find(strange)
        for record in records:
            matching.take(record, known)

    async def _finish(self, matching: Matching, shelf: "Facts", topic: str, partition: int) -> None:
        matching.give_up_expected()
        while rows := await shelf.next(topic, partition, PAGE):
            matching.expect(rows)
            matching.give_up_expected()
        matching.finish()
        self.report.facts += matching.matched
        self.report.repeated += matching.repeated
        self.report.expired += matching.expired
        self.report.unpublished += matching.unpublished

    async def _nothing_else(self, service: str) -> None:
        """Rows of the outbox for places that do not exist, or for another's topic."""
        for row in await self._shelves[service].others():
            place = f"{row.topic}/{row.partition}"
            told = f"{service} has said {row.type} {row.event_id} for {place}, which is not its own"
            self.report.findings.add(IN_TOPIC, order_of(row.type, row.key), told)

    async def _read_upstream(self, tell: Tell) -> None:
        tell(f"reading {UPSTREAM}")
        for partition in range(self._pages.partitions[UPSTREAM]):
            begin, end = self._span(UPSTREAM, partition)
            async for page in self._pages.read(UPSTREAM, partition, begin, end):
                self.report.records[UPSTREAM] += len(page)
                by_owner: dict[str, list[Inbound]] = defaultdict(list)
                for record in page:
                    judge_partition(seen(record), self._pages.partitions[UPSTREAM], self.report.findings)
                    event = inbound(record)
                    by_owner[event.owner].append(event)
                for owner, events in by_owner.items():
                    await self._judge_answers(owner, events)

    async def _judge_answers(self, owner: str, events: Sequence[Inbound]) -> None:
        place = next(
            p for p in self._handled[owner] if (p.topic, p.partition) == (UPSTREAM, events[0].partition)
        )
        due = [event for event in events if event.offset < self._handled[owner][place]]
        self.report.unread += len(events) - len(due)
        named = [event for event in due if event.content is not None]
        rows = await self._connections[owner].fetch(
            SQL.contents_of_events, [e.source for e in named], [e.event_id for e in named]
        )
        known = {(row["source"], row["event_id"]): row["content"] for row in rows}
        by_place = [e for e in due if e.content is None or known.get((e.source, e.event_id)) != e.content]
        letters = await self._letters_at(owner, by_place)
        for event in by_place:
            if event.offset not in letters:
                place = f"{UPSTREAM}/{event.partition}/{event.offset}"
                told = f"{place} ({event}) is handled by {owner} and not answered"
                self.report.findings.add(ANSWERED, event.key or None, told)
        self.report.answered += len(due)

    async def _letters_at(self, owner: str, events: Sequence[Inbound]) -> set[int]:
        if not events:
            return set()
        rows = await self._connections[owner].fetch(
            SQL.letters_at, [e.partition for e in events], [e.offset for e in events]
        )
        return {row["offset"] for row in rows}

    def _span(self, topic: str, partition: int) -> tuple[int, int]:
        place = next(p for p in self._ends if (p.topic, p.partition) == (topic, partition))
        begin: int = self._begins[place]
        if begin:
            self.report.deleted[f"{topic}/{partition}"] = begin
        return begin, self._ends[place]


class Facts:
    """The outbox of one service in the order of places, fetched as it is needed."""

    def __init__(self, connection: Any, cursor: Any) -> None:
        self._connection, self._cursor = connection, cursor
        self._rows: list[Said] = []
        self._at = 0
        self._others: list[Said] = []

    @classmethod
    async def open(cls, connection: Any) -> "Facts":
        """The connection must be in a transaction."""
        prepared = await connection.prepare(SQL.facts_by_place)
        return cls(connection, await prepared.cursor())

    async def next(self, topic: str, partition: int, most: int) -> list[Said]:
        """The next rows of this place, empty when there are no more; places must be asked for in order."""
        found: list[Said] = []
        while len(found) < most and (row := await self._peek()) is not None:
            place = (row.topic, row.partition)
            if place > (topic, partition):
                break
            self._at += 1
            if place == (topic, partition):
                found.append(row)
            elif len(self._others) < NAMED:
                self._others.append(row)
        return found

    async def find(self, records: Sequence[Seen]) -> dict[str, Said]:
        """The rows with the keys and ids of these records."""
        ids = []
        for record in records:
            with suppress(ValueError):
                ids.append(UUID(record.event_id))
        keys = list({record.key for record in records if record.key is not None})
        rows = await self._connection.fetch(SQL.facts_by_id, keys, ids)
        return {row["event_id"]: Said(*row) for row in rows}

    async def others(self) -> list[Said]:
        """Rows of places that nobody asked for, the rest of the outbox among them."""
        while (row := await self._peek()) is not None and len(self._others) < NAMED:
            self._at += 1
            self._others.append(row)
        return self._others

    async def _peek(self) -> Said | None:
        if self._at == len(self._rows):
            self._rows = [Said(*row) for row in await self._cursor.fetch(PAGE)]
            self._at = 0
        return self._rows[self._at] if self._rows else None
