"""Whoever sends what no page of ours sends gets an answer that says so, and nothing of it is believed."""

import html
import re
from collections.abc import AsyncIterator
from typing import Final

import httpx
import pytest

from console.app import routes
from console.doors import Demo
from console.people import Person
from console.reading import Reader
from console.routes import Route
from shared.events.catalogue import SERVICES
from tests.support.console_app import KEY, browser
from tests.support.tabletop import Tabletop
from tests.support.terminal import Terminal

MARKUP: Final = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
NASTY: Final = (
    MARKUP,
    "..",
    "../../orders/A-1",
    "A-1/../../ops/dead",
    "%2e%2e%2fops",
    "a\0b",
    "\ud7ff\ue000 \u202e٢٠١١-٠٣",
    "2011-03\n",
    "９９",
    "-1",
    "99999999999999999999",
    "x" * 5_000,
    "'; DROP TABLE orders; --",
    "{{7*7}}{% raw %}${7*7}",
    "//evil.example",
    "\r\nset-cookie: a=b",
)
NAMES: Final = (
    *("id", "month", "number", "order", "word", "tab", "all", "service", "code", "type", "sender", "state"),
    *("business", "watermark", "kind", "action", "decision", "actor", "target", "since", "until", "partner"),
    *("sort", "only", "page", "lang", "to", "of", "mark", "done", "units 1"),
)
MONTH: Final = {"month": "2026-10", "number": "1168200276", "order": "A-1", "id": "A-1"}


@pytest.fixture
async def admin(terminal: Terminal, reader: Reader) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may do everything, and sends anything."""
    async with browser(all_routes(terminal, reader), "admin") as client:
        yield client


def all_routes(terminal: Terminal, reader: Reader) -> list[Route]:
    def sign(person: Person, scope: str) -> str:
        return terminal.environment["PAWL_TOKEN"]

    return routes(reader, sign, Demo())


def paths(those: list[Route], method: str, value: str) -> list[str]:
    """Every page or form, with a value in its path where one stands there."""
    quoted = httpx.QueryParams({"x": value})
    in_path = str(quoted).removeprefix("x=").replace("+", "%20")
    return [
        re.sub(r"{\w+}", lambda _: in_path, route.path)
        for route in those
        if route.method == method and route.path != "/live"
    ]


def check(answer: httpx.Response, path: str) -> None:
    assert answer.status_code != 500, path
    assert "<script>alert" not in answer.text, path
    assert "<img src=x" not in answer.text, path
    assert "49" not in re.findall(r"<h1>.*?(49)", answer.text), path
    assert "a=b" not in answer.headers.get("set-cookie", ""), path
    location = answer.headers.get("location", "/")
    assert location.startswith("/"), path
    assert not location.startswith(("//", "/\\")), path
    led = [html.unescape(each) for each in re.findall(r'(?:href|action|src)="([^"]*)"', answer.text)]
    assert [each for each in led if each.startswith(("//", "/\\", "http:", "https:", "javascript:"))] == []


@pytest.mark.parametrize("value", NASTY, ids=repr)
async def test_no_page_fails_or_believes_what_an_address_says(
    history: Tabletop, terminal: Terminal, reader: Reader, admin: httpx.AsyncClient, value: str
) -> None:
    for path in paths(all_routes(terminal, reader), "GET", value):
        for query in (dict.fromkeys(NAMES, value), {**dict.fromkeys(NAMES, value), **MONTH}):
            check(await admin.get(path, params=query), f"{path} {sorted(query)}")


async def rows_of(table: Tabletop) -> int:
    """How many rows of what was done there are, over all services."""
    counts = [await table.pools[name].fetchval("SELECT count(*) FROM audit_log") for name in SERVICES]
    return sum(counts)


@pytest.mark.parametrize("value", NASTY, ids=repr)
async def test_no_form_fails_or_does_anything_for_what_no_page_sends(
    history: Tabletop, terminal: Terminal, reader: Reader, admin: httpx.AsyncClient, value: str
) -> None:
    before = await rows_of(history)
    names = {*NAMES, "reference", "reason", "message", "undo", "name", "how", "key", "back", "document"} - {
        "lang"
    }
    names |= {
        "last_four",
        "approval_number",
        "failed",
        "waiting",
        "grant",
        "invoice_email",
        "business_number",
    }

    for path in paths(all_routes(terminal, reader), "POST", value):
        if path not in ("/sign-out", "/sign-in"):
            check(await admin.post(path, data={**dict.fromkeys(names, value), "form_key": KEY}), path)

    assert await rows_of(history) == before
