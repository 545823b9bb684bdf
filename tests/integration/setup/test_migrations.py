"""The migrations of each schema, up, down and up again on a real PostgreSQL."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from ops.setup.provision import OWNER, Database, with_database
from services.orders.state import Reversal
from services.orders.store import Store
from shared.events.catalogue import SERVICES
from shared.migrations import (
    RECORD,
    apply_migrations,
    dbmate,
    known_migrations,
    migration_directories,
    schema_url,
)
from shared.postgres import connect

# Everything that a schema holds, one line a thing, but the record of the migrations.
CONTENT = f"""
    WITH s AS (SELECT oid FROM pg_namespace WHERE nspname = $1),
    r AS (SELECT c.* FROM pg_class c, s WHERE c.relnamespace = s.oid AND c.relname NOT LIKE '{RECORD}%')
    SELECT format('%s %s %s', relkind, relname, reloptions) AS thing FROM r
    UNION ALL
    SELECT format('column %s %s %s %s %s', r.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                  a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
    FROM r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
           LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT format('constraint %s %s', r.relname, pg_get_constraintdef(c.oid))
    FROM r JOIN pg_constraint c ON c.conrelid = r.oid
    UNION ALL
    SELECT pg_get_indexdef(i.indexrelid) FROM r JOIN pg_index i ON i.indrelid = r.oid
    UNION ALL
    SELECT pg_get_triggerdef(t.oid) FROM r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT pg_get_viewdef(r.oid) FROM r WHERE r.relkind = 'v'
    UNION ALL
    SELECT pg_get_functiondef(p.oid) FROM pg_proc p, s WHERE p.pronamespace = s.oid
    ORDER BY thing
"""


@pytest.fixture
async def empty_database(database: Database) -> AsyncIterator[Database]:
    """A database that has the four schemas and nothing in them."""
    name = "pawl_migrations"
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
    empty = Database(with_database(database.admin_url, name), database.passwords)
    inside = await asyncpg.connect(empty.owner_url)
    for service in SERVICES:
        await inside.execute(f"CREATE SCHEMA {service}")
    await inside.close()
    yield empty
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def content(database: Database, service: str) -> list[str]:
    connection = await asyncpg.connect(database.owner_url)
    try:
        return [thing for (thing,) in await connection.fetch(CONTENT, service)]
    finally:
        await connection.close()


async def roll_back(database: Database, service: str) -> None:
    """Undoes the latest migration of a schema, as an operator would by hand."""
    places = [part for place in migration_directories(service) for part in ("--migrations-dir", str(place))]
    done = await asyncio.to_thread(
        subprocess.run,
        [dbmate(), *places, f"--migrations-table={service}.{RECORD}", "--no-dump-schema", "rollback"],
        env=os.environ | {"DATABASE_URL": schema_url(database.owner_url, service)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
async def test_a_schema_goes_down_to_nothing_and_up_to_what_it_was(
    empty_database: Database, service: str
) -> None:
    names = list(known_migrations(service).values())

    assert await apply_migrations(empty_database.owner_url, service) == names
    whole = await content(empty_database, service)
    for _ in names:
        await roll_back(empty_database, service)
    assert await content(empty_database, service) == []

    assert await apply_migrations(empty_database.owner_url, service) == names
    assert len(whole) > len(names)
    assert await content(empty_database, service) == whole


ORDER = """
    INSERT INTO orders (
        order_id, partner_id, state, payment_method, evidence, issue_policy, vat_mode, partner, expected,
        registered_by, registered_at, payment_id, paid_at, closed_at, amount, supply, vat,
        remaining_supply, remaining_vat, sequence, cancelled_payments)
    VALUES ($1, $2, $3, 'bank_transfer', 'tax_invoice', 'on_request', 'exclusive', '{}', 1100,
        'evt', now(), 'pay-1', $4, $5, 1100, 1000, 100, 1000, 100, 1, $6)
"""
CASE = """
    INSERT INTO quarantine (order_id, number, payment_id, reason, amount, opened_at, taken_back)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def test_orders_and_cases_of_an_older_version_are_read_with_whose_each_payment_is(
    empty_database: Database,
) -> None:
    """Two orders that one payment id paid, one of them taken back, and cases open and ended."""
    await apply_migrations(empty_database.owner_url, "orders")
    connection = await connect(empty_database.owner_url, "orders")
    while await connection.fetchval("SELECT to_regclass('orders.payments') IS NOT NULL"):
        await roll_back(empty_database, "orders")
    first, later = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 2, tzinfo=UTC)
    await connection.execute(ORDER, "B-2", "P-2", "paid", later, None, [])
    await connection.execute(ORDER, "A-1", "P-1", "cancelled", first, later, ["pay-1", "pay-3"])
    await connection.execute(CASE, "A-1", 0, "pay-1", "cancelled_after_issue", -1100, later, False)
    await connection.execute(CASE, "A-1", 1, "pay-3", "second_payment", 500, first, True)
    await connection.execute(CASE, "B-2", 0, "pay-4", "second_payment", 700, first, False)
    await connection.close()

    await apply_migrations(empty_database.owner_url, "orders")

    connection = await connect(empty_database.owner_url, "orders")
    owners = await connection.fetch("SELECT payment_id, order_id, amount FROM payments ORDER BY payment_id")
    assert [tuple(row) for row in owners] == [
        ("pay-1", "A-1", 1100),
        ("pay-3", "A-1", 500),
        ("pay-4", "B-2", 700),
    ]
    orders = (await Store().load_orders(connection, ["A-1", "B-2"])).orders
    await connection.close()
    assert orders["A-1"].reversals == {"pay-1": (Reversal(later),), "pay-3": (Reversal(None),)}
    assert (orders["A-1"].taken_back, orders["B-2"].taken_back) == (1100, 0)
    ends = {case.payment_id: case.decision for order in orders.values() for case in order.cases.values()}
    assert ends == {"pay-1": None, "pay-3": "taken_back", "pay-4": None}
    assert {case.partner_id for case in orders["B-2"].cases.values()} == {"P-2"}


@pytest.mark.parametrize("service", SERVICES)
async def test_older_services_may_commit_offsets_for_a_day_without_noting_them(
    empty_database: Database, service: str
) -> None:
    """Also where a service reads our own topics only, so that nothing of checkout is in its inbox."""
    await apply_migrations(empty_database.owner_url, service)
    connection = await connect(empty_database.owner_url, service)
    while await connection.fetchval("SELECT to_regclass('handled_offsets') IS NOT NULL"):
        await roll_back(empty_database, service)
    await connection.execute("INSERT INTO cursors VALUES ('/pawl/orders', 'A-1', 7, 6)")

    await apply_migrations(empty_database.owner_url, service)

    assert await connection.fetchval("SELECT offsets_since > now() + interval '23 hours' FROM retention")
    await connection.close()
