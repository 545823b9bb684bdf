"""Bringing a schema forward where an id is decided with one event and told by what follows a later one."""

from collections.abc import Callable, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import orjson

from shared.brokers import Brokers
from shared.ids import uuid7
from shared.runtime.decisions import Position
from shared.runtime.fold import Fold
from shared.runtime.intake import InboundMessage
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import COLUMNS
from shared.runtime.recovery import Inputs, Recoverer, Recovery
from shared.runtime.recovery_rules import only_ids_differ
from shared.runtime.service import Service
from shared.runtime.topic_events import TopicEvent
from tests.unit.runtime.test_recovery_rules import AT, OTHER, OURS, THEIRS, entry, grant, row

UPSTREAM = "checkout.events"


class Desk:
    """Refunds in small: a request makes a refund and the reference of its account, which a grant tells."""

    def __init__(self) -> None:
        self.reference: UUID | None = None
        self.said: list[dict[str, Any]] = []

    async def take_one(
        self,
        connection: Any,
        events: Any,
        message: InboundMessage,
        *,
        new_id: Callable[[], UUID],
        handled_at: datetime | None = None,
    ) -> Any:
        if message.event_id == "asked":
            refund, self.reference = new_id(), new_id()
            events.rows.append(said(1, "asked", {"refund_id": str(refund)}))
        else:
            events.rows.append(said(2, "granted", {"reference": str(self.reference)}))
        return SimpleNamespace(handled=1)

    # A connection, as far as bringing forward needs one.

    def transaction(self) -> "Taken":
        return Taken(self)

    async def execute(self, *statement: Any) -> None:
        """Locks, and how far partitions are: neither is looked at here."""

    async def copy_records_to_table(
        self, table: str, *, records: Any, columns: Sequence[str], timeout: float
    ) -> None:
        self.said += [dict(zip(columns, record, strict=True)) for record in records]


class Taken:
    """A transaction or a savepoint of it: what is not kept is taken back."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def start(self) -> None:
        self._before = self._desk.reference, list(self._desk.said)

    async def rollback(self) -> None:
        self._desk.reference, self._desk.said = self._before

    async def commit(self) -> None:
        """What was done stays done."""

    async def __aenter__(self) -> None:
        await self.start()

    async def __aexit__(self, failed: Any, *more: Any) -> None:
        if failed is not None:
            await self.rollback()


def said(sequence: int, cause: str, data: dict[str, str]) -> tuple[Any, ...]:
    like = entry(topic="refunds.events", sequence=sequence, causation=cause, data=orjson.dumps(data))
    by_column = row(like)
    return tuple(by_column[column] for column in COLUMNS if column != "event_id")


def told(sequence: int, cause: str, **data: str) -> TopicEvent:
    return entry(
        event_id=uuid7(), topic="refunds.events", sequence=sequence, causation=cause, data=orjson.dumps(data)
    )


def heard(name: str, offset: int) -> InboundMessage:
    record: Any = SimpleNamespace(timestamp=offset)
    event: Any = SimpleNamespace(time=AT, sequence=None, subject="A-1")
    return InboundMessage(
        record, Position(UPSTREAM, 0, offset), "A-1", True, "shop", name, "said.v1", event=event
    )


async def recovered(desk: Desk, entries: Sequence[TopicEvent], *, apply: bool = True) -> Recovery:
    outbox = SimpleNamespace(rows=lambda: SimpleNamespace(rows=[]))
    service = SimpleNamespace(name="refunds", topics=(UPSTREAM,), routes={}, reports=frozenset())
    recoverer = Recoverer(
        cast(Service, service), cast(Fold, desk), cast(Outbox, outbox), Brokers("nowhere"), {UPSTREAM: 1}
    )
    queue = [heard("asked", 0), heard("granted", 1)]
    inputs = Inputs({(UPSTREAM, 0): queue}, {(UPSTREAM, 0): 2}, {(UPSTREAM, 0): 0})
    return await recoverer.bring_forward(
        cast(Any, desk), entries, inputs, Recovery(told=len(entries)), apply=apply
    )


FACTS = [told(1, "asked", refund_id=str(THEIRS)), told(2, "granted", reference=str(OTHER))]


async def test_the_id_is_what_the_later_event_tells() -> None:
    desk = Desk()

    result = await recovered(desk, FACTS)

    assert (result.lost, result.applied, result.brought) == ([], True, 2)
    assert desk.reference == OTHER
    assert [each["event_id"] for each in desk.said] == [each.event_id for each in FACTS]


async def test_a_dry_run_finds_the_same_and_keeps_nothing() -> None:
    desk = Desk()

    result = await recovered(desk, FACTS, apply=False)

    assert (result.lost, result.applied, result.brought) == ([], False, 2)
    assert (desk.reference, desk.said) == (None, [])


async def test_what_differs_in_more_than_ids_is_lost_as_ever() -> None:
    desk = Desk()

    result = await recovered(desk, [FACTS[0], told(2, "granted", reference=str(OTHER), amount="5")])

    assert [each.type for each in result.lost] != []
    assert not result.applied
    assert desk.said == []


def test_ids_alone_are_told_from_anything_else() -> None:
    same, other = entry(data=grant(THEIRS)), entry(data=grant(THEIRS), time="2026-11-29T10:02:04+09:00")

    assert only_ids_differ(row(entry(), data=grant(OURS)), same) == {OURS: THEIRS}
    assert only_ids_differ(row(entry(), data=grant(OURS)), other) == {}
    assert only_ids_differ(row(entry()), same) == {}
