"""What a request under /v1 may take: the size of its body, its time; and how many are answered at once."""

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.web.answering import is_versioned, send_problem
from shared.web.problems import OVERLOADED, TIMED_OUT, TOO_LARGE, Problem

LARGEST_BODY: Final = 1_000_000
SECONDS: Final = 30.0
AT_ONCE: Final = 200
AGAIN_SECONDS: Final = 1


class Limits:
    """Refuses what is too much rather than letting it wait.

    The time counts until an answer begins: an export may stream for as long as it takes. A route may set
    its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        at_once: int = AT_ONCE,
        seconds: float = SECONDS,
        largest_body: int = LARGEST_BODY,
    ) -> None:
        self.app = app
        self._at_once, self._seconds, self._largest = at_once, seconds, largest_body
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_versioned(scope):
            await self.app(scope, receive, send)
            return
        if self._answering >= self._at_once:
            problem = Problem(OVERLOADED, retry_after=AGAIN_SECONDS, most=self._at_once)
            await send_problem(problem, scope, receive, send)
            return
        if _announced(scope) > self._largest:
            await send_problem(Problem(TOO_LARGE, most=self._largest), scope, receive, send)
            return
        self._answering += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._answering -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def receive_part() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                raise HTTPException(413)
            return message

        async def send_in_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                limit.reschedule(None)
            await send(message)

        seconds = self._seconds

        def set_seconds(wanted: float) -> None:
            nonlocal seconds
            seconds = wanted
            limit.reschedule(asyncio.get_running_loop().time() + wanted)

        limit = asyncio.timeout(seconds)
        scope["state"]["set_seconds"] = set_seconds
        try:
            async with limit:
                await self.app(scope, receive_part, send_in_time)
        except TimeoutError:
            if not limit.expired():
                raise
            problem = Problem(TIMED_OUT, retry_after=AGAIN_SECONDS, seconds=f"{seconds:g}")
            await send_problem(problem, scope, receive, send)


def _announced(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0
