"""Time that passes at once, for tests of what is forgotten: rows grow old, and a round is made."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from shared.kafka import END_OF_TIME
from shared.runtime.retention import Retention
from shared.runtime.signals import Metrics

USUAL = timedelta(days=400)
WALL_CLOCK = {
    "*": (
        ("outbox", "recorded_at"),
        ("inbox", "recorded_at"),
        ("inbox", "repeated_at"),
        ("dead_letters", "dead_at"),
    ),
    "orders": (("orders", "recorded_at"),),
    "serials": (("grants", "recorded_at"),),
}


async def set_policy(admin: Any, services: Sequence[str], keep: timedelta = USUAL) -> None:
    """From now on so much is kept, and nothing has been forgotten yet."""
    await keep_for(admin, services, keep)
    for service in services:
        await admin.execute(f"UPDATE {service}.retention SET horizon = '-infinity', forgotten = 0")


async def keep_for(admin: Any, services: Sequence[str], keep: timedelta) -> None:
    """From now on so much is kept; what is forgotten stays forgotten."""
    for service in services:
        await admin.execute(f"UPDATE {service}.retention SET keep = $1", keep)


async def grow_old(admin: Any, services: Sequence[str], age: timedelta) -> None:
    """Everything that there is now was recorded so much earlier, and is published."""
    for service in services:
        for table, column in (*WALL_CLOCK["*"], *WALL_CLOCK.get(service, ())):
            await admin.execute(f"UPDATE {service}.{table} SET {column} = {column} - $1::interval", age)
        await publish_all(admin, service)


async def publish_all(admin: Any, service: str) -> None:
    """The relay has published everything."""
    newest = f"SELECT coalesce(max(id), 0) FROM {service}.outbox"
    await admin.execute(f"UPDATE {service}.relay SET published = greatest(published, ({newest}))")


async def forget(pool: asyncpg.Pool, oldest_record: datetime = END_OF_TIME) -> None:
    """One round by a process that leads. Topics hold nothing that is older than this."""

    async def oldest() -> datetime:
        return oldest_record

    await Retention(pool, oldest, lambda: True, Metrics()).forget()


async def rows_left(admin: Any, services: Sequence[str]) -> dict[str, int]:
    """How many rows each inbox and outbox holds."""
    return {
        f"{service}.{table}": await admin.fetchval(f"SELECT count(*) FROM {service}.{table}")
        for service in services
        for table in ("inbox", "outbox")
    }
