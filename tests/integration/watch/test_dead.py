"""Dead letters and parked events by cause and one by one; ending one, or a list that does not change."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result
from structlog.testing import capture_logs
from typer.testing import CliRunner

from ops.cli import app
from ops.setup.provision import Database
from ops.shell.databases import urls_of
from ops.shell.problem import Exit
from ops.watch.dead.listing import groups, list_blocked, list_named, list_to_replay, list_to_resolve
from ops.watch.dead.names import Filter, parse_name
from ops.watch.lag import read_lag
from ops.watch.order import read_order
from tests.support.serving import routes_on, served
from tests.support.tabletop import Tabletop, buy
from tests.support.tokens import Provider
from tests.support.web import ALL, app_of

Pawl = Callable[..., Any]

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


async def test_what_the_database_has_blocked_is_told_from_what_its_own_fault_has(
    table: Tabletop, database: Database, admin: Any
) -> None:
    """Whatever the database has refused, it may take now; what is wrong by itself it will not."""
    table.say("issuance.requested.v1", "B-1")
    table.say("issuance.requested.v1", "B-2")
    await table.drain()
    blocked = "UPDATE orders.parked SET kind = 'blocked', reason = $2 WHERE key = $1"
    await admin.execute(blocked, "B-1", "InsufficientPrivilegeError: permission denied for table order_lines")
    await admin.execute(blocked, "B-2", "Contradiction: order B-2 has no draft")

    listed = await list_blocked(urls_of(database.ops_url), ANY)

    assert [(row["key"], row["hindrance"]) for row in listed] == [
        ("B-1", ""),
        ("B-2", "its own fault, mend it first: Contradiction: order B-2 has no draft"),
    ]


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


async def test_the_members_of_a_cause_are_listed_with_how_many_are_left_out(
    table: Tabletop, database: Database
) -> None:
    await refuse_three(table)

    found = await groups(urls_of(database.ops_url), ANY._replace(service="orders"), members=1)

    by_kind = {group["kind"]: group for group in found}
    dead, parked = by_kind["dead"], by_kind["parked"]
    assert (dead["count"], len(dead["members"]), dead["left_out"]) == (2, 1, 1)
    assert dead["members"][0]["name"] == dead["example"]
    assert (dead["members"][0]["key"], dead["members"][0]["sender"]) == (
        "A-1",
        "https://checkout.example/shop-1",
    )
    assert (parked["members"][0]["key"], parked["left_out"]) == ("B-1", 0)


async def test_a_list_keeps_its_order_and_says_what_has_become_of_each(
    table: Tabletop, database: Database, admin: Any
) -> None:
    await refuse_three(table)
    urls, only = urls_of(database.ops_url), ANY._replace(service="orders")
    first, second = (row["name"] for row in await list_to_resolve(urls, only))
    await admin.execute("UPDATE orders.parked SET kind = 'blocked', key = 'A-1'")
    await admin.execute(
        "UPDATE orders.dead_letters SET state = 'resolved', closed_at = now(), closed_by = 'x',"
        " close_reason = 'y' WHERE id = $1",
        parse_name(first).row,
    )

    names = [parse_name(name) for name in (second, "orders:999999", first)]
    listed = await list_named(urls, names, to_replay=True)

    assert [(row["name"], row["hindrance"].partition(":")[0]) for row in listed] == [
        (second, "its key is blocked"),
        ("orders:999999", "it is not there any more"),
        (first, "it is resolved already"),
    ]
    assert (await list_named(urls, names[:1], to_replay=False))[0]["hindrance"] == ""


@pytest.fixture
async def pawl(table: Tabletop, database: Database, tmp_path: Path) -> AsyncIterator[Pawl]:
    """Runs a command of `pawl dead` against the orders service on the table."""
    provider, token = Provider(), tmp_path / "token"
    token.write_text(provider.token(ALL))
    application = app_of(routes_on(table, "orders"), provider.tokens(), "orders")
    async with served(application) as url:
        environment = {"PAWL_SERVICES": f"orders={url}", "PAWL_POSTGRES": database.ops_url, "USER": "kim"}

        async def run(*words: str) -> Result:
            command = ["dead", *words, "--token-file", str(token)]
            # What the service logs would stand among what the command prints: both are this process.
            with capture_logs():
                return await asyncio.to_thread(CliRunner(env=environment).invoke, app, command)

        yield run


async def refuse_many(table: Tabletop, count: int) -> list[str]:
    """So many wrong requests for units of one order, each of its own; how `pawl dead` names them."""
    await buy(table, "A-1")
    for number in range(count):
        table.say(
            "issuance.requested.v1", "A-1", request_id=f"r-{number}", lines=[{"line_id": "1", "quantity": -5}]
        )
    await table.drain()
    rows = await table.pools["orders"].fetch("SELECT id FROM dead_letters ORDER BY id")
    return [f"orders:{row['id']}" for row in rows]


async def test_one_is_tried_sent_right_and_told_in_the_story_of_its_order(
    table: Tabletop, database: Database, pawl: Pawl
) -> None:
    (name,) = await refuse_many(table, 1)

    tried = await pawl("edit", name, "--set", "/lines/0/quantity=5")
    done = await pawl("edit", name, "--set", "/lines/0/quantity=5", "--reason", "a typo", "--yes", "--json")
    again = await pawl("edit", name, "--set", "/lines/0/quantity=5", "--reason", "a typo", "--yes")
    await table.drain()

    assert (tried.exit_code, done.exit_code) == (0, 0), tried.output
    assert "claims: 1 added" in tried.output
    assert "Nothing was done" in tried.output
    event_id = orjson.loads(done.stdout)["event"]["id"]
    assert again.exception.exit_code is Exit.NOTHING_MATCHED
    story = await read_order(database.ops_url, "A-1")
    assert story is not None
    assert [(dead.state, dead.edited_as, dead.closed_by) for dead in story.dead] == [
        ("edited", event_id, "kim")
    ]
    assert [event.type for event in story.events if event.service == "operator"] == ["issuance.requested.v1"]
    assert story.lines[0].issuing + story.lines[0].issued == 5


async def test_an_edit_that_is_refused_again_says_why(table: Tabletop, pawl: Pawl) -> None:
    (name,) = await refuse_many(table, 1)

    refused = await pawl("edit", name, "--set", "/lines/0/quantity=0")

    assert refused.exit_code == Exit.FAILED
    assert "would be refused again: out_of_range /lines/0/quantity" in refused.output


async def test_many_are_closed_over_a_list_that_was_made_before(
    table: Tabletop, pawl: Pawl, tmp_path: Path
) -> None:
    names = await refuse_many(table, 3)
    file = str(tmp_path / "list")

    shown = await pawl("resolve", "--all", "--service", "orders", "--reason", "a test", "--save", file)
    await pawl("resolve", names[1], "--reason", "by itself")
    table.say("issuance.requested.v1", "A-1", request_id="late", lines=[{"line_id": "1", "quantity": -5}])
    await table.drain()
    miscounted = await pawl("resolve", "--list", file, "--reason", "a test", "--yes", "--count", "3")
    done = await pawl("resolve", "--list", file, "--reason", "a test", "--yes", "--count", "2", "--json")

    assert "3 in all; nothing was done" in shown.output
    assert "There are 2 by now, not 3" in str(miscounted.exception)
    result = orjson.loads(done.stdout)
    assert (result["resolved"], result["failed"], result["not_eligible"]) == (2, 0, 1)
    assert [outcome["name"] for outcome in result["outcomes"]] == [names[0], names[2]]
    assert await table.pools["orders"].fetchval("SELECT count(*) FROM dead_letters WHERE state = 'open'") == 1


async def test_many_stop_at_the_first_that_is_refused_again(table: Tabletop, pawl: Pawl) -> None:
    names = await refuse_many(table, 3)

    stopped = await pawl(
        "replay", "--all", "--reason", "try", "--yes", "--count", "3", "--stop-at", "9", "--json"
    )

    assert stopped.exit_code == Exit.FAILED
    result = orjson.loads(stopped.stdout)
    assert (result["replayed"], result["failed"], result["untried"]) == (0, 1, names[1:])
    assert result["outcomes"][0]["code"] == "out_of_range"


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
