"""People before the console in a real browser: Debian's Chromium, driven by playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, get_args
from urllib.parse import urlencode

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from console.people import Role
from tests.support.patience import PATIENCE

Scheme = Literal["light", "dark"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "There is no browser on this machine, so nobody can look at the console: the tests fail. "
    f"One of {', '.join(NAMES)} has to be on the PATH. On Debian: apt-get install chromium, "
    "or as root: tests/browser/chromium.sh"
)
WIDE, NARROW = 1280, 390
"""The widths that the pages fit, in pixels."""
HEIGHT = 900
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OF_COLOURS = ["color-contrast"]
"""Those of the rules that may find something else in other colours."""
AXE = """async (rules) => (await axe.run(document, {runOnly: rules, resultTypes: ["violations"]})).violations
  .map((found) => `${found.id}: ${found.nodes.map((node) => node.target.join(" ")).join(", ")}`)"""
OF_A_STATUS = "Failed to load resource"
"""How a browser logs an answer that is not 200, which the stories ask for."""


def chromium() -> str:
    """Where the browser is. Fails the test that asks, rather than skip it, where there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    pytest.fail(MISSING, pytrace=False)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """A browser without a window. Within a container Chromium's own sandbox is not to be had for root."""
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield browser
        await browser.close()


class People:
    """Everybody who sits before a console during a test, each with a browser profile of their own.

    `complaints` is what scripts and the content security policy said in all of their pages.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.complaints: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    async def comes(
        self,
        role: Role | None,
        to: str = "/needs",
        *,
        language: str = "en",
        scheme: Scheme = "light",
        width: int = WIDE,
        height: int = HEIGHT,
        scripts: bool = True,
        pixels: float = 1,
    ) -> Page:
        """Somebody of a role who looks at a page; None is somebody who is not signed in."""
        context = await self._browser.new_context(
            base_url=self.url,
            locale={"ko": "ko-KR", "en": "en-GB"}[language],
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            java_script_enabled=scripts,
            device_scale_factor=pixels,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE * 1000 / 3)
        self._contexts.append(context)
        page = await context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await (page.goto(to) if role is None else sign_in(page, role, to))
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(OF_A_STATUS):
            self.complaints.append(message.text)

    async def leave(self) -> None:
        """Everybody closes their browser."""
        for context in self._contexts:
            await context.close()
        self._contexts.clear()


async def sign_in(page: Page, role: Role, to: str = "/needs") -> None:
    """Chooses one of the four persons of the demo."""
    await page.goto(f"/sign-in?{urlencode({'to': to})}")
    await page.locator(f'button[name="role"][value="{role}"]').click()
    await page.wait_for_load_state()


async def hindrances(page: Page) -> list[str]:
    """What axe finds on a page by the rules of WCAG 2.2, A and AA, and what is wider than the window.

    In both widths and both schemes; the page is as it was afterwards, but for its size and its colours.
    """
    found: list[str] = []
    await page.evaluate(AXE_SCRIPT)
    for width in (WIDE, NARROW):
        await page.set_viewport_size({"width": width, "height": HEIGHT})
        if wider := await overhang(page):
            found.append(f"{width}: {wider} pixels beside the window")
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            rules = RULES if scheme == "light" else OF_COLOURS
            found += [f"{width} {scheme}: {each}" for each in await page.evaluate(AXE, rules)]
    return found


async def overhang(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    wider: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wider
