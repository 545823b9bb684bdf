"""All dead letters and parked events, read from the databases: by cause, one by one, as a list to act on."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import asyncpg

from ops.shell.databases import Urls, connected
from ops.watch.dead.names import Filter, Name
from shared.kst import wire_time
from shared.queries import load

SQL = load("ops.watch")
MOST = 10_000  # rows of one service in one list
OPEN, BLOCKED = "open", "blocked"

_CAUSE = ("cause", "pointer", "type", "state")


async def groups(
    urls: Urls, only: Filter, everything: bool = False, members: int = 0
) -> list[dict[str, Any]]:
    """Dead letters, parked events and unsent events of all services, by cause, the most frequent first.

    With `members`, each group names so many of its newest, and how many are left out.
    """
    found: list[dict[str, Any]] = []
    async with connected(urls) as connections:
        for service, connection in connections.items():
            if only.service in (None, service):
                dead, parked = (everything, only.code, only.type, only.key), (only.code, only.type, only.key)
                found += await _groups(connection, service, "dead", dead, members)
                found += await _groups(connection, service, "parked", parked, members)
                found += await _groups(connection, service, "unsent", parked, members)
    return sorted(found, key=lambda group: -group["count"])


async def _groups(
    connection: Any, service: str, kind: str, arguments: Sequence[Any], members: int
) -> list[dict[str, Any]]:
    causes, each = f"{kind}_by_cause", f"{kind}_members"
    rows = await connection.fetch(getattr(SQL, causes), *arguments)
    found = {_cause(row): _group(service, row, kind) for row in rows}
    if members:
        for group in found.values():
            group["members"] = []
        for row in await connection.fetch(getattr(SQL, each), *arguments, members):
            if _cause(row) in found:  # not where the first of its cause came after the first look
                found[_cause(row)]["members"].append(_member(service, row, kind))
        for group in found.values():
            group["left_out"] = max(0, group["count"] - len(group["members"]))
    return list(found.values())


def _cause(row: Any) -> tuple[str, ...]:
    return tuple(row[name] for name in _CAUSE)


def _group(service: str, row: Any, kind: str) -> dict[str, Any]:
    return {
        "service": service,
        "kind": kind,
        "code": row["cause"],
        "pointer": row["pointer"],
        "type": row["type"],
        "state": row["state"],
        "count": row["count"],
        "newest": wire_time(row["newest"]),
        "example": str(_named(service, row["example"], kind)),
        **(_held_back(row) if kind == "dead" else {}),
    }


def _held_back(row: Any) -> dict[str, Any]:
    """What a cause holds back: of how many keys, how much won, since when, and who sent it."""
    won, senders = row["won"], [sender for sender in row["senders"] if sender]
    return {"oldest": wire_time(row["oldest"]), "keys": row["keys"], "won": won, "senders": senders}


def _member(service: str, row: Any, kind: str) -> dict[str, Any]:
    return {
        "name": str(_named(service, row["id"], kind)),
        "key": row["key"],
        "sender": row["sender"],
        "since": wire_time(row["since"]),
        **({"won": row["won"]} if kind == "dead" else {}),
    }


def _named(service: str, row: int, kind: str) -> Name:
    return Name(service, row, kind == "parked", kind == "unsent")


async def list_to_replay(urls: Urls, only: Filter) -> list[dict[str, Any]]:
    """The open dead letters that match, oldest first; with the code `blocked`, blocked keys too.

    `hindrance` is why handling one again is of no use now; empty where it may help.
    """
    listed = await _list(urls, only, SQL.dead_to_end, _replayable)
    return listed + await _list(urls, only, SQL.parked_to_end, _blocked)


async def list_blocked(urls: Urls, only: Filter) -> list[dict[str, Any]]:
    """The first event of each blocked key that matches; hindered where its own fault blocked it."""
    return await _list(urls, only._replace(code=BLOCKED), SQL.parked_to_end, _blocked_by_the_database)


async def list_to_resolve(urls: Urls, only: Filter) -> list[dict[str, Any]]:
    """The open dead letters that match, oldest first, service by service; nothing hinders these."""
    return await _list(urls, only, SQL.dead_to_end, _resolvable)


async def list_named(urls: Urls, names: Sequence[Name], *, to_replay: bool) -> list[dict[str, Any]]:
    """What has become of these by now, in their order; what is not there any more is hindered by that."""
    found: dict[str, dict[str, Any]] = {}
    kinds: tuple[tuple[bool, str, Listed], ...] = (
        (False, SQL.dead_to_end, _replayable if to_replay else _resolvable),
        (True, SQL.parked_to_end, _blocked if to_replay else _waiting),
    )
    async with connected(urls) as connections:
        for service, connection in connections.items():
            for parked, query, listed in kinds:
                wanted = (service, parked, False)
                ids = [name.row for name in names if (name.service, name.parked, name.unsent) == wanted]
                rows = await connection.fetch(query, None, None, None, len(ids), ids) if ids else []
                found |= {(one := listed(service, row))["name"]: one for row in rows}
    return [found.get(str(name)) or _gone(name) for name in names]


Listed: TypeAlias = Callable[[str, Any], dict[str, Any]]


async def _list(urls: Urls, only: Filter, query: str, listed: Listed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with connected(urls) as connections:
        for service, connection in connections.items():
            if only.service in (None, service):
                rows = await connection.fetch(query, only.code, only.type, only.key, MOST, None)
                found += [listed(service, row) for row in rows]
    return found


def _resolvable(service: str, row: Any) -> dict[str, Any]:
    ended = "" if row["state"] == OPEN else f"it is {row['state']} already"
    return _row(Name(service, row["id"], False), row, ended)


def _replayable(service: str, row: Any) -> dict[str, Any]:
    listed = _resolvable(service, row)
    if not listed["hindrance"] and row["blocked_by"] is not None:
        listed["hindrance"] = f"its key is blocked: {Name(service, row['blocked_by'], True)}"
    return listed


def _blocked(service: str, row: Any) -> dict[str, Any]:
    return _row(Name(service, row["id"], True), row)


def names_fault_of_database(reason: str) -> bool:
    """Whether the database has refused a blocked event: it may take it now, and trying harms nobody."""
    error = getattr(asyncpg, reason.partition(":")[0], None)
    return getattr(error, "sqlstate", None) is not None


def _blocked_by_the_database(service: str, row: Any) -> dict[str, Any]:
    own = "" if names_fault_of_database(row["pointer"]) else f"its own fault, mend it first: {row['pointer']}"
    return _row(Name(service, row["id"], True), row, own)


def _waiting(service: str, row: Any) -> dict[str, Any]:
    return _row(Name(service, row["id"], True), row, "it is right and waits")


def _gone(name: Name) -> dict[str, Any]:
    unknown = {"code": "", "pointer": "", "type": "", "key": None}
    return _row(name, unknown, "it is not there any more")


def _row(name: Name, row: Any, hindrance: str = "") -> dict[str, Any]:
    columns = {column: row[column] for column in ("code", "pointer", "type", "key")}
    return {"name": str(name), **columns, "sender": row.get("sender"), "hindrance": hindrance}
