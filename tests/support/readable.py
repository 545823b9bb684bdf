"""Serials of a running system, read with its own keys as only their partner may, and what is asked of it."""

from typing import Any, NamedTuple

import asyncpg
import orjson

from ops.local.running import RunningSystem
from ops.shell.http_client import Answer, fetch
from ops.shell.tokens import token_of
from services.serials.codes import grouped
from services.serials.settings import SerialsSettings
from tests.support.patience import PATIENCE


class Readable(NamedTuple):
    """A serial: its id, and its characters as they are printed."""

    serial_id: str
    text: str


async def serials_of(system: RunningSystem, order_id: str) -> list[Readable]:
    """The serials of an order, in the order of their ids."""
    keys: dict[str, Any] = {name.lower(): key for name, key in system.folder.service_keys().items()}
    settings = SerialsSettings(
        kafka_bootstrap_servers="localhost:1", database_url="postgresql://a:b@localhost/c", **keys
    )
    vault = settings.vault()
    connection = await asyncpg.connect(system.database.admin_url)
    try:
        rows = await connection.fetch(
            "SELECT s.* FROM serials.serials s JOIN serials.grants g USING (grant_id)"
            " WHERE g.order_id = $1 ORDER BY s.serial_id",
            order_id,
        )
    finally:
        await connection.close()
    opened = [(row["serial_id"], vault.open(row["key_id"], row["text"], row["lookup_tag"])) for row in rows]
    return [Readable(str(serial_id), grouped(text)) for serial_id, text in opened]


async def ask_serials(system: RunningSystem, path: str, scope: str, body: Any, key: str = "") -> Answer:
    """What serials answers to one POST; `body` is a document, or bytes."""
    url = f"{system.system.service('serials').base_url}/v1/{path}"
    said = body if isinstance(body, bytes) else orjson.dumps(body)
    return await fetch(url, said, PATIENCE, token_of(system.system, scope), key)
