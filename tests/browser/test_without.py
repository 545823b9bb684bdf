"""People without a mouse, and people without JavaScript."""

import re

from playwright.async_api import Page, expect

from tests.support.browsing import People
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE
from tests.support.workday import (
    Workday,
    months_ago,
    payment_that_is_refused,
    refund_that_failed,
    refund_that_is_held,
)

PATIENT = PATIENCE * 1000


async def tab_to(page: Page, name: str) -> None:
    """Goes on with Tab until what has the focus is called so."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if name in await page.evaluate("document.activeElement.innerText || ''"):
            return
    raise AssertionError(f"no way to {name} by Tab")


async def test_the_keyboard_is_enough(people: People, workday: Workday) -> None:
    page = await people.comes("operator")
    rows = page.locator("table.rows a.way")

    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    for key, number in (("j", 0), ("j", 1), ("k", 0), ("k", 0)):
        await page.keyboard.press(key)
        await expect(rows.nth(number)).to_be_focused()
    where = await rows.first.get_attribute("href")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**{where}")

    await page.keyboard.press("/")
    await expect(page.locator("#find")).to_be_focused()
    await page.keyboard.type(workday.order.order_id)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/order?id=*")
    await expect(page.locator("h1")).to_contain_text(workday.order.order_id)


async def test_whoever_reads_a_list_again_stays_on_the_row_they_were_on(
    people: People, checkout: Checkout, workday: Workday
) -> None:
    page = await people.comes("operator", "/refunds")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    mine = await page.evaluate("document.activeElement.getAttribute('href')")
    assert mine is not None

    _, refund_id = await refund_that_failed(checkout, months_ago(2))
    await expect(page.locator('[data-says="newer"]')).to_be_visible(timeout=PATIENT)
    await expect(page.locator(f'a.way[href="{mine}"]')).to_be_focused()
    await expect(page.locator(f'a.way[href*="{refund_id}"]')).to_have_count(0)
    await page.keyboard.press("r")

    await expect(page.locator(f'a.way[href*="{refund_id}"]')).to_have_count(1)
    await expect(page.locator(f'a.way[href="{mine}"]')).to_be_focused()


async def test_a_decision_is_made_with_the_keyboard_alone(people: People, checkout: Checkout) -> None:
    story, refund_id = await refund_that_failed(checkout, months_ago(1))
    page = await people.comes("operator", f"/refund?id={refund_id}")

    await tab_to(page, "retry …")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Reason")).to_be_focused()
    await page.keyboard.type("by keyboard")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("status").filter(has_text="It is decided.")).to_be_visible()
    await story.until("refund.payout_requested.v1", 2)


async def test_without_javascript_a_proof_is_attached(people: People, checkout: Checkout) -> None:
    _, refund_id = await refund_that_is_held(checkout, months_ago(1), "해든교육")
    page = await people.comes("operator", f"/refund?id={refund_id}", scripts=False)

    await page.get_by_text("Attach a proof", exact=True).click()
    await expect(page.get_by_label("What it is")).to_have_value("business_registration")
    await page.get_by_label("Where it is kept").fill("proofs/2026/77.pdf")
    await page.locator('form[action="/refund/proof"]').get_by_label("Reason").fill("it came by mail")
    await page.get_by_role("button", name="Attach it").click()

    await expect(page.get_by_role("status").first).to_contain_text("The proof is attached.")
    await expect(page.locator("h1")).to_contain_text("in review")
    await expect(page.locator(".actions")).to_contain_text("proofs/2026/77.pdf")
    await page.goto("/audit?actor=demo:operator")
    await expect(page.locator("table.rows")).to_contain_text("it came by mail")


async def test_without_javascript_everything_is_read_and_done(people: People, checkout: Checkout) -> None:
    story = await payment_that_is_refused(checkout, months_ago(1))
    page = await people.comes("operator", "/refused", scripts=False)

    await expect(page.locator(".scripted:visible")).to_have_count(0)
    await page.get_by_role("link", name="out of range").click()
    await page.get_by_role("searchbox", name="Filter").fill(story.order_id)
    await page.get_by_role("button", name="Filter").click()
    await page.locator("table.rows a.way").click()
    await expect(page.locator("pre .fault")).to_contain_text('"amount": -5')
    close = page.locator('form[action$="/resolve"]')
    await close.get_by_label("Reason").fill("the shop sent it again")
    await close.get_by_role("button").click()

    await expect(page.locator("main")).to_contain_text("the shop sent it again")
    await page.goto("/needs")
    await expect(page.get_by_role("heading", name="Needs somebody")).to_be_visible()
    await page.goto("/audit")
    await expect(page.locator("table.rows")).to_contain_text(re.compile("the shop sent it again"))
