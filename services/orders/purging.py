"""The purge: what names a partner that left years ago is erased from its orders.

Only the name, the business number and the address go. Units, won, claims and cases stay as they are, so that
the auditor finds every won where it was. It runs when somebody has it run, and is a dry run by default.
"""

from typing import Final

from msgspec.structs import replace

from services.orders.decisions.partners import archived_until
from services.orders.store import PARTNERS, SQL
from shared.events.fields import Text
from shared.kst import wire_time
from shared.postgres import Connection
from shared.runtime.commands import Command, CommandOutcome, Done
from shared.web.fields import Body

PURGE: Final = "partners.purge"
AT_ONCE: Final = 100
"""So many partners are purged in one transaction."""


class PurgeBody(Body):
    """Erase what names partners whose archive is over, and why; only shown unless `apply`."""

    reason: Text
    apply: bool = False


async def purge_partners(years: int, connection: Connection, command: Command[PurgeBody]) -> CommandOutcome:
    """Purges at most `AT_ONCE` partners that left more than `years` years ago; answers with whom."""
    rows = await connection.fetch(SQL.partners_to_purge)
    due = [row for row in rows if archived_until(row["withdrawn_at"], years) < command.time]
    chosen = due[:AT_ONCE]
    ids = [row["partner_id"] for row in chosen]
    await connection.execute(SQL.erase_partners, ids)
    await PARTNERS.put(connection, [replace(PARTNERS.read(row), purged_at=command.time) for row in chosen])
    partners = [
        {
            "partner_id": row["partner_id"],
            "orders": row["orders"],
            "withdrawn_at": wire_time(row["withdrawn_at"]),
            "archived_until": wire_time(archived_until(row["withdrawn_at"], years)),
        }
        for row in chosen
    ]
    answer = {"applied": command.data.apply, "partners": partners, "left": len(due) - len(chosen)}
    return Done(answer, after={"partner_ids": ids})
