"""Finance closes a month over what blocks it: one person approves, another one issues."""

from playwright.async_api import expect

from tests.support.browsing import People
from tests.support.driver import Checkout
from tests.support.stories import Story
from tests.support.workday import company, months_ago, on, refund_that_failed


async def test_finance_closes_a_month_over_a_blocker_and_somebody_else_issues_it(
    people: People, checkout: Checkout
) -> None:
    month = months_ago(3)
    _, refund_id = await refund_that_failed(checkout, month)
    other = await Story(checkout, company(checkout, "누리학원"), on(month, 6)).is_issued(quantity=5)
    await checkout.drain()
    page = await people.comes("finance", f"/month?month={month}")

    await expect(page.get_by_role("heading", name="This blocks the close")).to_be_visible()
    await page.get_by_role("link", name="open refund").click()
    await expect(page).to_have_url(f"{people.url}/refund?id={refund_id}")
    await expect(page.locator(".actions")).to_contain_text("Your role looks, and changes nothing.")
    await page.go_back()
    await page.get_by_role("link", name="Approve it …").click()
    await expect(page.get_by_role("alert")).to_contain_text("open refund: 1.")
    await page.get_by_label("Also payments whose refund is in progress").check()
    await page.get_by_label("Reason").fill("the buyer was called; it is modified later")
    await page.get_by_role("button", name="Approve it").click()

    await expect(page.locator(".board li", has_text="approved")).to_contain_text("2 documents")
    await page.get_by_role("link", name="Issue what is approved …").click()
    await expect(page.get_by_role("alert").first).to_contain_text("whoever approves does not issue")
    await expect(page.get_by_role("button", name="Issue what is approved")).to_have_count(0)

    second = await people.comes("admin", f"/month?month={month}")
    await second.get_by_role("link", name="Issue what is approved …").click()
    await second.get_by_label("Also payments whose refund is in progress").check()
    await second.get_by_label("Reason").fill("checked against the ledger")
    await second.get_by_role("button", name="Issue what is approved").click()

    await expect(second.locator(".board li", has_text="issued").first).to_contain_text("2 documents")
    await other.until("invoice.issued.v1")
    await expect(second.locator("main")).to_contain_text("demo:admin: checked against the ledger")
