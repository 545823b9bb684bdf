"""Issuing and refunding race for the same units: one of them wins each unit, in every order, every time."""

import asyncio
from collections import Counter

from tests.support.driver import Checkout
from tests.support.stories import Story

ORDERS = 60


async def race(checkout: Checkout, number: int) -> Story:
    """Both are asked for at once, for all of the units; which is said first changes from order to order."""
    story = await Story(checkout).is_paid(quantity=20)
    said = [story.asks_to_issue(), story.asks_refund()]
    await asyncio.gather(*(said if number % 2 else reversed(said)))
    return story


async def test_exactly_one_of_issue_and_refund_wins_each_order(checkout: Checkout) -> None:
    stories = await asyncio.gather(*(race(checkout, number) for number in range(ORDERS)))
    await checkout.drain()

    winners: Counter[str] = Counter()
    for story in stories:
        issued, refunded = story.facts("issuance.granted"), story.facts("refund.granted")
        assert len(issued) + len(refunded) == 1, story.told()
        refused = [
            *story.facts("issuance.denied"),
            *story.facts("refund.denied"),
            *story.facts("refund.rejected"),
        ]
        assert len(refused) == 1, story.told()
        winners["issue" if issued else "refund"] += 1
    assert sum(winners.values()) == ORDERS


async def test_many_partial_claims_never_take_more_than_there_is(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)

    await asyncio.gather(
        *(story.asks_to_issue(7, request=f"iss-{number}") for number in range(12)),
        *(story.asks_refund(7, request=f"rr-{number}") for number in range(12)),
    )
    await checkout.drain()

    grants = [grant for fact in story.facts("issuance.granted") for grant in fact.data["grants"]]
    issued = sum(grant["quantity"] for grant in grants)
    refunding = sum(line["quantity"] for fact in story.facts("refund.granted") for line in fact.data["lines"])
    assert 94 <= issued + refunding <= 98
