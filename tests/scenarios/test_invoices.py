"""The payments of a month become invoices: one by one or merged, modified later, never lost, never twice."""

from datetime import timedelta
from typing import Any

import pytest

from shared.kst import next_month
from tests.support.driver import Checkout
from tests.support.stories import Buyer, Story, first_day, fresh_month

DAY = timedelta(days=1)


def cut_off(month: str) -> str:
    """When the operator closes a month: the evening of the 5th of the next one."""
    return f"{next_month(month)}-05T18:00:00+09:00"


async def bought(checkout: Checkout, buyer: Buyer, month: str, quantity: int = 10) -> Story:
    """A paid and fully issued order of a month."""
    return await Story(checkout, buyer, first_day(month)).is_issued(quantity=quantity)


@pytest.mark.smoke
async def test_two_payments_are_merged_on_request_and_issued_at_the_close(
    checkout: Checkout, close_month: Any
) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    first, second = await bought(checkout, buyer, month), await bought(checkout, buyer, month, 20)
    await checkout.drain()

    payments = [first.payment_id, second.payment_id]
    await buyer.asks_merge(month, first_day(next_month(month)), payments)
    merged = await buyer.until("invoice.merged.v1")
    summary = await close_month(month, cut_off(month))
    issued = await buyer.until("invoice.issued.v1")

    assert sorted(merged.data["payment_ids"]) == sorted(payments)
    assert (issued.data["supply"], issued.data["vat"], issued.data["total"]) == (48_000, 4_800, 52_800)
    assert issued.data["invoice_id"] == merged.data["invoice_id"]
    assert (summary["documents"], summary["merged"], summary["total"]) == (1, 1, 52_800)


async def test_a_merge_that_is_undone_is_issued_payment_by_payment(
    checkout: Checkout, close_month: Any
) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    await bought(checkout, buyer, month)
    await bought(checkout, buyer, month)
    await checkout.drain()
    asked = first_day(next_month(month))
    await buyer.asks_merge(month, asked)
    merged = await buyer.until("invoice.merged.v1")

    await buyer.undoes_merge(month, asked + DAY)
    undone = await buyer.until("invoice.unmerged.v1")
    summary = await close_month(month, cut_off(month))

    assert sorted(undone.data["payment_ids"]) == sorted(merged.data["payment_ids"])
    assert (summary["documents"], summary["merged"]) == (2, 0)
    await buyer.until("invoice.issued.v1", 2)


async def test_a_standing_preference_merges_at_the_close_what_is_fit(
    checkout: Checkout, close_month: Any
) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    await buyer.changes(first_day(month), always_merge=True)
    fit = [await bought(checkout, buyer, month) for _ in range(2)]
    unfit = await Story(checkout, buyer, first_day(month)).is_paid(quantity=5)
    await checkout.drain()

    summary = await close_month(month, cut_off(month))
    merged = await buyer.until("invoice.merged.v1")

    assert sorted(merged.data["payment_ids"]) == sorted(story.payment_id for story in fit)
    assert merged.data["excluded"] == [{"payment_id": unfit.payment_id, "reason": "units_not_issued"}]
    assert (summary["documents"], summary["payments"]) == (2, 3)
    await buyer.until("invoice.issued.v1", 2)


async def test_closing_a_month_twice_changes_and_says_nothing(checkout: Checkout, close_month: Any) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    await bought(checkout, buyer, month)
    await checkout.drain()
    first = await close_month(month, cut_off(month))
    await buyer.until("invoice.issued.v1")
    await checkout.drain()
    heard = len(checkout.records)

    second = await close_month(month, cut_off(month))

    await checkout.drain()
    assert len(checkout.records) == heard
    assert second == {**first, "already_issued": 1}


async def test_a_refund_before_the_close_nets_out_of_the_draft(checkout: Checkout, close_month: Any) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    story = await Story(checkout, buyer, first_day(month)).is_paid(quantity=100)
    await story.is_refunded(40)
    await checkout.drain()

    await close_month(month, cut_off(month))

    issued = await buyer.until("invoice.issued.v1")
    assert (issued.data["supply"], issued.data["vat"], issued.data["total"]) == (96_000, 9_600, 105_600)


@pytest.mark.smoke
async def test_a_refund_after_the_close_makes_a_modified_invoice(
    checkout: Checkout, close_month: Any
) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    part = await Story(checkout, buyer, first_day(month)).is_paid(quantity=100)
    whole = await Story(checkout, buyer, first_day(month)).is_paid(quantity=10)
    await checkout.drain()
    await close_month(month, cut_off(month))
    await buyer.until("invoice.issued.v1", 2)

    part.now = whole.now = first_day(next_month(next_month(month)))
    await part.is_refunded(40)
    changed = await buyer.until("invoice.modified.v1", payment_id=part.payment_id)
    await whole.is_refunded()
    ended = await buyer.until("invoice.modified.v1", payment_id=whole.payment_id)

    assert changed.data["modification"] == "supply_value_changed"
    assert (changed.data["supply"], changed.data["vat"]) == (-64_000, -6_400)
    assert ended.data["modification"] == "contract_cancelled"
    assert ended.data["total"] == -17_600
    assert ended.data["original_document_key"] != changed.data["original_document_key"]


async def test_a_payment_of_a_closed_month_is_invoiced_late_in_its_own_month(
    checkout: Checkout, close_month: Any
) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    await Story(checkout, buyer, first_day(month)).is_paid(quantity=10)
    await checkout.drain()
    await close_month(month, cut_off(month))
    await buyer.until("invoice.issued.v1")

    told = Story(checkout, buyer, first_day(next_month(month)) + timedelta(days=20))
    await told.is_paid(quantity=100, paid_at=first_day(month))

    late = await buyer.until("invoice.issued.v1", 2)
    assert (late.data["late"], late.data["month"]) == (True, month)
    assert late.data["estimated_penalty"] == 1_600


async def test_a_wrong_business_number_fails_once_and_is_mended_by_a_correction(
    checkout: Checkout, close_month: Any
) -> None:
    month, buyer = fresh_month(), Buyer(checkout, number="1234567890")
    await Story(checkout, buyer, first_day(month)).is_paid(quantity=10)
    await checkout.drain()
    await close_month(month, cut_off(month))
    failed = await buyer.until("invoice.issue_failed.v1")

    await buyer.changes(first_day(next_month(month)), number="1168200276")

    issued = await buyer.until("invoice.issued.v1")
    assert failed.data["reason"] == "business_number_invalid"
    assert issued.data["business_number"] == "1168200276"


async def test_a_month_that_is_not_over_cannot_be_closed(checkout: Checkout, close_month: Any) -> None:
    month = fresh_month()
    with pytest.raises(AssertionError, match="not over"):
        await close_month(month, f"{month}-28T12:00:00+09:00")
