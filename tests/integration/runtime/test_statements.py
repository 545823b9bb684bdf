"""Every statement that a service may send is one that its schema understands, with the service's rights."""

from importlib import import_module
from typing import Any

import asyncpg
import pytest

from ops.setup.provision import Database
from shared.events.catalogue import SERVICES
from shared.postgres import connect
from shared.queries import load


def statements_of(service: str) -> dict[str, str]:
    """By name: the runtime's, those of the service's catalogue, and those that its tables make."""
    store: Any = import_module(f"services.{service}.store")
    found = {f"runtime: {name}": getattr(load("shared.runtime"), name) for name in load("shared.runtime")}
    found |= {name: getattr(store.SQL, name) for name in store.SQL}
    for table in store.TABLES:
        found |= table.statements
        columns = ", ".join(column.name for column in table.columns)
        found[f"COPY {table.name}"] = (
            f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {table.name}"
        )
    return found


EVERY = [
    pytest.param(service, sql, id=f"{service}-{name}")
    for service in SERVICES
    for name, sql in statements_of(service).items()
]


@pytest.mark.parametrize(("service", "sql"), EVERY)
async def test_a_statement_can_be_prepared(service: str, sql: str, database: Database) -> None:
    session = await connect(database.service_url(service), service)
    try:
        await session.prepare(sql)
    finally:
        await session.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_table_is_written_whole(service: str, database: Database) -> None:
    """A column that has no default and no field would be missed by the first insert only."""
    session = await connect(database.service_url(service), service)
    try:
        for table in import_module(f"services.{service}.store").TABLES:
            missing = await _required(session, service, table.name)
            assert missing <= {column.name for column in table.columns}, table.name
    finally:
        await session.close()


async def _required(session: asyncpg.Connection, service: str, table: str) -> set[str]:
    rows = await session.fetch(
        """SELECT column_name FROM information_schema.columns
           WHERE table_schema = $1 AND table_name = $2
             AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
             AND is_generated = 'NEVER'""",
        service,
        table,
    )
    return {row["column_name"] for row in rows}
