"""Rotating keys over HTTP: which keys serials are under, and an operator's wish to re-key them.

The wish is only written down. The workers of all processes find it there (`rotating.py`).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from services.serials.problems import KEY_MISSING, KEY_NOT_CURRENT
from services.serials.rotating import READING_SECONDS
from services.serials.rotation import Rotation, SerialKey, begin_rotation, key_document, seconds_of
from services.serials.store import SQL
from services.serials.vault import Vault
from shared.events.fields import Id, Reason
from shared.postgres import Connection
from shared.runtime.commands import Command, CommandOutcome, Done, Refused
from shared.runtime.surroundings import Surroundings
from shared.web.fields import Body, WireInstant
from shared.web.problems import Problem
from shared.web.routes import HttpRoute, Requested, get, post

ROTATE: Final = "serial_keys.rotate"


class RotationBody(Body):
    """The key that the service makes serials with now, under which all others are to be put, and why."""

    key_id: Id
    reason: Reason
    apply: bool = False


class ShownKey(BaseModel):
    """A key that serials were made with. `configured`: this process can find and open with it.

    Since `rotated_at` its serials are put under `rotated_to`: `rekeyed` of `to_rekey` are, in a pass that
    came to `rekeyed_up_to`. It `stands_at` a serial that somebody has changed. Nothing needs a key that is
    retired.
    """

    key_id: str
    configured: bool
    first_used_at: WireInstant
    rotated_to: str | None
    rotated_at: WireInstant | None
    to_rekey: int
    rekeyed: int
    rekeyed_up_to: UUID
    stands_at: UUID | None
    retired_at: WireInstant | None


class ShownKeys(BaseModel):
    """The key that the process which answers makes serials with, and every key that was used."""

    current_key: str
    keys: list[ShownKey]


class SerialsUnderKey(BaseModel):
    """How many serials are under a key."""

    key_id: str
    serials: int


class BegunRotation(BaseModel):
    """What is re-keyed, and about how long that takes; only shown unless `applied`.

    `before` and `after` say under which key the serials of each old key are put.
    """

    key_id: str
    applied: bool
    serials: list[SerialsUnderKey]
    seconds: int
    before: dict[str, str | None]
    after: dict[str, str | None]


class RotationEndpoints:
    """The endpoints."""

    def __init__(self, surroundings: Surroundings, vault: Vault) -> None:
        self._pool, self._send_alone = surroundings.pool, surroundings.send_alone
        self._vault = vault

    async def look(self) -> Any:
        """Which keys serials were made with, and how far their rotation is. Counts nothing, so ask often."""
        rows = await self._pool.fetch(SQL.serial_keys)
        keys = [key_document(SerialKey(**row), self._vault.key_ids) for row in rows]
        return {"current_key": self._vault.current_id, "keys": keys}

    async def rotate(self, body: RotationBody, origin: Requested) -> Any:
        """Puts the serials of all other keys under the current one; only shows it unless `apply`.

        The work is done in the background. Asked again, it goes on.
        """
        # Before the transaction, which must be short: every serial is read.
        rows = await self._pool.fetch(SQL.count_by_key, timeout=READING_SECONDS)
        work = partial(self._begin, {row["key_id"]: row["serials"] for row in rows})
        return await self._send_alone(
            ROTATE, f"key {body.key_id}", body, origin, work, reason=body.reason, dry_run=not body.apply
        )

    async def _begin(
        self, serials: Mapping[str, int], connection: Connection, command: Command[RotationBody]
    ) -> CommandOutcome:
        said = command.data
        keys = [SerialKey(**row) for row in await connection.fetch(SQL.lock_keys)]
        decided = begin_rotation(keys, said.key_id, self._vault.current_id, self._vault.key_ids)
        if isinstance(decided, Problem):
            return Refused(decided)
        if decided.begun or decided.under_way:
            await self._save(connection, command, decided, serials)
        old = [*decided.begun, *decided.under_way]
        before = {key.key_id: key.rotated_to for key in keys if key.key_id in old}
        after = dict.fromkeys(before, said.key_id)
        answer = {
            "key_id": said.key_id,
            "applied": said.apply,
            "serials": [{"key_id": name, "serials": count} for name, count in sorted(serials.items())],
            "seconds": seconds_of(serials, decided),
            "before": before,
            "after": after,
        }
        return Done(answer, (), before, after)

    async def _save(
        self,
        connection: Connection,
        command: Command[RotationBody],
        rotation: Rotation,
        serials: Mapping[str, int],
    ) -> None:
        key_id, counts = command.data.key_id, [serials.get(each, 0) for each in rotation.begun]
        await connection.execute(SQL.note_key, key_id)
        await connection.execute(SQL.end_rotation, key_id)
        await connection.execute(SQL.begin_rotation, key_id, command.time, rotation.begun, counts)
        await connection.execute(SQL.resume_rotation, key_id)


def rotation_routes(surroundings: Surroundings, vault: Vault) -> Sequence[HttpRoute]:
    """The routes about keys: for operators, since they concern the serials of all partners."""
    endpoints, path = RotationEndpoints(surroundings, vault), "/v1/serials/rotation"
    return [
        get(path, endpoints.look, "serials:read", answers=ShownKeys),
        post(
            path,
            endpoints.rotate,
            "serials:manage",
            answers=BegunRotation,
            seconds=READING_SECONDS,
            problems=[KEY_NOT_CURRENT, KEY_MISSING],
        ),
    ]
