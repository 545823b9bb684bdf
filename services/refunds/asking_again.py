"""Asks checkout again to pay what nobody knows about, under the same key, later each time.

The key is what makes that safe: a gateway that made the payout names it, one that did not makes it now.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from services.refunds.decisions.payouts import ASKED_AGAIN, ask_again
from services.refunds.settings import RefundsSettings
from services.refunds.store import SQL, Store
from shared.runtime.outgoing import Cause
from shared.runtime.retry import TRANSIENT, note_fault
from shared.runtime.surroundings import Surroundings

LOOK_SECONDS: Final = 5.0
LONGEST: Final = timedelta(hours=6)
"""The longest pause between two requests."""
REFUNDS_AT_ONCE: Final = 500
PART: Final = "asking again for payouts"

log = structlog.get_logger("pawl.refunds.asking_again")


async def ask_for_answers(surroundings: Surroundings, store: Store, settings: RefundsSettings) -> None:
    """Looks for payouts that were not answered again and again."""
    after = timedelta(seconds=settings.refunds_ask_again_seconds)
    while True:
        try:
            while await ask_some(surroundings, store, after) == REFUNDS_AT_ONCE:
                pass
            surroundings.troubles.over(PART)
        except TRANSIENT as trouble:
            more = note_fault(surroundings.troubles, PART, trouble)
            log.info("asking again repeated", trouble=f"{type(trouble).__name__}: {trouble}"[:200], **more)
        await asyncio.sleep(LOOK_SECONDS)


async def ask_some(surroundings: Surroundings, store: Store, after: timedelta) -> int:
    """Asks again for some payouts in one transaction; returns how many were looked at.

    The first time `after` the payout became unknown, then after twice that, four times ... LONGEST.
    """
    async with surroundings.outbox.transaction(surroundings.pool) as (connection, events):
        due = await connection.fetch(SQL.unanswered_payouts, after, LONGEST, ASKED_AGAIN, REFUNDS_AT_ONCE)
        world = await store.load_orders(connection, sorted({row["order_id"] for row in due}))
        for row in due:
            order = world.orders[row["order_id"]]
            asked = ask_again(order, order.refunds[row["refund_id"]], row["at"])
            world.put(asked.state)
            # No event leads to this, only that none came: the refund stands in the place of one.
            events.add_all(
                asked.events, Cause(str(row["refund_id"]), order.order_id, row["at"], order.order_id)
            )
        await store.save(connection, world)
    return len(due)
