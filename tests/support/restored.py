"""A schema that is set back to an earlier state, as a restore does it, and one service beside it."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg

from ops.local.child import Child
from ops.local.ports import HOST, Ports
from ops.setup.provision import Database
from ops.shell.http_client import fetch
from ops.shell.run_directory import RunDirectory
from tests.support.instances import until
from tests.support.keys import KEY_SETTINGS

STOP_SECONDS = 30


class OneService:
    """The orders service as a process of a test's own, which can be stopped, halted and started again."""

    def __init__(self, kafka: str, database: Database, run_directory: RunDirectory) -> None:
        port = Ports(run_directory.ports).take("restored-orders")
        self.url = f"http://{HOST}:{port}"
        self._log: Path = run_directory.logs / "restored-orders.log"
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "DATABASE_URL": database.service_url("orders"),
            "DATA_KEY": KEY_SETTINGS["DATA_KEY"],
            "HTTP_PORT": str(port),
            # Nobody watches it: it ends as soon as it has said why it does not start.
            "REFUSAL_SECONDS": "0",
        }
        self.child: Child | None = None

    async def start(self) -> None:
        """Returns when it is healthy."""
        self.begin()

        async def healthy() -> bool:
            return (await fetch(f"{self.url}/health")).status == 200

        await until(healthy, "orders is healthy")

    def begin(self) -> Child:
        """Starts it, whatever becomes of it."""
        self.child = Child([sys.executable, "-m", "services.orders"], self._log, self._environment)
        return self.child

    async def stop(self) -> None:
        """Asks it to end, if it runs."""
        if self.child is not None:
            await self.child.stop(signal.SIGTERM, STOP_SECONDS)

    async def refusal(self) -> str:
        """What it says when it does not start."""
        before = self._log.stat().st_size if self._log.exists() else 0
        child = self.begin()

        async def ended() -> bool:
            return child.exit_code is not None

        await until(ended, "orders has ended")
        assert child.exit_code == 1
        return self._log.read_text()[before:]

    async def recover(self, *, apply: bool) -> tuple[int, dict[str, Any]]:
        """The exit code and the document of `python -m services.orders recover`."""
        command = ["-m", "services.orders", "recover", *(["--apply"] if apply else [])]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, env=self._environment
        )
        said, _ = await process.communicate()
        return process.returncode or 0, json.loads(said.splitlines()[-1])


class Backup:
    """The rows of a schema at one moment, and the way back to them."""

    def __init__(self, database: Database, schema: str = "orders") -> None:
        self._database, self._schema = database, schema

    async def take(self) -> None:
        """Copies every table; rows of tables that inherit stand in their own copy."""
        connection = await asyncpg.connect(self._database.admin_url)
        await connection.execute("DROP SCHEMA IF EXISTS bak CASCADE; CREATE SCHEMA bak")
        for table in await self._tables(connection):
            await connection.execute(
                f'CREATE TABLE bak."{table}" AS SELECT * FROM ONLY {self._schema}."{table}"'
            )
        await connection.close()

    async def restore(self) -> None:
        """Sets every table back; numbers of rows go on where they were at the backup."""
        connection = await asyncpg.connect(self._database.admin_url)
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            for table in await self._tables(connection):
                names = await connection.fetch(
                    "SELECT quote_ident(column_name) AS name FROM information_schema.columns "
                    "WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER'",
                    self._schema,
                    table,
                )
                columns = ", ".join(row["name"] for row in names)
                await connection.execute(f'DELETE FROM ONLY {self._schema}."{table}"')
                await connection.execute(
                    f'INSERT INTO {self._schema}."{table}" ({columns}) OVERRIDING SYSTEM VALUE '
                    f'SELECT {columns} FROM bak."{table}"'
                )
            for table in ("outbox", "parked", "dead_letters", "gaps"):
                await connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{self._schema}.{table}', 'id'), "
                    f"coalesce((SELECT max(id) FROM {self._schema}.{table}), 0) + 1, false)"
                )
        await connection.close()

    async def _tables(self, connection: Any) -> list[str]:
        rows = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename <> 'schema_migrations'",
            self._schema,
        )
        return [row["tablename"] for row in rows]
