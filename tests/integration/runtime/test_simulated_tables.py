"""What the simulation takes for granted about Postgres is so: the unique indexes that it plays."""

import asyncpg

from ops.setup.provision import Database
from shared.events.catalogue import SERVICES
from shared.postgres import connect
from tests.simulation.tables import UNIQUE, UNMODELLED

UNIQUE_INDEXES = """
    SELECT i.indexrelid::regclass::text AS name,
           coalesce(pg_partition_root(i.indrelid), i.indrelid)::regclass::text AS relation
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND i.indisunique AND NOT i.indisprimary
"""


async def unique_indexes(connection: asyncpg.Connection) -> set[tuple[str, str]]:
    return {(row["relation"], row["name"]) for row in await connection.fetch(UNIQUE_INDEXES)}


async def test_the_simulation_plays_every_unique_index_or_says_why_not(database: Database) -> None:
    for service in SERVICES:
        connection = await connect(database.service_url(service), service)
        try:
            real = await unique_indexes(connection)
        finally:
            await connection.close()

        played = {(table, name) for table, indexes in UNIQUE[service].items() for name in indexes}
        assert played <= real, f"{service} has no {played - real} any more"
        unexplained = {(table, name) for table, name in real - played if name not in UNMODELLED}
        assert unexplained == set(), f"{service}: play them in tests/simulation/tables.py"
