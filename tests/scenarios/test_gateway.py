"""A simulated payment gateway answers payouts, and every refund comes to the end that its answers mean."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import pytest

from ops.gateway.answers import Behaviour, behaviour_of
from ops.gateway.run import open_gateway
from tests.support.driver import Checkout
from tests.support.stories import Story

SEED: Final = 7
PACE: Final = 0.05
REFUNDS: Final = 40

FOLLOWS: Final[Mapping[Behaviour, Sequence[str]]] = {
    "paid": ["completed"],
    "slow": ["completed"],
    "timed_out": ["failed", "completed"],
    "duplicated": ["completed"],
    "contradicted": ["failed", "completed"],
    "failed": ["failed"],
    "bounced": ["completed", "bounced"],
    "paid_twice": ["completed", "paid_twice"],
}
"""What refunds says after each behaviour of the gateway, behind `refund.`."""


@pytest.fixture
async def gateway(checkout: Checkout, kafka: str) -> AsyncIterator[None]:
    """A gateway that answers while the test runs, twenty times as fast as it would."""
    async with open_gateway(kafka, SEED, PACE) as gateway:
        answering = asyncio.create_task(gateway.run())
        yield
        answering.cancel()
        with suppress(asyncio.CancelledError):
            await answering


async def test_every_refund_ends_as_the_answers_of_the_gateway_mean(
    checkout: Checkout, gateway: None
) -> None:
    await asyncio.gather(*(refund(checkout) for _ in range(REFUNDS)))


async def refund(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=10)
    await story.asks_refund()
    asked = await story.until("refund.payout_requested.v1")
    refund_id = asked.data["refund_id"]
    behaviour = behaviour_of(SEED, refund_id)

    for word in FOLLOWS[behaviour]:
        await story.until(f"refund.{word}.v1", refund_id=refund_id)
    if behaviour == "failed":
        await story.is_reviewed(refund_id, "retry")
        await story.until("refund.completed.v1", refund_id=refund_id)
