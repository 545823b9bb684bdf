"""The same history in another order, and parts of it twice: the same end where the rules allow it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from ops.setup.provision import Database
from tests.support.driver import UPSTREAM, Checkout, Heard
from tests.support.stories import Buyer, Story

ORDERS = 24
SEED = 20_261_021
WON_AND_UNITS = (
    "supply, vat, refunded_supply, refunded_vat, standing_supply, standing_vat, issued_units, returned_units"
)

Sentence = Callable[[Story], Awaitable[str]]

AGREEABLE: list[Sentence] = [
    lambda story: story.pays(),
    lambda story: story.asks_to_issue(30, request="iss-1"),
    lambda story: story.asks_to_issue(20, request="iss-2"),
    lambda story: story.asks_refund(10, request="rr-1"),
    lambda story: story.asks_refund(15, request="rr-2"),
]
"""Whatever order they come in, there are units enough for all of them."""

QUARRELSOME: list[Sentence] = [
    *AGREEABLE[:2],
    lambda story: story.asks_to_issue(request="all"),
    lambda story: story.asks_refund(request="all"),
    lambda story: story.is_cancelled(),
    lambda story: story.pays(payment_id=f"{story.payment_id}-2"),
    lambda story: story.pays(payment_id=f"{story.payment_id}-3", amount=1),
]
"""The order decides who gets what; the promises hold all the same."""


async def tell(story: Story, sentences: list[Sentence], dice: random.Random) -> None:
    """Says the sentences in an order of chance, and some of them again: the same record, with the same id."""
    told = [*sentences]
    dice.shuffle(told)
    story.snapshot(100)
    for sentence in told:
        await sentence(story)
        if dice.random() < 0.5:
            await repeat_one(story, dice)
    for _ in range(3):
        await repeat_one(story, dice)


async def repeat_one(story: Story, dice: random.Random) -> None:
    """One of the records said so far is published again, byte for byte."""
    wanted = dice.choice(story.events)
    record = await story.checkout.until(lambda: said(story, wanted), f"{wanted} on its topic")
    await story.checkout.publish(record.raw.key, record.raw.value, record.raw.headers)


def said(story: Story, event_id: str) -> Heard | None:
    records = story.checkout.by_key[story.order_id]
    return next((r for r in records if r.topic == UPSTREAM and r.id == event_id), None)


async def pay_out_everything(stories: list[Story]) -> None:
    for story in stories:
        for fact in story.facts("refund.payout_requested"):
            await story.is_paid_out(fact.data["refund_id"], f"po-{fact.data['refund_id']}")


async def outcome(database: Database, order_id: str) -> Any:
    """What became of an order in all four schemas, without the ids that were made up on the way."""
    connection = await asyncpg.connect(database.admin_url)
    queries = (
        "SELECT state, amount, remaining_supply, remaining_vat FROM orders.orders WHERE order_id = $1",
        "SELECT paid, issuing, issued, refunding, refunded FROM orders.order_lines WHERE order_id = $1",
        "SELECT purpose, quantity, state FROM orders.claims WHERE order_id = $1 ORDER BY 1, 2, 3",
        "SELECT quantity, issued, state FROM serials.grants WHERE order_id = $1 ORDER BY 1",
        "SELECT refund_request_id, state, supply FROM refunds.refunds WHERE order_id = $1 ORDER BY 1",
        f"SELECT {WON_AND_UNITS} FROM invoices.payments WHERE order_id = $1",
    )
    try:
        return [[tuple(row) for row in await connection.fetch(query, order_id)] for query in queries]
    finally:
        await connection.close()


async def test_an_agreeable_history_ends_alike_in_any_order(checkout: Checkout, database: Database) -> None:
    buyer = Buyer(checkout)
    stories = [Story(checkout, buyer) for _ in range(ORDERS)]
    await asyncio.gather(
        *(tell(story, AGREEABLE, random.Random(SEED + n)) for n, story in enumerate(stories))
    )
    await checkout.drain()
    await pay_out_everything(stories)
    await checkout.drain()

    ends = [await outcome(database, story.order_id) for story in stories]
    assert all(end == ends[0] for end in ends)
    assert ends[0][1] == [(100, 0, 50, 0, 25)]
    assert ends[0][5][0][:4] == (160_000, 16_000, 40_000, 4_000)


async def test_a_quarrelsome_history_keeps_every_promise_in_any_order(
    checkout: Checkout, database: Database
) -> None:
    stories = [Story(checkout) for _ in range(2 * ORDERS)]
    await asyncio.gather(
        *(tell(story, QUARRELSOME, random.Random(SEED - n)) for n, story in enumerate(stories))
    )
    await checkout.drain()
    await pay_out_everything(stories)
    await checkout.drain()

    for story in stories:
        ((paid, issuing, issued, refunding, refunded),) = (await outcome(database, story.order_id))[1]
        assert issuing == refunding == 0, story.told()
        assert issued + refunded <= paid
