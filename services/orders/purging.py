"""The purge: what names a partner that left years ago is erased, here and wherever else it is kept.

Of its orders only the name, the business number and the address go. Units, won, claims and cases stay as
they are, so that the auditor finds every won where it was. `partner.purged` has the other services do the
same. It runs when somebody has it run, and is a dry run by default.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.orders.blockers import document_of
from services.orders.decisions.partners import archived_until, purge
from services.orders.state import Blocker, Partner
from services.orders.store import PARTNERS, SQL, Store
from shared.events.fields import Text
from shared.kst import wire_time
from shared.postgres import Connection
from shared.runtime.commands import Command, CommandOutcome, Done, told
from shared.web.fields import Body

PURGE: Final = "partners.purge"
AT_ONCE: Final = 100
"""So many partners are purged in one transaction."""


class PurgeBody(Body):
    """Erase what names partners whose archive is over, and why; only shown unless `apply`."""

    reason: Text
    apply: bool = False


async def purge_partners(
    store: Store, years: int, connection: Connection, command: Command[PurgeBody]
) -> CommandOutcome:
    """Purges at most `AT_ONCE` partners that left more than `years` years ago; answers with whom.

    One of which something is unfinished is named until that is over: its money has to find it.
    """
    rows = await connection.fetch(SQL.partners_to_purge)
    due = {
        row["partner_id"]: row for row in rows if archived_until(row["withdrawn_at"], years) < command.time
    }
    blockers = await store.blockers_of(connection, list(due))
    free = [partner_id for partner_id in due if partner_id not in blockers]
    chosen = await _lock(connection, free[:AT_ONCE])
    decisions = [purge(partner, command.time) for partner in chosen]
    await PARTNERS.put(connection, [decision.state for decision in decisions])
    # The command is about all of them: each event goes by the key of its own partner.
    events = [replace(event, key=event.subject) for decision in decisions for event in decision.events]
    partners = [
        {
            "partner_id": partner.partner_id,
            "orders": due[partner.partner_id]["orders"],
            "withdrawn_at": wire_time(due[partner.partner_id]["withdrawn_at"]),
            "archived_until": wire_time(archived_until(due[partner.partner_id]["withdrawn_at"], years)),
        }
        for partner in chosen
    ]
    answer = {
        "applied": command.data.apply,
        "partners": partners,
        "left": len(free) - len(free[:AT_ONCE]),
        "unfinished": list(_unfinished(blockers)),
        "events": told(events),
    }
    return Done(answer, events, after={"partner_ids": [partner.partner_id for partner in chosen]})


async def _lock(connection: Connection, partner_ids: Sequence[str]) -> list[Partner]:
    """Erases these partners from their orders and locks them; without those that another purge had first.

    Orders are locked before partners, as batches do.
    """
    await connection.execute(SQL.erase_partners, partner_ids)
    rows = await connection.fetch(SQL.lock_partners, partner_ids)
    locked = {row["partner_id"]: PARTNERS.read(row) for row in rows}
    return [locked[each] for each in partner_ids if locked[each].purged_at is None]


def _unfinished(blockers: Mapping[str, Sequence[Blocker]]) -> Iterator[dict[str, Any]]:
    for partner_id, found in sorted(blockers.items()):
        yield {"partner_id": partner_id, "blockers": [document_of(blocker) for blocker in found]}
