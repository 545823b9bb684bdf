"""The custody log: whoever is handed serials, or looks one up, stands in it before anything leaves."""

from typing import Final
from uuid import UUID

import asyncpg

from services.serials.codes import serials_in
from services.serials.state import Custody, Form, SerialState
from services.serials.store import CUSTODY, SQL
from services.serials.vault import Vault
from services.serials.watermarks import RANDOM_BYTES, make_watermark
from shared.ids import random_bytes, uuid7
from shared.postgres import Connection
from shared.web.callers import Origin

LONGEST_REASON: Final = 500


async def note_hand_out(
    connection: Connection,
    form: Form,
    origin: Origin,
    grant_id: UUID,
    units: tuple[int, int],
    *,
    state: SerialState | None,
    serials: int,
    reason: str = "",
) -> str:
    """Notes that so many serials of these units of a grant, first and last, leave; returns their watermark.

    On a connection without a transaction it is committed when this returns: hand nothing out before.
    """
    watermark = make_watermark(random_bytes(RANDOM_BYTES))
    entry = _entry(form, origin, grant_id, units, state, serials, reason, watermark)
    await CUSTODY.save(connection, [(entry, None)])
    return watermark


async def holds_serial(pool: asyncpg.Pool, vault: Vault, text: str) -> bool:
    """Whether a text that is kept has a serial in it, by mistake: nothing but a hand-out may."""
    tags = [tag for serial in serials_in(text) for tag in vault.tags_of(serial)]
    return bool(tags) and bool(await pool.fetchval(SQL.is_any_serial, tags))


async def note_search(
    connection: Connection, origin: Origin, found: tuple[UUID, int] | None, *, reason: str = ""
) -> None:
    """Notes that somebody looked a serial up by its characters: the grant and unit found, or none.

    On a connection without a transaction it is committed when this returns: answer nothing before.
    """
    grant_id, unit = found or (None, None)
    units = None if unit is None else (unit, unit)
    entry = _entry(Form.SEARCH, origin, grant_id, units, None, 0 if found is None else 1, reason, None)
    await CUSTODY.save(connection, [(entry, None)])


def _entry(
    form: Form,
    origin: Origin,
    grant_id: UUID | None,
    units: tuple[int, int] | None,
    state: SerialState | None,
    serials: int,
    reason: str,
    watermark: str | None,
) -> Custody:
    first, last = units or (None, None)
    caller = origin.caller
    return Custody(
        custody_id=uuid7(),
        form=form,
        actor=caller.sub,
        partner_id=caller.partner_id,
        client=origin.client,
        request=origin.correlation,
        reason=reason,
        grant_id=grant_id,
        first_unit=first,
        last_unit=last,
        state=state,
        serials=serials,
        watermark=watermark,
    )
