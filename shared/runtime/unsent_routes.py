"""Events that the broker refuses, over HTTP: looked at, and tried again at once."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import asyncpg
import orjson
from fastapi import Path
from pydantic import BaseModel

from shared.ids import uuid7
from shared.queries import load
from shared.runtime.audit_log import AuditEntry, write_audit
from shared.runtime.dead_letter_routes import LAST_ID, Reason
from shared.runtime.masking import hide
from shared.runtime.outbox import Outbox
from shared.web.fields import WireInstant
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, Problem
from shared.web.routes import Asking, HttpRoute, get, post

SQL = load("shared.runtime")
LOOKS: Final = 20
LOOK_SECONDS: Final = 0.25
UnsentId = Annotated[int, Path(ge=1, le=LAST_ID)]


class UnsentEvent(BaseModel):
    """An event of ours that is not on its topic.

    `refused` is the first of its key, tried again at `retry_at`; the others are `behind` it.
    """

    id: int
    topic: str
    key: str
    type: str
    subject: str
    sequence: int | None
    bytes: int
    state: Literal["refused", "behind"]
    reason: str
    tries: int
    set_aside_at: WireInstant
    tried_at: WireInstant
    retry_at: WireInstant | None


class ShownEvent(UnsentEvent):
    """Such an event with its data; account numbers are masked."""

    document: dict[str, Any]


class TriedEvent(BaseModel):
    """What was set aside with a key was tried; `still_unsent` of it are not out, and `detail` says why."""

    replayed: bool
    key: str
    still_unsent: int
    detail: str


@dataclass(slots=True, frozen=True)
class UnsentEndpoints:
    """The requests about what is set aside of the outbox of one service."""

    pool: asyncpg.Pool
    outbox: Outbox

    def routes(self) -> list[HttpRoute]:
        """Path by path: the table of contents."""
        one = "/v1/ops/unsent/{unsent_id}"
        return [
            get("/v1/ops/unsent", self.list_all, "ops:read", answers=Page[UnsentEvent]),
            get(one, self.show, "ops:read", answers=ShownEvent),
            post(f"{one}/replay", self.replay, "ops:write", answers=TriedEvent),
        ]

    async def list_all(self, limit: Limit = USUAL, cursor: Cursor = None) -> Any:
        """Events that the broker refuses, and what waits behind them, oldest first."""
        (behind,) = after(cursor, (0,))
        rows = await self.pool.fetch(SQL.unsent_events, behind, limit + 1)
        return page_of([dict(row) for row in rows], limit, lambda row: (row["id"],))

    async def show(self, unsent_id: UnsentId) -> Any:
        """One of them with its data."""
        row = await self._row(unsent_id)
        event = dict(row)
        return {**event, "document": hide(orjson.loads(event.pop("data")))}

    async def replay(self, unsent_id: UnsentId, body: Reason, caller: Asking) -> Any:
        """Has the relay try at once what is set aside with the key of this event, and waits a little."""
        row = await self._row(unsent_id)
        async with self.outbox.transaction(self.pool) as (connection, _):
            await connection.execute(SQL.try_unsent_now, unsent_id)
            entry = AuditEntry(uuid7(), caller.sub, "unsent.replay", row["key"], body.reason)
            await write_audit(connection, [entry])
        left = await self._once_tried(row)
        events, why = left["events"], left["reason"] or "the relay has not come to it yet"
        return TriedEvent(
            replayed=events == 0, key=row["key"], still_unsent=events, detail=why if events else ""
        )

    async def _once_tried(self, row: Any) -> Any:
        left: Any = None
        for _ in range(LOOKS):
            await asyncio.sleep(LOOK_SECONDS)
            left = await self.pool.fetchrow(SQL.left_of_key, row["topic"], row["key"], row["tried_at"])
            if left["events"] == 0 or left["was_tried"]:
                break
        return left

    async def _row(self, number: int) -> Any:
        row = await self.pool.fetchrow(SQL.unsent_event, number)
        if row is None:
            raise Problem(NOT_FOUND, what="nothing is set aside under this number; see /v1/ops/unsent")
        return row
