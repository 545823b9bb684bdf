"""Serials leave: noted before the first byte, read through a cursor in unit order, opened in bulk.

A file has a transaction of its own for as long as it takes, which sees one state of the grant. It holds a
connection of the pool, so only a few go out at once. Nothing grows with the number of serials: a block of
them is read, opened, written and forgotten. A caller that goes away ends all of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
import numpy as np
import structlog
from numpy.typing import NDArray

from services.serials.custody import holds_serial, note_hand_out
from services.serials.notices import HEADERS, Items, Message, items_of
from services.serials.problems import HAND_OUTS_BUSY, KEY_MISSING, NO_ROOM, NOTICE_INCOMPLETE
from services.serials.sheets import filled, grouped_texts
from services.serials.state import Form, Grant, SerialState, stored_as
from services.serials.store import SQL
from services.serials.vault import Vault
from services.serials.workbook import MOST_SERIALS, Workbook, free_room, private_folder, room_of
from shared.postgres import Connection
from shared.spreadsheets import BOM, csv_row
from shared.web.callers import Origin
from shared.web.files import in_thread, parts_of
from shared.web.problems import WRONG_PARAMETER, Language, Problem
from shared.web.streaming import Parts

AT_ONCE: Final = 2
"""So many files leave one process at the same time: each holds a connection, and a workbook takes a core."""
AGAIN_SECONDS: Final = 10
BLOCK: Final = 5_000
"""So many serials of a file are in memory at a time."""
SLOWEST: Final = "90s"
"""So long a session may wait for its caller, which is given up before that (shared/web/streaming.py)."""
MERGE_HEADERS: Final[Mapping[Language, Sequence[str]]] = {
    "ko": ("받는 번호", "종류", "메시지"),
    "en": ("Phone", "Kind", "Message"),
}
"""The phone is left empty: whoever sends the messages knows it, and nobody here does."""

T = TypeVar("T")
Serials = NDArray[np.uint8]
Query = tuple[int, UUID, UUID, SerialState | None]
"""The home, the first and the last id, and the state as it is stored; None for any."""

log = structlog.get_logger("pawl.handing_out")


class Wanted(NamedTuple):
    """Which serials somebody wants: those of the units `first` to `last` of a grant, in a state or in any."""

    grant: Grant
    first: int
    last: int
    state: SerialState | None
    at: datetime
    origin: Origin
    reason: str = ""

    @property
    def is_issued(self) -> bool:
        """Whether each of these units has its serial."""
        grant = self.grant
        return grant.left == 0 or self.last <= grant.found or self.first > grant.quantity

    @property
    def query(self) -> Query | None:
        """What finds these serials; None where there can be none."""
        stored = None
        if self.state is not None:
            stored = stored_as(self.state, self.grant.registration_deadline, self.at)
            if stored is None:
                return None
        grant = self.grant
        return grant.home, grant.serial_id(self.first), grant.serial_id(self.last), stored


class Opened(NamedTuple):
    """A readable serial of a page, with the number of its unit in the grant and its stored state."""

    unit: int
    serial_id: UUID
    state: SerialState
    serial: str


@dataclass(slots=True)
class HandOut:
    """A file of serials on its way: `written` of its `serials` are in it."""

    wanted: Wanted
    query: Query
    form: Form
    serials: int
    watermark: str
    written: int = 0

    def headers(self, ending: str) -> dict[str, str]:
        """What its file is called, how it is marked, and how many serials are in it."""
        name = f"serials-{self.wanted.grant.grant_id}-{self.watermark}.{ending}"
        return {
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Watermark": self.watermark,
            "X-Serials": str(self.serials),
        }


class HandingOut:
    """Hands serials out. `page` is where they are registered; without it none leaves."""

    def __init__(self, pool: asyncpg.Pool, vault: Vault, page: str) -> None:
        self._pool, self._vault, self._page = pool, vault, page
        self._places = asyncio.Semaphore(AT_ONCE)
        self.under_way: list[HandOut] = []

    async def is_told_serial(self, reason: str) -> bool:
        """Whether a reason has a serial in it."""
        return await holds_serial(self._pool, self._vault, reason)

    def items(self, grant: Grant, language: Language, *, serials: int = 1) -> Items:
        """The five items of so many serials of a grant. Raises Problem (422) where one of them is missing."""
        items = items_of(grant, self._page, language, serials=serials)
        if missing := items.missing:
            said, more = ", ".join(missing), {"missing": missing}
            raise Problem(NOTICE_INCOMPLETE, grant_id=grant.grant_id, missing=said, more=more)
        return items

    @asynccontextmanager
    async def csv(self, wanted: Wanted) -> AsyncIterator[Parts]:
        """The five items of each serial, as a file of CSV. Raises Problem."""
        language = wanted.origin.language
        row = csv_row(self.items(wanted.grant, language))
        async with self._place(), self._begun(wanted, Form.CSV) as (out, connection):
            yield Parts(out.headers("csv"), self._csv(out, connection, HEADERS[language], row))

    @asynccontextmanager
    async def merge(self, wanted: Wanted, message: Message) -> AsyncIterator[Parts]:
        """The message to each customer, as a file of CSV for a program that sends them. Raises Problem."""
        header = MERGE_HEADERS[wanted.origin.language]
        row = csv_row(["", message.kind.upper(), message.text])
        async with self._place(), self._begun(wanted, Form.MERGE) as (out, connection):
            yield Parts(out.headers("csv"), self._csv(out, connection, header, row))

    @asynccontextmanager
    async def xlsx(self, wanted: Wanted) -> AsyncIterator[Parts]:
        """The five items of each serial, as a workbook that is made on disk first. Raises Problem."""
        language = wanted.origin.language
        items = self.items(wanted.grant, language)
        if wanted.last - wanted.first >= MOST_SERIALS:
            rule = f"a sheet holds {MOST_SERIALS:,} serials; take fewer units, or CSV"
            raise Problem(WRONG_PARAMETER, name="to", place="query", rule=rule)
        _require_room(wanted.last - wanted.first + 1)
        async with self._place():
            with private_folder() as folder:
                async with self._begun(wanted, Form.XLSX) as (out, connection):
                    workbook = Workbook(folder, HEADERS[language], items, out.watermark)
                    async for _ in self._blocks(out, connection, workbook.add):
                        pass
                    await in_thread(workbook.close)
                size = str(workbook.path.stat().st_size)
                yield Parts({**out.headers("xlsx"), "Content-Length": size}, parts_of(workbook.path))

    async def page(self, wanted: Wanted, most: int) -> tuple[str, list[Opened], bool]:
        """The watermark of a page, its serials, `most` of those wanted, and whether there are more.

        Raises Problem.
        """
        async with self._pool.acquire() as connection:
            found = await connection.fetch(SQL.page_of_serials, *self._query_of(wanted), most + 1)
            rows = found[:most]
            self.items(wanted.grant, wanted.origin.language, serials=len(rows))
            self._require_keys({row["key_id"] for row in rows})
            batch_id, texts = wanted.grant.batch_id.int, grouped_texts(self._open(rows))
            opened = [
                Opened(row["serial_id"].int - batch_id, row["serial_id"], SerialState(row["state"]), text)
                for row, text in zip(rows, texts, strict=True)
            ]
            units = opened[0].unit, opened[-1].unit
            watermark = await _note(connection, wanted, Form.JSON, units, len(opened))
        return watermark, opened, len(found) > most

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._places.locked():
            raise Problem(HAND_OUTS_BUSY, retry_after=AGAIN_SECONDS, most=AT_ONCE)
        async with self._places:
            yield

    @asynccontextmanager
    async def _begun(self, wanted: Wanted, form: Form) -> AsyncIterator[tuple[HandOut, Connection]]:
        """A hand-out that is noted, and the transaction in which its serials are read."""
        query = self._query_of(wanted)
        async with self._pool.acquire() as connection, _snapshot(connection):
            rows = await connection.fetch(SQL.count_serials_to_hand_out, *query)
            serials = sum(row["serials"] for row in rows)
            self.items(wanted.grant, wanted.origin.language, serials=serials)
            self._require_keys({row["key_id"] for row in rows})
            async with self._pool.acquire() as noting:  # the other connection only reads, and commits last
                watermark = await _note(noting, wanted, form, (wanted.first, wanted.last), serials)
            out = HandOut(wanted, query, form, serials, watermark)
            self.under_way.append(out)
            try:
                yield out, connection
            finally:
                self.under_way.remove(out)
                log.info(
                    "serials handed out", form=form, watermark=watermark, written=out.written, of=serials
                )

    def _query_of(self, wanted: Wanted) -> Query:
        """What to ask for these serials. Raises Problem (422) where some of them do not exist yet."""
        query = wanted.query if wanted.is_issued else None
        if query is None:
            self.items(wanted.grant, wanted.origin.language, serials=0)
        assert query is not None, "without a serial the items are not complete"
        return query

    def _require_keys(self, key_ids: Collection[str]) -> None:
        if missing := sorted(set(key_ids) - self._vault.key_ids):
            raise Problem(KEY_MISSING, key_ids=", ".join(missing))

    async def _csv(
        self, out: HandOut, connection: Connection, header: Sequence[str], row: str
    ) -> AsyncIterator[bytes]:
        mark = [f"# watermark {out.watermark}", *[""] * (len(header) - 1)]
        yield BOM + f"{csv_row(mark)}{csv_row(header)}".encode()
        async for block in self._blocks(out, connection, lambda serials: filled(row, serials)):
            yield block

    async def _blocks(
        self, out: HandOut, connection: Connection, write: Callable[[Serials], T]
    ) -> AsyncIterator[T]:
        """What `write` makes of each block of the serials, in a thread."""
        cursor = await connection.cursor(SQL.serials_to_hand_out, *out.query)
        while rows := await cursor.fetch(BLOCK):
            yield await in_thread(lambda block: write(self._open(block)), rows)
            out.written += len(rows)

    def _open(self, rows: Sequence[Any]) -> Serials:
        columns = (list(map(itemgetter(name), rows)) for name in ("key_id", "text", "lookup_tag"))
        return self._vault.open_all(*columns)


@asynccontextmanager
async def _snapshot(connection: Connection) -> AsyncIterator[None]:
    """Inside the block everything is read as it was at the first statement, however long it takes."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(SQL.wait_for_caller, SLOWEST)
        yield


def _require_room(serials: int) -> None:
    """Raises Problem (503) where the workbook would not fit on the disk."""
    needed = room_of(serials)
    if needed > free_room():
        megabytes = -(-needed // 1_000_000)
        raise Problem(NO_ROOM, serials=f"{serials:,}", megabytes=f"{megabytes:,}")


async def _note(
    connection: Connection, wanted: Wanted, form: Form, units: tuple[int, int], serials: int
) -> str:
    state, reason, grant_id = wanted.state, wanted.reason, wanted.grant.grant_id
    return await note_hand_out(
        connection, form, wanted.origin, grant_id, units, state=state, serials=serials, reason=reason
    )
