"""Something is away: pages say what, keep what was typed, and take it back when it is there again."""

import asyncpg
from playwright.async_api import expect

from ops.local.running import RunningSystem
from shared.events.catalogue import SERVICES
from tests.support.browsing import People
from tests.support.driver import Checkout
from tests.support.instances import until, until_healthy
from tests.support.patience import PATIENCE
from tests.support.workday import Workday

PATIENT = PATIENCE * 1000


async def everybody_was_idle(checkout: Checkout) -> None:
    """Nobody has asked for anything for longer than a session lasts."""
    connection = await asyncpg.connect(checkout.database.admin_url)
    await connection.execute(
        "UPDATE console.sessions SET began_at = began_at - idle, seen_at = seen_at - idle "
        "FROM (SELECT interval '31 minutes') AS _ (idle)"
    )
    await connection.close()


async def test_a_service_that_is_down_is_named_and_the_rest_goes_on(
    people: People, system: RunningSystem, workday: Workday
) -> None:
    page = await people.comes("operator", f"/refund?id={workday.failed}")
    await page.get_by_role("button", name="retry …").click()
    await page.get_by_label("Reason").fill("typed before it went away")

    await system.services.stop("refunds")
    try:
        await page.get_by_role("button", name="Do it: retry").click()
        await expect(page.locator("h1")).to_contain_text("not known", timeout=PATIENT)
        answer = await page.goto("/refunds")
        assert answer is not None
        assert answer.status == 503
        await page.goto("/needs")
        tile = page.locator(".tile", has=page.get_by_role("heading", name="refunds"))
        await expect(tile).to_have_class("tile bad")
        await expect(page.locator(".tile.good")).to_have_count(3)
        await page.goto(f"/order?id={workday.order.order_id}")
        await expect(page.locator("h1")).to_contain_text(workday.order.order_id)
    finally:
        system.services.start("refunds")
        await until_healthy(system, "refunds")

    async def all_are_alive() -> bool:
        await page.goto("/needs")
        return await page.locator(".tile.good").count() == len(SERVICES)

    await until(all_are_alive, "the page says that all services are alive")


async def test_without_the_database_an_open_page_says_that_it_is_old_and_takes_it_back(
    people: People, system: RunningSystem
) -> None:
    page = await people.comes("viewer")
    other = await people.comes("viewer", "/refused")
    old = page.locator('[data-says="old"]')
    await expect(old).to_be_hidden()

    assert system.postgres is not None
    await system.postgres.stop()
    try:
        await expect(old).to_be_visible(timeout=PATIENT)
        answer = await other.reload()
        assert answer is not None
        assert answer.status == 503
        await expect(other.locator("main")).to_contain_text("The databases do not answer")
    finally:
        await system.postgres.start()
        for name in system.services.names:
            await until_healthy(system, name)

    await expect(old).to_be_hidden(timeout=PATIENT)
    answer = await other.reload()
    assert answer is not None
    assert answer.status == 200


async def test_a_session_that_ends_in_the_middle_does_nothing_and_gives_back_what_was_typed(
    people: People, checkout: Checkout, workday: Workday
) -> None:
    page = await people.comes("operator", f"/refund?id={workday.held}")
    await page.get_by_role("button", name="reject …").click()
    await page.get_by_label("Reason").fill("half a sentence")
    await everybody_was_idle(checkout)

    await page.get_by_role("button", name="Do it: reject").click()

    await expect(page.locator("h1")).to_contain_text("Your session has ended. Nothing was done.")
    await expect(page.locator(".typed")).to_contain_text("half a sentence")
    await page.get_by_role("link", name="Sign in").click()
    await page.locator('button[name="role"][value="operator"]').click()
    await expect(page.get_by_label("Reason")).to_have_value("half a sentence")
    await page.goto(f"/refund?id={workday.held}")
    await expect(page.locator("h1")).to_contain_text("held")


async def test_what_somebody_had_typed_is_given_to_nobody_else(
    people: People, checkout: Checkout, workday: Workday
) -> None:
    page = await people.comes("operator", f"/refund?id={workday.held}")
    await page.get_by_role("button", name="reject …").click()
    await page.get_by_label("Reason").fill("nobody else reads this")
    await everybody_was_idle(checkout)
    await page.get_by_role("button", name="Do it: reject").click()
    await expect(page.locator(".typed")).to_contain_text("nobody else reads this")

    await page.get_by_role("link", name="Sign in").click()
    await page.locator('button[name="role"][value="admin"]').click()

    await expect(page.get_by_label("Reason")).to_have_value("")
    await expect(page.locator("#given-back")).to_be_hidden()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_who_signs_out_is_out_everywhere(people: People, workday: Workday) -> None:
    page = await people.comes("admin", f"/refund?id={workday.held}")
    elsewhere = await people.comes("admin")

    await elsewhere.get_by_role("button", name="Sign out").click()

    await elsewhere.wait_for_url("**/sign-in**")
    await page.reload()
    await page.wait_for_url("**/sign-in**")
