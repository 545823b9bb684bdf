"""What no topic holds any more is forgotten: no more than that, no sooner, and never a duplicate let in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from shared.kafka import END_OF_TIME
from shared.queries import load
from shared.runtime import fold as fold_module
from shared.runtime import retention as retention_module
from shared.runtime.retention import Retention
from shared.runtime.signals import Metrics
from shared.runtime.tasks import end_all
from tests.support import retention
from tests.support.desk import Desk, Patched, again, issuance, payment
from tests.support.patience import PATIENCE
from tests.support.retention import forget, set_policy

RUNTIME_SQL = load("shared.runtime")
KEEP = timedelta(days=100)
OLD = timedelta(days=101)
TENTH = timedelta(days=10)


@pytest.fixture(autouse=True)
async def policy(admin: Any, pool: asyncpg.Pool) -> AsyncIterator[None]:
    """Everything is kept for a hundred days, and nothing is forgotten yet; the usual policy afterwards."""
    await set_policy(admin, ["orders"], KEEP)
    yield
    await set_policy(admin, ["orders"])


@pytest.fixture
def few_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few that a handful of rows takes many steps."""
    monkeypatch.setattr(retention_module, "EVENTS_A_STEP", 3)
    monkeypatch.setattr(retention_module, "PAGES_A_STEP", 1)


async def grow_old(admin: Any, age: timedelta = OLD) -> None:
    await retention.grow_old(admin, ["orders"], age)


async def publish_all(admin: Any) -> None:
    await retention.publish_all(admin, "orders")


@asynccontextmanager
async def running(retention: Retention) -> AsyncIterator[None]:
    """It makes round after round while this lasts."""
    rounds = asyncio.create_task(retention.run(0.01))
    try:
        yield
    finally:
        await end_all([rounds])


async def keys_told(pool: asyncpg.Pool) -> set[str]:
    return {row["key"] for row in await pool.fetch("SELECT DISTINCT key FROM outbox")}


async def ids_known(pool: asyncpg.Pool) -> int:
    known: int = await pool.fetchval("SELECT count(*) FROM inbox")
    return known


async def test_what_is_old_and_published_is_forgotten_and_the_rest_is_kept(
    desk: Desk, pool: asyncpg.Pool, admin: Any, few_a_step: None
) -> None:
    await desk.take(*(payment(f"A-{n}") for n in range(20)))
    await grow_old(admin)
    await desk.take(payment("B-1"))
    await publish_all(admin)

    await forget(pool)

    assert await keys_told(pool) == {"B-1"}
    assert await ids_known(pool) == 1
    row = await pool.fetchrow("SELECT forgotten, (SELECT min(id) FROM outbox) AS first FROM retention")
    assert row["forgotten"] == row["first"] - 1


async def test_what_is_not_published_is_never_forgotten(desk: Desk, pool: asyncpg.Pool, admin: Any) -> None:
    await desk.take(payment("A-1"))
    await grow_old(admin)
    await desk.take(payment("A-2"))
    await admin.execute("UPDATE orders.outbox SET recorded_at = recorded_at - $1::interval", OLD)

    await forget(pool)

    assert await keys_told(pool) == {"A-2"}


async def test_an_event_is_forgotten_only_after_all_that_were_said_before_it(
    desk: Desk, pool: asyncpg.Pool, admin: Any
) -> None:
    """A transaction that began earlier may say its events later: `recorded_at` is when it began."""
    await desk.take(payment("A-1"))
    await publish_all(admin)
    await desk.take(payment("A-2"))
    await admin.execute("UPDATE orders.outbox SET recorded_at = now() - $1::interval WHERE key = 'A-2'", OLD)
    await publish_all(admin)

    await forget(pool)

    assert await keys_told(pool) == {"A-1", "A-2"}


async def test_nothing_is_forgotten_that_a_topic_still_holds(
    desk: Desk, pool: asyncpg.Pool, admin: Any
) -> None:
    """The topics keep more than the policy asks for: an inbox that forgot sooner would let duplicates in."""
    await desk.take(payment("A-1"))
    await grow_old(admin, OLD)
    told = datetime.now(UTC) - OLD

    await forget(pool, oldest_record=told)
    assert (await keys_told(pool), await ids_known(pool)) == ({"A-1"}, 1)
    await forget(pool, oldest_record=told + TENTH + timedelta(minutes=1))
    assert (await keys_told(pool), await ids_known(pool)) == (set(), 0)


async def test_the_horizon_never_moves_back(desk: Desk, pool: asyncpg.Pool, admin: Any) -> None:
    await forget(pool)
    horizon = await pool.fetchval("SELECT horizon FROM retention")

    await admin.execute("UPDATE orders.retention SET keep = keep * 2")
    await forget(pool, oldest_record=datetime(2020, 1, 1, tzinfo=UTC))

    assert await pool.fetchval("SELECT horizon FROM retention") == horizon


async def test_an_event_that_came_again_is_known_as_long_as_its_repeat(
    desk: Desk, pool: asyncpg.Pool, admin: Any
) -> None:
    """The first record is gone from the topic, the repeat is not, and somebody reads the topic again."""
    bought = payment("A-1")
    await desk.take(bought)
    await grow_old(admin, KEEP / 2)
    repeat = again(bought)
    await desk.take(repeat)
    await grow_old(admin, KEEP / 2 + timedelta(days=1))

    await forget(pool, oldest_record=datetime.now(UTC) - KEEP / 2)
    await desk.take(repeat)

    assert await keys_told(pool) == set(), "the facts are forgotten, and none was said anew"
    assert await ids_known(pool) == 1


async def test_an_event_from_before_the_horizon_is_answered_anew_and_has_no_second_effect(
    desk: Desk, pool: asyncpg.Pool, admin: Any
) -> None:
    """A checkout that sends its archive again: ids are forgotten, orders, payments and requests are not."""
    bought, asked = payment("A-1"), issuance("A-1", 60)
    await desk.take(bought, asked)
    await grow_old(admin)
    await forget(pool)
    line = await desk.line("A-1")

    await desk.take(again(bought), again(asked))

    assert await desk.types() == []
    assert set((await desk.answers()).values()) == {1}
    assert await desk.line("A-1") == line


async def test_an_id_that_is_being_forgotten_is_waited_for_and_new_again(
    desk: Desk, pool: asyncpg.Pool, admin: Any
) -> None:
    bought = payment("A-1")
    await desk.take(bought)
    forgetting = admin.transaction()
    await forgetting.start()
    await admin.execute("DELETE FROM orders.inbox")

    repeat = asyncio.create_task(desk.take(again(bought)))
    await _until_somebody_waits(pool)
    assert not repeat.done()
    await forgetting.commit()
    await repeat

    assert await ids_known(pool) == 1
    assert await desk.waiting() == []
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0


async def _until_somebody_waits(pool: asyncpg.Pool) -> None:
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)"
    async with asyncio.timeout(PATIENCE):
        while not await pool.fetchval(waits):
            await asyncio.sleep(0.01)


async def test_an_id_that_is_forgotten_between_claim_and_look_is_claimed_again(
    desk: Desk, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its first content a repeat would look like another event under a used id."""
    bought = payment("A-1")
    await desk.take(bought)
    finds_nothing = iter(["SELECT $1::text[] AS source, $2::text[] AS event_id, NULL AS content WHERE false"])

    class ForgottenOnce(Patched):
        def __getattr__(self, name: str) -> Any:
            nothing = next(finds_nothing, None) if name == "contents_of_ids" else None
            return nothing or super().__getattr__(name)

    monkeypatch.setattr(fold_module, "SQL", ForgottenOnce(RUNTIME_SQL))
    await desk.take(again(bought))

    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert set((await desk.answers()).values()) == {1}


async def test_a_repeat_is_noted_once_in_a_while_only(desk: Desk, pool: asyncpg.Pool, admin: Any) -> None:
    """A whole topic that is read again must not rewrite the whole inbox each time."""
    bought = payment("A-1")
    noted = "SELECT repeated_at FROM inbox"
    await desk.take(bought)
    await desk.take(again(bought))
    assert await pool.fetchval(noted) is None

    await grow_old(admin, TENTH + timedelta(days=1))
    await desk.take(again(bought))
    first = await pool.fetchval(noted)
    assert first is not None
    await desk.take(again(bought))
    assert await pool.fetchval(noted) == first


async def test_a_process_that_does_not_lead_forgets_nothing(
    desk: Desk, pool: asyncpg.Pool, admin: Any
) -> None:
    await desk.take(payment("A-1"))
    await grow_old(admin)
    leads, asked = iter([False, False, True]), asyncio.Event()

    async def oldest() -> datetime:
        asked.set()
        return END_OF_TIME

    forgetting = Retention(pool, oldest, lambda: next(leads, True), Metrics())
    async with running(forgetting):
        await asyncio.wait_for(asked.wait(), PATIENCE)

    assert next(leads, None) is None


async def test_a_broker_that_does_not_answer_is_asked_again(
    desk: Desk, pool: asyncpg.Pool, admin: Any
) -> None:
    await desk.take(payment("A-1"))
    await grow_old(admin)
    answers = iter([OSError("no broker"), TimeoutError()])

    async def oldest() -> datetime:
        if trouble := next(answers, None):
            raise trouble
        return END_OF_TIME

    async with running(Retention(pool, oldest, lambda: True, Metrics())), asyncio.timeout(PATIENCE):
        while await ids_known(pool):
            await asyncio.sleep(0.01)

    assert await keys_told(pool) == set()
