"""What pages and commands ask of a large table is found by an index: a story reads no whole table."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

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


async def whole_tables_in(connection: Any, query: str) -> list[str]:
    """The lines of its plan that read a table from one end to the other though an index would be used."""
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {query}", "")
    return [line.strip() for (line,) in plan if "Seq Scan" in line]


@pytest.mark.parametrize("service", OF_AN_ORDER)
async def test_the_story_of_an_order_is_found_by_indexes(database: Database, service: str) -> None:
    connection = await connect_to(database.ops_url, service)
    try:
        for name in OF_AN_ORDER[service].split():
            whole = await whole_tables_in(connection, getattr(STORY, name))
            # One row each, without an index.
            assert [line for line in whole if "retention" not in line] == [], name
    finally:
        await connection.close()


async def kept_plan_of(connection: Any, query: str, *, without: str) -> str:
    """The plan that Postgres keeps for a query of whatever values, though these ways are to be avoided."""
    count = max(number for number in range(1, 10) if f"${number}" in query)
    async with connection.transaction():
        for way in ("enable_seqscan", *without.split()):
            await connection.execute(f"SET LOCAL {way} = off")
        await connection.execute(f"PREPARE asked AS {query}")
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        plan = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked ({', '.join(['NULL'] * count)})")
        await connection.execute("DEALLOCATE asked")
    return "\n".join(line for (line,) in plan)


@pytest.mark.parametrize("service", OF_AN_ORDER)
async def test_the_audit_log_is_looked_up_by_person_and_by_each_word_of_a_target(
    database: Database, service: str
) -> None:
    """A bitmap is of an index that the condition names: of no other, however few rows there are."""
    query = load("ops.watch").audit_entries
    connection = await connect_to(database.ops_url, service)
    try:
        in_turn = await kept_plan_of(connection, query, without="enable_sort enable_bitmapscan")
        by_word = await kept_plan_of(connection, query, without="enable_indexscan enable_indexonlyscan")
    finally:
        await connection.close()

    assert "Seq Scan" not in in_turn
    assert "Index Scan Backward using audit_log_pkey" in in_turn, "the newest are not found by sorting all"
    for index in ("audit_log_actor", "audit_log_target", "audit_log_words"):
        assert f"Bitmap Index Scan on {index}" in by_word


async def test_the_newest_issuances_are_not_found_by_sorting_all(database: Database) -> None:
    connection = await connect_to(database.ops_url, "serials")
    try:
        plan = await kept_plan_of(connection, load("ops.watch.serials").newest_grants, without="enable_sort")
    finally:
        await connection.close()

    assert "Seq Scan" not in plan
    assert "Index Scan Backward using grants_batch_id_key" in plan


async def test_refunds_that_wait_are_read_off_their_own_index(database: Database) -> None:
    """In its order, so that a page reads no more than itself, however many wait: nothing is sorted."""
    connection = await connect_to(database.ops_url, "refunds")
    try:
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        explain = f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {SQL.waiting_refunds_in_turn}"
        plan = await connection.fetch(explain, None, None, None, 0, UUID(int=0), 1, None, None)
        predicate = "SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = $1::regclass"
        of_index = await connection.fetchval(predicate, "refunds_waiting")
    finally:
        await connection.close()
    text = "\n".join(line for (line,) in plan)
    (of_query,) = re.findall(r"r\.state IN \(([^)]*)\)", SQL.waiting_refunds_in_turn)

    assert "refunds_waiting" in text, text
    assert "Sort" not in text, text
    # Postgres uses an index of some states only where the query names the same ones.
    assert (
        set(re.findall("'([a-z_]+)'", of_index)) == set(re.findall("'([a-z_]+)'", of_query)) == set(NOT_ENDED)
    )


async def test_lists_of_refunds_read_what_waits_and_no_whole_table(database: Database) -> None:
    connection = await connect_to(database.ops_url, "refunds")
    try:
        await connection.execute("SET enable_seqscan = off; SET enable_nestloop = off")
        explain = f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {SQL.count_waiting_refunds}"
        plan = "\n".join(line for (line,) in await connection.fetch(explain, None, None))
    finally:
        await connection.close()

    assert "Seq Scan" not in plan, plan
    assert "refund_history_pkey" in plan, plan
    assert "Hash Join" not in plan, plan
