"""Somebody at a terminal, before services behind sockets on one database: commands as a person runs them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from ops.cli import app
from ops.setup.provision import Database
from ops.shell.problem import Exit, Problem
from ops.watch.todo.listing import read_everything
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.operators.todo import Moment, Thresholds
from tests.support.serving import routes_on, served
from tests.support.tabletop import Tabletop
from tests.support.tokens import Provider
from tests.support.web import ALL, app_of


class Said(NamedTuple):
    """How a command ended, and all that it said."""

    code: int
    text: str


@dataclass
class Terminal:
    """Somebody at a terminal, with a token that allows everything."""

    table: Tabletop
    environment: dict[str, str]
    database: Database

    async def run(self, *words: str, typed: str | None = None) -> Said:
        """How a command ends; `typed` is what is typed when it asks."""
        result = await asyncio.to_thread(CliRunner().invoke, app, list(words), typed, self.environment)
        if isinstance(result.exception, Problem):
            problem = result.exception
            return Said(problem.exit_code, f"{problem.message}\n{problem.hint}")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Said(result.exit_code, result.output)

    async def run_json(self, *words: str, typed: str | None = None) -> dict[str, Any]:
        """The document that it prints."""
        said = await self.run(*words, "--json", typed=typed)
        assert said.code == Exit.OK, said.text
        # The services are in this process, and log between the lines.
        (line,) = [line for line in said.text.splitlines() if line.startswith("{")]
        document: dict[str, Any] = json.loads(line)
        return document

    async def command_of(self, code: str) -> str | None:
        """What the list says to do next about this cause; None where it is not listed."""
        moment = Moment(now() + timedelta(seconds=1), Thresholds(waiting=timedelta(0)))
        todo = await read_everything(self.database.ops_url, moment)
        return next((group.command for group in todo.groups if group.code == code), None)


@pytest.fixture
async def terminal(table: Tabletop, database: Database) -> AsyncIterator[Terminal]:
    provider = Provider()
    async with AsyncExitStack() as stack:
        # The services are in this process too: what they log is none of what a command prints.
        stack.enter_context(capture_logs())
        urls = {
            service: await stack.enter_async_context(
                served(app_of(routes_on(table, service), provider.tokens(), service))
            )
            for service in SERVICES
        }
        token = provider.allowing(ALL, sub="kim")["authorization"].removeprefix("Bearer ")
        environment = {
            "PAWL_TOKEN": token,
            "PAWL_POSTGRES": database.ops_url,
            "PAWL_SERVICES": ",".join(f"{name}={url}" for name, url in urls.items()),
            "COLUMNS": "200",
        }
        with capture_logs():  # services write into logs of their own, not to this terminal
            yield Terminal(table, environment, database)
