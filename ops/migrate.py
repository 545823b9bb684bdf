"""`pawl migrate`: bring the four schemas up to date."""

import asyncio
import json

from ops.options import Directory, Json, PostgresUrl
from ops.provision import Database, kept_passwords, provision
from ops.provision import migrate as migrate_all
from ops.run_directory import DEFAULT, RunDirectory
from ops.system import find_system


def migrate(postgres: PostgresUrl = None, directory: Directory = None, as_json: Json = False) -> None:
    """Make roles, database and schemas where they are missing, and apply the migrations that are missing.

    Safe to repeat. [bold]pawl up[/bold] does the same before it starts the services.

    Example: [bold]pawl migrate --postgres postgresql://admin:secret@db:5432/postgres[/bold]
    """
    folder = RunDirectory(directory or DEFAULT)
    url = postgres or find_system(directory=directory).postgres
    folder.create()
    applied = asyncio.run(_prepare(url, folder))
    if as_json:
        print(json.dumps(applied))
        return
    for service, names in applied.items():
        print(f"{service:<9} {', '.join(names) or 'is up to date'}")


async def _prepare(url: str, folder: RunDirectory) -> dict[str, list[str]]:
    database: Database = await provision(url, kept_passwords(folder.passwords, url))
    return await migrate_all(database)
