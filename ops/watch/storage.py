"""`pawl storage`: how large inbox, outbox and the rest have grown, and how far back they go."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.shell.databases import Where, connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json
from ops.shell.system import find_system
from shared.kst import in_kst
from shared.queries import load

SQL = load("ops.watch")
TABLES = ("inbox", "outbox", "cursors", "parked", "dead_letters")
UNITS = ("B", "kB", "MB", "GB", "TB")
DAY = timedelta(days=1)


@dataclass(slots=True, frozen=True)
class Size:
    """`rows` as Postgres last counted them, None where it never did; `bytes` with indexes."""

    rows: int | None
    bytes: int


@dataclass(slots=True, frozen=True)
class Storage:
    """What one service stores.

    `keep`: inbox and outbox keep everything at least that long. `horizon`: what they recorded before it may
    be gone; None until the service has looked for the first time. `bytes`: of the whole schema.
    """

    keep: timedelta
    horizon: datetime | None
    has_forgotten: bool
    tables: dict[str, Size]
    bytes: int

    def to_document(self) -> dict[str, Any]:
        """A service in the JSON document of `pawl storage --json`."""
        return {
            "keep_days": self.keep / DAY,
            "horizon": self.horizon.isoformat() if self.horizon else None,
            "has_forgotten": self.has_forgotten,
            "tables": {name: {"rows": size.rows, "bytes": size.bytes} for name, size in self.tables.items()},
            "bytes": self.bytes,
        }


async def read_storage(where: Where) -> dict[str, Storage]:
    """What each service stores. `where` is a System, one database URL, or one for each. Raises Problem."""
    async with connected(urls_of(where)) as connections:
        return {service: await _read(connection) for service, connection in connections.items()}


async def _read(connection: Any) -> Storage:
    policy = await connection.fetchrow(SQL.retention)
    sizes = await connection.fetch(SQL.table_sizes, list(TABLES))
    return Storage(
        policy["keep"],
        policy["horizon"],
        policy["has_forgotten"],
        {row["name"]: Size(row["rows"], row["bytes"]) for row in sizes},
        await connection.fetchval(SQL.bytes_of_schema),
    )


def storage(
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show how large inboxes and outboxes are, and how far back they go.

    Rows are as Postgres counted them last; bytes are exact.

    Example: [bold]pawl storage[/bold]

    Example: [bold]pawl storage --json | jq .services.orders.tables.outbox[/bold]
    """
    system = find_system(None, postgres, directory)
    stored = asyncio.run(read_storage(system))
    if as_json:
        document = {"services": {name: each.to_document() for name, each in stored.items()}}
        print_json(document)
    else:
        print_storage(Console(), stored)


def print_storage(console: Console, stored: dict[str, Storage]) -> None:
    """A line for each service, and what the lines mean."""
    table = Table(box=None, padding=(0, 3, 0, 0))
    table.add_column("")
    for heading in ("keeps", "goes back to", "inbox", "outbox", "all else"):
        table.add_column(heading, justify="right", no_wrap=True)
    for service, each in stored.items():
        bounded = [each.tables[name].bytes for name in ("inbox", "outbox")]
        sizes = [in_bytes(size) for size in (*bounded, each.bytes - sum(bounded))]
        table.add_row(service, f"{each.keep / DAY:g} days", _since(each), *sizes)
    console.print(table)
    console.print(
        "Inbox and outbox forget what is older than that and in no topic any more. All else stays.",
        highlight=False,
        soft_wrap=True,
    )


def _since(each: Storage) -> str:
    if each.horizon is None or not each.has_forgotten:
        return "the beginning"
    return in_kst(each.horizon).strftime("%Y-%m-%d %H:%M")


def in_bytes(count: int) -> str:
    """`980 B`, `1.5 kB`, `12.3 GB`: powers of 1,000."""
    amount, unit = float(count), 0
    while amount >= 999.95 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:,.1f} {UNITS[unit]}" if unit else f"{count} B"
