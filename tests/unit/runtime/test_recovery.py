"""A schema of orders that was set back comes to be what it was, from what the topics hold, in memory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from shared.brokers import Brokers
from shared.events.catalogue import FEEDBACK, UPSTREAM
from shared.events.envelope import write_headers
from shared.ids import uuid7
from shared.partitioner import partition_for
from shared.runtime.fold import Fold
from shared.runtime.intake import Intake
from shared.runtime.outbox import Outbox
from shared.runtime.records import StoredRecord
from shared.runtime.recovery import Inputs, Recoverer, Recovery
from shared.runtime.signals import Metrics
from shared.runtime.topic_events import TopicEvent
from shared.sealing import Sealer
from tests.simulation.memory import Pool, Written
from tests.simulation.ports import AloneSession
from tests.simulation.tables import open_database
from tests.support.desk import NOW, issuance, orders_service, payment, upstream

PLACES = 3
PARTITIONS = {"orders.events": PLACES, FEEDBACK: PLACES, UPSTREAM: PLACES}
FIRST, SECOND, THIRD = "A-1", "A-2", "A-6"
"""Orders in three partitions."""


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
        """Each record on its own, as it comes."""
        for record in self.write(*records):
            await self.fold.handle([record])

    def write(self, *records: StoredRecord) -> list[StoredRecord]:
        """The records as they stand in the partitions of their keys, each a millisecond after the other."""
        for record in records:
            place = partition_for((record.key or b"").decode(), PLACES)
            offset, at = self.next[record.topic, place], len(self.read)
            self.next[record.topic, place] += 1
            same = (record.topic, place, offset, record.key, record.value, record.headers)
            self.read.append(Written(*same, timestamp=at))
        return self.read[-len(records) :]

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
        session: Any = AloneSession(self.database)
        told = Recovery(told=len(entries))
        return await self.recoverer.bring_forward(session, entries, inputs, told, apply=True)

    def rows(self) -> dict[str, Any]:
        """All rows but the account of partitions, those of the outbox whatever their numbers."""
        tables = {name: dict(table) for name, table in self.database.tables.items() if table}
        tables.pop("handled_offsets", None)
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


REJECTED = orjson.dumps({"event": {"id": "e", "source": "s"}})
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
    """Whether a partner may leave is decided from its orders, which stand in other partitions."""
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


def invoiced(order: str) -> StoredRecord:
    """What invoices says when the document of an order is issued. Orders keep it, and say nothing."""
    data = {
        "invoice_id": str(uuid7()),
        "partner_id": "P-17",
        "document_key": "2031-10-P-17-1",
        "payment_ids": [f"pay-{order}"],
        "order_ids": [order],
        "supply": 1_600,
        "vat": 160,
        "total": 1_760,
        "written_date": "2031-10-21",
        "issued_at": "2031-10-21T15:00:00+09:00",
        "late": False,
        "business_number": "1168200276",
        "month": "2031-10",
        "kind": "single",
    }
    headers = write_headers(
        id=str(uuid7()),
        source="/pawl/invoices",
        type="invoice.issued.v1",
        subject=data["invoice_id"],
        time=NOW,
        sequence=1,
    )
    return StoredRecord("invoices.events", 0, 0, b"P-17", orjson.dumps(data), headers)


GOODS = {"lines": [{"line_id": "1", "kind": "goods", "product_id": "mug", "product_name": "머그컵",
                    "unit_price": 1_600, "quantity": 1}]}  # fmt: skip


@pytest.mark.parametrize("is_early", [True, False])
async def test_what_led_to_no_event_comes_before_a_decision_or_behind_it_as_the_topic_tells(
    shop: Shop, is_early: bool
) -> None:
    """The broker's times say neither: the partition of one of them was read later than that of the other."""
    await shop.take(payment(FIRST, 1, "automatic", **GOODS))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    asked, issued = wants_to_leave("P-17"), invoiced(FIRST)
    written = shop.write(issued, asked) if is_early else shop.write(asked, issued)
    for record in reversed(written):
        await shop.fold.handle([record])
    before, entries = shop.rows(), shop.entries(said)
    assert entries[-1].type == ("partner.withdrawal_refused.v1" if is_early else "partner.withdrawn.v1")
    shop.database.restore(backup)

    result = await shop.recover(entries, read)

    assert result.lost == []
    assert shop.rows() == before


async def test_a_report_is_brought_forward_as_it_was_told(shop: Shop) -> None:
    """It only says how others stood, and nothing follows from it here."""
    await shop.take(payment(FIRST))
    backup, said, read = shop.database.snapshot(), len(shop.database.tables["outbox"]), len(shop.read)
    await shop.take(wants_to_leave("P-17"))
    entries = [
        f._replace(data=f.data.replace(b"unissued_units", b"pending_deposit")) for f in shop.entries(said)
    ]
    shop.database.restore(backup)

    result = await shop.recover(entries, read)

    assert result.lost == []
    assert [row["data"] for row in shop.database.tables["outbox"].values()][-1] == entries[-1].data


async def test_what_came_of_a_record_is_never_something_that_no_topic_tells(shop: Shop) -> None:
    """The topic tells an answer to a payment, and not that the order was paid: so it was not."""
    backup = shop.database.snapshot()
    await shop.take(payment(FIRST))
    entries = [f._replace(topic=FEEDBACK, type="event.rejected.v1", data=REJECTED) for f in shop.entries(0)]
    shop.database.restore(backup)

    result = await shop.recover(entries, 0)

    assert {lost.key for lost in result.lost} == {FIRST}
    assert "the topic tells event.rejected.v1" in result.lost[0].why
