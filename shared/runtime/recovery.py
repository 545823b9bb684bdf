"""`pawl recover`: brings a restored schema forward from the topics, in one transaction or not at all."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.brokers import Brokers
from shared.ids import uuid7
from shared.kafka import COMMITTED_ONLY
from shared.kst import wire_time
from shared.postgres import Connection, copy_rows
from shared.queries import load
from shared.runtime.fold import Fold
from shared.runtime.intake import InboundMessage, Intake
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import COLUMNS
from shared.runtime.recovery_rules import (
    Lost,
    Place,
    Told,
    acted_at_told,
    answered_up_to,
    causes_of,
    ids_told,
    in_order,
    lost_of,
    only_ids_differ,
    said_of,
)
from shared.runtime.schema_behind import events_of_outbox, read_span, unknown_events
from shared.runtime.service import Service
from shared.runtime.topic_events import TopicEvent

SQL = load("shared.runtime")
TRIES: Final = 64
"""What is held back is tried again after so many others, one by one, and then once all have come."""
Key: TypeAlias = tuple[str, str]
"""A key in a topic."""


class NotAlone(Exception):
    """Another process of the service leads its relay: it has to be stopped first."""


class _TakeBack(Exception):
    """A dry run, or something that cannot be brought forward: the transaction is taken back."""


class _Again(Exception):
    """Ids were learned from later events: the transaction is taken back and done again with these."""


class Origin(NamedTuple):
    """An id that was asked for: by the record at this place, as its id number so much."""

    topic: str
    partition: int
    offset: int
    number: int


@dataclass(slots=True)
class Recovery:
    """What was, or would be, brought forward.

    `told`: events that the topics told and the schema lacked; `brought` of them are in it now; `handled`:
    records that were handled once more; `fresh`: events that were never published. `lost` is what cannot be
    brought forward, `gone` the records that the broker has deleted since the backup, by place.
    """

    told: int = 0
    brought: int = 0
    handled: int = 0
    fresh: int = 0
    orders: list[str] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    gone: list[dict[str, Any]] = field(default_factory=list)
    applied: bool = False

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `pawl recover --json`."""
        return {
            "told": self.told,
            "brought": self.brought,
            "handled": self.handled,
            "fresh": self.fresh,
            "orders": self.orders,
            "lost": [each._asdict() for each in self.lost],
            "gone": self.gone,
            "applied": self.applied,
        }


@dataclass(slots=True)
class Inputs:
    """What the service has read since its backup, by partition.

    `limits` is how far its group is, `handled` how far its schema is. `is_behind`: the schema says of some
    partition that it has handled less than the group, also where nothing was told since.
    """

    queues: dict[Place, list[InboundMessage]] = field(default_factory=dict)
    limits: dict[Place, int] = field(default_factory=dict)
    handled: dict[Place, int] = field(default_factory=dict)
    gone: list[dict[str, Any]] = field(default_factory=list)
    is_behind: bool = False


@dataclass(slots=True)
class Held:
    """What is held back of a key in a topic: why its first message is, and how often to try that again."""

    why: str
    messages: deque[InboundMessage] = field(default_factory=deque)
    tries_left: int = TRIES


class Recoverer:
    """Brings the schema of one service forward. Nothing else of the service may run."""

    def __init__(
        self,
        service: Service,
        fold: Fold,
        outbox: Outbox,
        brokers: Brokers,
        partitions: Mapping[str, int],
    ) -> None:
        self._service, self._fold, self._outbox = service, fold, outbox
        self._brokers, self._partitions = brokers, partitions
        self._intake = Intake(service)
        # An id may be decided with one event and told only by what follows a later one, as the reference of a
        # bank account is: who has asked for it, and what it was, once a later event has told.
        self._untold: dict[UUID, Origin] = {}
        self._learned: dict[Origin, UUID] = {}
        # What was decided before others that led to no event, though the broker's times say otherwise.
        self._early: set[str | None] = set()

    async def recover(self, connection: asyncpg.Connection, *, apply: bool) -> Recovery:
        """Brings everything forward, if `apply` and if nothing is lost; else says what it would do.

        Repeating it changes nothing. Raises NotAlone, and what asyncpg and aiokafka raise.
        """
        if not await connection.fetchval(SQL.try_relay_lock):
            raise NotAlone(f"a process of {self._service.name} runs: stop all of them, then repeat this")

        async def known(entries: Sequence[TopicEvent]) -> set[UUID]:
            return await events_of_outbox(connection, entries)

        entries = await unknown_events(self._brokers, self._service.name, self._partitions, known)
        result = Recovery(told=len(entries), orders=list(dict.fromkeys(entry.key for entry in entries)))
        only_here = [entry for entry in entries if entry.type in self._service.only_here]
        if only_here:
            result.lost = lost_of(only_here, "what it tells of stands in no topic, only in the database")
            return result
        inputs = await self._read_inputs(connection)
        if not entries and not inputs.is_behind:
            return result
        return await self.bring_forward(connection, entries, inputs, result, apply=apply)

    async def bring_forward(
        self,
        connection: Connection,
        entries: Sequence[TopicEvent],
        inputs: Inputs,
        result: Recovery,
        *,
        apply: bool,
    ) -> Recovery:
        """`bring_all` in one transaction that stays if `apply` and if nothing is lost; what came of it.

        It is done again whenever later events have told ids that earlier events need; and where something is
        lost, with what that is decided early, as long as less is lost then.
        """
        best: Recovery | None = None
        while True:
            attempt = replace(result, gone=inputs.gone, lost=[])
            learned, early = len(self._learned), len(self._early)
            try:
                async with connection.transaction():
                    await self.bring_all(connection, entries, inputs, attempt)
                    if len(self._learned) > learned:
                        raise _Again
                    await self._note_offsets(connection, inputs)
                    if attempt.lost or not apply:
                        raise _TakeBack
            except _Again:
                continue
            except _TakeBack:
                if best is not None and len(attempt.lost) >= len(best.lost):
                    return best
                if len(self._early) == early:
                    return attempt
                best = attempt
                continue
            attempt.applied = True
            return attempt

    async def _read_inputs(self, connection: Connection) -> Inputs:
        inputs = Inputs()
        places = [
            TopicPartition(topic, number)
            for topic in self._service.topics
            for number in range(self._partitions[topic])
        ]
        topics, numbers = [p.topic for p in places], [p.partition for p in places]
        rows = await connection.fetch(SQL.handled_offsets, topics, numbers)
        handled = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        consumer = AIOKafkaConsumer(
            **self._brokers.client(),
            client_id=f"pawl-{self._service.name}-recovers",
            group_id=f"pawl-{self._service.name}",
            enable_auto_commit=False,
            isolation_level=COMMITTED_ONLY,
            retry_backoff_ms=10,
        )
        await consumer.start()
        try:
            consumer.assign(places)
            begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            for place in places:
                key = (place.topic, place.partition)
                committed = await consumer.committed(place)
                start = max(handled.get(key, begins[place]), begins[place])
                if key in handled and begins[place] > handled[key]:
                    gone = {"topic": place.topic, "partition": place.partition}
                    inputs.gone.append({**gone, "from_offset": handled[key], "to_offset": begins[place]})
                inputs.limits[key] = committed if committed is not None else start
                inputs.is_behind |= key in handled and handled[key] < inputs.limits[key]
                inputs.handled[key] = handled.get(key, start)
                records = await read_span(consumer, place, start, ends[place])
                inputs.queues[key] = self._intake.read(records)
        finally:
            await consumer.stop()
        return inputs

    async def bring_all(
        self, connection: Connection, entries: Sequence[TopicEvent], inputs: Inputs, result: Recovery
    ) -> None:
        """Handles the inputs once more, in the caller's transaction; `result` says what came of it.

        What would lead to something else than the topics tell is held back with what follows of its key in
        its topic, and tried again once others have come: what it was decided from stands in other partitions.
        """
        told = Told(entries, self._service.reports)
        answered = answered_up_to(inputs.queues, entries)
        limits = {place: max(inputs.limits[place], answered[place]) for place in inputs.queues}
        held: dict[Key, Held] = {}
        for message in in_order(inputs.queues, causes_of(entries), limits, self._early):
            key = message.position.topic, message.key
            if message.foreign or key not in held:
                why = await self._bring(connection, message, told, result)
            else:
                why = held[key].why
            if why is not None:
                held.setdefault(key, Held(why)).messages.append(message)
                continue
            for key in [key for key, each in held.items() if each.tries_left > 0]:
                await self._try_held(connection, held, key, told, result)
        while any([await self._try_held(connection, held, key, told, result) for key in list(held)]):
            pass
        for each in held.values():
            lost = told.entries(each.messages[0].key)
            result.lost += [
                _unhandled(each.messages[0], each.why),
                *lost_of(lost, "what came before it is lost"),
            ]
            told.forget(lost)
            self._early.add(each.messages[0].event_id)
        left = "its cause is in no topic: a command, a timer, or a deleted record"
        result.lost += lost_of(told.entries(), left)

    async def _try_held(
        self, connection: Connection, held: dict[Key, Held], key: Key, told: Told, result: Recovery
    ) -> bool:
        """Tries once more what is held back of a key; whether something of it was brought forward."""
        each, has_moved = held[key], False
        each.tries_left -= 1
        while each.messages:
            why = await self._bring(connection, each.messages[0], told, result)
            if why is not None:
                each.why = why
                return has_moved
            each.messages.popleft()
            each.tries_left, has_moved = TRIES, True
        del held[key]
        return True

    async def _note_offsets(self, connection: Connection, inputs: Inputs) -> None:
        """Keeps that everything is handled up to where the group is, but for what is gone."""
        reached = {place: max(inputs.handled[place], limit) for place, limit in inputs.limits.items()}
        for gap in inputs.gone:
            place = gap["topic"], gap["partition"]
            await connection.fetchval(
                SQL.note_gap, *place, gap["from_offset"], gap["to_offset"], "deleted", None
            )
        columns = [
            list(column) for column in zip(*((*p, offset) for p, offset in reached.items()), strict=True)
        ]
        await connection.execute(SQL.keep_handled_offsets, *columns)

    async def _bring(
        self, connection: Connection, message: InboundMessage, told: Told, result: Recovery
    ) -> str | None:
        """Handles one message once more under the ids, and at the instant, that the topics tell.

        Returns why that cannot be, or None.
        """
        asked: list[UUID] = []

        def fresh() -> UUID:
            place = Origin(*message.position, len(asked))
            asked.append(self._learned.get(place) or uuid7())
            return asked[-1]

        savepoint = connection.transaction()
        await savepoint.start()
        try:
            said = await self._try(connection, message, fresh)
            counterparts = zip(said, told.counterparts(said), strict=True)
            pairs = [(row, entry) for row, entry in counterparts if entry is not None]
            known, at = ids_told(asked, pairs), acted_at_told(pairs)
            for number, each in enumerate(known):
                if each in asked:
                    self._untold[each] = Origin(*message.position, number)
            given = _then_fresh(known)
            events = self._outbox.rows()
            batch = await self._fold.take_one(
                connection, events, message, new_id=lambda: next(given), handled_at=at
            )
        except asyncpg.IntegrityConstraintViolationError as refusal:
            await savepoint.rollback()
            return f"the schema refuses it: {refusal}"
        rows = [said_of(row) for row in events.rows]
        entries = told.counterparts(rows)
        for row, entry in zip(rows, entries, strict=True):
            if (why := told.contradiction(row, entry)) is not None:
                self._learn(row, entry)
                await savepoint.rollback()
                return why
        if (why := told.otherwise(message.event_id, rows, entries)) is not None:
            await savepoint.rollback()
            return why
        await self._append(connection, rows, entries)
        await savepoint.commit()
        brought = [entry for entry in entries if entry is not None]
        told.forget(brought)
        result.brought += len(brought)
        result.fresh += len(entries) - len(brought)
        result.handled += batch.handled
        return None

    def _learn(self, said: Mapping[str, Any], entry: TopicEvent | None) -> None:
        """Notes ids that an earlier record has asked for, where nothing but these is told otherwise."""
        for ours, told in (only_ids_differ(said, entry) if entry is not None else {}).items():
            if (asked := self._untold.get(ours)) is not None:
                self._learned[asked] = told

    async def _try(
        self, connection: Connection, message: InboundMessage, new_id: Any
    ) -> list[dict[str, Any]]:
        """What a message leads to; all of it is taken back."""
        events = self._outbox.rows()
        savepoint = connection.transaction()
        await savepoint.start()
        try:
            await self._fold.take_one(connection, events, message, new_id=new_id)
        finally:
            await savepoint.rollback()
        return [said_of(row) for row in events.rows]

    async def _append(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]], entries: Sequence[TopicEvent | None]
    ) -> None:
        """The events as the topics tell them, under their ids; the relay publishes them once more."""
        records = []
        for said, entry in zip(rows, entries, strict=True):
            full = {**said, "event_id": uuid7()}
            if entry is not None:
                full |= {"event_id": entry.event_id, "data": entry.data, "time": entry.time}
            records.append(tuple(full[column] for column in COLUMNS))
        if records:
            await copy_rows(connection, "outbox", COLUMNS, records)


def _unhandled(message: InboundMessage, why: str) -> Lost:
    event = message.event
    time = wire_time(event.time) if event is not None else ""
    sequence = event.sequence if event is not None else None
    subject = event.subject if event is not None else message.key
    return Lost(message.key, message.type or "", subject, sequence, message.event_id or "", time, why)


def _then_fresh(ids: Sequence[UUID]) -> Iterator[UUID]:
    return chain(ids, (uuid7() for _ in repeat(None)))
