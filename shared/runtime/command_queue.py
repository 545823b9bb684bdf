"""Where commands wait for the fold: what arrives while one batch is decided is the next batch."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from shared.clock import now
from shared.ids import uuid7
from shared.runtime.commands import Answer, Command, Work, new_command
from shared.web.callers import Origin
from shared.web.problems import MEDIA_TYPE

MOST_IN_A_BATCH = 500

Decide = Callable[[Sequence[Command[Any]]], Awaitable[Sequence[Answer]]]
DecideAlone = Callable[[Command[Any], Work, bool], Awaitable[Answer]]
TryOut = Callable[[Command[Any]], Awaitable[Answer]]


class CommandQueue:
    """Takes the commands of one process. The first one is decided at once, those that come meanwhile
    together.

    A caller that has gone before its batch began is forgotten; after that its command goes on without it.
    """

    def __init__(
        self, decide: Decide, decide_alone: DecideAlone, try_out: TryOut, most: int = MOST_IN_A_BATCH
    ) -> None:
        self._decide, self._decide_alone, self._try_out, self._most = decide, decide_alone, try_out, most
        self._waiting: list[tuple[Command[Any], asyncio.Future[Answer]]] = []
        self._working: asyncio.Task[None] | None = None

    async def send(
        self,
        name: str,
        key: str,
        data: BaseModel,
        origin: Origin,
        *,
        reason: str = "",
        dry_run: bool = False,
        subject: str = "",
    ) -> Response:
        """Has a command decided, and answers the request with what came of it.

        `subject` is what it is about where that is not its key. A dry run is answered in the same way, and
        leaves nothing.
        """
        command = new_command(
            name, key, data, origin, command_id=uuid7(), at=now(), reason=reason, subject=subject
        )
        answer = await (self._try_out(command) if dry_run else self.decide(command))
        return response_of(answer, origin)

    async def send_alone(
        self,
        name: str,
        key: str,
        data: BaseModel,
        origin: Origin,
        work: Work,
        *,
        reason: str = "",
        dry_run: bool = False,
    ) -> Response:
        """Has a command decided that needs other rows than events do; `work` is what it does.

        A dry run is answered in the same way, and leaves nothing.
        """
        command = new_command(name, key, data, origin, command_id=uuid7(), at=now(), reason=reason)
        return response_of(await self._decide_alone(command, work, dry_run), origin)

    async def decide(self, command: Command[Any]) -> Answer:
        """What a command is answered, once that is committed."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answered))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="commands")
        return await answered

    async def _work(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            batch = [(command, answered) for command, answered in taken if not answered.done()]
            if batch:
                await self._settle(batch)

    async def _settle(self, batch: "list[tuple[Command[Any], asyncio.Future[Answer]]]") -> None:
        try:
            answers = await self._decide([command for command, _ in batch])
        except Exception as failure:  # each caller is told; the next batch has its own chance
            for _, answered in batch:
                if not answered.done():
                    answered.set_exception(failure)
        else:
            for (_, answered), answer in zip(batch, answers, strict=True):
                if not answered.done():
                    answered.set_result(answer)
        finally:  # broken off, so that nobody will answer
            for _, answered in batch:
                answered.cancel()


def response_of(answer: Answer, origin: Origin) -> Response:
    """An answer as a response, in the caller's language."""
    if answer.korean is None:
        return _json(answer.document, answer.status)
    headers = {"Content-Language": origin.language, "Vary": "Accept-Language"}
    if answer.retry_after is not None:
        headers["Retry-After"] = str(answer.retry_after)
    document = answer.korean if origin.language == "ko" else answer.document
    return _json(document, answer.status, headers, MEDIA_TYPE)


def _json(
    document: Mapping[str, Any],
    status: int,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    return Response(orjson.dumps(document), status, headers, media_type)
