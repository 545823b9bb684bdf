"""Payouts that nobody answered are asked for again, on a real database: later each time, under one key."""

from datetime import timedelta
from typing import Any

import pytest

from ops.setup.provision import Database
from services.refunds.asking_again import ask_some
from services.refunds.store import Store
from shared.postgres import connect
from shared.runtime.surroundings import Surroundings
from tests.support.serving import SEALER
from tests.support.tabletop import Tabletop, buy, refund_id_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def unanswered(table: Tabletop) -> str:
    """A refund of A-1 whose payout timed out; its id."""
    await buy(table, "A-1")
    table.say("refund.requested.v1", "A-1")
    await table.drain()
    refund_id = await refund_id_of(table, "A-1")
    await time_out(table, refund_id)
    return refund_id


async def time_out(table: Tabletop, refund_id: str) -> None:
    table.say(
        "refund.payout_failed.v1", "A-1", refund_id=refund_id, payout_id=f"po-{refund_id}", reason="timeout"
    )
    await table.drain()


async def ask(table: Tabletop, after: timedelta) -> int:
    pool, outbox = table.pools["refunds"], table.outboxes["refunds"]
    looked_at = await ask_some(Surroundings(pool, outbox), Store(SEALER), after)
    await table.drain()
    return looked_at


async def refund(table: Tabletop) -> dict[str, Any]:
    return dict(await table.pools["refunds"].fetchrow("SELECT * FROM refunds"))


async def test_it_is_asked_for_again_when_its_time_has_come(table: Tabletop, unanswered: str) -> None:
    assert await ask(table, MINUTE) == 0
    assert (await refund(table))["state"] == "unknown"

    assert await ask(table, timedelta(0)) == 1

    assert (await refund(table))["state"] == "paying_out"
    table.say("refund.paid_out.v1", "A-1", refund_id=unanswered)
    await table.drain()
    assert (await refund(table))["state"] == "completed"
    assert await ask(table, timedelta(0)) == 0


async def test_each_pause_is_twice_as_long_as_the_one_before(
    table: Tabletop, unanswered: str, database: Database
) -> None:
    await ask(table, timedelta(0))
    await time_out(table, unanswered)
    owner = await connect(database.owner_url, "refunds")
    await owner.execute("UPDATE refund_history SET recorded_at = now() - interval '90 seconds'")
    await owner.close()

    assert await ask(table, MINUTE) == 0
    assert await ask(table, MINUTE * 0.7) == 1
