"""The service's fold on Postgres: records of orders.events in, serials and events out, each once."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import count

import orjson
import pytest

from services.serials.handlers import ROUTES, refuse_late
from shared.ids import uuid7
from shared.runtime.fold import Fold
from shared.runtime.records import StoredRecord
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.sealing import Sealer
from tests.integration.serials.conftest import CHUNK, Desk


@pytest.fixture
def fold(desk: Desk) -> Fold:
    store = desk.store
    service = Service("serials", ROUTES, store, refuse_late)
    sealer = Sealer(bytes(32), "test")
    return Fold(service, desk.pool, desk.outbox, sealer, Metrics(), timedelta(hours=1))


class Topic:
    """orders.events, as far as one partition of it."""

    def __init__(self) -> None:
        self.records: list[StoredRecord] = []
        self._sequences = count(1)

    def granted(self, quantity: object, *, kind: str = "serials", order_id: str = "A-1001") -> str:
        grant_id = str(uuid7())
        data = {
            "order_id": order_id,
            "grant_id": grant_id,
            "quantity": quantity,
            "partner_id": "P-17",
            "line_id": "1",
            "kind": kind,
            "product_id": "study-30",
            "product_name": "스터디 이용권 30일",
            "unit_price": 1600,
            "usage_days": 30,
        }
        self.add("issuance.granted.v1", order_id, data)  # as topics hold it
        return grant_id

    def add(self, type_name: str, order_id: str, data: dict[str, object]) -> None:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid7()),
            "ce_source": "/pawl/orders",
            "ce_type": type_name,
            "ce_subject": order_id,
            "ce_time": "2026-10-23T09:00:01+09:00",
            "ce_sequence": str(next(self._sequences)),
            "ce_correlationid": order_id,
            "ce_causationid": "evt-issuance-requested",
            "content-type": "application/json",
        }
        encoded = [(name, value.encode()) for name, value in headers.items()]
        place = len(self.records)
        record = StoredRecord("orders.events", 0, place, order_id.encode(), orjson.dumps(data), encoded)
        self.records.append(record)


async def issued(desk: Desk) -> Sequence[tuple[str, int]]:
    rows = await desk.pool.fetch("SELECT data FROM outbox WHERE type = 'serials.issued.v2' ORDER BY id")
    grants = [grant for row in rows for grant in orjson.loads(row["data"])["grants"]]
    return [(grant["grant_id"], grant["quantity"]) for grant in grants]


async def test_the_whole_topic_again_and_backwards_changes_nothing(fold: Fold, desk: Desk) -> None:
    topic = Topic()
    small, large = topic.granted(60), topic.granted(CHUNK + 1)
    await fold.handle(topic.records)
    await desk.worker().drain()
    before = await desk.pool.fetch("SELECT * FROM serials ORDER BY serial_id")

    await fold.handle(topic.records)
    await fold.handle(topic.records[::-1])
    await desk.worker().drain()

    assert await desk.pool.fetch("SELECT * FROM serials ORDER BY serial_id") == before
    assert await issued(desk) == [(small, 60), (large, CHUNK + 1)]


async def test_events_of_orders_that_grant_nothing_are_passed_over(fold: Fold, desk: Desk) -> None:
    topic = Topic()
    topic.add("order.expired.v1", "A-1001", {"order_id": "A-1001", "expired_at": "2026-10-28T23:59:59+09:00"})
    grant = topic.granted(3)

    await fold.handle(topic.records)

    assert await issued(desk) == [(grant, 3)]
    assert await desk.pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_a_grant_that_cannot_be_is_kept_for_an_operator_and_stops_nobody_else(
    fold: Fold, desk: Desk
) -> None:
    topic = Topic()
    topic.granted(60, kind="goods", order_id="A-1")
    topic.granted(-5, order_id="A-2")
    right = topic.granted(60, order_id="A-3")

    await fold.handle(topic.records)

    assert await issued(desk) == [(right, 60)]
    parked = await desk.pool.fetch("SELECT key, kind FROM parked")
    assert [tuple(row) for row in parked] == [("A-1", "blocked")]
    dead = await desk.pool.fetch("SELECT key, code FROM dead_letters")
    assert [tuple(row) for row in dead] == [("A-2", "out_of_range")]
