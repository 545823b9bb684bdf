"""Each kind of product is refunded by its own rule, from the request to the money, over the whole system."""

from datetime import timedelta
from typing import Any

import pytest

from shared.kst import wire_time
from tests.support.driver import Checkout, Heard
from tests.support.stories import Story

DAY = timedelta(days=1)


async def is_paid_out(story: Story) -> dict[str, Any]:
    """The payout that refunds asks for is made; what it tells of the end."""
    asked = await story.until("refund.payout_requested.v1")
    await story.is_paid_out(asked.data["refund_id"])
    completed = await story.until("refund.completed.v1")
    data: dict[str, Any] = completed.data
    assert data["amount"] == asked.data["amount"] == data["supply"] + data["vat"] - data["fee"]
    return data


async def is_held(story: Story, reason: str) -> Heard:
    """The refund waits for this reason."""
    return await story.until("refund.held.v1", reason=reason)


@pytest.mark.smoke
async def test_an_unused_service_goes_back_with_its_top_up_and_a_use_that_is_heard_of_later_is_a_case(
    checkout: Checkout,
) -> None:
    story = await Story(checkout).is_paid(
        kind="metered", vat_mode="inclusive", lines=[("fee", 1, 30_000), ("top-up", 2, 10_000)]
    )
    await story.is_activated("fee")
    used_at = story.now

    await story.asks_refund()
    completed = await is_paid_out(story)
    await story.says("usage.recorded.v1", line_id="top-up", used=1, recorded_at=wire_time(used_at))

    assert (completed["fee"], completed["amount"]) == (0, 50_000)
    overpaid = await story.until("refund.overpaid.v1")
    assert (overpaid.data["line_id"], overpaid.data["amount"]) == ("top-up", 10_000)
    case = await story.until("payment.quarantined.v1")
    assert (case.data["reason"], case.data["amount"]) == ("used_after_refund", -10_000)


async def test_a_used_service_waits_for_an_operator_who_gives_a_part_of_it_back(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(kind="metered", vat_mode="inclusive", quantity=10, price=10_000)
    await story.is_activated()
    await story.is_used(3)

    await story.asks_refund()
    held = await is_held(story, "used")
    await story.is_reviewed(held.data["refund_id"], "approve", amount=70_000)
    completed = await is_paid_out(story)

    assert held.data["next"] == "operator_review"
    assert (completed["fee"], completed["amount"]) == (0, 70_000)


async def test_a_service_of_which_an_operator_gives_nothing_back_stays_paid(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(kind="metered", quantity=1, price=10_000)
    story.now += 7 * DAY

    await story.asks_refund()
    held = await is_held(story, "window_over")
    await story.is_reviewed(held.data["refund_id"], "reject", note="기간 경과")

    rejected = await story.until("refund.rejected.v1")
    assert rejected.data["refund_id"] == held.data["refund_id"]
    assert story.facts("refund.accepted") == []


@pytest.mark.smoke
async def test_a_used_balance_goes_back_whole_without_its_bonus_and_less_the_fee(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(kind="prepaid", vat_mode="inclusive", quantity=20, price=1_000)
    await story.is_given(2_000, story.now + 7 * DAY)
    await story.is_used(7_000)

    await story.asks_refund(5, request="a part")
    part = await story.until("refund.rejected.v1")
    await story.asks_refund(request="all of it")
    completed = await is_paid_out(story)

    assert part.data["reason"] == "whole_balance_only"
    assert (completed["supply"] + completed["vat"], completed["fee"]) == (15_000, 1_500)
    assert completed["amount"] == 13_500


async def test_an_unused_balance_goes_back_without_a_fee(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(kind="prepaid", vat_mode="inclusive", quantity=20, price=1_000)
    await story.is_given(2_000, story.now + 7 * DAY)

    await story.asks_refund()
    completed = await is_paid_out(story)

    assert (completed["fee"], completed["amount"]) == (0, 20_000)


@pytest.mark.smoke
async def test_goods_are_refunded_as_far_as_they_come_back(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(kind="goods", vat_mode="inclusive", quantity=4, price=5_000)
    story.now += 5 * DAY
    await story.is_delivered()
    story.now += 6 * DAY

    await story.asks_refund(3)
    held = await is_held(story, "return_awaited")
    await checkout.drain()
    assert story.facts("refund.accepted") == []
    await story.comes_back(held.data["refund_id"], 2)
    completed = await is_paid_out(story)

    assert held.data["next"] == "confirm_return"
    assert held.data["deadline"] > held.data["since"]
    assert completed["lines"] == [{"line_id": "1", "quantity": 2}]
    assert (completed["fee"], completed["amount"]) == (0, 10_000)


async def test_goods_are_refused_after_their_window(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(kind="goods", quantity=4, price=5_000)
    await story.is_delivered()
    story.now += 8 * DAY

    await story.asks_refund(3)

    rejected = await story.until("refund.rejected.v1")
    assert rejected.data["reason"] == "window_over"


KINDS = {"code": "serials", "service": "metered", "cash": "prepaid", "cup": "goods"}
MIXED = [("code", 10, 1_000), ("service", 1, 30_000), ("cash", 20, 1_000), ("cup", 2, 5_000)]


@pytest.mark.smoke
async def test_one_request_for_a_mixed_order_waits_for_each_kind_in_turn(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(kinds=KINDS, vat_mode="inclusive", lines=MIXED)
    await story.asks_to_issue(4, line="code")
    await story.until("serials.issued.v2")
    await story.is_activated("service")
    await story.is_used(1, "service")
    await story.is_delivered("cup")
    await checkout.drain()

    await story.asks_refund()
    used = await is_held(story, "used")
    refund_id = used.data["refund_id"]
    await story.is_reviewed(refund_id, "approve", amount=56_000)
    returned = await is_held(story, "return_awaited")
    await story.comes_back(refund_id)
    completed = await is_paid_out(story)

    assert returned.data["refund_id"] == completed["refund_id"] == refund_id
    units = {line["line_id"]: line["quantity"] for line in completed["lines"]}
    assert units == {"code": 6, "service": 1, "cash": 20, "cup": 2}
    assert (completed["fee"], completed["amount"]) == (0, 56_000)


async def test_named_lines_of_a_mixed_order_go_together_or_not_at_all(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(kinds=KINDS, vat_mode="inclusive", lines=MIXED)
    lines = [{"line_id": "code", "quantity": 10}, {"line_id": "cash", "quantity": 5}]

    await story.says("refund.requested.v1", **{**story.refund(), "lines": lines})
    rejected = await story.until("refund.rejected.v1")
    await story.asks_to_issue(10, line="code")

    assert rejected.data["reason"] == "whole_balance_only"
    issued = await story.until("serials.issued.v2")
    assert issued.data["grants"][0]["quantity"] == 10
