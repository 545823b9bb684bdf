"""What pages and commands ask of a large table is found by an index: a story reads no whole table."""

from collections.abc import Mapping
from typing import Final

import asyncpg
import pytest

from ops.setup.provision import Database
from ops.shell.databases import connect_to
from services.refunds.api import NOT_ENDED, SQL
from shared.queries import load

STORY: Final = load("ops.watch.story")
OF_AN_ORDER: Final[Mapping[str, str]] = {
    "orders": "order_of lines_of cases_of events_of parked_of dead_of audited_of",
    "serials": "grants_of taken_of events_of",
    "refunds": "refund_order_of refunds_of events_of",
    "invoices": "payment_of documents_of events_of",
}


async def whole_tables_in(connection: asyncpg.Connection, query: str, *arguments: str) -> list[str]:
    """The lines of its plan that read a table from one end to the other though an index would be used."""
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {query}", *arguments)
    return [line.strip() for (line,) in plan if "Seq Scan" in line]


@pytest.mark.parametrize("service", OF_AN_ORDER)
async def test_the_story_of_an_order_is_found_by_indexes(database: Database, service: str) -> None:
    connection = await connect_to(database.ops_url, service)
    try:
        for name in OF_AN_ORDER[service].split():
            whole = await whole_tables_in(connection, getattr(STORY, name), *[""] * 1)
            # One row each, without an index.
            assert [line for line in whole if "retention" not in line] == [], name
    finally:
        await connection.close()


async def test_refunds_that_wait_are_found_by_their_own_index(database: Database) -> None:
    connection = await connect_to(database.ops_url, "refunds")
    try:
        waiting = await connection.fetch(
            f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {SQL.waiting_refunds_in_turn}", *[None] * 6
        )
        (condition,) = await connection.fetchrow(
            "SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = 'refunds_open'::regclass"
        )
    finally:
        await connection.close()

    assert any("refunds_open" in line for (line,) in waiting), waiting
    assert all(f"'{state}'" in condition for state in NOT_ENDED)
