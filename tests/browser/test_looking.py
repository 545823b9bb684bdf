"""Every page as a browser shows it: no hindrance by WCAG, nothing beside the window, light and dark."""

import pytest

from tests.support.browsing import NARROW, People, hindrances, overhang
from tests.support.workday import Workday


async def test_no_page_hinders_anybody_or_is_wider_than_its_window(people: People, workday: Workday) -> None:
    page = await people.comes("admin")
    found: dict[str, list[str]] = {}

    for path in workday.pages:
        await page.goto(path)
        found[path] = await hindrances(page)

    assert {path: problems for path, problems in found.items() if problems} == {}


async def test_whoever_is_not_signed_in_is_not_hindered_either(people: People) -> None:
    page = await people.comes(None, "/refunds")

    assert await hindrances(page) == []


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_names_of_every_kind_are_shown_as_they_are(
    people: People, workday: Workday, language: str
) -> None:
    page = await people.comes("admin", language=language, width=NARROW)

    for story in workday.strange:
        await page.goto(f"/partner?id={story.buyer.id}")
        assert story.buyer.name in await page.locator("main").inner_text()
        assert "taken" not in await page.title()
        assert await overhang(page) == 0
