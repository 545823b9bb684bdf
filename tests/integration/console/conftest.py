"""A tabletop of the four services with a small history, and a console before it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from console.app import routes
from console.doors import Demo
from console.people import Person
from console.reading import Reader, limited
from ops.setup.provision import Database
from ops.shell.run_directory import RunDirectory
from ops.shell.system import System, named_services
from shared.operators.todo import Thresholds
from tests.support.console_app import browser
from tests.support.tabletop import history, table
from tests.support.terminal import Terminal, terminal

__all__ = ["history", "table", "terminal"]


@pytest.fixture
def reader(terminal: Terminal, run_directory: RunDirectory, database: Database) -> Reader:
    """Reads the databases on the table."""
    services = named_services(terminal.environment["PAWL_SERVICES"])
    return Reader(
        System(run_directory.path, ops_url=limited(database.ops_url), services=services), Thresholds()
    )


@pytest.fixture
async def operator(terminal: Terminal, reader: Reader) -> AsyncIterator[httpx.AsyncClient]:
    """An operator before the console, whose token is that of the terminal."""

    def sign(person: Person, scope: str) -> str:
        return terminal.environment["PAWL_TOKEN"]

    async with browser(routes(reader, sign, Demo()), "operator") as client:
        yield client
