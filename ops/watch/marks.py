"""Marks: short texts that change when something is recorded, so that a page can tell whether it is old.

A mark says that there is something new, and not what: an event, a change that a person made, a record that
was refused or waits, or does so no longer.
"""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from ops.shell.databases import Urls, connected
from shared.queries import load

SQL = load("ops.watch")


class Marks(Struct, frozen=True):
    """`recorded` and `refused` are by service, `keys` by record key (of an order, a partner)."""

    recorded: Mapping[str, str]
    refused: Mapping[str, str]
    keys: Mapping[str, str]


async def read_marks(urls: Urls, keys: Collection[str] = ()) -> Marks:
    """The marks of these services, and of these keys in them. Raises Problem."""
    recorded: dict[str, str] = {}
    refused: dict[str, str] = {}
    parts: dict[str, list[str]] = {key: [] for key in keys}
    async with connected(urls) as connections:
        for service, connection in connections.items():
            row = await connection.fetchrow(SQL.mark_of_service)
            recorded[service], refused[service] = row["recorded"], row["refused"]
            await _read_keys(connection, parts)
    return Marks(recorded, refused, {key: "/".join(marks) for key, marks in parts.items()})


async def _read_keys(connection: Any, parts: Mapping[str, list[str]]) -> None:
    if parts:
        for row in await connection.fetch(SQL.marks_of_keys, list(parts)):
            parts[row["key"]].append(row["mark"])
