"""Each database role tries every verb on every kind of object; what is not meant to be allowed is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import asyncpg
import pytest

from ops.setup.provision import ROLES, Database, migrate, provision
from shared.events.catalogue import SERVICES
from tests.support.servers import Connect

RUNTIME = {
    "audit_log",
    "inbox",
    "cursors",
    "parked",
    "dead_letters",
    "outbox",
    "relay",
    "handled_offsets",
    "gaps",
    "unsent",
}
FORGETS = {"move_horizon", "forget_facts", "forget_ids"}
READS = {"stands_of_partner"}
"""They have only the rights of whoever asks; operators may."""
MAKES_HOMES = {"make_home", "index_home", "open_home"}
LOGINS = ("pawl_ops", *(f"pawl_{service}" for service in SERVICES))
# What is kept of months is added up anew, and not changed.
KEPT = {
    "invoices.changed_months",
    "invoices.kept_stands",
    "invoices.kept_previews",
    "invoices.kept_left_out",
}
# What a service may take away again. Everything else stays once it is written.
DELETABLE = {
    "parked",
    "unsent",
    "orders.order_lines",
    "orders.payments",
    "orders.sales",
    "refunds.order_lines",
    "serials.failed_attempts",
    *KEPT,
}
# Rows that never change: what was heard, said, asked and done, which topics were read, which businesses were
# issued, and who took serials.
WRITTEN_ONCE = {
    "audit_log",
    "outbox",
    "topics",
    "invoices.closed_businesses",
    "orders.invoiced_payments",
    "serials.custody_log",
}
"""Written by a statement of their own, and never again."""
# Second records of one place: what becomes of them is written by way of the table that they inherit from.
INHERITING = {"parked_again", "dead_letters_again"}
UNCHANGING = (
    WRITTEN_ONCE
    | INHERITING
    | KEPT
    | {
        f"{service}.{table.name}"
        for service in SERVICES
        for table in import_module(f"services.{service}.store").TABLES
        if not table.changing
    }
)
READ_ONLY = {
    "schema_migrations",
    "retention",
    "invoices.all_documents",
    "invoices.all_explanations",
    "invoices.business_months",
    "invoices.document_lines",
    "invoices.partner_stands",
    "invoices.placed_payments",
    "invoices.standing_businesses",
    "invoices.standing_months",
    "serials.serials_0",
}
FIXED_COLUMNS = (
    ("orders", "inbox", "event_id"),
    ("orders", "inbox", "content"),
    ("orders", "inbox", "recorded_at"),
    ("orders", "claims", "quantity"),
    ("orders", "dead_letters", "record"),
    ("orders", "dead_letters", "code"),
    ("orders", "gaps", "from_offset"),
    ("orders", "unsent", "key"),
    ("orders", "parked", "record"),
    ("orders", "quarantine", "amount"),
    ("serials", "grants", "quantity"),
    ("serials", "grants", "batch_id"),
    ("serials", "serials", "last_four"),
    ("serials", "serial_keys", "first_used_at"),
    ("refunds", "refunds", "destination_reference"),
    ("refunds", "refunds", "order_id"),
    ("invoices", "payments", "supply"),
    ("invoices", "payments", "month"),
    ("invoices", "merge_requests", "payment_ids"),
    ("invoices", "document_counters", "business_number"),
    ("invoices", "months", "closed_at"),
)
SERVER = (
    # roles and databases
    "CREATE ROLE mine LOGIN",
    "CREATE DATABASE mine",
    "ALTER ROLE postgres PASSWORD 'mine'",
    "ALTER ROLE CURRENT_USER CREATEROLE",
    "GRANT pg_read_all_data TO CURRENT_USER",
    # becoming somebody else
    *(f"SET ROLE {role}" for role in (*ROLES, "postgres")),
    "SET SESSION AUTHORIZATION postgres",
    # secrets and files of the server
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_hba_file_rules()",
    # settings that switch protection off, and the server itself
    "SET session_replication_role = replica",
    "SET log_min_messages = debug5",
    "ALTER SYSTEM SET fsync = off",
    "SELECT pg_reload_conf()",
    "CHECKPOINT",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'mine')",
    "CREATE PUBLICATION mine FOR ALL TABLES",
)
PLACES = (
    "CREATE SCHEMA mine",
    "CREATE EXTENSION hstore SCHEMA orders",
    "ALTER DATABASE pawl SET jit = on",
    "DROP DATABASE pawl",
    "GRANT pawl_owner TO CURRENT_USER",
    "CREATE TABLE public.mine (id int)",
    "CREATE TEMP TABLE mine (id int)",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
)
# A view that cannot be written or locked says so before it looks at rights.
REFUSALS = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.WrongObjectTypeError,
)
NO_TRANSACTION = ("CREATE DATABASE", "DROP DATABASE", "ALTER SYSTEM")
COPIES = (
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "COPY {schema}.schema_migrations FROM '/etc/passwd'",
)
DEFINITIONS = (
    "CREATE TABLE {schema}.mine (id int)",
    "CREATE VIEW {schema}.mine AS SELECT 1 AS one",
    "CREATE FUNCTION {schema}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SEQUENCE {schema}.mine",
    "CREATE TYPE {schema}.mine AS (id int)",
    "CREATE INDEX mine ON {schema}.outbox (type)",
    "CREATE TRIGGER mine BEFORE INSERT ON {schema}.outbox EXECUTE FUNCTION tsvector_update_trigger()",
    "CREATE RULE mine AS ON INSERT TO {schema}.outbox DO INSTEAD NOTHING",
    "ALTER TABLE {schema}.outbox ADD COLUMN mine int",
    "ALTER TABLE {schema}.outbox DISABLE TRIGGER ALL",
    "ALTER TABLE {schema}.outbox OWNER TO CURRENT_USER",
    "ALTER SCHEMA {schema} RENAME TO mine",
    "COMMENT ON TABLE {schema}.outbox IS 'mine'",
    "TRUNCATE {schema}.outbox",
    "DROP TABLE {schema}.outbox",
    "DROP SCHEMA {schema} CASCADE",
    "SELECT setval('{schema}.outbox_id_seq', 1)",
)


@dataclass(slots=True, frozen=True)
class Table:
    """A table or view; `column` is one that can be assigned to."""

    schema: str
    name: str
    column: str

    def is_in(self, names: set[str]) -> bool:
        """Whether it is named there, by itself (in every schema) or with its schema."""
        return self.name in names or f"{self.schema}.{self.name}" in names

    def __str__(self) -> str:
        return f'{self.schema}."{self.name}"'


@pytest.fixture
async def tables(admin: Any) -> list[Table]:
    """Every table and view of the four schemas."""
    rows = await admin.fetch(
        """
        SELECT table_schema, table_name,
               max(column_name) FILTER (WHERE is_identity = 'NO' AND is_generated = 'NEVER')
        FROM information_schema.columns WHERE table_schema = ANY($1) GROUP BY 1, 2 ORDER BY 1, 2
        """,
        list(SERVICES),
    )
    return [Table(*row) for row in rows]


@asynccontextmanager
async def undone(connection: Any) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def is_refused(connection: Any, statement: str) -> bool:
    """Whether the role lacks the right. Nothing of the statement stays."""
    try:
        if statement.startswith(NO_TRANSACTION):
            await connection.execute(statement)
        else:
            async with undone(connection):
                await connection.execute(statement)
    except REFUSALS:
        return True
    except asyncpg.IntegrityConstraintViolationError:
        return False
    return False


async def is_copied(connection: Any, table: Table) -> bool:
    async def forget(data: bytes) -> None:
        """Nobody wants the rows."""

    try:
        await connection.copy_from_table(table.name, schema_name=table.schema, output=forget)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.WrongObjectTypeError):
        return False
    return True


def verbs(table: Table) -> dict[str, str]:
    return {
        "SELECT": f"SELECT 1 FROM {table} LIMIT 1",
        "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
        "UPDATE": f'UPDATE {table} SET "{table.column}" = "{table.column}"',
        "DELETE": f"DELETE FROM {table} WHERE false",
        "TRUNCATE": f"TRUNCATE {table}",
        "LOCK": f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    }


async def allowed(connection: Any, table: Table) -> set[str]:
    return {verb for verb, sql in verbs(table).items() if not await is_refused(connection, sql)}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_can_do_nothing_in_the_schemas_of_others(
    database: Database, connect: Connect, tables: list[Table], service: str
) -> None:
    connection = await connect(database.service_url(service))
    others = [table for table in tables if table.schema != service]

    assert len(others) > 30
    for table in others:
        assert await allowed(connection, table) == set(), table
        assert not await is_copied(connection, table)
    for schema in set(SERVICES) - {service}:
        for statement in DEFINITIONS:
            assert await is_refused(connection, statement.format(schema=schema)), statement


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_adds_rows_to_its_tables_and_takes_few_away(
    database: Database, connect: Connect, tables: list[Table], service: str
) -> None:
    connection = await connect(database.service_url(service))
    own = [table for table in tables if table.schema == service and not table.is_in(READ_ONLY)]

    assert {table.name for table in own} > RUNTIME
    for table in own:
        found = await allowed(connection, table)
        assert "SELECT" in found, table
        assert "TRUNCATE" not in found, table
        assert "INSERT" in found, table
        assert ("DELETE" in found) == table.is_in(DELETABLE), table


@pytest.mark.parametrize("service", SERVICES)
async def test_what_was_heard_said_and_done_is_never_rewritten(
    admin: Any, tables: list[Table], service: str
) -> None:
    changeable = "SELECT has_any_column_privilege($1, $2, 'UPDATE')"
    for table in tables:
        if table.schema == service:
            may = await admin.fetchval(changeable, f"pawl_{service}", str(table))
            assert may == (not table.is_in(UNCHANGING | READ_ONLY)), table


@pytest.mark.parametrize(("service", "table", "column"), FIXED_COLUMNS)
async def test_what_a_row_is_about_is_never_rewritten(
    database: Database, connect: Connect, service: str, table: str, column: str
) -> None:
    connection = await connect(database.service_url(service))

    assert await is_refused(connection, f"UPDATE {service}.{table} SET {column} = {column}")


@pytest.mark.parametrize("role", ROLES)
async def test_a_service_forgets_in_its_own_schema_and_calls_no_other_function(admin: Any, role: str) -> None:
    rows = await admin.fetch(
        "SELECT pronamespace::regnamespace::text AS schema, proname AS name,"
        " has_function_privilege($1, oid, 'EXECUTE') AS may, proowner::regrole::text AS owner"
        " FROM pg_proc WHERE pronamespace::regnamespace::text = ANY($2)",
        role,
        list(SERVICES),
    )

    assert {row["owner"] for row in rows} == {"pawl_owner"}
    called = {(service, name) for service in SERVICES for name in FORGETS}
    called |= {("refunds", "forget_details"), ("refunds", "erase_partner"), ("serials", "erase_custody")}
    called |= {("serials", name) for name in MAKES_HOMES} | {("invoices", name) for name in READS}
    assert {(row["schema"], row["name"]) for row in rows} >= called
    for row in rows:
        callers = {f"pawl_{row['schema']}", *({"pawl_ops"} if row["name"] in READS else ())}
        own = (row["schema"], row["name"]) in called and role in callers
        assert row["may"] == (own or role == "pawl_owner"), dict(row)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_that_was_taken_over_forgets_nothing_that_is_to_be_kept(
    database: Database, connect: Connect, admin: Any, service: str
) -> None:
    """It may lie about the topics and about what is published, and ask for everything."""
    connection = await connect(database.service_url(service))
    kept = {
        table: await admin.fetchval(f"SELECT count(*) FROM {service}.{table}")
        for table in ("inbox", "outbox")
    }

    async with undone(connection):
        await connection.execute(
            f"INSERT INTO {service}.outbox"
            " VALUES (DEFAULT, gen_random_uuid(), 't', 0, 'k', 't', 's', 1, '', '', '', '')"
        )
        await connection.execute(
            f"INSERT INTO {service}.inbox VALUES ('s', 'canary', decode(repeat('01', 16), 'hex'))"
        )
        await connection.execute(f"UPDATE {service}.relay SET published = 9223372036854775807")
        await connection.execute(f"UPDATE {service}.inbox SET repeated_at = '-infinity'")
        horizon = await connection.fetchval(f"SELECT {service}.move_horizon('infinity')")
        facts = await connection.fetchval(f"SELECT {service}.forget_facts(1000000)")
        ids = await connection.fetchval(f"SELECT {service}.forget_ids(0, 1000000)")
        left = {table: await connection.fetchval(f"SELECT count(*) FROM {service}.{table}") for table in kept}

    assert (facts, ids) == (0, 0)
    assert left == {table: count + 1 for table, count in kept.items()}
    assert horizon < await admin.fetchval("SELECT now() - interval '399 days'")
    assert await is_refused(connection, f"UPDATE {service}.retention SET keep = '1 second'")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_only_reads_which_migrations_there_were(
    database: Database, connect: Connect, service: str
) -> None:
    connection = await connect(database.service_url(service))
    record = Table(service, "schema_migrations", "version")

    assert await connection.fetchval(f"SELECT count(*) FROM {record}") > 0
    assert await allowed(connection, record) == {"SELECT"}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_defines_nothing_in_its_own_schema(
    database: Database, connect: Connect, service: str
) -> None:
    connection = await connect(database.service_url(service))

    for statement in DEFINITIONS:
        assert await is_refused(connection, statement.format(schema=service)), statement


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_cannot_pass_its_rights_on(
    database: Database, connect: Connect, admin: Any, service: str
) -> None:
    connection = await connect(database.service_url(service))

    # Postgres answers with a warning only, so what counts is what became of it.
    async with undone(connection):
        await connection.execute(f"GRANT SELECT, INSERT ON {service}.outbox TO pawl_ops, PUBLIC")
        rights = await connection.fetchval(
            f"SELECT relacl::text FROM pg_class WHERE oid = '{service}.outbox'::regclass"
        )

    assert "pawl_ops=r/pawl_owner" in rights
    assert "{=" not in rights
    assert ",=" not in rights


@pytest.mark.parametrize("role", LOGINS)
async def test_no_role_gets_out_of_its_schema_or_into_the_server(
    database: Database, connect: Connect, role: str
) -> None:
    connection = await connect(database.url(role))
    schema = role.removeprefix("pawl_") if role != "pawl_ops" else "orders"

    for statement in (*SERVER, *PLACES):
        if statement != f"SET ROLE {role}":
            assert await is_refused(connection, statement), statement
    for statement in COPIES:
        assert await is_refused(connection, statement.format(schema=schema)), statement


@pytest.mark.parametrize("role", LOGINS)
async def test_no_role_ends_or_watches_the_sessions_of_another(
    database: Database, connect: Connect, admin: Any, role: str
) -> None:
    connection = await connect(database.url(role))
    other = await connect(database.owner_url)
    pid = await other.fetchval("SELECT pg_backend_pid()")

    for act in ("pg_terminate_backend", "pg_cancel_backend"):
        assert await is_refused(connection, f"SELECT {act}({pid})")
    query = await connection.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
    assert query == "<insufficient privilege>"


async def test_operators_read_everything_and_change_nothing(
    database: Database, connect: Connect, tables: list[Table]
) -> None:
    connection = await connect(database.ops_url)

    for table in tables:
        assert await allowed(connection, table) == {"SELECT"}, table
    for schema in SERVICES:
        for statement in DEFINITIONS:
            assert await is_refused(connection, statement.format(schema=schema)), statement


async def test_the_role_of_migrations_owns_the_tables_and_nothing_of_the_server(
    database: Database, connect: Connect, tables: list[Table]
) -> None:
    owner = await connect(database.owner_url)

    for table in tables:
        assert not await is_refused(owner, verbs(table)["SELECT"])
    assert not await is_refused(owner, "CREATE TABLE orders.mine (id int)")
    for statement in SERVER:
        if statement != "SET ROLE pawl_owner":
            assert await is_refused(owner, statement), statement


async def test_no_role_is_more_than_it_needs_to_be(admin: Any) -> None:
    rows = await admin.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY($1) AND NOT (rolsuper OR rolcreaterole OR "
        "rolcreatedb OR rolreplication OR rolbypassrls OR rolinherit)",
        list(ROLES),
    )
    members = "SELECT count(*) FROM pg_auth_members WHERE member::regrole::text LIKE 'pawl%'"

    assert {row["rolname"] for row in rows} == set(ROLES)
    assert await admin.fetchval(members) == 0


async def test_a_table_that_nobody_has_given_rights_on_can_only_be_read(
    database: Database, connect: Connect
) -> None:
    owner, service = await connect(database.owner_url), await connect(database.service_url("orders"))
    await owner.execute("CREATE TABLE orders.unnamed (id int)")
    try:
        assert await allowed(service, Table("orders", "unnamed", "id")) == {"SELECT"}
        await migrate(database)
        assert await allowed(service, Table("orders", "unnamed", "id")) == {"SELECT"}
    finally:
        await owner.execute("DROP TABLE orders.unnamed")


async def test_rights_that_somebody_added_by_hand_are_taken_back_by_the_next_migration(
    database: Database, connect: Connect, admin: Any
) -> None:
    await admin.execute("GRANT ALL ON orders.outbox TO pawl_orders")

    await migrate(await provision(database.admin_url, database.passwords))

    service = await connect(database.service_url("orders"))
    assert await allowed(service, Table("orders", "outbox", "type")) == {"SELECT", "INSERT"}
