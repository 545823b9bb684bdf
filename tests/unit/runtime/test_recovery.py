"""A schema of orders that was set back comes to be what it was, from what the topics hold, in memory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.brokers import Brokers
from shared.events.catalogue import FEEDBACK, UPSTREAM
from shared.partitioner import partition_for
from shared.runtime.fold import Fold
from shared.runtime.intake import Intake
from shared.runtime.outbox import Outbox
from shared.runtime.records import StoredRecord
from shared.runtime.recovery import Inputs, Recoverer, Recovery
from shared.runtime.signals import Metrics
from shared.runtime.topic_events import TopicEvent
from shared.sealing import Sealer
from tests.simulation.memory import Connection, Database, Pool, Written
from tests.simulation.tables import open_database
from tests.support.desk import issuance, orders_service, payment, upstream

PLACES = 3
PARTITIONS = {"orders.events": PLACES, FEEDBACK: PLACES, UPSTREAM: PLACES}
FIRST, SECOND, THIRD = "A-1", "A-2", "A-6"
"""Orders in three partitions."""


class Savepoint:
    """Takes back everything since its start."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self) -> None:
        self._before = self._database.snapshot()

    async def commit(self) -> None:
        """What was done stays done."""

    async def rollback(self) -> None:
        self._database.restore(self._before)


class Session(Connection):
    """One transaction that sees its own writes, with savepoints."""

    def transaction(self) -> Any:
        return Savepoint(self._database)


class Shop:
    """Orders on rows in memory, and what its topics hold."""

    def __init__(self) -> None:
        self.service = orders_service()
        self.database = open_database("orders", 1)
        self.read: list[StoredRecord] = []
        self.next: Counter[tuple[str, int]] = Counter()
        outbox = Outbox("orders", PARTITIONS)
        sealer = Sealer(b"k" * 32, "test")
        pool: Any = Pool(self.database)
        self.fold = Fold(self.service, pool, outbox, sealer, Metrics(), timedelta(hours=1))
        self.recoverer = Recoverer(self.service, self.fold, outbox, Brokers("nowhere"), PARTITIONS)

    async def take(self, *records: StoredRecord) -> None:
        """Each record on its own, as it comes; it stands in the partition of its key."""
        for record in records:
            place = partition_for((record.key or b"").decode(), PLACES)
            offset = self.next[record.topic, place]
            self.next[record.topic, place] += 1
            placed = Written(
                record.topic, place, offset, record.key, record.value, record.headers, len(self.read)
            )
            self.read.append(placed)
            await self.fold.handle([placed])

    def entries(self, behind: int) -> list[TopicEvent]:
        """What the topics hold that the outbox said behind a row."""
        rows = [row for number, row in sorted(self.database.tables["outbox"].items()) if number > behind]
        return [event_of_row(number, row) for number, row in enumerate(rows)]

    async def recover(self, entries: Sequence[TopicEvent], since: int, group: int | None = None) -> Recovery:
        """`since` so many records, `group`: how many its group has committed, all by default."""
        inputs = Inputs()
        ends = Counter((record.topic, record.partition) for record in self.read[:group])
        begins = Counter((record.topic, record.partition) for record in self.read[:since])
        for place in self.next:
            records = [r for r in self.read[since:] if (r.topic, r.partition) == place]
            inputs.queues[place] = Intake(self.service).read(records)
            inputs.limits[place], inputs.handled[place] = ends[place], begins[place]
        result = Recovery(told=len(entries))
        session: Any = Session(self.database)
        await self.recoverer.bring_all(session, entries, inputs, result)
        return result

    def rows(self) -> dict[str, Any]:
        """All rows, those of the outbox whatever their numbers."""
        tables = {name: dict(table) for name, table in self.database.tables.items() if table}
        tables["outbox"] = sorted(
            repr({k: v for k, v in row.items() if k != "id"}) for row in tables["outbox"].values()
        )
        return tables


def event_of_row(number: int, row: Any) -> TopicEvent:
    at = datetime(2031, 10, 21, tzinfo=UTC) + timedelta(seconds=number)
    same = {name: row[name] for name in TopicEvent._fields if name in row}
    return TopicEvent(**{**same, "offset": number, "appended_at": at})


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_a_schema_that_was_set_back_is_brought_to_what_it_was(shop: Shop) -> None:
    await shop.take(payment("A-1"), payment("A-2"))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    await shop.take(
        issuance("A-3", 2),  # waits for its payment
        issuance("A-1", 5),
        payment("A-3", policy="automatic"),
        issuance("A-1", 7, "iss-2"),
        StoredRecord(UPSTREAM, 0, 0, b"A-2", b"{", []),
    )
    before, entries = shop.rows(), shop.entries(said)
    shop.database.restore(backup)

    result = await shop.recover(entries, read)

    assert result.lost == []
    assert (result.brought, result.fresh) == (len(entries), 0)
    after = shop.rows()
    assert after.keys() == before.keys()
    for table in set(before) - {"parked", "dead_letters"}:
        assert after[table] == before[table], table
    assert len(after["dead_letters"]) == 1


async def test_recovering_again_changes_nothing(shop: Shop) -> None:
    await shop.take(payment("A-1"))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    await shop.take(issuance("A-1", 5))
    entries = shop.entries(said)
    shop.database.restore(backup)
    await shop.recover(entries, read)
    once = shop.rows()

    again = await shop.recover([], read)

    assert (again.brought, again.fresh, again.lost) == (0, 0, [])
    assert shop.rows() == once


async def test_what_was_handled_and_never_published_is_decided(shop: Shop) -> None:
    """The relay had not come to it: nobody has read it, so nobody can be told otherwise."""
    await shop.take(payment("A-1"))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    await shop.take(issuance("A-1", 5), issuance("A-1", 6, "iss-2"))
    of_the_first = [entry for entry in shop.entries(said) if "iss-2" not in entry.data.decode()]
    shop.database.restore(backup)

    result = await shop.recover(of_the_first[:2], read)

    assert result.lost == []
    assert result.fresh > 0


async def test_what_was_only_answered_is_handled_again_though_the_group_was_never_told(shop: Shop) -> None:
    """Killed before its offsets were committed: the answer says that its record was handled."""
    await shop.take(payment("A-1"))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    await shop.take(
        issuance("A-9", 2),  # waits for its payment: an answer is all that it led to
        StoredRecord(UPSTREAM, 0, 0, b"A-2", b"{", []),
    )
    never_committed = StoredRecord(UPSTREAM, 0, 0, b"A-3", b"{", [])
    entries = shop.entries(said)
    await shop.take(never_committed)
    shop.database.restore(backup)

    result = await shop.recover(entries, read, group=read)

    assert result.lost == []
    assert (result.brought, result.fresh) == (len(entries), 0)


async def test_an_event_without_its_cause_is_lost_and_named(shop: Shop) -> None:
    """A deposit that expired, or a command of an operator: no topic tells the cause."""
    await shop.take(payment("A-1"))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    await shop.take(issuance("A-1", 5))
    entries = [f._replace(causation="a-command") for f in shop.entries(said) if f.topic != FEEDBACK]
    shop.database.restore(backup)

    result = await shop.recover(entries, len(shop.read))

    assert [(lost.key, lost.type) for lost in result.lost] == [(f.key, f.type) for f in entries]
    assert "its cause is in no topic" in result.lost[0].why
    assert read < len(shop.read)


async def test_what_would_now_be_decided_otherwise_is_lost_and_nothing_follows_from_it(shop: Shop) -> None:
    await shop.take(payment("A-1"))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    await shop.take(issuance("A-1", 5), issuance("A-1", 6, "iss-2"))
    entries = shop.entries(said)
    changed = [f._replace(data=f.data.replace(b'"quantity":5', b'"quantity":4')) for f in entries]
    assert changed != entries
    shop.database.restore(backup)

    result = await shop.recover(changed, read)

    assert any("the topic tells otherwise" in lost.why for lost in result.lost)
    assert {lost.key for lost in result.lost} == {"A-1"}
    assert result.brought == 0


BUYER = {
    "business_number": "1168200276",
    "name": "가나다 주식회사",
    "invoice_email": "tax@ganada.example",
}


def wants_to_leave(partner: str, request: str = "wd-1") -> StoredRecord:
    record = upstream(
        "partner.withdrawal_requested.v1", partner, {"partner_id": partner, "request_id": request}
    )
    return replace(record, key=partner.encode())


async def test_all_partitions_are_brought_forward_in_the_order_in_which_was_decided(shop: Shop) -> None:
    """Whether a partner may leave is decided from its orders, which stand in other partitions than it does."""
    assert len({partition_for(key, PLACES) for key in (FIRST, SECOND, THIRD)}) == PLACES
    await shop.take(payment(FIRST))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    await shop.take(
        payment(SECOND),
        wants_to_leave("P-17"),
        payment(THIRD),
        wants_to_leave("P-17", "wd-2"),
        wants_to_leave("P-18"),
        payment("A-4", partner={**BUYER, "partner_id": "P-18"}),  # it has left
    )
    before, entries = shop.rows(), shop.entries(said)
    shop.database.restore(backup)

    result = await shop.recover(entries, read)

    assert result.lost == []
    assert (result.brought, result.fresh) == (len(entries), 0)
    assert shop.rows() == before
