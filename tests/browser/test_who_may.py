"""Whoever only looks changes nothing, by no button and by no request made by hand."""

import re

import asyncpg
import pytest
from playwright.async_api import expect

from console.app import routes
from console.doors import Demo
from console.reading import Reader
from ops.shell.system import System
from shared.events.catalogue import SERVICES
from shared.operators.todo import Thresholds
from tests.support.browsing import People
from tests.support.driver import Checkout
from tests.support.workday import Workday

SENDS = """async ([path, fields]) => (
  await fetch(path, {method: "POST", body: new URLSearchParams(fields), redirect: "manual"})).status"""


def paths(workday: Workday) -> list[str]:
    """Where forms can be sent by whoever is signed in and has a right, each about something that is there."""
    reader = Reader(System(directory=None), Thresholds())  # type: ignore[arg-type]
    given = {"name": workday.letter, "list_id": "01a22dcd-6e2c-7394-95a8-43f1e9cda5de"}
    return [
        re.sub(r"{(\w+)(:\w+)?}", lambda found: given[found[1]], route.path)
        for route in routes(reader, lambda person, scope: "", Demo())
        if route.method == "POST" and route.scope is not None
    ]


async def audited(checkout: Checkout) -> int:
    """How many rows the audit logs have."""
    connection = await asyncpg.connect(checkout.database.admin_url)
    rows = [await connection.fetchval(f"SELECT count(*) FROM {name}.audit_log") for name in SERVICES]
    await connection.close()
    return sum(rows)


async def test_a_viewer_has_no_button_and_no_way_by_hand(
    people: People, checkout: Checkout, workday: Workday
) -> None:
    page = await people.comes("viewer")
    before = await audited(checkout)

    for path in workday.pages:
        await page.goto(path)
        await expect(page.locator('form[method="post"]:not([action="/sign-out"])')).to_have_count(0)

    await page.goto("/needs")
    form_key = await page.locator('[name="form_key"]').first.input_value()
    fields = {
        "form_key": form_key,
        "id": workday.failed,
        "decision": "retry",
        "month": workday.month,
        "action": "approve",
        "reason": "I may not",
    }
    sent = {path: await page.evaluate(SENDS, [path, fields]) for path in paths(workday)}
    assert len(sent) > 20
    assert set(sent.values()) == {403}, sent
    assert await audited(checkout) == before


@pytest.mark.parametrize("form_key", ["", "x" * 43])
async def test_a_form_without_the_key_of_its_session_does_nothing(
    people: People, workday: Workday, form_key: str
) -> None:
    page = await people.comes("operator", f"/refund?id={workday.failed}")
    fields = {"form_key": form_key, "id": workday.failed, "decision": "retry", "reason": "by hand"}

    assert await page.evaluate(SENDS, ["/refund/decide", fields]) == 403

    await page.reload()
    await expect(page.locator("h1")).to_contain_text("failed")
