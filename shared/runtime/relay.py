"""The relay: outbox -> Kafka, in order, one leader per service.

The leader reads forward from the published mark, keeps a batch of each partition in flight and moves the mark
only over what the broker acknowledged. A send whose fate is unknown is repeated with a new producer: the log
may then read A, B, A, B, and every reader drops what it knows by `ce_sequence` or event id. What was
acknowledged is not sent again. An event that the broker refuses for good is set aside with what follows for
its key, tried again from time to time, and holds up nothing else (docs/decisions/0032).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import takewhile
from typing import Any

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from shared.clock import monotonic
from shared.crash_points import CrashPoint, OnCrashPoint, ignore_crash_point
from shared.events.catalogue import FEEDBACK, source_of
from shared.events.envelope import write_headers
from shared.queries import load
from shared.runtime.outbox import Outbox
from shared.runtime.retry import TRANSIENT, delay_before, fault_of_database
from shared.runtime.sending import REFUSALS, Key, Limits, Refused, fault_of, shares, size_of
from shared.runtime.signals import Metrics
from shared.runtime.troubles import Troubles

SQL = load("shared.runtime")
BATCH_ROWS = 2000
POLL_SECONDS = 0.1
LEADER_POLL_SECONDS = 1.0
DRAIN_POLL_SECONDS = 0.02
# A leader asks Postgres something at least every SIGN_OF_LIFE_SECONDS; one that was silent for a whole lease
# is halted or cut off, and the next one ends its session.
SIGN_OF_LIFE_SECONDS = 2.0
LEASE = timedelta(seconds=10)
MARK_EVERY_SECONDS = 0.25
SEND_TIMEOUT = 30.0
# What was set aside is tried again after this long, after twice as long the next time, and so on.
FIRST_RETRY = timedelta(seconds=15)
LAST_RETRY = timedelta(minutes=15)
LOOK_AT_UNSENT_SECONDS = 1.0
# A leader with nothing to publish asks this often whether the mark is still where it has put it.
LOOK_AT_LEAD_SECONDS = 1.0
KEYS_AT_ONCE = 20
REFUSED, BEHIND = "refused", "behind"

log = structlog.get_logger("pawl.relay")


class LostLead(Exception):
    """A later leader has taken over, or the schema was set back; this one stops publishing."""


INTERRUPTIONS: tuple[type[BaseException], ...] = (*TRANSIENT, LostLead)
Rows = Sequence[asyncpg.Record]


async def nothing_to_require() -> None:
    """For a relay that may always lead."""


class Relay:
    """Publishes one service's outbox until it is cancelled.

    `before_leading` raises where the outbox must not be published: that ends the relay. `troubles` are told
    what keeps it from publishing.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        outbox: Outbox,
        new_producer: Callable[[], AIOKafkaProducer],
        metrics: Metrics,
        on_crash_point: OnCrashPoint = ignore_crash_point,
        before_leading: Callable[[], Coroutine[Any, Any, None]] = nothing_to_require,
        troubles: Troubles | None = None,
    ) -> None:
        self._before_leading = before_leading
        self._connect = connect
        self._outbox = outbox
        self._new_producer = new_producer
        self._metrics = metrics
        self._on_crash_point = on_crash_point
        self._troubles = Troubles() if troubles is None else troubles
        self._published = 0
        self._marked = 0
        self._marked_at = 0.0
        self._epoch = 0
        # Beyond the mark: what the broker has, or what was set aside.
        self._acknowledged: set[int] = set()
        self._rows_at_once = BATCH_ROWS
        self._limits = Limits()
        self._unsent: set[Key] = set()
        self._looked_at_unsent = 0.0
        self._looked_at_lead = 0.0
        self._sent = 0
        self._stands_since: float | None = None
        self._last_trouble = ""
        self.leading = False

    async def run(self) -> None:
        """Leads whenever no other process does, and comes back after any trouble, ever more slowly."""
        attempt = 0
        while True:
            sent = self._sent
            try:
                await self._lead()
            except INTERRUPTIONS as trouble:
                attempt = 1 if self._sent > sent else attempt + 1
                self._note(trouble, attempt)
                await asyncio.sleep(delay_before(attempt))
            finally:
                self.leading = False

    def stands(self, for_seconds: float) -> str | None:
        """Why nothing has been published for so long though there is something; None where all is well."""
        if self._stands_since is None or monotonic() - self._stands_since <= for_seconds:
            return None
        seconds = monotonic() - self._stands_since
        why = f" ({self._last_trouble})" if self._last_trouble else ""
        return f"the relay has events to publish and has published none for {seconds:.0f} s{why}"

    @property
    def unsent(self) -> int:
        """Of how many keys events are set aside, as far as this leader knows."""
        return len(self._unsent)

    async def drain(self, pool: asyncpg.Pool) -> None:
        """Returns when all that is committed by now is published, or when somebody else leads.

        Under load others always commit more: the next leader publishes that.
        """
        until = await pool.fetchval(SQL.last_event)
        while self.leading and self._published < until:
            self._outbox.appended.set()
            await asyncio.sleep(DRAIN_POLL_SECONDS)

    def _note(self, trouble: BaseException, attempt: int) -> None:
        self._last_trouble = f"{type(trouble).__name__}: {trouble}".splitlines()[0][:200]
        self._metrics.retries.labels("relay").inc()
        more = {}
        fault = fault_of(trouble) or fault_of_database(trouble)
        if fault is not None:
            more = {"wrong": fault.wrong, "todo": fault.todo}
            self._troubles.note(self, "the relay", fault.wrong, fault.todo, self._last_trouble, monotonic())
        if not isinstance(trouble, LostLead):
            self._stands_since = self._stands_since or monotonic()
            self._rows_at_once = max(1, self._rows_at_once // 2)
        log.warning("relay interrupted", attempt=attempt, trouble=self._last_trouble, **more)

    def _goes_on(self) -> None:
        self._stands_since, self._last_trouble = None, ""
        self._troubles.over(self)

    async def _lead(self) -> None:
        connection = await self._connect()
        try:
            while not await connection.fetchval(SQL.try_relay_lock):
                self._goes_on()
                if await connection.fetch(SQL.end_silent_leader, LEASE):
                    log.warning("a silent leader was ended", silent_for=LEASE.total_seconds())
                await asyncio.sleep(LEADER_POLL_SECONDS)
            await self._meanwhile(connection, self._before_leading())
            row = await connection.fetchrow(SQL.take_relay_lead)
            self._epoch, self._published, self._marked = row["epoch"], row["published"], row["published"]
            self._acknowledged = {number for number in self._acknowledged if number > self._published}
            self._unsent = {(row["topic"], row["key"]) for row in await connection.fetch(SQL.unsent_keys)}
            while True:
                await self._publish_with_new_producer(connection)
        finally:
            # closing the session gives the advisory lock back, also when the server never hears of it
            connection.terminate()

    async def _publish_with_new_producer(self, connection: asyncpg.Connection) -> None:
        """Publishes until the broker refuses something: an idempotent producer has lost count then."""
        producer = self._new_producer()
        try:
            await asyncio.wait_for(producer.start(), SEND_TIMEOUT)
            self.leading = True
            log.info("relay leads", epoch=self._epoch, published=self._published)
            await self._publish_forever(connection, producer)
        except Refused as refused:
            log.warning(
                "the broker refuses a batch", why=str(refused), rows=len(refused.rows), bytes=refused.size
            )
        finally:
            with suppress(*INTERRUPTIONS):
                await self._mark(connection)
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), 5)

    async def _publish_forever(self, connection: asyncpg.Connection, producer: AIOKafkaProducer) -> None:
        while True:
            self._outbox.appended.clear()
            if self._unsent and monotonic() - self._looked_at_unsent >= LOOK_AT_UNSENT_SECONDS:
                await self._try_unsent(connection, producer)
            most = self._rows_at_once
            rows = await connection.fetch(SQL.unpublished, self._published, most, self._marked)
            if not rows:
                await self._require_lead(connection)
            else:
                self._stands_since = self._stands_since or monotonic()
                try:
                    await self._publish(connection, producer, rows)
                finally:
                    self._advance(rows)
                self._rows_at_once = min(BATCH_ROWS, most * 2)
            self._goes_on()
            if not rows or monotonic() - self._marked_at >= MARK_EVERY_SECONDS:
                await self._mark(connection)
            if len(rows) < most:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._outbox.appended.wait(), POLL_SECONDS)

    async def _publish(self, connection: asyncpg.Connection, producer: AIOKafkaProducer, rows: Rows) -> None:
        """Sends what is to be sent of these rows; what waits behind something refused is set aside."""
        await self._set_hopeless_aside(connection, rows)
        waiting = [row for row in rows if _key(row) in self._unsent and row["id"] not in self._acknowledged]
        await self._set_aside(
            connection, waiting, BEHIND, "behind an event of its key that the broker refuses"
        )
        left = [row for row in rows if row["id"] not in self._acknowledged]
        if not left:
            return
        try:
            await self._send(connection, producer, left)
        except Refused as refused:
            self._limits.learn(refused.rows[0]["topic"], refused, monotonic())
            if len(refused.rows) == 1:
                await self._set_aside(connection, refused.rows, REFUSED, str(refused))
            raise

    async def _set_hopeless_aside(self, connection: asyncpg.Connection, rows: Rows) -> None:
        """Spares the broker what is as large as a record that it has refused lately."""
        at, taken = monotonic(), set(self._unsent)
        for row in rows:
            if row["id"] in self._acknowledged or _key(row) in taken or not self._limits.knows(row["topic"]):
                continue
            if self._limits.is_hopeless(row["topic"], self._size(row), at):
                taken.add(_key(row))
                why = "as large as one that the broker has refused lately"
                await self._set_aside(connection, [row], REFUSED, why)

    def _size(self, row: asyncpg.Record) -> int:
        return size_of(row["key"].encode(), row["data"], self._headers(row))

    def _advance(self, rows: Rows) -> None:
        """Moves over what was acknowledged, up to the first row that was not."""
        done = list(takewhile(lambda row: row["id"] in self._acknowledged, rows))
        if done:
            self._published = done[-1]["id"]
            self._acknowledged.difference_update(row["id"] for row in done)
            self._stands_since = None

    async def _set_aside(self, connection: asyncpg.Connection, rows: Rows, state: str, why: str) -> None:
        """Notes events that cannot go out; only then does the mark move over them."""
        if not rows:
            return
        columns = [[row[name] for row in rows] for name in ("id", "topic", "key")]
        await connection.execute(SQL.set_aside, *columns, state, why[:500], FIRST_RETRY, self._epoch)
        self._unsent.update(map(_key, rows))
        self._acknowledged.update(row["id"] for row in rows)
        self._sent += len(rows)
        first = rows[0]
        log.error(
            "event set aside" if state == REFUSED else "events wait behind one that was set aside",
            row=first["id"],
            topic=first["topic"],
            key=first["key"],
            count=len(rows),
            why=why[:200],
            todo="raise max.message.bytes of the topic; see pawl dead ls",
        )

    async def _try_unsent(self, connection: asyncpg.Connection, producer: AIOKafkaProducer) -> None:
        """Tries what was set aside and is due, key by key, each in its order."""
        self._looked_at_unsent = monotonic()
        due = await connection.fetch(SQL.due_unsent, KEYS_AT_ONCE)
        for topic, key in due:
            # The first one alone: it says whether the topic takes more by now.
            most = 1
            while rows := await connection.fetch(SQL.unsent_of_key, topic, key, most):
                sent: set[int] = set()
                try:
                    await self._send(connection, producer, rows, sent)
                except Refused as refused:
                    self._limits.learn(topic, refused, monotonic())
                    if len(refused.rows) == 1:
                        number, why = refused.rows[0]["id"], str(refused)[:500]
                        await connection.execute(SQL.refused_again, number, why, FIRST_RETRY, LAST_RETRY)
                    raise
                finally:
                    if sent:
                        await connection.execute(SQL.sent_at_last, list(sent))
                if most == 1:
                    self._limits.forget(topic)
                most = BATCH_ROWS
            self._unsent.discard((topic, key))
            log.warning("what was set aside is published", topic=topic, key=key)
        if len(due) == KEYS_AT_ONCE:
            # There may be thousands when a topic takes more again: the next of them follow at once.
            self._looked_at_unsent = 0.0

    async def _send(
        self,
        connection: asyncpg.Connection,
        producer: AIOKafkaProducer,
        rows: Rows,
        acknowledged: set[int] | None = None,
    ) -> None:
        """Sends and waits for every acknowledgement; asks Postgres something meanwhile, to keep the lead.

        Whatever ends it, `acknowledged` then has the ids of what the broker has taken for certain.
        """
        self._on_crash_point(CrashPoint.BEFORE_SEND)
        taken = self._acknowledged if acknowledged is None else acknowledged
        async with asyncio.timeout(SEND_TIMEOUT):
            await self._meanwhile(connection, self._send_all(producer, rows, taken))
        self._on_crash_point(CrashPoint.AFTER_ACKNOWLEDGEMENT)

    async def _meanwhile(self, connection: asyncpg.Connection, work: Coroutine[Any, Any, None]) -> None:
        """Waits for work that needs no Postgres, with signs of life, so that nobody ends our session."""
        working = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({working}, timeout=SIGN_OF_LIFE_SECONDS))[0]:
                await connection.execute(SQL.sign_of_life)
            await working
        finally:
            working.cancel()

    async def _send_all(self, producer: AIOKafkaProducer, rows: Rows, acknowledged: set[int]) -> None:
        """Sends each partition its share. One that fails keeps none of the others from going through."""
        by_partition: dict[tuple[str, int], list[asyncpg.Record]] = {}
        for row in rows:
            by_partition.setdefault((row["topic"], row["partition"]), []).append(row)
        to_begin = set(by_partition)

        def on_begin(place: tuple[str, int]) -> None:
            if place in to_begin:
                to_begin.remove(place)
                if not to_begin:
                    self._on_crash_point(CrashPoint.AFTER_SEND)

        ended = await asyncio.gather(
            *(
                self._send_partition(producer, place, some, acknowledged, on_begin)
                for place, some in by_partition.items()
            ),
            return_exceptions=True,
        )
        failures = [failure for failure in ended if failure is not None]
        # Trouble that passes comes first: after a refusal the same producer would not go on.
        for failure in sorted(failures, key=lambda each: isinstance(each, Refused)):
            raise failure

    async def _send_partition(
        self,
        producer: AIOKafkaProducer,
        place: tuple[str, int],
        rows: Rows,
        acknowledged: set[int],
        on_begin: Callable[[tuple[str, int]], None],
    ) -> None:
        """Sends one partition its rows, batch after batch: none goes out before the one ahead of it is there.

        Raises Refused for the first batch that the topic does not take.
        """
        topic, partition = place
        records = [(row["key"].encode(), row["data"], self._headers(row)) for row in rows]
        sizes = [size_of(*record) for record in records]
        at = monotonic()
        for share in shares(sizes, self._limits.most(topic, at)):
            begin = share.start
            while begin < share.stop:
                batch = producer.create_batch()
                end = begin
                while end < share.stop and _add(batch, records[end]):
                    end += 1
                if end == begin:
                    raise Refused(
                        rows[begin : begin + 1], sizes[begin], MessageSizeTooLargeError("no batch takes it")
                    )
                answer = await producer.send_batch(batch, topic, partition=partition)
                on_begin(place)
                try:
                    await answer
                except REFUSALS as error:
                    raise Refused(rows[begin:end], sum(sizes[begin:end]), error) from None
                acknowledged.update(row["id"] for row in rows[begin:end])
                self._sent += end - begin
                self._metrics.published.inc(end - begin)
                begin = end

    def _headers(self, row: asyncpg.Record) -> list[tuple[str, bytes]]:
        return write_headers(
            id=str(row["event_id"]),
            source=source_of(row["type"], self._outbox.service),
            type=row["type"],
            subject=row["subject"],
            time=row["time"],
            sequence=None if row["topic"] == FEEDBACK else row["sequence"],
            correlation=row["correlation"],
            causation=row["causation"],
            traceparent=row["traceparent"],
        )

    async def _require_lead(self, connection: asyncpg.Connection) -> None:
        """Raises LostLead where epoch or mark are not those of this leader any more."""
        if monotonic() - self._looked_at_lead < LOOK_AT_LEAD_SECONDS:
            return
        if not await connection.fetchval(SQL.is_still_led, self._epoch, self._marked):
            raise LostLead(f"the mark is not at {self._marked}, where epoch {self._epoch} has put it")
        self._looked_at_lead = monotonic()

    async def _mark(self, connection: asyncpg.Connection) -> None:
        if self._published == self._marked:
            return
        self._on_crash_point(CrashPoint.BEFORE_MARK)
        status = await connection.execute(SQL.mark_published, self._published, self._epoch)
        if status != "UPDATE 1":
            raise LostLead(f"epoch {self._epoch} is over")
        self._marked, self._marked_at = self._published, monotonic()
        self._on_crash_point(CrashPoint.AFTER_MARK)


def _key(row: asyncpg.Record) -> Key:
    return row["topic"], row["key"]


def _add(batch: Any, record: tuple[bytes, bytes, list[tuple[str, bytes]]]) -> bool:
    key, value, headers = record
    return batch.append(key=key, value=value, timestamp=None, headers=headers) is not None
