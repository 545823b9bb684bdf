"""Whoever sends what no page of ours sends gets an answer that says so, and nothing of it is believed."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from console.app import routes
from console.doors import Demo
from console.lists import Lists
from console.people import Person
from console.reading import Reader
from ops.setup.provision import Database
from ops.shell.system import System
from shared.migrations import CONSOLE
from shared.operators.todo import Thresholds
from shared.postgres import open_pool
from tests.support.console_app import KEY, browser
from tests.support.tabletop import Tabletop, buy
from tests.support.terminal import Terminal

MARKUP: Final = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
NASTY: Final = (
    MARKUP,
    "..",
    "A-1/../../ops/dead",
    "a\0b",
    "\ud7ff\ue000 \u202e٢٠١١-٠٣",
    "２０１１-０３\n",
    "-99999999999999999999",
    "x" * 1_000,
    "'; DROP TABLE orders; --",
    "{{7*191}}{% raw %}${7*191}",
    "//evil.example",
    "\r\nset-cookie: a=b",
)
NAMES: Final = (
    *("id", "month", "number", "order", "word", "tab", "all", "service", "code", "type", "sender", "state"),
    *("business", "watermark", "kind", "action", "decision", "actor", "target", "since", "until", "partner"),
    *("sort", "only", "page", "lang", "to", "of", "mark", "done", "units 1"),
)
FIELDS: Final = (
    *(name for name in NAMES if name != "lang"),
    *("reference", "reason", "message", "undo", "name", "how", "key", "back", "document", "last_four"),
    *("approval_number", "failed", "waiting", "grant", "invoice_email", "business_number"),
)
MONTH: Final = {"month": "2026-10", "number": "1168200276", "order": "A-1", "id": "A-1"}


@pytest.fixture
async def attacker(
    terminal: Terminal, reader: Reader, database: Database
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may do everything, and sends anything."""
    pool = await open_pool(database.console_url, CONSOLE, 2)

    def sign(person: Person, scope: str) -> str:
        return terminal.environment["PAWL_TOKEN"]

    async with browser(routes(reader, sign, Demo()), "admin", lists=Lists(pool)) as client:
        yield client
    await pool.close()


ROUTES: Final = routes(Reader(System(directory=Path()), Thresholds()), lambda person, scope: "", Demo())


def paths(method: str, value: str) -> list[str]:
    """Every page or form, with a value in its path where one stands there."""
    quoted = httpx.QueryParams({"x": value})
    in_path = str(quoted).removeprefix("x=").replace("+", "%20")
    return [
        re.sub(r"{\w+}", lambda _: in_path, route.path)
        for route in ROUTES
        if route.method == method and route.path != "/live"
    ]


def check(answer: httpx.Response, path: str) -> None:
    assert answer.status_code != 500, path
    assert "<script>alert" not in answer.text, path
    assert "<img src=x" not in answer.text, path
    assert "1337" not in answer.text, path
    assert "a=b" not in answer.headers.get("set-cookie", ""), path
    location = answer.headers.get("location", "/")
    assert location.startswith("/"), path
    assert not location.startswith(("//", "/\\")), path
    led = [html.unescape(each) for each in re.findall(r'(?:href|action|src)="([^"]*)"', answer.text)]
    assert [each for each in led if each.startswith(("//", "/\\", "http:", "https:", "javascript:"))] == []


async def test_no_page_fails_or_believes_what_an_address_says(
    table: Tabletop, attacker: httpx.AsyncClient
) -> None:
    await buy(table, "A-1")

    for value in NASTY:
        query = dict.fromkeys(NAMES, value) | (MONTH if value == MARKUP else {})
        for path in paths("GET", value):
            check(await attacker.get(path, params=query), f"{path} {value!r}")


async def test_no_form_fails_for_what_no_page_sends(table: Tabletop, attacker: httpx.AsyncClient) -> None:
    await buy(table, "A-1")

    for value in NASTY:
        form = {**dict.fromkeys(FIELDS, value), "form_key": KEY}
        for path in paths("POST", value):
            if path not in ("/sign-out", "/sign-in"):
                check(await attacker.post(path, data=form), f"{path} {value!r}")
