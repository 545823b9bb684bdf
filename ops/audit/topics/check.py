"""Compares what the services committed with what the topics hold, and with the answers to checkout.

It reads everything once: each outbox with one cursor in the order of places, each partition from its first
record, both a page at a time, so memory does not grow with the number of events. The order of reading makes
the comparison exact while work goes on: first how far the relays and the readers are, then where the topics
end, then one snapshot of the tables. What was published before must be in a topic, what is in a topic must be
in the snapshot, and what was handled must be answered.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from ops.audit.books import SQL
from ops.audit.inbound import Inbound, inbound
from ops.audit.topics.consequences import CONSEQUENCES, arguments_of, columns
from ops.audit.topics.matching import Matching
from ops.audit.topics.outbox import OutboxCursor
from ops.audit.topics.pages import PAGE, Pages, open_pages, topic_record
from ops.audit.topics.report import TopicReport
from ops.audit.topics.rules import (
    ANSWERED,
    FROM_OUTBOX,
    IN_SCHEMA,
    IN_TOPIC,
    NAMED,
    READ,
    TopicRecord,
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


async def audit_topics(where: Where, kafka: str = "", tell: Tell = tell_nobody) -> TopicReport:
    """Checks the topics against the four schemas. `where` is as for `audit`. Raises Problem."""
    urls = urls_of(where)
    bootstrap = kafka or (where.require_kafka() if isinstance(where, System) else "")
    if not bootstrap:
        raise Problem("The topics need a broker.", "Name it with --kafka HOST:PORT.")
    relays, handled = await _how_far(urls, bootstrap)
    async with open_pages(bootstrap) as pages:
        begins, ends = await pages.offsets(list(TOPICS))
        async with one_moment(urls) as (connections, _):
            audit = TopicAudit(pages, connections, relays, handled, begins, ends)
            await audit.run(tell)
            return audit.report


class Relayed(NamedTuple):
    """How far a relay has published, as an outbox id, and the ids of what it has set aside before that."""

    published: int
    unsent: frozenset[int]


async def _how_far(urls: Urls, bootstrap: str) -> tuple[dict[str, Relayed], dict[str, dict[Any, int]]]:
    """How far each relay is, and the offsets that each service has committed."""
    async with connected(urls) as connections:
        rows = {name: await c.fetchrow(SQL.published_but_for) for name, c in connections.items()}
    relays = {name: Relayed(row["published"], frozenset(row["unsent"])) for name, row in rows.items()}
    async with reading_topics(bootstrap) as topics:
        return relays, await topics.committed()


class TopicAudit:
    """One reading of all topics beside one snapshot of the schemas."""

    def __init__(
        self,
        pages: Pages,
        connections: Connections,
        relays: dict[str, Relayed],
        handled: dict[str, dict[Any, int]],
        begins: dict[Any, int],
        ends: dict[Any, int],
    ) -> None:
        self.report = TopicReport()
        self._pages, self._connections = pages, connections
        self._relays, self._handled = relays, handled
        self._begins, self._ends = begins, ends
        self._outboxes: dict[str, OutboxCursor] = {}
        # How many partitions each topic has, and had by what the services have seen.
        self._counts = {topic: [count] for topic, count in pages.partitions.items()}

    async def run(self, tell: Tell) -> None:
        """Reads everything; `report` then has the result."""
        await self._judge_schemas()
        await self._judge_offsets()
        await self._learn_counts()
        for service in SERVICES:
            self._outboxes[service] = await OutboxCursor.open(self._connections[service])
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

    async def _judge_offsets(self) -> None:
        """Where a group stands, or the broker begins, behind what the service itself has handled.

        The groups were asked before the tables, and a service says in its tables first how far it is.
        """
        for service in SERVICES:
            for row in await self._connections[service].fetch(SQL.handled_offsets):
                place = next(
                    (p for p in self._handled[service] if tuple(p) == (row["topic"], row["partition"])),
                    None,
                )
                stands = self._handled[service][place] if place is not None else 0
                if stands > row["next_offset"]:
                    where = f"{row['topic']}/{row['partition']}"
                    detail = f"{service} has read {where} up to {row['next_offset']}, and goes on at {stands}"
                    self.report.findings.add(READ, None, detail)

    async def _learn_counts(self) -> None:
        for service in SERVICES:
            for row in await self._connections[service].fetch(SQL.partition_counts):
                self._counts.setdefault(row["topic"], []).append(row["partitions"])

    async def _read_topic(self, topic: str, writers: Sequence[str], tell: Tell) -> None:
        tell(f"reading {topic}")
        for partition in range(self._pages.partitions[topic]):
            await self._match(topic, partition, writers)

    async def _match(self, topic: str, partition: int, writers: Sequence[str]) -> None:
        begin, end = self._span(topic, partition)
        matchings = {
            service: Matching(
                service,
                self._relays[service].published,
                None if begin else 0,
                self.report.findings,
                self._relays[service].unsent,
            )
            for service in writers
        }
        async for page in self._pages.read(topic, partition, begin, end):
            self.report.records[topic] += len(page)
            records = [topic_record(record) for record in page]
            by_writer: dict[str, list[TopicRecord]] = defaultdict(list)
            for record in records:
                judge_record(record, self._counts[topic], self.report.findings)
                by_writer[record.source].append(record)
            for source, some in by_writer.items():
                await self._take(matchings.get(source), source, some)
        for service, matching in matchings.items():
            await self._finish(matching, self._outboxes[service], topic, partition)

    async def _take(self, matching: Matching | None, source: str, records: Sequence[TopicRecord]) -> None:
        if matching is None:
            for record in records:
                what = f"{record.place} holds {record.type} {record.event_id}"
                detail = f"{what} in the name of {source or 'nobody'}"
                self.report.findings.add(FROM_OUTBOX, order_of(record.type, record.key), detail)
            return
        outbox = self._outboxes[matching.service]
        missing = len(records) - len(matching.expected)
        if missing > 0:
            matching.expect(await outbox.next(records[0].topic, records[0].partition, max(missing, PAGE)))
        known = {row.event_id: row for row in matching.expected}
        strange = [record for record in records if record.event_id not in known]
        if strange:
            known |= await outbox.find(strange)
        for record in records:
            matching.take(record, known)

    async def _finish(self, matching: Matching, outbox: OutboxCursor, topic: str, partition: int) -> None:
        matching.give_up_expected()
        while rows := await outbox.next(topic, partition, PAGE):
            matching.expect(rows)
            matching.give_up_expected()
        matching.finish()
        self.report.matched += matching.matched
        self.report.repeated += matching.repeated
        self.report.expired += matching.expired
        self.report.unpublished += matching.unpublished

    async def _nothing_else(self, service: str) -> None:
        """Rows of the outbox for places that do not exist, or for another's topic."""
        for row in await self._outboxes[service].others():
            place = f"{row.topic}/{row.partition}"
            detail = (
                f"the outbox of {service} holds {row.type} {row.event_id} for {place}, which is not its own"
            )
            self.report.findings.add(IN_TOPIC, order_of(row.type, row.key), detail)

    async def _read_upstream(self, tell: Tell) -> None:
        tell(f"reading {UPSTREAM}")
        for partition in range(self._pages.partitions[UPSTREAM]):
            begin, end = self._span(UPSTREAM, partition)
            async for page in self._pages.read(UPSTREAM, partition, begin, end):
                self.report.records[UPSTREAM] += len(page)
                by_owner: dict[str, list[Inbound]] = defaultdict(list)
                for record in page:
                    judge_partition(topic_record(record), self._counts[UPSTREAM], self.report.findings)
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
                detail = f"{owner} has handled {place} ({event}) and not answered it"
                self.report.findings.add(ANSWERED, event.key or None, detail)
        self.report.answered += len(due)
        by_identity = [e for e in named if known.get((e.source, e.event_id)) == e.content]
        await self._judge_consequences(owner, by_identity)

    async def _judge_consequences(self, owner: str, events: Sequence[Inbound]) -> None:
        """Accepted events that led to nothing. What is missing may be refused, or wait with its key."""
        asked: dict[str, list[tuple[Inbound, tuple[Any, ...]]]] = defaultdict(list)
        for event in events:
            arguments = arguments_of(event)
            if arguments is not None:
                asked[CONSEQUENCES[event.type].query].append((event, arguments))
        missing: list[Inbound] = []
        for query, pairs in asked.items():
            given = columns([arguments for _, arguments in pairs])
            rows = await self._connections[owner].fetch(getattr(SQL, query), *given)
            missing += [pairs[row["number"] - 1][0] for row in rows]
        for event in await self._accepted(owner, missing):
            consequence = CONSEQUENCES[event.type]
            place = f"{UPSTREAM}/{event.partition}/{event.offset}"
            detail = f"{place} ({event}) was accepted, and {consequence.detail}"
            self.report.findings.add(consequence.rule, order_of(event.type, event.key), detail)

    async def _accepted(self, owner: str, events: Sequence[Inbound]) -> list[Inbound]:
        """Those of these events that were neither refused nor wait."""
        if not events:
            return []
        connection = self._connections[owner]
        refused = await connection.fetch(
            SQL.refused_events, [e.source for e in events], [e.event_id for e in events]
        )
        waiting = await connection.fetch(SQL.keys_that_wait, [e.key or "" for e in events])
        gone = {(row["source"], row["event_id"]) for row in refused}
        keys = {row["key"] for row in waiting}
        return [e for e in events if (e.source, e.event_id) not in gone and (e.key or "") not in keys]

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
