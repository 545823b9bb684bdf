"""Roles, schemas and migrations on a real PostgreSQL."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.local.postgres import EmbeddedPostgres
from ops.setup.provision import Database, migrate, provision
from ops.shell.problem import Problem
from ops.shell.urls import with_login
from shared import migrations
from shared.events.catalogue import SERVICES
from shared.migrations import SCHEMAS, MigrationFailed, apply_migrations, pending
from tests.support.servers import Connect

FORBIDDEN = (
    "SELECT * FROM {schema}.schema_migrations",
    "INSERT INTO {schema}.schema_migrations VALUES ('1')",
    "UPDATE {schema}.schema_migrations SET version = '1'",
    "DELETE FROM {schema}.schema_migrations",
    "TRUNCATE {schema}.schema_migrations",
    "CREATE TABLE {schema}.mine (id int)",
    "DROP TABLE {schema}.schema_migrations",
)
OTHERS = [(service, other) for service in SERVICES for other in SERVICES if service != other]


async def test_provisioning_twice_changes_nothing(
    postgres_server: EmbeddedPostgres, database: Database, admin: Any
) -> None:
    rights = "SELECT nspname, nspacl::text FROM pg_namespace ORDER BY 1"
    before = await admin.fetch(rights)

    again = await provision(postgres_server.url(), database.passwords)

    assert again == database
    assert await admin.fetch(rights) == before
    assert await migrate(again) == {schema: [] for schema in SCHEMAS}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_finds_its_schema_up_to_date(database: Database, service: str) -> None:
    assert await pending(database.service_url(service), service) == []


@pytest.mark.parametrize(("service", "other"), OTHERS)
async def test_a_service_cannot_touch_another_schema(
    database: Database, connect: Connect, service: str, other: str
) -> None:
    connection = await connect(database.service_url(service))

    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(schema=other))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_cannot_change_tables_or_their_record(
    database: Database, connect: Connect, service: str
) -> None:
    connection = await connect(database.service_url(service))

    assert await connection.fetchval(f"SELECT count(*) FROM {service}.schema_migrations") > 0
    for statement in FORBIDDEN[1:]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(schema=service))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE public.mine (id int)")


@pytest.mark.parametrize("service", SERVICES)
async def test_operators_read_everything_and_write_nothing(
    database: Database, connect: Connect, service: str
) -> None:
    connection = await connect(database.ops_url)
    tables = await connection.fetch(
        "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = $1", service
    )

    assert tables
    for (table,) in tables:
        await connection.execute(f"SELECT count(*) FROM {service}.{table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"DELETE FROM {service}.{table}")


@pytest.mark.parametrize("service", SERVICES)
async def test_the_console_keeps_sessions_and_touches_nothing_else(
    database: Database, connect: Connect, service: str
) -> None:
    connection = await connect(database.console_url)

    assert await connection.fetchval("SELECT count(*) FROM console.sessions") >= 0
    for statement in (*FORBIDDEN, "SELECT * FROM {schema}.audit_log"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(schema=service))
    for statement in FORBIDDEN[1:]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(schema="console"))


@pytest.mark.parametrize("role", ["pawl_ops", *(f"pawl_{service}" for service in SERVICES)])
async def test_nobody_else_sees_who_is_signed_in(database: Database, connect: Connect, role: str) -> None:
    connection = await connect(database.url(role))

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SELECT * FROM console.sessions")


async def test_a_role_without_the_right_to_create_roles_is_told_so(
    postgres_server: EmbeddedPostgres, database: Database, admin: Any
) -> None:
    await admin.execute("DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN PASSWORD 'x'")

    with pytest.raises(Problem) as caught:
        await provision(with_login(postgres_server.url(), "clerk", "x"), database.passwords)

    assert "may not create roles and databases" in caught.value.message
    assert "ALTER ROLE clerk CREATEROLE CREATEDB" in caught.value.hint
    assert ":x@" not in str(caught.value)


async def test_a_wrong_password_is_told_without_showing_it(
    postgres_server: EmbeddedPostgres, database: Database
) -> None:
    with pytest.raises(Problem) as caught:
        await provision(with_login(postgres_server.url(), "postgres", "hunter2"), database.passwords)

    assert "password authentication failed" in caught.value.message
    assert "hunter2" not in str(caught.value)


@pytest.fixture
async def archive(database: Database, admin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up service `archive` with an empty schema; the folder of its migrations."""
    await admin.execute(
        "DROP SCHEMA IF EXISTS archive CASCADE; CREATE SCHEMA archive AUTHORIZATION pawl_owner"
    )
    folder = tmp_path / "services" / "archive" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    monkeypatch.setattr(migrations, "ROOT", tmp_path)
    monkeypatch.setattr(migrations, "SHARED", tmp_path / "shared")
    return folder


def write_migration(folder: Path, name: str, statement: str) -> None:
    (folder / name).write_text(f"-- migrate:up\n{statement}\n\n-- migrate:down\n")


async def test_migrations_are_applied_in_order_and_once(
    database: Database, archive: Path, admin: Any
) -> None:
    write_migration(archive, "20300101000002_fill.sql", "INSERT INTO boxes VALUES (1);")
    write_migration(archive, "20300101000001_make.sql", "CREATE TABLE boxes (id int);")

    assert await pending(database.admin_url, "archive") == [
        "20300101000001_make.sql",
        "20300101000002_fill.sql",
    ]
    applied = await apply_migrations(database.owner_url, "archive")

    assert applied == ["20300101000001_make.sql", "20300101000002_fill.sql"]
    assert await apply_migrations(database.owner_url, "archive") == []
    assert await pending(database.admin_url, "archive") == []
    assert await admin.fetchval("SELECT count(*) FROM archive.boxes") == 1


async def test_a_migration_that_fails_leaves_nothing_and_says_why(
    database: Database, archive: Path, admin: Any
) -> None:
    write_migration(archive, "20300101000001_make.sql", "CREATE TABLE boxes (id int); SELECT 1/0;")

    with pytest.raises(MigrationFailed, match="division by zero") as caught:
        await apply_migrations(database.owner_url, "archive")

    assert database.passwords["pawl_owner"] not in str(caught.value)
    assert await admin.fetchval("SELECT to_regclass('archive.boxes')") is None
    assert await pending(database.admin_url, "archive") == ["20300101000001_make.sql"]
