"""The rotating worker: puts serials that are under an old key under the current one, in the background.

Window by window in the order of the ids, each in a short transaction of its own: lock the serials under the
old key, open them, write tag, text and key anew, note how far it is, commit. After a crash the note says
where to go on. Serials that somebody else works on are passed over and found by the next pass, so the worker
waits for nobody while it holds any. A look-up by the tags of all keys sees a serial before or after its
transaction, never between.

Every process looks for work; it takes only what is put under the key that it makes serials with itself, and
one process has a key at a time.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import structlog

from services.serials.store import SQL
from services.serials.vault import Vault, WrongSerialError
from shared.crash_points import CrashPoint
from shared.postgres import Connection
from shared.runtime.batch_size import WorkSize
from shared.runtime.retry import note_fault, until_done
from shared.runtime.surroundings import Surroundings

WINDOW: Final = 2_000
"""Serials that one transaction looks at: none is locked for longer than it takes to re-key so many."""
LOOK_EVERY_SECONDS: Final = 2.0
PART: Final = "the rotation of keys"
READING_SECONDS: Final = 600.0
"""How long it may take to read all serials that there are."""
BEGINNING: Final = UUID(int=0)

log = structlog.get_logger("pawl.serials.rotating")


class StandsStill(Exception):
    """The text and the tag of a stored serial do not belong together."""

    def __init__(self, serial_id: UUID) -> None:
        super().__init__(f"the text and the tag of serial {serial_id} do not belong together")
        self.serial_id = serial_id


class Rotator:
    """Re-keys serials until it is cancelled; looks for work every few seconds."""

    def __init__(self, surroundings: Surroundings, vault: Vault, window: int = WINDOW) -> None:
        self._pool, self._outbox = surroundings.pool, surroundings.outbox
        self._vault, self._size = vault, WorkSize(window)
        self._troubles = surroundings.troubles
        earlier = sorted(vault.key_ids - {vault.current_id})
        self._keys: dict[str, Any] = {"current": vault.current_id, "earlier": earlier}
        surroundings.health["serial_keys"] = self._keys

    async def run(self) -> None:
        """Does whatever there is to do, then looks again; for ever."""
        await until_done(self._look_for_missing, self._note_trouble)
        while True:
            size = self._size.most
            has_more = await until_done(self.step, self._note_trouble)
            self._size.grow(size if has_more else 0)
            self._troubles.over(PART)
            if not has_more:
                await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _note_trouble(self, trouble: BaseException, attempt: int, pause: float) -> None:
        more = note_fault(self._troubles, PART, trouble)
        self._size.note(trouble)
        said = {"attempt": attempt, "pause": round(pause, 2), "trouble": type(trouble).__name__}
        log.warning("window repeated", **said, **more)

    async def _look_for_missing(self) -> None:
        """Says which keys that serials are under nobody has given to this process."""
        rows = await self._pool.fetch(SQL.serial_keys)
        used = {row["key_id"] for row in rows if row["retired_at"] is None}
        if missing := sorted(used - self._vault.key_ids):
            self._keys["missing"] = missing
            log.error("keys of serials are missing: give them in SERIAL_EARLIER_KEYS", keys=missing)

    async def drain(self) -> None:
        """Works until nothing is left that this worker can do by now."""
        while await self.step():
            pass

    async def step(self) -> bool:
        """Re-keys a window of an old key, or retires it; whether there may be more to do at once."""
        key_id = await self._pool.fetchval(
            SQL.key_to_rotate, self._vault.current_id, list(self._vault.key_ids)
        )
        if key_id is None:
            return False
        try:
            async with self._outbox.transaction(
                self._pool, CrashPoint.BEFORE_REKEY_COMMIT, CrashPoint.AFTER_REKEY_COMMIT, silent_too=True
            ) as (connection, _):
                is_at_end = await self._rekey_window(connection, key_id)
        except StandsStill as wrong:
            await self._pool.execute(SQL.stop_rotation, key_id, self._vault.current_id, wrong.serial_id)
            log.error("rotation stands still", key=key_id, serial=str(wrong.serial_id))
            return True
        if is_at_end is None:
            return False
        return await self._retire(key_id) if is_at_end else True

    async def _rekey_window(self, connection: Connection, key_id: str) -> bool | None:
        """Whether the pass is at its end; None where another worker has this key. Raises StandsStill."""
        self._size.begin()
        after = await connection.fetchval(SQL.lock_rotation, key_id, self._vault.current_id)
        if after is None:
            return None
        last = await connection.fetchval(SQL.end_of_window, after, self._size.most)
        if last is None:
            return True
        rows = await connection.fetch(SQL.serials_to_rekey, after, last, key_id)
        if rows:
            tags, texts = await asyncio.to_thread(self._rekeyed, key_id, rows)
            ids = [row["serial_id"] for row in rows]
            await connection.execute(SQL.note_key, self._vault.current_id)
            status = await connection.execute(SQL.rekey_serials, ids, tags, texts, self._vault.current_id)
            assert status == f"UPDATE {len(rows)}", f"{status} instead of {len(rows)} serials"
        await connection.execute(SQL.note_rekeyed, key_id, last, len(rows))
        return False

    def _rekeyed(self, key_id: str, rows: Sequence[Any]) -> tuple[list[bytes], list[bytes]]:
        """Tags and texts of these rows under the current key. Raises StandsStill."""
        texts, tags = [row["text"] for row in rows], [row["lookup_tag"] for row in rows]
        try:
            return self._vault.rekey(key_id, texts, tags)
        except WrongSerialError:
            raise StandsStill(self._first_wrong(key_id, rows)) from None

    def _first_wrong(self, key_id: str, rows: Sequence[Any]) -> UUID:
        for row in rows:
            try:
                self._vault.open(key_id, row["text"], row["lookup_tag"])
            except WrongSerialError:
                wrong: UUID = row["serial_id"]
                return wrong
        raise AssertionError("rows that are right one by one are right together")

    async def _retire(self, key_id: str) -> bool:
        """Retires a key that no serial is under, else begins another pass; whether there is more to do.

        Whoever makes serials with it holds its row until the commit (`note_key`), so all of those are seen.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(SQL.lock_key_to_retire, key_id, self._vault.current_id):
                return False
            if await connection.fetchval(SQL.is_key_used, key_id, timeout=READING_SECONDS):
                await connection.execute(SQL.note_rekeyed, key_id, BEGINNING, 0)
                return False
            await connection.execute(SQL.retire_key, key_id)
        log.info("key retired", key=key_id)
        return True
