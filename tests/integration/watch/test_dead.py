"""Dead letters and parked events grouped by cause, and the frozen list of a bulk replay."""

from typing import Any

from ops.setup.provision import Database
from ops.shell.databases import urls_of
from ops.watch.dead.listing import groups, list_to_replay
from ops.watch.dead.names import Filter
from ops.watch.lag import read_lag
from tests.support.tabletop import Tabletop, buy

ANY = Filter(None, None, None, None)


async def refuse_three(table: Tabletop) -> None:
    """Three wrong requests of two kinds, and one that waits."""
    await buy(table, "A-1")
    for _ in range(2):
        table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": -5}])
    table.say("refund.requested.v1", "A-1", role="nobody")
    table.say("issuance.requested.v1", "B-1")
    await table.drain()


async def test_what_was_refused_is_grouped_by_cause(table: Tabletop, database: Database) -> None:
    await refuse_three(table)

    found = await groups(urls_of(database.ops_url), ANY)

    told = {(g["service"], g["kind"], g["code"], g["pointer"], g["count"]) for g in found}
    assert ("orders", "dead", "out_of_range", "/lines/0/quantity", 2) in told
    assert ("orders", "parked", "waiting", "", 1) in told
    assert any(g["service"] == "refunds" and g["pointer"] == "/role" for g in found)
    assert found[0]["count"] == 2
    assert {g["example"].partition(":")[0] for g in found} == {"orders", "refunds"}


async def test_a_filter_leaves_only_what_was_asked_for(table: Tabletop, database: Database) -> None:
    await refuse_three(table)
    urls = urls_of(database.ops_url)

    assert {g["service"] for g in await groups(urls, ANY._replace(service="refunds"))} == {"refunds"}
    assert {g["code"] for g in await groups(urls, ANY._replace(code="out_of_range"))} == {"out_of_range"}
    assert {g["kind"] for g in await groups(urls, ANY._replace(key="B-1"))} == {"parked"}
    assert await groups(urls, ANY._replace(type="no.such.v1")) == []


async def test_a_bulk_replay_lists_open_dead_letters_oldest_first(
    table: Tabletop, database: Database, admin: Any
) -> None:
    await refuse_three(table)
    rows = await admin.fetch("SELECT id FROM orders.dead_letters ORDER BY id")
    first, second = (f"orders:{row['id']}" for row in rows)
    urls, only = urls_of(database.ops_url), ANY._replace(service="orders")
    assert [row["name"] for row in await list_to_replay(urls, only)] == [first, second]

    await admin.execute(
        "UPDATE orders.dead_letters SET state = 'replayed', replayed_at = now(), replayed_by = 'x',"
        " replay_reason = 'y' WHERE id = $1",
        rows[0]["id"],
    )

    assert [row["name"] for row in await list_to_replay(urls, only)] == [second]


async def test_lag_counts_what_is_unpublished_parked_and_dead(table: Tabletop, database: Database) -> None:
    await refuse_three(table)
    table.say("payment.completed.v1", "A-9", payment_id="pay-A-9")
    await table.folds["orders"].handle([table.log["checkout.events"][-1]])

    lag = await read_lag(database.ops_url, kafka="")

    assert lag["orders"].dead_letters == 2
    assert lag["orders"].parked["waiting"] == 1
    assert lag["orders"].outbox.events == 2
    assert lag["orders"].outbox.seconds >= 0
    assert lag["serials"].outbox.events == 0
