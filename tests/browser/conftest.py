"""One system with its console and one browser for all stories; each brings its own people and orders."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from ops.local.postgres import wipe
from ops.local.running import RunningSystem
from tests.support.browsing import People, open_browser
from tests.support.driver import Checkout
from tests.support.workday import Workday, system_with_console, tell_workday


@pytest.fixture(scope="session")
def console_directory() -> Iterator[Path]:
    """Its run directory, open to the account that runs PostgreSQL when the tests run as root."""
    path = Path(tempfile.mkdtemp(prefix="pawl-console-"))
    path.chmod(0o755)
    yield path
    wipe(path / "postgres")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
async def both(browser: Browser, console_directory: Path) -> AsyncIterator[tuple[RunningSystem, Checkout]]:
    """The system and its checkout, once there is somebody to look at it."""
    async with system_with_console(console_directory) as both:
        yield both


@pytest.fixture(scope="session")
def system(both: tuple[RunningSystem, Checkout]) -> RunningSystem:
    return both[0]


@pytest.fixture(scope="session")
def checkout(both: tuple[RunningSystem, Checkout]) -> Checkout:
    return both[1]


@pytest.fixture
async def people(browser: Browser, system: RunningSystem) -> AsyncIterator[People]:
    """Who sits before the console; no script of it fails, and nothing breaks the content security policy."""
    people = People(browser, system.system.console)
    yield people
    await people.leave()
    assert people.complaints == []


@pytest.fixture(scope="session")
async def workday(checkout: Checkout) -> Workday:
    """What is there before any story begins; no story changes it."""
    return await tell_workday(checkout)
