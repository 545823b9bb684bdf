"""Issuing and refunding race for the same units: one of them wins each unit, in every order, every time.

Requests come over Kafka, over HTTP, and both ways at the same time.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, Literal

import pytest

from ops.local.running import RunningSystem
from shared.clock import now
from tests.support.driver import Checkout
from tests.support.portal import Portal, portal_of
from tests.support.stories import Story

ORDERS = 60
REQUESTS = 100
Way = Literal["kafka", "http"]
WAYS: Sequence[Any] = [
    pytest.param(["kafka"], id="over Kafka"),
    pytest.param(["http"], id="over HTTP"),
    pytest.param(["kafka", "http"], id="both ways"),
]


@pytest.fixture
async def portal(system: RunningSystem) -> AsyncIterator[Portal]:
    async with portal_of(system) as portal:
        yield portal


async def is_paid_now(checkout: Checkout, quantity: int) -> Story:
    """An order of today, since who asks over HTTP asks now. Every service has heard of its payment."""
    story = await Story(checkout, begins=now()).is_paid(quantity=quantity)
    await checkout.drain()
    return story


def asks_refund(story: Story, portal: Portal, way: Way, units: int, request: str) -> Awaitable[Any]:
    if way == "kafka":
        return story.asks_refund(units, request=request)
    return portal.asks_refund(story.refund(units, request=request))


def units_of(story: Story, grant: str, lines: str) -> int:
    """So many units of the order were granted."""
    return sum(line["quantity"] for fact in story.facts(grant) for line in fact.data[lines])


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

    issued = units_of(story, "issuance.granted", "grants")
    refunding = units_of(story, "refund.granted", "lines")
    assert 94 <= issued + refunding <= 98


@pytest.mark.parametrize("ways", WAYS)
async def test_a_hundred_requests_and_an_issuance_at_once_never_exceed_what_was_paid(
    checkout: Checkout, portal: Portal, ways: Sequence[Way]
) -> None:
    story = await is_paid_now(checkout, quantity=100)

    asked = [
        asks_refund(story, portal, ways[number % len(ways)], 3, f"rr-{number}") for number in range(REQUESTS)
    ]
    await asyncio.gather(*asked[::2], story.asks_to_issue(40), *asked[1::2])
    await checkout.drain()

    issued = units_of(story, "issuance.granted", "grants")
    refunding = units_of(story, "refund.granted", "lines")
    assert issued in (0, 40)
    assert 98 <= issued + refunding <= 100
    ended = [story.facts(f"refund.{end}") for end in ("granted", "denied", "rejected")]
    assert sum(map(len, ended)) == REQUESTS

    for number, payout in enumerate(story.facts("refund.payout_requested")):
        await story.is_paid_out(payout.data["refund_id"], f"po-{number}")
    await checkout.drain()
    completed = [fact.data["amount"] for fact in story.facts("refund.completed")]
    assert len(completed) == refunding // 3
    assert sum(completed) == refunding * 1_760 <= story.amount - issued * 1_760


@pytest.mark.parametrize("ways", [["kafka", "kafka"], ["http", "http"], ["kafka", "http"]], ids="-".join)
async def test_of_two_refunds_for_the_same_units_exactly_one_wins(
    checkout: Checkout, portal: Portal, ways: Sequence[Way]
) -> None:
    stories = await asyncio.gather(*(Story(checkout, begins=now()).is_paid(quantity=20) for _ in range(20)))
    await checkout.drain()

    await asyncio.gather(
        *(
            asks_refund(story, portal, way, 15, f"rr-{number}")
            for story in stories
            for number, way in enumerate(ways)
        )
    )
    await checkout.drain()

    for story in stories:
        assert len(story.facts("refund.granted")) == 1, story.told()
        lost = [*story.facts("refund.denied"), *story.facts("refund.rejected")]
        (reason,) = [fact.data["reason"] for fact in lost]
        assert reason in ("already_refunded", "refund_in_progress")


@pytest.mark.parametrize("ways", WAYS)
async def test_one_request_id_a_hundred_times_is_one_refund(
    checkout: Checkout, portal: Portal, ways: Sequence[Way]
) -> None:
    story = await is_paid_now(checkout, quantity=100)

    said = await asyncio.gather(
        *(asks_refund(story, portal, ways[number % len(ways)], 40, "rr-1") for number in range(REQUESTS))
    )
    await checkout.drain()

    (accepted,) = story.facts("refund.accepted")
    (payout,) = story.facts("refund.payout_requested")
    assert units_of(story, "refund.granted", "lines") == 40
    refund_id = payout.data["refund_id"]
    assert accepted.data["refund_id"] == refund_id
    assert {answer["refund_id"] for answer in said if isinstance(answer, dict)} <= {refund_id}
    answers = [await story.answer_to(event_id) for event_id in said if isinstance(event_id, str)]
    assert {answer.type for answer in answers} <= {"event.accepted.v1"}
    await story.is_paid_out(refund_id)
    await story.until("refund.completed.v1")
