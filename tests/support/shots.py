"""`make shots` draws docs/images/console: pages of an ordinary day, in both languages and both schemes.

Each picture has the same size whatever is on the page, so that what changes is the page.
"""

import asyncio
import io
import shutil
from datetime import timedelta
from pathlib import Path

import asyncpg
from PIL import Image
from playwright.async_api import Browser, Page

from shared.clock import now
from shared.events.catalogue import SERVICES
from tests.support.browsing import NARROW, SCHEMES, WIDE, People, open_browser
from tests.support.driver import Checkout
from tests.support.servers import new_run_directory
from tests.support.workday import Workday, system_with_console, tell_workday

FOLDER = Path("docs/images/console")
LANGUAGES = ("en", "ko")
HEIGHT, TALL = 900, 1180
SAMPLES = 120
"""An hour of lag, one sample each 30 s."""
BEHIND = (0.0, 0.1, 0.3, 0.2, 0.6, 1.4, 2.2, 1.1, 0.4, 0.2)


async def keep_an_hour_of_lag(checkout: Checkout) -> None:
    """What the console would have noted, had it run for an hour."""
    rows = [
        (
            now() - timedelta(seconds=30 * number),
            name,
            BEHIND[(number // 3 + 4 * shift) % len(BEHIND)] / (1 + shift),
        )
        for shift, name in enumerate(SERVICES)
        for number in range(1, SAMPLES)
    ]
    connection = await asyncpg.connect(checkout.database.admin_url)
    await connection.executemany(
        "INSERT INTO console.lag_samples (taken_at, service, reading) VALUES ($1, $2, $3)", rows
    )
    await connection.close()


def pages(day: Workday) -> dict[str, tuple[str, int]]:
    """The page of each picture, and its height in pixels."""
    return {
        "needs": ("/needs", HEIGHT),
        "order": (f"/order?id={day.order.order_id}", TALL),
        "refund": (f"/refund?id={day.failed}", HEIGHT),
        "month": (f"/month?month={day.month}", HEIGHT),
        "refused": (f"/refused/{day.letter}", TALL),
    }


async def shoot(page: Page, name: str) -> None:
    """A picture of what the window shows, in 256 colours, the rare ones among them: a third of the bytes."""
    drawn = Image.open(io.BytesIO(await page.screenshot(animations="disabled", caret="hide")))
    drawn.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(FOLDER / f"{name}.png", optimize=True)


async def draw(browser: Browser, url: str, day: Workday) -> None:
    """Every page in both languages and both schemes, and one as a telephone has it."""
    people = People(browser, url)
    for language in LANGUAGES:
        for scheme in SCHEMES:
            for name, (path, height) in pages(day).items():
                page = await people.comes(
                    "admin", path, language=language, scheme=scheme, width=WIDE, height=height
                )
                await shoot(page, f"{name}-{language}-{scheme}")
                await people.leave()
        page = await people.comes("admin", "/needs", language=language, width=NARROW, height=844)
        await shoot(page, f"needs-{language}-narrow")
        await people.leave()


async def main() -> None:
    with new_run_directory() as folder:
        async with open_browser() as browser, system_with_console(folder.path) as (system, checkout):
            day = await tell_workday(checkout)
            await checkout.drain()
            await keep_an_hour_of_lag(checkout)
            await draw(browser, system.system.console, day)


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    asyncio.run(main())
