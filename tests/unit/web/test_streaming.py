"""Answers that go out in parts: nothing is half, and nobody is waited for who has gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from structlog.testing import capture_logs

from shared.web.problems import CONFLICT, Problem
from shared.web.routes import get
from shared.web.streaming import Parts, Streamed
from tests.support.serving import served
from tests.support.tokens import Provider
from tests.support.web import app_of, client_of

PROVIDER = Provider()


class Maker:
    """Makes an answer in parts, and notes what becomes of it."""

    def __init__(self) -> None:
        self.refused = self.breaks = False
        self.patience = 60.0
        self.left, self.begun = asyncio.Event(), asyncio.Event()
        self.go_on: asyncio.Event | None = None

    async def show(self) -> Response:
        """A file."""
        return Streamed(self.made(), "text/csv", self.patience)

    @asynccontextmanager
    async def made(self) -> AsyncIterator[Parts]:
        try:
            self.begun.set()
            if self.refused:
                raise Problem(CONFLICT, detail="not now")
            yield Parts({"X-Rows": "2"}, self.body())
        finally:
            self.left.set()

    async def body(self) -> AsyncIterator[bytes]:
        yield b"first,"
        if self.breaks:
            raise ValueError("a row is broken")
        if self.go_on is not None:
            await self.go_on.wait()
        yield b"last"


@pytest.fixture
def maker() -> Maker:
    return Maker()


def app(maker: Maker) -> Any:
    return app_of([get("/v1/file", maker.show, "ops:read", file="text/csv", seconds=5)], PROVIDER.tokens())


async def test_the_parts_go_out_with_their_headers_and_the_making_ends(maker: Maker) -> None:
    async with client_of(app(maker), PROVIDER.allowing("ops:read")) as client:
        answer = await client.get("/v1/file")

    assert (answer.status_code, answer.content, answer.headers["x-rows"]) == (200, b"first,last", "2")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "content-length" not in answer.headers
    assert maker.left.is_set()


async def test_a_problem_before_the_first_part_is_the_answer(maker: Maker) -> None:
    maker.refused = True
    async with client_of(app(maker), PROVIDER.allowing("ops:read")) as client:
        answer = await client.get("/v1/file")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert maker.left.is_set()


async def test_an_error_after_it_breaks_the_connection(maker: Maker) -> None:
    maker.breaks = True
    headers = PROVIDER.allowing("ops:read")
    async with served(app(maker)) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/v1/file")

    assert maker.left.is_set()


async def test_whoever_goes_away_ends_the_making(maker: Maker) -> None:
    maker.go_on = asyncio.Event()
    headers = PROVIDER.allowing("ops:read")
    async with served(app(maker)) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        async with client.stream("GET", "/v1/file") as answer:
            async for part in answer.aiter_raw():
                assert part == b"first,"
                break
        async with asyncio.timeout(10):
            await maker.left.wait()

    assert not maker.go_on.is_set()


async def test_whoever_takes_nothing_has_gone_too(maker: Maker) -> None:
    maker.patience = 0.05

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with capture_logs() as logs:
        await Streamed(maker.made(), "text/csv", maker.patience)({"type": "http"}, receive, send)

    assert maker.left.is_set()
    assert [line["log_level"] for line in logs] == ["warning"]


async def test_the_document_says_that_it_is_a_file(maker: Maker) -> None:
    async with client_of(app(maker)) as client:
        document = (await client.get("/openapi.json")).json()

    content = document["paths"]["/v1/file"]["get"]["responses"]["200"]["content"]
    assert content == {"text/csv": {"schema": {"type": "string", "format": "binary"}}}
