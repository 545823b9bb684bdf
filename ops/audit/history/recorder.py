"""Records what an outside client can see: every topic, as lines of a history."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.audit.books import SQL
from ops.audit.history.entries import (
    CASE_DECIDED,
    CHECKOUT,
    ENDED,
    KEPT,
    OPERATOR,
    RECORDER,
    REPLAYED,
    REQUEST_CANCELLED,
    SINCE,
    Entry,
)
from ops.audit.inbound import inbound
from ops.audit.pipeline import Pipeline, open_pipeline
from ops.shell.databases import Urls, connected
from shared.brokers import Brokers
from shared.clock import monotonic, now
from shared.events.canonical import content_hash
from shared.events.catalogue import FEEDBACK, TOPICS, TYPES, UPSTREAM, service_of
from shared.events.envelope import read_envelope
from shared.events.faults import Fault
from shared.kafka import COMMITTED_ONLY, partition_counts
from shared.pointers import ABSENT, NoSuchPlace, with_value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_RECORDS = 5_000
SENT_RIGHT = "edited"
"""How the place of an event ends that an operator sent in the place of a refused record."""


class Recorded(NamedTuple):
    """What a recording came to."""

    entries: int
    quiet: bool


async def record(bootstrap: str, urls: Urls | None, file: BinaryIO, seconds: float = 0.0) -> Recorded:
    """Writes the history of everything in the topics, and of what arrives in the next `seconds`.

    With `urls` it can tell at its end whether anything is on its way, which dead letters an operator has
    replayed or sent right, and what operators decided over HTTP. Raises Problem when the system does not
    answer.
    """
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(open_pipeline(urls, bootstrap)) if urls else None
        recorder = await stack.enter_async_context(_recorder(bootstrap, file))
        await recorder.listen(seconds)
        quiet = await recorder.until_quiet(pipeline)
        ended: dict[str, Any] = {"quiet": quiet}
        if urls:
            ended |= await recorder.note_operators(urls)
        recorder.write([Entry(now(), RECORDER, "info", ENDED, data=ended)])
        return Recorded(recorder.entries, quiet)


class Recorder:
    """Follows all topics from their first records."""

    def __init__(self, consumer: AIOKafkaConsumer, file: BinaryIO) -> None:
        self._consumer, self._file = consumer, file
        self.entries = 0

    async def listen(self, seconds: float) -> None:
        """Reads for this long, and at least up to where the topics end now."""
        deadline = monotonic() + seconds
        ends = await self._ends()
        while not await self._past(ends) or monotonic() < deadline:
            await self._read()

    async def until_quiet(self, pipeline: Pipeline | None) -> bool:
        """Whether nothing is on its way and every published event is recorded."""
        if pipeline is None or not await pipeline.idle():
            return False
        ends = await self._ends()
        while not await self._past(ends):
            await self._read()
        return await pipeline.idle() and await self._ends() == ends

    async def note_operators(self, urls: Urls) -> dict[str, str]:
        """Writes what operators replayed, sent right and decided over HTTP; what else the tables know.

        It explains second answers, and events that nobody of checkout sent.
        """
        async with connected(urls) as connections:
            for connection in connections.values():
                for row in await connection.fetch(SQL.replayed_letters):
                    key, id_, source = row["key"] or "", row["event_id"] or "", row["source"] or ""
                    entry = Entry(row["replayed_at"], OPERATOR, "info", REPLAYED, key, id=id_, source=source)
                    self.write([entry])
                for row in await connection.fetch(SQL.edited_letters):
                    refused = await self._record_at(row["topic"], row["partition"], row["offset"])
                    self.write([] if refused is None else [sent_right(row, refused)])
                self.write([command_of(row) for row in await connection.fetch(SQL.commands_with_events)])
            since: datetime | None = await connections["invoices"].fetchval(SQL.issued_by_clock_since)
        return {SINCE: (since or EPOCH).isoformat()}

    async def _record_at(self, topic: str, partition: int, offset: int) -> Any:
        """One record, None where the topic does not hold it any more. Nothing is read in order after this."""
        place = TopicPartition(topic, partition)
        if offset < (await self._consumer.beginning_offsets([place]))[place]:
            return None
        self._consumer.seek(place, offset)
        batches = await self._consumer.getmany(place, timeout_ms=5_000, max_records=1)
        return next((record for record in batches.get(place, ()) if record.offset == offset), None)

    def write(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._file.write(entry.to_line())
            self.entries += 1

    async def _read(self) -> None:
        batches = await self._consumer.getmany(timeout_ms=200, max_records=MOST_RECORDS)
        entries = [e for records in batches.values() for record in records for e in entries_of(record)]
        entries.sort(key=lambda entry: entry.time)
        await asyncio.to_thread(self.write, entries)

    async def _ends(self) -> dict[Any, int]:
        return dict(await self._consumer.end_offsets(self._consumer.assignment()))

    async def _past(self, ends: Mapping[Any, int]) -> bool:
        return all([await self._consumer.position(place) >= end for place, end in ends.items()])


@asynccontextmanager
async def _recorder(where: str, file: BinaryIO) -> AsyncIterator[Recorder]:
    brokers = Brokers.at(where)
    counts = await partition_counts(brokers, TOPICS)
    consumer = AIOKafkaConsumer(
        **brokers.client(),
        client_id="pawl-recorder",
        enable_auto_commit=False,
        isolation_level=COMMITTED_ONLY,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, p) for topic, count in counts.items() for p in range(count)])
        await consumer.seek_to_beginning()
        yield Recorder(consumer, file)
    finally:
        await consumer.stop()


def entries_of(record: Any) -> Iterator[Entry]:
    """The line of a record; none for a record of a service that cannot be read."""
    time = EPOCH + timedelta(milliseconds=record.timestamp)
    if record.topic == UPSTREAM:
        yield _request(record, time)
        return
    try:
        event = read_envelope(record.headers, record.value, 4_000_000)
        data = orjson.loads(event.body)
    except (Fault, orjson.JSONDecodeError):
        return
    key = (record.key or b"").decode("utf-8", "replace")
    process = service_of(event.source)
    if record.topic == FEEDBACK:
        yield _answer(data, event.id, process, key, time)
        return
    yield Entry(
        time,
        process,
        "info",
        event.type,
        key,
        data.get("order_id"),
        id=event.id,
        source=event.source,
        cause=event.causation or "",
        subject=event.subject or "",
        sequence=event.sequence,
        data=kept(event.type, data),
    )


def command_of(row: Mapping[str, Any]) -> Entry:
    """The line of a command of an operator, by its row in the audit log and the key of its events."""
    before, after = (orjson.loads(row[name] or "{}") for name in ("before", "after"))
    data = {}
    if row["action"] == CASE_DECIDED:
        data = {"payment_id": row["target"].removeprefix(f"{row['key']} "), "decision": after["ruling"]}
    elif row["action"] == REQUEST_CANCELLED:
        data = {"event_id": before["event_id"]}
    elif "approved" in after:
        data = {"amount": after["approved"]}
    return Entry(
        row["recorded_at"], OPERATOR, "info", row["action"], row["key"], id=str(row["id"]), data=data
    )


def sent_right(row: Mapping[str, Any], refused: Any) -> Entry:
    """The line of an event that an operator made of a refused record; the audit log has the changes."""
    event, before, after = orjson.loads(row["after"])["event"], _values(row["before"]), _values(row["after"])
    document = _changed(inbound(refused).body, before, after)
    kind = TYPES.get(event["type"])
    return Entry(
        row["closed_at"],
        OPERATOR,
        "invoke",
        event["type"],
        event["key"],
        event["key"] if kind is None or kind.key_field == "order_id" else None,
        id=event["id"],
        source=event["source"],
        at=f"{row['topic']}/{row['partition']}/{row['offset']}/{SENT_RIGHT}",
        content=content_hash(event["type"], orjson.dumps(document)).hex(),
        data=kept(event["type"], document),
    )


def _values(document: str) -> dict[str, Any]:
    values: dict[str, Any] = orjson.loads(document)["data"]
    return values


def _changed(body: bytes, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The data as it was sent; empty where the record and the audit log do not fit each other."""
    try:
        document = {} if "" in after else orjson.loads(body)
        for pointer in before.keys() - after.keys():
            document = with_value(document, pointer, ABSENT)
        for pointer, value in after.items():
            document = with_value(document, pointer, value)
    except (orjson.JSONDecodeError, NoSuchPlace):
        document = {}
    return document if isinstance(document, dict) else {}


def _request(record: Any, time: datetime) -> Entry:
    event = inbound(record)
    key = event.key or ""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    kind = TYPES.get(event.type)
    about_order = key if kind is None or kind.key_field == "order_id" else None
    data: dict[str, Any] = {}
    try:
        body = orjson.loads(read_envelope(record.headers, record.value).body)
        data = kept(event.type, body) if isinstance(body, dict) else {}
    except (Fault, orjson.JSONDecodeError):
        data = {}
    return Entry(
        time,
        CHECKOUT,
        "invoke",
        event.type or "unreadable",
        key,
        about_order or None,
        id=event.event_id,
        source=event.source,
        at=place,
        content=event.content.hex() if event.content else "",
        data=data,
    )


def _answer(data: Mapping[str, Any], id_: str, process: str, key: str, time: datetime) -> Entry:
    event, position = data.get("event") or {}, data["position"]
    return Entry(
        time,
        process,
        "ok" if data["outcome"] == "accepted" else "fail",
        event.get("type") or "unreadable",
        key,
        (data.get("order_id") or None) if "partner_id" not in data else None,
        id=event.get("id") or "",
        source=event.get("source") or "",
        at=f"{position['topic']}/{position['partition']}/{position['offset']}",
        answer=id_,
        code=data.get("code") or "",
    )


def kept(type_name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a document that the model needs, and nothing that is secret or personal."""
    found = {name: data[name] for name in KEPT if name in data}
    if isinstance(found.get("partner"), dict):
        found["partner"] = {"partner_id": found["partner"].get("partner_id")}
    for items in ("lines", "grants"):
        if isinstance(found.get(items), list):
            found[items] = [_line(line) for line in found[items] if isinstance(line, dict)]
    return found


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    names = ("grant_id", "line_id", "kind", "unit_price", "quantity", "discount", "left", "consumed")
    return {name: line[name] for name in names if name in line}
