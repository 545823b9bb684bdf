"""The FastStream side of the fold: batches in, explicit offset commits out.

Defaults that matter, said aloud: manual acknowledgement, our own parser (FastStream's decodes headers and
fails on one that is not UTF-8), only what producers have committed, offsets committed by partition after the
transaction, co-partitioned range assignment so that one partition consumer sees every topic of a key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage

from shared.clock import monotonic, now
from shared.crash_points import CrashPoint, OnCrashPoint, ignore_crash_point
from shared.events.envelope import TRACEPARENT, read_trace_context
from shared.kafka import COMMITTED_ONLY, METADATA_MILLISECONDS
from shared.runtime.offsets import Gap, HandledOffsets, Place, Stand
from shared.runtime.records import Record
from shared.runtime.retry import TRANSIENT, note_fault
from shared.runtime.signals import Metrics
from shared.runtime.tasks import end_all
from shared.runtime.troubles import Troubles
from shared.runtime.unpacking import Budget, budget_of_poll, read_within_bounds

COMMIT_EVERY_SECONDS = 1.0
# After a pause of this length the last batch is committed too: whoever asks how far a service is sees it.
PAUSE_SECONDS = 0.1
# Less than the group waits for its members when it is rebalanced, which is the session's timeout.
COMMIT_PATIENCE_SECONDS = 5.0
# A commit that was sent is not withdrawn when it times out: it may arrive after a later one and set the group
# back. So everything is committed once more this often, also when nothing is new.
REPEAT_COMMIT_SECONDS = 30.0
# A fetch that finds nothing is answered with the first record, or after this time.
FETCH_WAIT_MILLISECONDS = 500
# FastStream sleeps as long as its poll again, blind, after one that found nothing. So none ends: ten years.
POLL_MILLISECONDS = 10 * 365 * 86_400 * 1000
# A batch costs the same dozen round trips for one record or a thousand. So after a small one a consumer rests
# as long as it took, and what comes meanwhile is the next batch: the busier the machine, the larger. At most:
LONGEST_REST_SECONDS = 0.05
# From so many records on there is a backlog: no rest, the next fetch goes on meanwhile, and the partitions
# are handled in two shares at once, so that Postgres works on one while Python works on the other.
SHARE_FROM = 200
SHARES = 2
# What a broker may answer at once, and of each partition; its first batch comes whole, however large it is.
FETCH_BYTES = 16 * 1024 * 1024
FETCH_BYTES_OF_PARTITION = 2 * 1024 * 1024
SESSION_TIMEOUT_MILLISECONDS = 6_000
HEARTBEAT_MILLISECONDS = 1_000
LONGEST_PAUSE_MILLISECONDS = 3_600_000
KEEPING = "the account of what is handled"
# What OpenTelemetry keeps of the links of one span.
MOST_LINKS = 128

log = structlog.get_logger("pawl.consumer")


class PartitionConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer of the service's group: takes batches and commits how far it came."""

    def __init__(
        self,
        handle: Callable[[Sequence[Record]], Awaitable[None]],
        metrics: Metrics,
        give_up: Callable[[str], None],
        on_crash_point: OnCrashPoint = ignore_crash_point,
        offsets: HandledOffsets | None = None,
        troubles: Troubles | None = None,
    ) -> None:
        self._handle = handle
        self._offsets = offsets
        self._troubles = Troubles() if troubles is None else troubles
        # What comes next by this service's own account; None until that was compared with group and broker.
        self._expected: dict[Place, int] | None = None
        self._jumps: dict[Place, tuple[int, int]] = {}
        # How far partitions were seen to go. A topic that is created anew tells nothing of its predecessor.
        self._ends: dict[Place, int] = {}
        self._in_hand: dict[Place, int] = {}
        self._looked_at = 0.0
        self._metrics = metrics
        self._give_up = give_up
        self._on_crash_point = on_crash_point
        # How far it came since its partitions were assigned; None while they are being assigned anew.
        self._handled: dict[TopicPartition, int] | None = {}
        self._commits: set[asyncio.Task[None]] = set()
        self._assigned_at = 0.0
        self._is_ahead = False
        self._committed_at = 0.0
        self.subscriber: Any = None
        self._awaits_records = False
        # Why the last fetch failed, empty where it did not.
        self.trouble = ""
        # Where it began to read, of partitions of which it has handled nothing yet.
        self._begins: dict[TopicPartition, int] = {}
        self._has_taken = False
        # Topics that were created anew and are yet to be read from their beginning.
        self._anew: set[str] = set()
        self.busy_since: float | None = None
        self.progressed_at = monotonic()

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The Kafka client behind it, once it has started."""
        return self.subscriber.consumer if self.subscriber is not None else None

    async def take(self, records: Sequence[Record]) -> None:
        """Handles one polled batch; never returns before its effects are committed."""
        if len(records) >= SHARE_FROM:
            await self._take(records)
            return
        started = monotonic()
        self._stop_fetching()
        try:
            await self._take(records)
            await asyncio.sleep(rest_after(monotonic() - started))
        finally:
            self._go_on_fetching()

    async def _take(self, records: Sequence[Record]) -> None:
        handled = self._handled
        self.busy_since = monotonic()
        firsts = {(record.topic, record.partition): record.offset for record in reversed(records)}
        reached = {(record.topic, record.partition): record.offset + 1 for record in records}
        self._in_hand = reached
        is_first, self._has_taken = not self._has_taken, True
        if is_first:
            await self._note_begins(firsts)
        try:
            if len(records) < SHARE_FROM:
                await self._handle(records)
            else:
                await asyncio.gather(*map(self._handle, _shares(records)))
        except Exception as failure:
            log.exception("the fold failed in an unforeseen way; the process ends and starts again")
            self._give_up(f"{type(failure).__name__}: {failure}")
            raise
        self._observe(records)
        self._in_hand = {}
        if handled is None or handled is not self._handled:
            # Its partitions may have gone to others, who are further by now, and come back: what was done is
            # committed in Postgres, and how far the group came is not ours to say. The batch comes again.
            return
        self._note_jumps(firsts, reached)
        handled.update({TopicPartition(*place): offset for place, offset in reached.items()})
        self._is_ahead = True
        if monotonic() - self._committed_at >= COMMIT_EVERY_SECONDS:
            await self.commit()

    async def commit(self) -> None:
        """Commits how far every partition came. Failing is harmless: the records come again and are known."""
        consumer = self.consumer
        if consumer is None or not self._handled or not (self._is_ahead or self._is_to_repeat()):
            return
        owned = consumer.assignment()
        # One partition that went elsewhere while a batch was handled would refuse the commit of all.
        reached = {place: offset for place, offset in self._handled.items() if place in owned}
        if not reached:
            return
        self._is_ahead, self._committed_at = False, monotonic()
        self._on_crash_point(CrashPoint.BEFORE_OFFSET_COMMIT)
        trouble = await self._keep(consumer, reached) or await self._commit(consumer, reached)
        if trouble:
            self._is_ahead = True
            log.info("offsets not committed", trouble=trouble[:200])
        self._on_crash_point(CrashPoint.AFTER_OFFSET_COMMIT)

    async def _keep(self, consumer: AIOKafkaConsumer, reached: dict[TopicPartition, int]) -> str:
        """Keeps in the schema how far it came, before the group is told; what kept it from that."""
        if self._offsets is None:
            return ""
        try:
            async with asyncio.timeout(COMMIT_PATIENCE_SECONDS):
                await self._compare(consumer, self._offsets)
                jumps = dict(self._jumps)
                gaps = await _deleted(consumer, jumps)
                await self._offsets.keep({(p.topic, p.partition): o for p, o in reached.items()}, gaps)
        except TRANSIENT as trouble:
            note_fault(self._troubles, KEEPING, trouble)
            return f"{type(trouble).__name__}: {trouble}"
        self._troubles.over(KEEPING)
        for place, jump in jumps.items():
            if self._jumps.get(place) == jump:
                del self._jumps[place]
        return ""

    async def _compare(self, consumer: AIOKafkaConsumer, offsets: HandledOffsets) -> None:
        """Compares, once for each assignment, what was handled with the group and with what the broker has.

        Before the first commit of this assignment, so that the group still stands where it was read from.
        """
        if self._expected is not None:
            return
        handled = self._handled
        places = sorted(consumer.assignment())
        if not places or handled is None:
            return
        committed = await asyncio.gather(*(consumer.committed(place) for place in places))
        firsts = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        stands = {
            (place.topic, place.partition): Stand(None, known, firsts[place], ends[place])
            for place, known in zip(places, committed, strict=True)
        }
        expected = await offsets.begin(stands)
        if handled is not self._handled:
            return
        for reached_place, offset in handled.items():
            place = (reached_place.topic, reached_place.partition)
            expected[place] = max(expected.get(place, 0), offset)
        self._expected = expected

    def _note_jumps(self, firsts: dict[Place, int], reached: dict[Place, int]) -> None:
        """Notes where it goes on behind what it expected: marks of transactions, or deleted records."""
        if self._expected is None:
            return
        for place, first in firsts.items():
            expected = self._expected.get(place)
            if expected is not None and first > expected:
                known = self._jumps.get(place)
                self._jumps[place] = (known[0] if known else expected, first)
            self._expected[place] = max(expected or 0, reached[place])

    async def _commit(self, consumer: AIOKafkaConsumer, reached: dict[TopicPartition, int]) -> str:
        """Tries for a while; what kept it from arriving, or nothing. In its own task, to be withdrawn."""
        commit = asyncio.create_task(consumer.commit(reached), name="offset_commit")
        self._commits.add(commit)
        try:
            await asyncio.wait({commit}, timeout=COMMIT_PATIENCE_SECONDS)
        finally:
            await end_all([commit])
            self._commits.discard(commit)
        if commit.cancelled():
            return "no answer in time, or partitions were revoked"
        failure = commit.exception()
        if failure is None:
            return ""
        if isinstance(failure, KafkaError):
            return f"{type(failure).__name__}: {failure}"
        raise failure

    async def commit_forever(self) -> None:
        """Commits what the last batch before a pause left over."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self._note_begins()
            self._note_ends()
            if self.busy_since is None and self._pauses():
                await self._look()
                await self._pass_markers()
                await self.commit()

    async def _look(self) -> None:
        """Compares a new assignment also while no record comes: perhaps all of them were deleted."""
        consumer, offsets = self.consumer, self._offsets
        if consumer is None or offsets is None or self._expected is not None:
            return
        if monotonic() - self._looked_at < COMMIT_EVERY_SECONDS:
            return
        self._looked_at = monotonic()
        try:
            async with asyncio.timeout(COMMIT_PATIENCE_SECONDS):
                await self._compare(consumer, offsets)
            self._troubles.over(KEEPING)
        except (*TRANSIENT, IllegalStateError) as trouble:
            note_fault(self._troubles, KEEPING, trouble)
            log.info("offsets not compared", trouble=f"{type(trouble).__name__}: {trouble}"[:200])

    async def _note_begins(self, firsts: Mapping[Place, int] | None = None) -> None:
        """Takes note of where it begins to read, so that what waits is known before anything is handled.

        `firsts` are the first records of the first batch. A position counts what is in hand, so after that
        batch none says where it began. A partition that was not answered yet comes later.
        """
        consumer = self.consumer
        if consumer is None or self._handled is None or (self._has_taken and firsts is None):
            return
        begins = self._begins
        for place in consumer.assignment() - begins.keys():
            if firsts is not None and (first := firsts.get((place.topic, place.partition))) is not None:
                begins[place] = first
                continue
            if not _was_fetched(consumer, place):
                continue
            try:
                position = await consumer.position(place)
            except (IllegalStateError, KafkaError):
                return
            if firsts is not None or not self._has_taken:
                begins.setdefault(place, position)

    def _note_ends(self) -> None:
        """Takes note of how far partitions go, as far as the last fetch knows."""
        if (consumer := self.consumer) is None:
            return
        for place in consumer.assignment():
            if end := consumer.last_stable_offset(place):
                named = (place.topic, place.partition)
                self._ends[named] = max(self._ends.get(named, 0), end)

    async def _pass_markers(self) -> None:
        """Takes note of how far it read where no record came: marks of transactions, and what they aborted.

        The client passes them by without a word. Nobody else would ever commit beyond them, and a partition
        that ends with one would look unread for ever.
        """
        consumer, handled = self.consumer, self._handled
        if consumer is None or handled is None or not self._has_handled_all():
            return
        for place in consumer.assignment():
            if not _was_fetched(consumer, place):
                continue
            try:
                position = await consumer.position(place)
            except (IllegalStateError, KafkaError):
                return
            # The position counts what was given out and is yet to be handled. There is nothing of that while
            # the next batch is waited for, and nothing can happen between the last line and these.
            if not self._has_handled_all() or handled is not self._handled:
                return
            if position > handled.get(place, 0):
                self._note_jumps(
                    {(place.topic, place.partition): position}, {(place.topic, place.partition): position}
                )
                handled[place] = position
                self._is_ahead = True

    def _has_handled_all(self) -> bool:
        """Whether it waits for the next batch: then every record that it was ever given is handled."""
        return self._awaits_records

    async def await_records(self, fetch: Callable[[], Awaitable[Any]]) -> Any:
        """The next batch as `fetch` gives it: of so many bytes that memory is bounded."""
        self._awaits_records = True
        budget_of_poll.set(Budget())
        try:
            batch = await fetch()
        except Exception as failure:
            self.trouble = f"{type(failure).__name__}: {failure}".splitlines()[0][:200]
            raise
        finally:
            self._awaits_records = False
        self.trouble = ""
        return batch

    def _pauses(self) -> bool:
        """Whether no batch came for a while; after a commit, which may have failed, a while is longer."""
        if self.progressed_at > self._committed_at:
            return monotonic() - self.progressed_at >= PAUSE_SECONDS
        return monotonic() - self._committed_at >= COMMIT_EVERY_SECONDS

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Commits how far this consumer came before somebody else goes on, and then nothing more.

        The client is in the next generation a moment before it knows its partitions, and a commit that meets
        an error it tries again, in whatever generation it is by then. The broker would take either, and set
        the group back behind those who went on: nobody reads again what lies between, but it looks unread.
        """
        await self.commit()
        self._handled = None
        self._expected, self._jumps = None, {}
        self._troubles.over(KEEPING)
        await end_all(self._commits)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Starts anew: it reads on from where the group stands, since others may have gone on.

        What the group never heard of comes again, also the batch that is in hand now.
        """
        self._start_over()
        self._assigned_at = monotonic()
        await self._read_anew()

    async def begin_anew(self, topics: Collection[str]) -> None:
        """Reads these topics from their beginning: they are others of the same name by now.

        What the group and this consumer know of their offsets belongs to the topics of before. What was still
        to be read of those is a gap.
        """
        await self._keep_unread(topics)
        self._anew.update(topics)
        if self._handled is not None:  # otherwise its partitions are on their way
            await self._read_anew()

    async def _keep_unread(self, topics: Collection[str]) -> None:
        """Keeps as gaps what these topics had and nobody handled, as far as it was ever seen."""
        begins = {**self._begins, **(self._handled or {})}
        known = {(place.topic, place.partition): offset for place, offset in begins.items()}
        known.update(self._expected or {})
        known.update(self._in_hand)
        unread = [
            (place, Gap(known[place], end, "deleted"))
            for place, end in self._ends.items()
            if place[0] in topics and place in known and known[place] < end
        ]
        self._ends = {place: end for place, end in self._ends.items() if place[0] not in topics}
        if self._offsets is not None and unread:
            await self._offsets.keep({}, unread)

    async def _read_anew(self) -> None:
        consumer = self.consumer
        places = [p for p in consumer.assignment() if p.topic in self._anew] if consumer is not None else []
        if consumer is None or not places:
            return
        await end_all(self._commits)
        self._start_over()
        for place in places:
            consumer.seek(place, 0)
        self._anew.difference_update(place.topic for place in places)
        trouble = await self._commit(consumer, dict.fromkeys(places, 0))
        log.warning("topics are read from their beginning", partitions=len(places), trouble=trouble[:200])

    def _start_over(self) -> None:
        """Forgets how far it came, also with the batch that is in hand: Postgres has what was done."""
        self._handled = {}
        self._expected, self._jumps = None, {}
        self._begins, self._has_taken = {}, False

    def lag(self) -> int:
        """Records that wait: from where it came, or began, to the end, as far as the last fetch knows.

        What a transaction that is still open holds back does not wait yet.
        """
        consumer = self.consumer
        if consumer is None:
            return 0
        owned = consumer.assignment()
        return sum(
            max(0, (consumer.last_stable_offset(place) or 0) - offset)
            for place, offset in {**self._begins, **(self._handled or {})}.items()
            if place in owned
        )

    def answered_at(self) -> float | None:
        """When the broker last answered a fetch, by the monotonic clock; None while nothing is assigned.

        A consumer that is not busy asks all the time, so an old answer means a broker that is away, or a
        client that has died without a word.
        """
        consumer = self.consumer
        owned = consumer.assignment() if consumer is not None else frozenset()
        if consumer is None or not owned:
            return None
        answered = max(consumer.last_poll_timestamp(place) or 0 for place in owned)
        return max(self._assigned_at, monotonic() - (now().timestamp() - answered / 1000))

    def _stop_fetching(self) -> None:
        """A fetch sent now would be answered with the first record that comes, and the rest stay behind."""
        if (consumer := self.consumer) is not None:
            consumer.pause(*consumer.assignment())

    def _go_on_fetching(self) -> None:
        if (consumer := self.consumer) is not None:
            consumer.resume(*consumer.assignment())

    def _is_to_repeat(self) -> bool:
        return monotonic() - self._committed_at >= REPEAT_COMMIT_SECONDS

    def _observe(self, records: Sequence[Record]) -> None:
        started = self.busy_since or monotonic()
        self.progressed_at = monotonic()
        self.busy_since = None
        self._metrics.batch_size.observe(len(records))
        self._metrics.batch_seconds.observe(self.progressed_at - started)
        written = [
            at for record in records if (at := getattr(record, "timestamp", 0)) is not None and at >= 0
        ]
        if not written:
            return  # a batch without any time
        age = max(0.0, now().timestamp() - min(written) / 1000)
        self._metrics.hop_seconds.observe(age)
        self._metrics.lag_seconds.set(age)


def _was_fetched(consumer: AIOKafkaConsumer, place: TopicPartition) -> bool:
    """Whether it is still its partition, and was answered: before that its position may be long in coming."""
    return place in consumer.assignment() and consumer.last_stable_offset(place) is not None


async def _deleted(
    consumer: AIOKafkaConsumer, jumps: dict[Place, tuple[int, int]]
) -> list[tuple[Place, Gap]]:
    """The gaps among jumps: where the broker has no more what was expected."""
    if not jumps:
        return []
    firsts = await consumer.beginning_offsets([TopicPartition(*place) for place in jumps])
    return [
        (place, Gap(expected, min(found, firsts[TopicPartition(*place)]), "deleted"))
        for place, (expected, found) in jumps.items()
        if firsts[TopicPartition(*place)] > expected
    ]


def rest_after(busy_seconds: float) -> float:
    """How many seconds a partition consumer rests after a small batch that took `busy_seconds`."""
    return min(busy_seconds, LONGEST_REST_SECONDS)


def _shares(records: Sequence[Record]) -> list[Sequence[Record]]:
    """The records in shares that have no key in common, each in the order of the batch.

    A key lives in the same partition number of every topic, so the number says which share it belongs to.
    """
    shares = ([r for r in records if r.partition % SHARES == number] for number in range(SHARES))
    return [share for share in shares if share]


def new_broker(servers: str, grace_seconds: float, **connection: Any) -> KafkaBroker:
    """The FastStream broker that partition consumers subscribe with; `connection` is handed on to it.

    `servers` is host:port[,host:port], which FastStream would take for one server. Without its injection,
    which goes through a thread for every batch.
    """
    places = [place.strip() for place in servers.split(",")]
    return KafkaBroker(
        places,
        graceful_timeout=grace_seconds,
        metadata_max_age_ms=METADATA_MILLISECONDS,
        logger=None,
        apply_types=False,
        **connection,
    )


def subscribe(
    broker: KafkaBroker,
    partition_consumer: PartitionConsumer,
    *,
    topics: Sequence[str],
    group: str,
    max_records: int,
    traced: bool = False,
) -> None:
    """Adds a partition consumer to a broker of `new_broker`: batches, manual acknowledgement, raw bytes.

    `traced`: the span of a batch links to the trace contexts of its records.
    """
    read_within_bounds()
    subscriber: Any = broker.subscriber(
        *topics,
        group_id=group,
        batch=True,
        max_records=max_records,
        batch_timeout_ms=POLL_MILLISECONDS,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        isolation_level=COMMITTED_ONLY,
        partition_assignment_strategy=(RangePartitionAssignor,),
        max_poll_interval_ms=LONGEST_PAUSE_MILLISECONDS,
        fetch_min_bytes=1,
        fetch_max_wait_ms=FETCH_WAIT_MILLISECONDS,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=FETCH_BYTES_OF_PARTITION,
        session_timeout_ms=SESSION_TIMEOUT_MILLISECONDS,
        heartbeat_interval_ms=HEARTBEAT_MILLISECONDS,
        listener=partition_consumer,
        parser=_parse_traced if traced else _parse,
        decoder=_decode,
        include_in_schema=False,
    )
    partition_consumer.subscriber = subscriber
    get_msg = subscriber.get_msg

    async def next_batch(consumer: AIOKafkaConsumer) -> Any:
        return await partition_consumer.await_records(lambda: get_msg(consumer))

    subscriber.get_msg = next_batch

    async def take(records: Any) -> None:
        await partition_consumer.take(records)

    subscriber(take)


async def _parse(records: Any, original: Any = None) -> KafkaMessage:
    return _message_of(records)


async def _parse_traced(records: Any, original: Any = None) -> KafkaMessage:
    return _message_of(records, links_of(records))


def _message_of(records: Any, batch_headers: list[dict[str, str]] | None = None) -> KafkaMessage:
    first = records[0]
    return KafkaMessage(
        body=[record.value or b"" for record in records],
        raw_message=records,
        batch_headers=batch_headers,
        message_id=f"{first.topic}/{first.partition}/{first.offset}",
        consumer=FAKE_CONSUMER,
    )


def links_of(records: Iterable[Record]) -> list[dict[str, str]]:
    """The trace contexts of a batch, as FastStream takes them for the links of its span.

    It links once for each `correlation_id`, so that is the trace context too.
    """
    links: dict[str, dict[str, str]] = {}
    for record in records:
        if len(links) == MOST_LINKS:
            break
        if (context := read_trace_context(record.headers)) is not None:
            links[context] = {TRACEPARENT: context, "correlation_id": context}
    return list(links.values())


async def _decode(message: KafkaMessage) -> Any:
    """The records themselves.

    FastStream keeps what this returns in the message; the message itself would hold its batch until the
    garbage collector comes.
    """
    return message.raw_message
