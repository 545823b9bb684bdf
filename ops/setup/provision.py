"""Prepares a PostgreSQL server: roles with passwords, the database `pawl`, its schemas and their rights.

Safe to repeat. The SQL stands in deploy/postgres/; this module adds what SQL files cannot: passwords, and
CREATE DATABASE, which no transaction may contain.
"""

import asyncio
import base64
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

from ops.shell.private_files import read_or_make_secrets, write_private
from ops.shell.problem import Problem
from ops.shell.urls import with_database, with_login, without_password
from shared.migrations import CONSOLE, SCHEMAS, MigrationFailed, apply_migrations

DATABASE = "pawl"
OWNER = "pawl_owner"
CONSOLE_ROLE = f"pawl_{CONSOLE}"
ROLES = (OWNER, "pawl_ops", *(f"pawl_{schema}" for schema in SCHEMAS))
SQL = Path(__file__).parents[2] / "deploy" / "postgres"
# Two `pawl up` on one server must not provision at the same time; any constant does.
LOCK = 7_205_759_403


@dataclass(slots=True, frozen=True)
class Database:
    """The database `pawl` as seen by its administrator, with the password of each role."""

    admin_url: str
    passwords: Mapping[str, str]

    def url(self, role: str) -> str:
        """The address for one of ROLES."""
        return with_login(self.admin_url, role, self.passwords[role])

    def service_url(self, service: str) -> str:
        return self.url(f"pawl_{service}")

    @property
    def console_url(self) -> str:
        """Keeps the sessions of the console."""
        return self.url(CONSOLE_ROLE)

    @property
    def ops_url(self) -> str:
        """Reads everything, writes nothing."""
        return self.url("pawl_ops")

    @property
    def owner_url(self) -> str:
        """Runs migrations."""
        return self.url(OWNER)


def kept_passwords(file: Path, server_url: str) -> dict[str, str]:
    """The passwords of the roles, made at the first call and kept in `file` with rights 0600.

    They are derived from the administrator's password, so that two systems which are started for one server
    from two directories agree on them; a server that asks its administrator for none gets random ones.
    A file of a version that had no role of the console gets its password. Raises Problem when the file is
    damaged.
    """
    again = (
        f"Move it away (mv {file} {file}.old) and run this again: it is made anew, and the server learns it."
    )
    earlier = [role for role in ROLES if role != CONSOLE_ROLE]
    kept = read_or_make_secrets(file, lambda: _new_passwords(server_url), earlier, again)
    if not kept.get(CONSOLE_ROLE):
        secret = unquote(urlsplit(server_url).password or "") or kept[OWNER]
        kept[CONSOLE_ROLE] = derived_password(secret, CONSOLE_ROLE)
        write_private(file, json.dumps(kept, indent=2), sync=True)
    return kept


def _new_passwords(server_url: str) -> str:
    secret = unquote(urlsplit(server_url).password or "") or secrets.token_urlsafe(24)
    return json.dumps({role: derived_password(secret, role) for role in ROLES}, indent=2)


def derived_password(secret: str, role: str) -> str:
    """The password of a role, from its administrator's."""
    digest = hmac.digest(secret.encode(), f"password of {role}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:24]).decode()


async def provision(server_url: str, passwords: Mapping[str, str]) -> Database:
    """Make roles, database, schemas and rights on the server. Raises Problem."""
    database = Database(with_database(server_url, DATABASE), passwords)
    async with administrator(server_url) as connection:
        await _require_rights(connection, server_url)
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await connection.execute((SQL / "roles.sql").read_text())
        await _set_passwords(connection, passwords)
        await _create_database(connection)
        async with administrator(database.admin_url) as inside:
            await inside.execute((SQL / "schemas.sql").read_text())
    return database


async def migrate(database: Database) -> dict[str, list[str]]:
    """Apply what is missing in each schema, and grant each role its rights on the tables.

    Returns the migrations applied, by schema. Raises Problem.
    """
    applying = (apply_migrations(database.owner_url, schema) for schema in SCHEMAS)
    try:
        applied = await asyncio.gather(*applying)
    except MigrationFailed as error:
        raise Problem(
            str(error), "Nothing of that migration was kept; mend it and run: pawl migrate"
        ) from error
    async with administrator(database.owner_url) as owner:
        await owner.execute((SQL / "rights.sql").read_text())
    return dict(zip(SCHEMAS, applied, strict=True))


@asynccontextmanager
async def administrator(url: str) -> AsyncIterator[Any]:
    """A connection whose failure is explained, and whose SQL errors name what is missing."""
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise Problem(
            f"PostgreSQL does not let us in at {without_password(url)}: {error or type(error).__name__}",
            "Check the URL given with --postgres: postgresql://user:password@host:port/database",
        ) from error
    try:
        yield connection
    except asyncpg.InsufficientPrivilegeError as error:
        raise Problem(
            f"The role of {without_password(url)} may not prepare the database: {error}",
            "Use a superuser, or a role with CREATEROLE and CREATEDB.",
        ) from error
    finally:
        await connection.close()


async def _require_rights(connection: Any, url: str) -> None:
    """Say it in one line before half of the work is done."""
    may = await connection.fetchval(
        "SELECT rolsuper OR (rolcreaterole AND rolcreatedb) FROM pg_roles WHERE rolname = current_user"
    )
    if not may:
        raise Problem(
            f"The role of {without_password(url)} may not create roles and databases.",
            f"As a superuser: ALTER ROLE {urlsplit(url).username} CREATEROLE CREATEDB; or use another role.",
        )


async def _set_passwords(connection: Any, passwords: Mapping[str, str]) -> None:
    for role, password in passwords.items():
        # ALTER ROLE takes no parameters, so the server itself does the quoting.
        quoting = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)"
        await connection.execute(await connection.fetchval(quoting, role, password))


async def _create_database(connection: Any) -> None:
    exists = await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE)
    if not exists:
        await connection.execute(
            f"CREATE DATABASE {DATABASE} OWNER {OWNER} ENCODING 'UTF8' TEMPLATE template0"
        )
