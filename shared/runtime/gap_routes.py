"""Records that were never read here, over HTTP: listed, and closed with a reason."""

from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel

from shared.ids import uuid7
from shared.postgres import Connection
from shared.queries import load
from shared.runtime.audit_log import AuditEntry, write_audit
from shared.runtime.dead_letter_routes import LAST_ID, Closed, Reason, RowId
from shared.runtime.fold import Fold
from shared.web.fields import WireInstant
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, Problem
from shared.web.routes import Asking, HttpRoute, get, post

SQL = load("shared.runtime")


class OffsetGap(BaseModel):
    """Records of a partition, from one offset up to another (not among them), that were never read here.

    `deleted` before they were read, or passed over by a group that was `moved`. `since`: when that was
    noticed; `last_read_at`: when a record of this partition was last handled, null where that is not known.
    """

    id: int
    topic: str
    partition: int
    from_offset: int
    to_offset: int
    kind: Literal["deleted", "moved"]
    since: WireInstant
    last_read_at: WireInstant | None
    closed_at: WireInstant | None
    closed_by: str | None
    close_reason: str | None


@dataclass(slots=True, frozen=True)
class GapEndpoints:
    """The requests about the gaps of one service."""

    fold: Fold
    pool: asyncpg.Pool

    def routes(self) -> list[HttpRoute]:
        """Path by path: the table of contents."""
        return [
            get("/v1/ops/gaps", self.list_all, "ops:read", answers=Page[OffsetGap]),
            post("/v1/ops/gaps/{gap_id}/close", self.close, "ops:write", answers=OffsetGap),
        ]

    async def list_all(self, everything: Closed = False, limit: Limit = USUAL, cursor: Cursor = None) -> Any:
        """Open gaps, newest first."""
        (before,) = after(cursor, (LAST_ID,))
        rows = await self.pool.fetch(SQL.gaps, everything, before, limit + 1)
        return page_of([dict(row) for row in rows], limit, lambda row: (row["id"],))

    async def close(self, gap_id: RowId, body: Reason, caller: Asking) -> Any:
        """Closes a gap with a reason; its row stays. A repeat gives the first answer."""
        return dict(await self.fold.repeat(lambda: self._close(gap_id, caller.sub, body.reason)))

    async def _close(self, gap: int, actor: str, reason: str) -> asyncpg.Record:
        async with self.pool.acquire() as connection, connection.transaction():
            row = await self._lock(connection, gap)
            if row["closed_at"] is None:
                await connection.execute(SQL.close_gap, gap, actor, reason)
                place = f"{row['topic']}/{row['partition']}"
                offsets = {"from_offset": row["from_offset"], "to_offset": row["to_offset"]}
                before = {"place": place, **offsets, "kind": row["kind"]}
                entry = AuditEntry(
                    uuid7(), actor, "gap.close", f"gap {gap}", reason, before, {"closed": True}
                )
                await write_audit(connection, [entry])
            return await self._lock(connection, gap)

    async def _lock(self, connection: Connection, gap: int) -> asyncpg.Record:
        row = await connection.fetchrow(SQL.lock_gap, gap)
        if row is None:
            raise Problem(NOT_FOUND, what="no gap has this number; see /v1/ops/gaps")
        return row
