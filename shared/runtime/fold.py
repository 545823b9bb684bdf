"""The fold: one batch of records, one transaction.

claim ids -> read what waits -> lock and load -> read cursors -> decide -> save -> move cursors ->
append to the outbox -> commit. Trouble that passes is repeated without limit; an item that the database
refuses is found by halving the batch and parked, so that it never holds up other keys.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from shared.clock import now
from shared.events import feedback
from shared.faults import Point, Reach, unharmed
from shared.ids import uuid7
from shared.postgres import Connection, packed, packed_columns
from shared.queries import load
from shared.runtime.batch import Batch, EventKey, Known, Parked, Refusal, events_of
from shared.runtime.decisions import Context, Position
from shared.runtime.intake import Intake, Item
from shared.runtime.outbox import Cause, Outbox
from shared.runtime.records import Record, pack, seal_context, unpack
from shared.runtime.retry import TRANSIENT, Conflict, until_done
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.sealing import BrokenSealError, Sealer

SQL = load("shared.runtime")
RACES_BEFORE_HALVING = 3

log = structlog.get_logger("pawl.fold")


class Fold:
    """Handles batches of records for one service."""

    def __init__(
        self,
        service: Service,
        pool: asyncpg.Pool,
        outbox: Outbox,
        sealer: Sealer,
        metrics: Metrics,
        overdue_after: timedelta,
        reach: Reach = unharmed,
    ) -> None:
        self._service = service
        self._pool = pool
        self._outbox = outbox
        self._sealer = sealer
        self._metrics = metrics
        self._overdue_after = overdue_after
        self._reach = reach
        self._intake = Intake(service)
        self._context = Context(new_id=uuid7)

    async def handle(self, records: Sequence[Record]) -> None:
        """Handles records, all effects committed when it returns. Repeating it changes nothing."""
        items = self._intake.read(records)
        if items:
            await self._settle(items)

    async def retry_keys(self, keys: Sequence[str]) -> None:
        """Gives what waits with these keys another chance. A key that the database refuses is blocked."""
        try:
            await self._despite_races(lambda: self._transaction([], retry=keys))
        except Exception as refusal:
            await self._halve_keys(keys, refusal)

    async def reopen_key(self, key: str) -> int:
        """Handles again what is blocked with a key; returns how many events of it still wait."""
        return await until_done(lambda: self._transaction([], reopen=[key]), self._note_trouble)

    async def replay_dead(self, letter: int, actor: str, reason: str) -> Refusal | None:
        """Handles a dead letter again, past the inbox. None when it went through, else the refusal."""
        return await until_done(lambda: self._replay(letter, actor, reason), self._note_trouble)

    async def _settle(self, items: list[Item]) -> None:
        try:
            await self._despite_races(lambda: self._transaction(items))
        except Exception as refusal:
            await self._halve(items, refusal)

    async def _despite_races(self, operation: Callable[[], Awaitable[int]]) -> None:
        """Repeats what two writers of the same new row may both have tried, a few times."""
        for _ in range(RACES_BEFORE_HALVING):
            with suppress(asyncpg.UniqueViolationError):
                await until_done(operation, self._note_trouble)
                return
        await until_done(operation, self._note_trouble)

    async def _halve(self, items: list[Item], refusal: Exception) -> None:
        if len(items) > 1:
            middle = len(items) // 2
            await self._settle(items[:middle])
            await self._settle(items[middle:])
            return
        reason = _one_line(refusal)
        log.error("event blocked", key=items[0].key, event_id=items[0].event_id, reason=reason)
        await until_done(lambda: self._transaction(items, blocked=reason), self._note_trouble)

    async def _halve_keys(self, keys: Sequence[str], refusal: Exception) -> None:
        if len(keys) > 1:
            middle = len(keys) // 2
            await self.retry_keys(keys[:middle])
            await self.retry_keys(keys[middle:])
            return
        reason = _one_line(refusal)
        log.error("key blocked", key=keys[0], reason=reason)
        await until_done(lambda: self._transaction([], retry=keys, blocked=reason), self._note_trouble)

    async def _transaction(
        self,
        items: list[Item],
        *,
        retry: Sequence[str] = (),
        reopen: Sequence[str] = (),
        blocked: str | None = None,
    ) -> int:
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                known = await self._read_known(connection, items, [*retry, *reopen])
                world = await self._service.load(
                    connection, [] if blocked else events_of(items, known.parked)
                )
                known.cursors = await self._cursors(connection, items, known)
                self._reach(Point.AFTER_CLAIM)
                batch = Batch(self._service, world, known, self._outbox.rows(), self._context)
                if blocked is not None:
                    for item in items:
                        batch.block(item, blocked)
                    for key in retry:
                        batch.block_key(key, blocked)
                else:
                    batch.take_all(items)
                    if retry:
                        await connection.execute(SQL.note_retry, list(retry))
                    for key in retry:
                        batch.retry(key)
                    for key in reopen:
                        batch.reopen(key)
                    await self._service.save(connection, world)
                await self._write(connection, batch)
                self._reach(Point.BEFORE_COMMIT)
            except BaseException:
                await _roll_back(transaction)
                raise
            await transaction.commit()
            self._reach(Point.AFTER_COMMIT)
        self._outbox.appended.set()
        self._count(batch)
        return sum(len(batch.parked.get(key, ())) for key in reopen)

    async def _replay(self, letter: int, actor: str, reason: str) -> Refusal | None:
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(SQL.lock_dead_letter, letter)
            if row is None or row["state"] != "open":
                raise LookupError(f"no open dead letter {letter}")
            item = self._reread(row)
            if item is None:
                raise LookupError(f"dead letter {letter} does not concern {self._service.name} any more")
            known = await self._read_known(connection, [], [item.key])
            known.fresh = {(item.source or "", item.event_id or "")}
            world = await self._service.load(connection, events_of([item], known.parked))
            known.cursors = await self._cursors(connection, [item], known)
            batch = Batch(self._service, world, known, self._outbox.rows(), self._context)
            batch.take(item)
            if batch.refusals:
                return batch.refusals[0]
            await self._service.save(connection, batch.world)
            await connection.execute(SQL.mark_replayed, letter, actor, reason)
            await self._write(connection, batch)
        self._outbox.appended.set()
        self._count(batch)
        return None

    async def _read_known(self, connection: Connection, items: list[Item], keys: Sequence[str]) -> Known:
        known = Known()
        await self._claim(connection, items, known)
        wanted = list({item.key for item in items if item.event is not None}.union(keys))
        rows = await connection.fetch(SQL.parked_of_keys, packed(wanted)) if wanted else []
        parked: dict[str, list[Parked]] = {}
        for row in rows:
            item = self._reread(row)
            if item is not None:
                parked.setdefault(row["key"], []).append(Parked(item, row["kind"], row["reason"], row["id"]))
        known.parked = parked
        return known

    async def _claim(self, connection: Connection, items: list[Item], known: Known) -> None:
        claims: dict[EventKey, bytes] = {}
        for item in items:
            if item.upstream and item.source and item.event_id and item.content:
                claims.setdefault((item.source, item.event_id), item.content)
        if not claims:
            return
        ordered = sorted(claims)
        sources, ids = packed(source for source, _ in ordered), packed(event_id for _, event_id in ordered)
        contents = b"".join(claims[identity] for identity in ordered)
        rows = await connection.fetch(SQL.claim_ids, sources, ids, contents)
        known.fresh = {(row[0], row[1]) for row in rows}
        old = [identity for identity in ordered if identity not in known.fresh]
        if old:
            rows = await connection.fetch(SQL.contents_of_ids, [s for s, _ in old], [i for _, i in old])
            known.contents = {(row[0], row[1]): row[2] for row in rows}
            if len(known.contents) < len(old):
                raise Conflict("an event id was forgotten between two statements; it is new again")

    async def _cursors(
        self, connection: Connection, items: Sequence[Item], known: Known
    ) -> dict[tuple[str, str], int]:
        """The cursors of these items and of what waits with their keys.

        Read after the aggregates were locked: whoever handled the same events meanwhile has moved them, and
        an event judged by a later state than its cursor would look like one that contradicts it.
        """
        waiting = [p.item for waiting in known.parked.values() for p in waiting]
        subjects = list(
            {
                (item.event.source, item.event.subject)
                for item in [*items, *waiting]
                if item.event is not None
                and item.event.sequence is not None
                and (item.route is None or item.route.tracked)
            }
        )
        if not subjects:
            return {}
        sources, names = packed(source for source, _ in subjects), packed(name for _, name in subjects)
        rows = await connection.fetch(SQL.read_cursors, sources, names)
        return {(row[0], row[1]): row[2] for row in rows}

    async def _write(self, connection: Connection, batch: Batch) -> None:
        await self._move_cursors(connection, batch)
        await self._write_parked(connection, batch)
        await self._bury(connection, batch)
        await self._outbox.append(connection, batch.rows)

    async def _move_cursors(self, connection: Connection, batch: Batch) -> None:
        moved = sorted(batch.moved_cursors())
        if not moved:
            return
        status = await connection.execute(SQL.move_cursors, *packed_columns(moved))
        if int(status.rpartition(" ")[2]) != len(moved):
            raise Conflict("another consumer has handled some of these events")

    async def _write_parked(self, connection: Connection, batch: Batch) -> None:
        if settled := batch.settled_rows():
            await connection.execute(SQL.unpark, settled)
        if changed := batch.changed_rows():
            await connection.execute(
                SQL.repark, [p.row for p in changed], [p.kind for p in changed], [p.reason for p in changed]
            )
        if parked := batch.newly_parked():
            rows = [self._parked_row(p) for p in parked]
            columns = [list(column) for column in zip(*rows, strict=True)]
            await connection.execute(SQL.park, *columns, self._overdue_after)

    def _parked_row(self, parked: Parked) -> tuple[Any, ...]:
        item, event = parked.item, parked.item.event
        assert event is not None
        return (
            item.key,
            parked.kind,
            parked.reason,
            *item.position,
            event.source,
            event.id,
            event.type,
            event.subject,
            event.sequence,
            event.time,
            self._seal(item.record, item.position),
        )

    async def _bury(self, connection: Connection, batch: Batch) -> None:
        if not batch.refusals:
            return
        rows = [
            (
                *r.item.position,
                _storable(r.item.key),
                _storable(r.item.source),
                _storable(r.item.event_id),
                _storable(r.item.type),
                r.fault.code,
                _storable(r.fault.pointer),
                _storable(r.fault.detail),
                self._seal(r.item.record, r.item.position),
            )
            for r in batch.refusals
        ]
        new = await connection.fetch(SQL.bury, *[list(column) for column in zip(*rows, strict=True)])
        places = {Position(*row) for row in new}
        for refusal in batch.refusals:
            if refusal.item.position in places:
                self._answer(batch, refusal)

    def _answer(self, batch: Batch, refusal: Refusal) -> None:
        item, fault = refusal.item, refusal.fault
        self._metrics.rejected.labels(fault.code).inc()
        log.warning(
            "record refused",
            topic=item.position.topic,
            partition=item.position.partition,
            offset=item.position.offset,
            event_id=item.event_id,
            code=fault.code,
            pointer=fault.pointer,
        )
        if not item.upstream:
            return
        data = feedback.rejected(
            order_id=item.key,
            source=item.source,
            event_id=item.event_id,
            event_type=item.type,
            position=item.position,
            fault=fault,
        )
        place = f"{item.position.topic}/{item.position.partition}/{item.position.offset}"
        time = item.event.time if item.event else now()
        cause = Cause(
            item.event_id or place, item.key, time, item.event.correlation if item.event else item.key
        )
        batch.rows.add_feedback("event.rejected.v1", cause, data)

    def _seal(self, record: Record, position: Position) -> bytes:
        return self._sealer.seal(pack(record), seal_context(position))

    def _reread(self, row: asyncpg.Record) -> Item | None:
        """A stored record as an item again; None when it concerns us no more or does not open."""
        position = Position(row["topic"], row["partition"], row["offset"])
        try:
            packed = self._sealer.open(row["record"], seal_context(position))
        except BrokenSealError as broken:
            log.error("stored record does not open: is its DATA_KEY here?", id=row["id"], why=str(broken))
            return None
        return self._intake.read_one(unpack(position, packed))

    def _count(self, batch: Batch) -> None:
        self._metrics.handled.inc(batch.handled)
        self._metrics.duplicates.inc(batch.duplicates)
        for parked in batch.newly_parked():
            self._metrics.parked.labels(parked.kind).inc()
            log.info(
                "event waits",
                key=parked.item.key,
                event_id=parked.item.event_id,
                type=parked.item.type,
                kind=parked.kind,
                reason=parked.reason,
            )

    def _note_trouble(self, trouble: BaseException, attempt: int, pause: float) -> None:
        self._metrics.retries.labels("batch").inc()
        log.warning("batch repeated", attempt=attempt, pause=round(pause, 2), trouble=_one_line(trouble))


async def _roll_back(transaction: asyncpg.transaction.Transaction) -> None:
    try:
        await transaction.rollback()
    except TRANSIENT:
        log.debug("the connection is gone; the server rolls back by itself")


def _storable(text: str | None) -> str | None:
    """Postgres text cannot hold NUL; the sealed record keeps the original."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:2000] if text is not None else None


def _one_line(trouble: BaseException) -> str:
    return f"{type(trouble).__name__}: {trouble}".splitlines()[0][:200]
