"""All dead letters and parked events, read from the databases: by cause, and as a list to replay."""

from typing import Any

from ops.shell.databases import Urls, connected
from ops.watch.dead.names import Filter, Name
from shared.kst import wire_time
from shared.queries import load

SQL = load("ops.watch")
MOST = 10_000  # rows of one service in one replay


async def groups(urls: Urls, only: Filter, everything: bool = False) -> list[dict[str, Any]]:
    """Dead letters and parked events of all services, grouped by cause, the most frequent first."""
    found: list[dict[str, Any]] = []
    async with connected(urls) as connections:
        for service, connection in connections.items():
            if only.service in (None, service):
                rows = await connection.fetch(SQL.dead_by_cause, everything, only.code, only.type, only.key)
                found += [_group(service, row, parked=False) for row in rows]
                rows = await connection.fetch(SQL.parked_by_cause, only.code, only.type, only.key)
                found += [_group(service, row, parked=True) for row in rows]
    return sorted(found, key=lambda group: -group["count"])


def _group(service: str, row: Any, *, parked: bool) -> dict[str, Any]:
    return {
        "service": service,
        "kind": "parked" if parked else "dead",
        "code": row["cause"],
        "pointer": row["pointer"],
        "type": row["type"],
        "count": row["count"],
        "newest": wire_time(row["newest"]),
        "example": str(Name(service, row["example"], parked)),
    }


async def list_to_replay(urls: Urls, only: Filter) -> list[dict[str, Any]]:
    """The open dead letters that match, as a frozen list; with the code `blocked`, blocked keys too."""
    listed: list[dict[str, Any]] = []
    async with connected(urls) as connections:
        for service, connection in connections.items():
            if only.service in (None, service):
                rows = await connection.fetch(SQL.dead_to_replay, only.code, only.type, only.key, MOST)
                listed += [{"name": str(Name(service, row["id"], False)), **_without_id(row)} for row in rows]
                rows = await connection.fetch(SQL.parked_to_replay, only.code, only.type, only.key, MOST)
                listed += [{"name": str(Name(service, row["id"], True)), **_without_id(row)} for row in rows]
    return listed


def _without_id(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}
