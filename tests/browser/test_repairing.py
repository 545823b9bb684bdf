"""An operator repairs: an overdue refund is retried, a refused document is sent right."""

import re

from playwright.async_api import expect

from tests.support.browsing import People
from tests.support.driver import Checkout
from tests.support.workday import months_ago, payment_that_is_refused, refund_that_failed

WORN = re.compile(r'("amount": )-5')


async def test_an_operator_finds_an_overdue_refund_retries_it_and_sees_it_completed(
    people: People, checkout: Checkout
) -> None:
    story, refund_id = await refund_that_failed(checkout, months_ago(1))
    page = await people.comes("operator")

    await page.get_by_role("link", name="Refunds", exact=True).click()
    await page.locator("nav.tabs").get_by_role("link", name="overdue").click()
    await page.locator(f'a.way[href*="{refund_id}"]').click()
    await expect(page.locator("h1")).to_contain_text("failed")
    await page.get_by_role("button", name="retry …").click()
    await expect(page.locator(".actions")).to_contain_text("refund.payout_requested.v1")
    await page.get_by_label("Reason").fill("the partner named another account")
    await page.get_by_role("button", name="Do it: retry").click()

    await expect(page.get_by_role("status")).to_contain_text("It is decided.")
    await story.until("refund.payout_requested.v1", 2)
    await story.is_paid_out(refund_id)
    await story.until("refund.completed.v1")
    await page.reload()
    await expect(page.locator("h1")).to_contain_text("completed")
    await expect(page.locator("main")).to_contain_text("the partner named another account")
    await page.goto("/refunds?tab=overdue")
    await expect(page.locator(f'a.way[href*="{refund_id}"]')).to_have_count(0)


async def test_a_refused_document_is_edited_dry_run_and_sent(people: People, checkout: Checkout) -> None:
    story = await payment_that_is_refused(checkout, months_ago(1))
    page = await people.comes("operator", "/refused")
    await page.get_by_role("link", name="out of range").click()
    await page.get_by_role("searchbox", name="Filter").fill(story.order_id)
    await page.get_by_role("button", name="Filter").click()
    await page.locator("table.rows a.way").click()
    await expect(page.locator("pre .fault")).to_contain_text('"amount": -5')

    box = page.get_by_label("The data as it should be")
    await box.fill(WORN.sub(rf"\g<1>{story.amount}", await box.input_value()))
    await page.get_by_role("button", name="Try it, without doing it").click()
    await expect(page.locator("pre .removed").last).to_contain_text("-5")
    await expect(page.locator("pre .added").last).to_contain_text(str(story.amount))
    await expect(page.locator(".actions")).to_contain_text("order.paid.v1")
    assert story.facts("order.paid") == []

    await page.get_by_label("Reason").first.fill("the shop mistyped the amount")
    await page.get_by_role("button", name="Send it", exact=True).click()

    await story.until("order.paid.v1")
    await expect(page.get_by_role("status").first).to_be_visible()
    await page.goto(f"/order?id={story.order_id}")
    await expect(page.locator("main")).to_contain_text("the shop mistyped the amount")
