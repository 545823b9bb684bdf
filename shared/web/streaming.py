"""Answers that go out in parts while they are made. Whoever goes away ends the making."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

PATIENCE_SECONDS: Final = 60.0
"""A caller that does not take a part for so long has gone, whatever its connection says."""

log = structlog.get_logger("pawl.web")


class _NotTaken(Exception):
    """The caller took nothing for too long. To return now breaks the connection: the answer is not whole."""


@dataclass(slots=True, frozen=True)
class Parts:
    """What goes out: the headers, and then the body, part by part."""

    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


class Streamed(Response):
    """An answer whose parts are made inside `made`, which is entered when nothing has been sent yet.

    A Problem that is raised while it is entered is the answer. An error after that breaks the connection, so
    that nobody takes half of it for the whole. `made` is left as soon as the caller has gone, or has taken
    nothing for `patience` seconds.
    """

    def __init__(
        self, made: AbstractAsyncContextManager[Parts], media_type: str, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.init_headers()
        self._made, self._patience = made, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_has_left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except _NotTaken:
            log.warning("an answer was given up: its caller takes nothing", seconds=self._patience)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with self._made as parts:
            self.headers.update(parts.headers)
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            async for part in parts.body:
                try:
                    async with asyncio.timeout(self._patience):
                        await send(_body(part, more=True))
                except TimeoutError:
                    raise _NotTaken from None
            await send(_body(b"", more=False))


async def _has_left(receive: Receive) -> None:
    """Returns when the caller has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(part: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": part, "more_body": more}
