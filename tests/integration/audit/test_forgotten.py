"""The auditor and `pawl order` where things were forgotten: silent about these, loud about all others."""

from collections.abc import AsyncIterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from ops.audit.books import SQL
from ops.audit.check import audit
from ops.audit.topics.rules import IN_SCHEMA
from ops.setup.provision import Database
from ops.watch.order import read_order, show_order
from shared.events.catalogue import SERVICES
from tests.support.retention import USUAL, forget, grow_old, set_policy
from tests.support.tabletop import Tabletop, buy, refund_and_issue

Broken = dict[str, set[str | None]]


@pytest.fixture
async def forgotten(history: Tabletop, admin: Any) -> AsyncIterator[Tabletop]:
    """A whole history is older than what is kept, and forgotten. Then A-5 goes on, and B-1 begins."""
    await set_policy(admin, SERVICES)
    await grow_old(admin, SERVICES, USUAL + timedelta(days=1))
    for pool in history.pools.values():
        await forget(pool)
    history.say("issuance.requested.v1", "A-5", request_id="iss-late")
    await buy(history, "B-1")
    await refund_and_issue(history, "B-1")
    yield history
    await set_policy(admin, SERVICES)


async def broken_rules(database: Database, table: Tabletop) -> Broken:
    """What `pawl check` and the part of `--topics` that needs no topic find."""
    broken: Broken = {}
    for found in (await audit(database.ops_url, settle=0)).violations:
        broken.setdefault(found.rule, set()).add(found.order_id)
    for rule, services in IN_SCHEMA.items():
        for service in services:
            for row in await table.pools[service].fetch(getattr(SQL, rule.name), 100):
                broken.setdefault(rule.name, set()).add(row["order_id"])
    return broken


async def test_what_is_forgotten_breaks_no_rule(forgotten: Tabletop, database: Database) -> None:
    told = await forgotten.pools["orders"].fetch("SELECT DISTINCT key FROM outbox")

    assert {row["key"] for row in told} == {"A-5", "B-1"}
    assert await broken_rules(database, forgotten) == {}
    assert (await audit(database.ops_url, settle=0)).orders == 7


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        (
            "DELETE FROM orders.outbox WHERE key = 'B-1' AND type = 'refund.granted.v1'",
            {"sequences_contiguous", "sequence_order", "one_grant_per_claim"},
        ),
        (
            "DELETE FROM serials.outbox WHERE key = 'B-1' AND type = 'serials.issued.v2'",
            {"issued_once_per_grant"},
        ),
        (
            "DELETE FROM orders.outbox WHERE key = 'B-1' AND topic = 'checkout.feedback'",
            {"answered_once"},
        ),
        (
            "DELETE FROM refunds.inbox WHERE event_id LIKE '%B-1%'",
            {"answered_once"},
        ),
    ],
)
async def test_what_is_lost_after_the_horizon_is_found(
    forgotten: Tabletop, database: Database, admin: Any, fault: str, rules: set[str]
) -> None:
    await admin.execute(fault)

    assert set(await broken_rules(database, forgotten)) == rules


async def test_the_story_of_an_old_order_says_from_when_on_it_is_told(
    forgotten: Tabletop, database: Database
) -> None:
    old, new = await read_order(database.ops_url, "A-5"), await read_order(database.ops_url, "B-1")

    assert old is not None
    assert old.events_since is not None
    assert old.to_document()["told_since"] == old.events_since.isoformat()
    assert old.to_document()["lines"][0]["issued"] == 60
    assert "earlier events are not kept any more" in await shown(database, "A-5")
    assert new is not None
    assert "told_since" not in new.to_document()
    assert "not kept" not in await shown(database, "B-1")


async def shown(database: Database, order_id: str) -> str:
    console = Console(file=StringIO(), width=200)
    await show_order(database.ops_url, order_id, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
