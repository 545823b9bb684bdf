"""Asks the bank about the accounts of refunds that wait for its answer, later each time that it does not say.

The bank is asked outside of any transaction. What it said is then decided under the lock of the order, like
an event, and changes nothing where somebody has decided meanwhile.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from services.refunds.decisions.reviews import BANK_UNAVAILABLE, HolderAnswer, record_holder_answer
from services.refunds.holder_check import UNAVAILABLE, HolderCheck
from services.refunds.state import BankAccount
from services.refunds.store import SQL, Store
from shared.runtime.outgoing import Cause
from shared.runtime.retry import TRANSIENT, note_fault
from shared.runtime.surroundings import Surroundings
from shared.sealing import BrokenSealError

LOOK_SECONDS: Final = 2.0
FIRST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=1)
"""The pauses after an answer that did not come: the first, and the longest."""
AT_ONCE: Final = 20
"""Accounts that the bank is asked about at the same time."""
PART: Final = "asking the bank"

log = structlog.get_logger("pawl.refunds.asking_banks")


async def check_holders(surroundings: Surroundings, store: Store, bank: HolderCheck) -> None:
    """Looks for refunds that wait for the bank again and again."""
    while True:
        try:
            while await check_some(surroundings, store, bank) == AT_ONCE:
                pass
            surroundings.troubles.over(PART)
        except TRANSIENT as trouble:
            more = note_fault(surroundings.troubles, PART, trouble)
            log.info("asking the bank repeated", trouble=f"{type(trouble).__name__}: {trouble}"[:200], **more)
        await asyncio.sleep(LOOK_SECONDS)


async def check_some(surroundings: Surroundings, store: Store, bank: HolderCheck) -> int:
    """Asks about some accounts; returns how many were due.

    Two processes may ask about the same account: the second answer changes nothing.
    """
    due = await surroundings.pool.fetch(SQL.holders_to_check, FIRST, LONGEST, BANK_UNAVAILABLE, AT_ONCE)
    answers = await asyncio.gather(*(_ask(surroundings, store, bank, row) for row in due))
    for row, answer in zip(due, answers, strict=True):
        await _record(surroundings, store, row["order_id"], row["refund_id"], answer, row["at"])
    return len(due)


async def _ask(surroundings: Surroundings, store: Store, bank: HolderCheck, row: Any) -> HolderAnswer:
    if row["business_number"] is None:
        return UNAVAILABLE
    try:
        async with surroundings.pool.acquire() as connection:
            details = await store.open_details(connection, row["destination_reference"])
    except BrokenSealError:
        log.warning("an account cannot be opened", refund_id=str(row["refund_id"]))
        return UNAVAILABLE
    return await bank.ask(BankAccount(**details["account"]), row["business_number"])


async def _record(
    surroundings: Surroundings,
    store: Store,
    order_id: str,
    refund_id: UUID,
    answer: HolderAnswer,
    at: datetime,
) -> None:
    async with surroundings.outbox.transaction(surroundings.pool) as (connection, events):
        world = await store.load_orders(connection, [order_id])
        order = world.orders[order_id]
        answered = record_holder_answer(order, order.refunds[refund_id], answer, at)
        world.put(answered.state)
        # No event leads to this: the refund stands in the place of one.
        events.add_all(answered.events, Cause(str(refund_id), order_id, at, order_id))
        await store.save(connection, world)
