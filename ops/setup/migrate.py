"""`pawl migrate`: bring the topics and the four schemas up to date."""

import asyncio
import json
from contextlib import suppress

from ops.setup.broker import answers
from ops.setup.logins import kept_kafka_passwords, secure_broker
from ops.setup.provision import Database, kept_passwords, provision
from ops.setup.provision import migrate as migrate_all
from ops.setup.topics import create_topics
from ops.shell.options import Directory, Json, KafkaAddress, PostgresUrl
from ops.shell.problem import Problem
from ops.shell.run_directory import DEFAULT, RunDirectory
from ops.shell.system import System, find_system
from shared.brokers import Brokers

KAFKA_SECONDS = 30.0


def migrate(
    kafka: KafkaAddress = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make the roles, the database, the schemas, and apply the migrations; skip what is there already.

    With a broker it makes the topics too, and the logins and rights if its address has the login of an
    administrator. Safe to repeat; [bold]pawl up[/bold] does the same before it starts the services.

    Example: [bold]pawl migrate --postgres postgresql://admin:secret@db:5432/postgres[/bold]
    """
    folder = RunDirectory(directory or DEFAULT)
    system = find_system(kafka, postgres, directory)
    if not system.postgres:
        raise Problem(
            "The database is not known.", "Name it: --postgres postgresql://admin:secret@db:5432/postgres"
        )
    folder.create()
    applied, topics = asyncio.run(_prepare(system, folder))
    if as_json:
        print(json.dumps(applied))
        return
    for service, names in applied.items():
        print(f"{service:<9} {', '.join(names) or 'is up to date'}")
    if system.kafka:
        print(f"{'topics':<9} {', '.join(topics) or 'are up to date'}")


async def _prepare(system: System, folder: RunDirectory) -> tuple[dict[str, list[str]], list[str]]:
    passwords = kept_passwords(folder.passwords, system.postgres)
    database: Database = await provision(system.postgres, passwords)
    applied = await migrate_all(database)
    return applied, await _prepare_broker(system.administrator, folder) if system.kafka else []


async def _prepare_broker(address: str, folder: RunDirectory) -> list[str]:
    """Topics; and logins and rights where the broker asks for them.

    A broker that has just started refuses both until it takes part in its cluster.
    """
    kafka = Brokers.at(address)
    with suppress(TimeoutError):
        async with asyncio.timeout(KAFKA_SECONDS):
            while not await answers(kafka):
                await asyncio.sleep(0.25)
    topics = await create_topics(kafka)
    if kafka.username:
        await secure_broker(kafka, kept_kafka_passwords(folder.kafka_passwords, kafka.password))
    return topics
