"""The fold: one batch of records, one transaction.

claim ids, read what waits and cursors -> lock and load -> decide -> save -> move cursors -> append to the
outbox -> commit. Trouble that passes is repeated without limit, in smaller batches where time
is short, and told to health and log. A message of which the database refuses a row is found by halving the
batch and parked, so that it never holds up other keys. What is which stands in sqlstates.py; a table that
refuses one key after the other is a fault of the database (`suspicion`).
"""

from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
import structlog

from shared.clock import monotonic, now
from shared.crash_points import CrashPoint
from shared.events import feedback
from shared.ids import uuid7
from shared.postgres import Connection, packed, packed_columns
from shared.queries import load
from shared.runtime.audit_log import AuditEntry, entry_of, entry_of_event, write_audit
from shared.runtime.batch import Batch, EventKey, Parked, PriorState, Refusal, Subject, events_of
from shared.runtime.batch_size import Attempts, BatchSize, is_late
from shared.runtime.cancelling import CANCEL, cancel_waiting
from shared.runtime.commands import Answer, Command, CommandOutcome, CommandRoute, Done, KnownCommands, Work
from shared.runtime.decisions import Context, Position
from shared.runtime.intake import InboundMessage, Intake
from shared.runtime.making_good import OpenLetter
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import Cause, OutboxRows
from shared.runtime.records import Record, digest_of, pack, seal_context, unpack, won_of
from shared.runtime.retry import TRANSIENT, Conflict, delay_before, meaning_of_trouble, until_done
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.runtime.suspicion import Suspicion, WholeTable
from shared.runtime.troubles import Troubles
from shared.sealing import BrokenSealError, Sealer
from shared.sqlstates import Concern

SQL = load("shared.runtime")
T = TypeVar("T")
RACES_BEFORE_HALVING = 3
CLAIMED, CURSOR, REFUSED = "claimed", "cursor", "refused"
"""How `begin_batch` names an id that was claimed, a cursor and a dead letter, among what waits."""
BY_ITSELF = "pawl"
"""Who ends a dead letter that a later event has made good."""
COMMAND_PATIENCE_SECONDS = 10.0
"""How long trouble that passes is repeated while somebody waits for an answer."""

log = structlog.get_logger("pawl.fold")


class Keeping(NamedTuple):
    """How records of one kind are kept: at a place of their own, where another is, and what is at places."""

    put: str
    put_again: str
    at: str


PARKING: Final = Keeping(SQL.park, SQL.park_again, SQL.parked_at)
LETTERS: Final = Keeping(SQL.put_dead_letters, SQL.put_dead_letters_again, SQL.dead_letters_at)


class _DryRun(Exception):
    """A command was decided for a look: its transaction is taken back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class _TimeIsShort(Exception):
    """The database ends transactions of this size."""


class Fold:
    """Handles batches of records for one service. `troubles` are told what keeps it from going on."""

    def __init__(
        self,
        service: Service,
        pool: asyncpg.Pool,
        outbox: Outbox,
        sealer: Sealer,
        metrics: Metrics,
        overdue_after: timedelta,
        troubles: Troubles | None = None,
    ) -> None:
        self._service = service
        self._pool = pool
        self._outbox = outbox
        self._sealer = sealer
        self._metrics = metrics
        self._overdue_after = overdue_after
        self._troubles = Troubles() if troubles is None else troubles
        self._size = BatchSize()
        self._suspicion = Suspicion()
        self._intake = Intake(service)
        self._context = Context(new_id=uuid7)
        self._commands = {**service.commands, CANCEL: CommandRoute(partial(cancel_waiting, service.routes))}

    async def handle(self, records: Sequence[Record]) -> None:
        """Handles records, all effects committed when it returns. Repeating it changes nothing."""
        messages = self._intake.read(records)
        begin = 0
        while begin < len(messages):
            share = messages[begin : begin + self._size.most]
            begin += len(share)
            await self._settle(share)

    async def retry_keys(self, keys: Sequence[str]) -> None:
        """Gives what waits with these keys another chance. A key that the database refuses is blocked."""
        try:
            await self._despite_races(len(keys), lambda begun: self._transaction([], retry=keys, begun=begun))
        except _TimeIsShort:
            middle = len(keys) // 2
            await self.retry_keys(keys[:middle])
            await self.retry_keys(keys[middle:])
        except Exception as refusal:
            await self._halve_keys(keys, refusal)

    async def reopen_key(self, key: str, actor: str, reason: str) -> int:
        """Handles again what is blocked with a key; returns how many events of it still wait."""
        entry = AuditEntry(uuid7(), actor, "parked.replay", key, reason)
        batch = await self.repeat(lambda: self._transaction([], reopen=[key], entry=entry))
        return len(batch.parked.get(key, ()))

    async def take_one(
        self,
        connection: Connection,
        events: OutboxRows,
        message: InboundMessage,
        *,
        past_inbox: bool = False,
        new_id: Callable[[], UUID] = uuid7,
        handled_at: datetime | None = None,
    ) -> Batch:
        """Decides one message in the caller's transaction, and writes all that follows but the outbox.

        `past_inbox`: an event whose id is known is decided all the same. `new_id` gives the ids that are
        decided with it, `handled_at` is when that is, if not now. Call `finish` after the commit.
        """
        prior = await self._read_prior(connection, [message], [message.key], claiming=not past_inbox)
        if past_inbox:
            prior.fresh = {(message.source or "", message.event_id or "")}
        world = await self._service.store.load(connection, events_of([message], prior.parked))
        batch = Batch(self._service, world, prior, events, Context(new_id, handled_at=handled_at or now()))
        batch.take(message)
        await self._service.store.save(connection, world)
        await self._write(connection, batch)
        return batch

    async def finish(self, batch: Batch) -> None:
        """What remains to be done once a batch is committed."""
        self._count(batch)
        if batch.after_commit:
            await self.retry_keys(sorted(batch.after_commit))

    async def repeat(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeats an operation while it fails with trouble that passes."""
        with self._noting() as note:
            return await until_done(operation, note)

    async def decide(self, commands: Sequence[Command[Any]]) -> list[Answer]:
        """Decides commands in one transaction; what each is answered, in order, once that is committed.

        Repeating a command changes nothing, and gives the same answer. A command that the database refuses is
        answered with `internal`, without harm to the others. Trouble that passes is repeated for a while, and
        then raised: nobody waits at the other end for ever.
        """
        try:
            return await self._within_patience(lambda: self._decide(commands))
        except TRANSIENT as trouble:
            if len(commands) > 1 and is_late(trouble):
                return await self._halve_commands(commands, trouble)
            raise
        except Exception as refusal:
            return await self._halve_commands(commands, refusal)

    async def try_out(self, command: Command[Any]) -> Answer:
        """What `decide` would answer to one command by now; all of it is taken back, its key stays free."""
        try:
            await self._within_patience(lambda: self._try_out(command))
        except _DryRun as done:
            return done.answer
        except TRANSIENT:
            raise
        except Exception as refusal:
            return self._failed(command, refusal)
        raise AssertionError("a dry run ends with its answer")

    async def decide_alone(self, command: Command[Any], work: Work, dry_run: bool = False) -> Answer:
        """Has one command decided by its own `work`, in a transaction of its own; else as `decide`.

        For what needs other rows than the events of its key. A dry run takes all of it back, and nothing is
        kept of it.
        """
        try:
            return await self._within_patience(lambda: self._decide_alone(command, work, dry_run))
        except _DryRun as done:
            return done.answer

    async def _decide_alone(self, command: Command[Any], work: Work, dry_run: bool) -> Answer:
        async with self._outbox.transaction(
            self._pool, CrashPoint.BEFORE_COMMIT, CrashPoint.AFTER_COMMIT, silent_too=True
        ) as (connection, events):
            if dry_run:
                raise _DryRun(Answer.of(await work(connection, command)))
            known = await self._claim_commands(connection, [command])
            for wanted in known.to_decide([command]):
                outcome = await work(connection, wanted)
                self._outbox.on_crash_point(CrashPoint.AFTER_CLAIM)
                if isinstance(outcome, Done):
                    for event in outcome.events:  # of several keys, each with a story of its own
                        events.add(event, replace(Cause.of(wanted), correlation=event.key or wanted.key))
                await self._keep_outcomes(connection, [(wanted, outcome)])
                await write_audit(connection, [entry_of(wanted, outcome)])
                known.answers[wanted.identity] = Answer.of(outcome)
        return known.answer_to(command)

    async def _within_patience(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeats while there is trouble that passes, as long as a caller waits; races a few times."""
        deadline = monotonic() + COMMAND_PATIENCE_SECONDS
        with self._noting() as note:
            for attempt in count(1):
                try:
                    return await operation()
                except (*TRANSIENT, asyncpg.UniqueViolationError) as trouble:
                    pause = delay_before(attempt)
                    is_race = isinstance(trouble, asyncpg.UniqueViolationError)
                    if monotonic() + pause > deadline or (is_race and attempt > RACES_BEFORE_HALVING):
                        raise
                    note(trouble, attempt, pause)
                    await sleep(pause)
        raise AssertionError("a count has no end")

    async def _halve_commands(self, commands: Sequence[Command[Any]], refusal: BaseException) -> list[Answer]:
        if len(commands) > 1:
            middle = len(commands) // 2
            return [*await self.decide(commands[:middle]), *await self.decide(commands[middle:])]
        return [self._failed(commands[0], refusal)]

    def _failed(self, command: Command[Any], failure: BaseException) -> Answer:
        log.error("command failed", command=command.type, key=command.key, reason=_one_line(failure))
        return Answer.failed(command)

    async def _try_out(self, command: Command[Any]) -> None:
        async with self._outbox.transaction(self._pool) as (connection, events):
            known = KnownCommands({command.identity: command.content_now})
            await self._decide_new(connection, events, [command], known)
            raise _DryRun(known.answer_to(command))

    async def _decide(self, commands: Sequence[Command[Any]]) -> list[Answer]:
        async with self._outbox.transaction(
            self._pool, CrashPoint.BEFORE_COMMIT, CrashPoint.AFTER_COMMIT, silent_too=True
        ) as (connection, events):
            known = await self._claim_commands(connection, commands)
            wanted = list(known.to_decide(commands))
            batch = await self._decide_new(connection, events, wanted, known) if wanted else None
        if batch is not None:
            self._count(batch)
        if batch is not None and batch.after_commit:
            await self.retry_keys(sorted(batch.after_commit))
        return [known.answer_to(command) for command in commands]

    async def _decide_new(
        self, connection: Connection, events: OutboxRows, commands: list[Command[Any]], known: KnownCommands
    ) -> Batch:
        prior = await self._read_prior(connection, [], [command.key for command in commands])
        # Cancelling a waiting event needs what that event needs.
        own = [command for command in commands if command.type in self._service.commands]
        world = await self._service.store.load(connection, [*own, *events_of([], prior.parked)])
        self._outbox.on_crash_point(CrashPoint.AFTER_CLAIM)
        batch = Batch(self._service, world, prior, events, self._at_this_instant())
        outcomes = self._take_commands(batch, commands)
        await self._service.store.save(connection, world)
        await self._write(connection, batch)
        await self._keep_outcomes(connection, outcomes)
        await write_audit(
            connection,
            [entry_of(each, outcome) for each, outcome in outcomes if self._commands[each.type].is_audited],
        )
        known.answers |= {command.identity: Answer.of(outcome) for command, outcome in outcomes}
        return batch

    async def _claim_commands(
        self, connection: Connection, commands: Sequence[Command[Any]]
    ) -> KnownCommands:
        """Claims the ids of commands; what each stands for by now, with its answer where it has one."""
        # The first of several with the same key is the one that it stands for.
        contents = {command.identity: command.content_now for command in reversed(commands)}
        ordered = sorted(contents)
        sources, ids = packed(source for source, _ in ordered), packed(name for _, name in ordered)
        claimed = b"".join(contents[identity] for identity in ordered)
        rows = await connection.fetch(SQL.claim_ids, sources, ids, claimed)
        fresh = {(row[0], row[1]) for row in rows}
        old = [identity for identity in ordered if identity not in fresh]
        known = KnownCommands(contents)
        if not old:
            return known
        rows = await connection.fetch(SQL.answers_of_ids, [s for s, _ in old], [i for _, i in old])
        if len(rows) < len(old):
            raise Conflict("an Idempotency-Key was forgotten between two statements; it is new again")
        for source, name, content, answer in rows:
            known.contents[source, name] = content
            if answer is not None:
                known.answers[source, name] = self._unseal_answer(name, answer)
        return known

    def _take_commands(
        self, batch: Batch, commands: Sequence[Command[Any]]
    ) -> list[tuple[Command[Any], CommandOutcome]]:
        outcomes: list[tuple[Command[Any], CommandOutcome]] = []
        for command in commands:
            try:
                outcomes.append((command, batch.decide(command, self._commands[command.type])))
            except Exception as failure:  # one that nobody foresaw must not stop the others
                self._failed(command, failure)
        return outcomes

    async def _keep_outcomes(
        self, connection: Connection, outcomes: Sequence[tuple[Command[Any], CommandOutcome]]
    ) -> None:
        if not outcomes:
            return
        rows = [
            (*command.identity, self._seal_answer(command.idempotency_key, Answer.of(outcome)))
            for command, outcome in outcomes
        ]
        await connection.execute(SQL.keep_answers, *[list(column) for column in zip(*rows, strict=True)])

    def _seal_answer(self, key: str, answer: Answer) -> bytes:
        return self._sealer.seal(answer.packed(), key.encode())

    def _unseal_answer(self, key: str, sealed: bytes) -> Answer:
        return Answer.unpacked(self._sealer.open(sealed, key.encode()))

    async def _settle(self, messages: list[InboundMessage]) -> None:
        try:
            batch = await self._despite_races(
                len(messages), lambda begun: self._transaction(messages, begun=begun)
            )
        except _TimeIsShort:
            self._size.halve(len(messages))
            middle = len(messages) // 2
            await self._settle(messages[:middle])
            await self._settle(messages[middle:])
            return
        except Exception as refusal:
            await self._halve(messages, refusal)
            return
        self._size.grow(len(messages))
        await self._go_on(batch)

    async def _go_on(self, batch: Batch, went_well: str | None = None) -> None:
        """What remains once messages went well: for keys that wait, and for keys of a suspected table."""
        keys = self._suspicion.end() if batch.handled else ()
        for key in keys:
            if key == went_well:
                continue
            try:
                await self.reopen_key(key, BY_ITSELF, "its table takes rows again")
            except TRANSIENT:
                raise
            except Exception as refusal:
                self._suspicion.is_of_table(refusal, key)
        if batch.after_commit:
            await self.retry_keys(sorted(batch.after_commit))

    async def _despite_races(
        self, size: int, operation: Callable[[Attempts | None], Awaitable[Batch]]
    ) -> Batch:
        """Repeats what two writers of the same new row may both have tried, a few times.

        Raises _TimeIsShort where the database ends transactions of this size.
        """
        attempts = Attempts(size)
        with self._noting(attempts) as note:
            for _ in range(RACES_BEFORE_HALVING):
                with suppress(asyncpg.UniqueViolationError):
                    return await until_done(lambda: operation(attempts), note)
            return await until_done(lambda: operation(attempts), note)

    async def _halve(self, messages: list[InboundMessage], refusal: Exception) -> None:
        if len(messages) > 1:
            middle = len(messages) // 2
            await self._settle(messages[:middle])
            await self._settle(messages[middle:])
            return
        if self._suspicion.is_of_table(refusal, messages[0].key):
            try:
                batch = await self.repeat(lambda: self._unless_of_table(messages))
            except Exception as own:  # something else went well meanwhile
                refusal = own
            else:
                await self._go_on(batch, messages[0].key)
                return
        reason = _one_line(refusal)
        log.error("event blocked", key=messages[0].key, event_id=messages[0].event_id, reason=reason)
        await self.repeat(lambda: self._transaction(messages, blocked=reason))

    async def _unless_of_table(self, messages: list[InboundMessage]) -> Batch:
        """Handles a message whose table is suspected. Raises WholeTable as long as it is."""
        try:
            return await self._transaction(messages)
        except TRANSIENT:
            raise
        except Exception as refusal:
            if self._suspicion.is_of_table(refusal, messages[0].key):
                raise WholeTable(_one_line(refusal)) from refusal
            raise

    async def _halve_keys(self, keys: Sequence[str], refusal: Exception) -> None:
        if len(keys) > 1:
            middle = len(keys) // 2
            await self.retry_keys(keys[:middle])
            await self.retry_keys(keys[middle:])
            return
        if self._suspicion.is_of_table(refusal, keys[0]):
            log.warning("key not tried on: its table is at fault", key=keys[0], reason=_one_line(refusal))
            return  # it waits on, for the next look
        reason = _one_line(refusal)
        log.error("key blocked", key=keys[0], reason=reason)
        await self.repeat(lambda: self._transaction([], retry=keys, blocked=reason))

    async def _transaction(
        self,
        messages: list[InboundMessage],
        *,
        retry: Sequence[str] = (),
        reopen: Sequence[str] = (),
        blocked: str | None = None,
        entry: AuditEntry | None = None,
        begun: Attempts | None = None,
    ) -> Batch:
        async with self._outbox.transaction(
            self._pool, CrashPoint.BEFORE_COMMIT, CrashPoint.AFTER_COMMIT, silent_too=True
        ) as (connection, events):
            if begun is not None:
                begun.has_begun = True
            prior = await self._read_prior(connection, messages, [*retry, *reopen])
            world = await self._service.store.load(
                connection, [] if blocked else events_of(messages, prior.parked)
            )
            self._outbox.on_crash_point(CrashPoint.AFTER_CLAIM)
            batch = Batch(self._service, world, prior, events, self._at_this_instant())
            if blocked is not None:
                for message in messages:
                    batch.block(message, blocked)
                for key in retry:
                    batch.block_key(key, blocked)
            else:
                batch.take_all(messages)
                if retry:
                    await connection.execute(SQL.note_retry, list(retry))
                for key in retry:
                    batch.retry(key)
                for key in reopen:
                    batch.reopen(key)
                await self._service.store.save(connection, world)
            await self._write(connection, batch)
            await write_audit(connection, [] if entry is None else [entry])
        self._count(batch)
        return batch

    def _at_this_instant(self) -> Context:
        return replace(self._context, handled_at=now())

    async def _read_prior(
        self,
        connection: Connection,
        messages: list[InboundMessage],
        keys: Sequence[str],
        *,
        claiming: bool = True,
    ) -> PriorState:
        """Claims the ids of these messages, and reads what is open with their keys and with `keys`.

        Where an id was known before, what is open is read once more: whoever had it may have been at work
        until the claim, and left something waiting.
        """
        prior = PriorState(subjects=_subjects_of(messages))
        claims: dict[EventKey, bytes] = {}
        for message in messages if claiming else ():
            if message.upstream and message.source and message.event_id and message.content:
                claims.setdefault((message.source, message.event_id), message.content)
        wanted = packed({message.key for message in messages if message.event is not None}.union(keys))
        if not claims and not wanted:
            return prior
        ordered = sorted(claims)
        ids = (packed(source for source, _ in ordered), packed(event_id for _, event_id in ordered))
        contents, subjects = b"".join(claims[identity] for identity in ordered), _packed_pairs(prior.subjects)
        rows = await connection.fetch(SQL.begin_batch, *ids, contents, wanted, *subjects)
        prior.fresh = {(row["key"], row["reason"]) for row in rows if row["kind"] == CLAIMED}
        old = [identity for identity in ordered if identity not in prior.fresh]
        if old:
            prior.contents = await self._contents_of(connection, old)
            rows = await connection.fetch(SQL.begin_batch, "", "", b"", wanted, *subjects)
        self._note_open(prior, rows)
        return prior

    def _note_open(self, prior: PriorState, rows: Sequence[asyncpg.Record]) -> None:
        parked: dict[str, list[Parked]] = {}
        letters: dict[str, list[OpenLetter]] = {}
        for row in rows:
            kind, key, number = row["kind"], row["key"], row["id"]
            if kind == CURSOR:
                prior.cursors[key, row["reason"]] = number
            elif kind == REFUSED:
                letter = OpenLetter(key, row["request"], row["event_time"], number)
                letters.setdefault(key, []).append(letter)
            elif kind != CLAIMED and (message := self._reread(row)) is not None:
                parked.setdefault(key, []).append(Parked(message, kind, row["reason"], number))
        prior.parked, prior.letters = parked, letters
        prior.subjects += _subjects_of(p.message for waiting in parked.values() for p in waiting)

    async def _contents_of(self, connection: Connection, old: Sequence[EventKey]) -> Mapping[EventKey, bytes]:
        rows = await connection.fetch(SQL.contents_of_ids, [s for s, _ in old], [i for _, i in old])
        if len(rows) < len(old):
            raise Conflict("an event id was forgotten between two statements; it is new again")
        return {(row[0], row[1]): row[2] for row in rows}

    async def _require_cursors(self, connection: Connection, batch: Batch) -> None:
        """Raises Conflict where somebody else has handled some of these events.

        Cursors were read before the aggregates were locked. Whoever handled the same events meanwhile has
        moved them, and an event judged by a later state than its cursor looks like one that contradicts it.
        One that applied moves its cursor, which is found out then; for the others it is looked at here.
        """
        subjects = batch.prior.subjects
        if not subjects or not batch.has_set_aside:
            return
        rows = await connection.fetch(SQL.read_cursors, *_packed_pairs(subjects))
        if {(row[0], row[1]): row[2] for row in rows} != batch.prior.cursors_of(subjects):
            raise Conflict("another consumer has handled some of these events")

    async def _write(self, connection: Connection, batch: Batch) -> None:
        await self._require_cursors(connection, batch)
        await self._move_cursors(connection, batch)
        await self._write_parked(connection, batch)
        await self._write_dead_letters(connection, batch)
        await write_audit(connection, [entry_of_event(event_id, told) for event_id, told in batch.by_people])
        await self._resolve_letters(connection, batch)

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
            rows = {p.message.position: (p.message, self._parked_row(p)) for p in parked}
            await self._put_once(connection, PARKING, rows, self._overdue_after)

    def _parked_row(self, parked: Parked) -> tuple[Any, ...]:
        message, event = parked.message, parked.message.event
        assert event is not None
        return (
            message.key,
            parked.kind,
            parked.reason,
            *message.position,
            event.source,
            event.id,
            event.type,
            event.subject,
            event.sequence,
            event.time,
            self._seal(message.record, message.position),
            digest_of(message.record),
        )

    async def _write_dead_letters(self, connection: Connection, batch: Batch) -> None:
        if not batch.refusals:
            return
        rows = {
            r.message.position: (
                r.message,
                self._letter_row(r),
            )
            for r in batch.refusals
        }
        new = await self._put_once(connection, LETTERS, rows)
        numbers = {Position(row["topic"], row["partition"], row["offset"]): row["id"] for row in new}
        for refusal in batch.refusals:
            number = numbers.get(refusal.message.position)
            if number is not None:
                self._answer(batch, refusal)
                if refusal.letter is not None:
                    refusal.letter.row = number

    def _letter_row(self, refusal: Refusal) -> tuple[Any, ...]:
        message, fault, letter = refusal.message, refusal.fault, refusal.letter
        return (
            *message.position,
            _storable(message.key),
            _storable(message.source),
            _storable(message.event_id),
            _storable(message.type),
            fault.code,
            _storable(fault.pointer),
            _storable(fault.detail),
            self._seal(message.record, message.position),
            letter and letter.key,
            letter and letter.digest,
            letter and letter.told_at,
            digest_of(message.record),
            won_of(message.record),
        )

    async def _put_once(
        self,
        connection: Connection,
        keeping: "Keeping",
        rows: Mapping[Position, tuple[InboundMessage, tuple[Any, ...]]],
        *more: Any,
    ) -> list[Any]:
        """Keeps records that were not kept before; the new rows.

        A record that comes again is known by its place and its digest. Another one at a known place is kept
        beside the first: its topic was created anew, or moved.
        """
        columns = _columns(row for _, row in rows.values())
        new = list(await connection.fetch(keeping.put, *columns, *more))
        known = {Position(row["topic"], row["partition"], row["offset"]) for row in new}
        taken = {place: message for place, (message, _) in rows.items() if place not in known}
        if others := await self._others(connection, keeping.at, taken):
            columns = _columns(rows[place][1] for place in others)
            new += await connection.fetch(keeping.put_again, *columns, *more)
        return new

    async def _others(
        self, connection: Connection, query: str, taken: Mapping[Position, InboundMessage]
    ) -> list[Position]:
        """Those of these places where only other records are kept than the one that is there now."""
        if not taken:
            return []
        kept: dict[Position, set[bytes | None]] = {}
        for row in await connection.fetch(query, *_columns(taken)):
            place = Position(row["topic"], row["partition"], row["offset"])
            digest = row["digest"] if row["digest"] is not None else self._digest_as_kept(place, row)
            kept.setdefault(place, set()).add(digest)
        others = []
        for place, message in taken.items():
            record = message.record
            if not kept.get(place, set()) & {digest_of(record), digest_of(record, with_time=False)}:
                others.append(place)
                log.error("another record is at a known place", **place._asdict(), event_id=message.event_id)
        return others

    def _digest_as_kept(self, place: Position, row: Any) -> bytes | None:
        """The digest of a record that was kept without one; None, equal to no other, if it does not open."""
        try:
            packed = self._sealer.open(row["record"], seal_context(place))
        except BrokenSealError as broken:
            log.error("stored record does not open: is its DATA_KEY here?", id=row["id"], why=str(broken))
            return None
        return digest_of(unpack(place, packed))

    async def _resolve_letters(self, connection: Connection, batch: Batch) -> None:
        """Ends the dead letters that an event of this batch has made good."""
        rows = [(each.row, each.made_good_by) for each in batch.made_good() if each.row is not None]
        if rows:
            numbers, reasons = ([*column] for column in zip(*rows, strict=True))
            await connection.execute(SQL.resolve_dead_letters, numbers, reasons, BY_ITSELF)

    def _answer(self, batch: Batch, refusal: Refusal) -> None:
        message, fault = refusal.message, refusal.fault
        self._metrics.rejected.labels(fault.code).inc()
        log.warning(
            "record refused",
            topic=message.position.topic,
            partition=message.position.partition,
            offset=message.position.offset,
            event_id=message.event_id,
            code=fault.code,
            pointer=fault.pointer,
        )
        if not message.upstream:
            return
        data = feedback.rejected(
            order_id=message.key,
            source=message.source,
            event_id=message.event_id,
            event_type=message.type,
            position=message.position,
            fault=fault,
            warning=batch.warning_of(message),
        )
        place = f"{message.position.topic}/{message.position.partition}/{message.position.offset}"
        event = message.event
        cause = Cause(
            message.event_id or place,
            message.key,
            event.time if event else now(),
            event.correlation if event else message.key,
            message.traceparent,
        )
        batch.rows.add_feedback("event.rejected.v1", cause, data)

    def _seal(self, record: Record, position: Position) -> bytes:
        return self._sealer.seal(pack(record), seal_context(position))

    def _reread(self, row: asyncpg.Record) -> InboundMessage | None:
        """A stored record as a message again; None when it concerns us no more or does not open."""
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
        for letter in batch.made_good():
            log.info("dead letter resolved", letter=letter.row, key=letter.key, reason=letter.made_good_by)
        for parked in batch.newly_parked():
            self._metrics.parked.labels(parked.kind).inc()
            log.info(
                "event waits",
                key=parked.message.key,
                event_id=parked.message.event_id,
                type=parked.message.type,
                kind=parked.kind,
                reason=parked.reason,
            )

    @contextmanager
    def _noting(
        self, attempts: Attempts | None = None
    ) -> Iterator[Callable[[BaseException, int, float], None]]:
        """What notes the trouble of one piece of work until it ends; health forgets it then."""
        token = object()

        def note(trouble: BaseException, attempt: int, pause: float) -> None:
            meaning = meaning_of_trouble(trouble)
            self._metrics.retries.labels("batch").inc()
            more = {}
            if meaning is not None and meaning.concern in (Concern.SYSTEM, Concern.TIME):
                more = {"wrong": meaning.wrong, "todo": meaning.todo}
                said = _one_line(trouble)
                self._troubles.note(
                    token, "the handling of events", meaning.wrong, meaning.todo, said, monotonic()
                )
            log.warning(
                "batch repeated", attempt=attempt, pause=round(pause, 2), trouble=_one_line(trouble), **more
            )
            if attempts is not None and meaning is not None and attempts.is_short_of_time(meaning.concern):
                raise _TimeIsShort from trouble

        try:
            yield note
        finally:
            self._troubles.over(token)


def _subjects_of(messages: Iterable[InboundMessage]) -> list[Subject]:
    """The subjects whose order these messages are to keep."""
    return list(
        {
            (message.event.source, message.event.subject)
            for message in messages
            if message.event is not None
            and message.event.sequence is not None
            and (message.route is None or message.route.tracked)
        }
    )


def _packed_pairs(pairs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    return packed(first for first, _ in pairs), packed(second for _, second in pairs)


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _storable(text: str | None) -> str | None:
    """Postgres text cannot hold NUL; the sealed record keeps the original."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:2000] if text is not None else None


def _one_line(trouble: BaseException) -> str:
    return f"{type(trouble).__name__}: {trouble}".splitlines()[0][:200]
