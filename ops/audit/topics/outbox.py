"""Reading an outbox for the auditor: its rows in the order of their places, a page at a time."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from ops.audit.books import SQL
from ops.audit.topics.pages import PAGE
from ops.audit.topics.rules import NAMED, OutboxRow, TopicRecord


class OutboxCursor:
    """The rows of one outbox in the order of their places, fetched as the auditor needs them."""

    def __init__(self, connection: Any, cursor: Any) -> None:
        self._connection, self._cursor = connection, cursor
        self._rows: list[OutboxRow] = []
        self._at = 0
        self._others: list[OutboxRow] = []

    @classmethod
    async def open(cls, connection: Any) -> "OutboxCursor":
        """The connection must be in a transaction."""
        prepared = await connection.prepare(SQL.events_by_place)
        return cls(connection, await prepared.cursor())

    async def next(self, topic: str, partition: int, most: int) -> list[OutboxRow]:
        """The next rows of this place, empty when there are no more; places must be asked for in order."""
        found: list[OutboxRow] = []
        while len(found) < most and (row := await self._peek()) is not None:
            place = (row.topic, row.partition)
            if place > (topic, partition):
                break
            self._at += 1
            if place == (topic, partition):
                found.append(row)
            elif len(self._others) < NAMED:
                self._others.append(row)
        return found

    async def find(self, records: Sequence[TopicRecord]) -> dict[str, OutboxRow]:
        """The rows with the keys and ids of these records."""
        ids = []
        for record in records:
            with suppress(ValueError):
                ids.append(UUID(record.event_id))
        keys = list({record.key for record in records if record.key is not None})
        rows = await self._connection.fetch(SQL.events_by_id, keys, ids)
        return {row["event_id"]: OutboxRow(*row) for row in rows}

    async def others(self) -> list[OutboxRow]:
        """Rows of places that nobody asked for, the rest of the outbox among them."""
        while (row := await self._peek()) is not None and len(self._others) < NAMED:
            self._at += 1
            self._others.append(row)
        return self._others

    async def _peek(self) -> OutboxRow | None:
        if self._at == len(self._rows):
            self._rows = [OutboxRow(*row) for row in await self._cursor.fetch(PAGE)]
            self._at = 0
        return self._rows[self._at] if self._rows else None
