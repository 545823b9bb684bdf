"""Where commands wait for the fold: what arrives while one batch is decided is the next batch."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from shared.clock import now
from shared.ids import uuid7
from shared.runtime.commands import Answer, Command, Work, new_command
from shared.runtime.gathering import MOST_AT_ONCE, Gathering
from shared.web.callers import Origin
from shared.web.problems import MEDIA_TYPE

Decide = Callable[[Sequence[Command[Any]]], Awaitable[Sequence[Answer]]]
DecideAlone = Callable[[Command[Any], Work, bool], Awaitable[Answer]]
TryOut = Callable[[Command[Any]], Awaitable[Answer]]


class CommandQueue:
    """Takes the commands of one process. The first one is decided at once, those that come meanwhile
    together.

    A caller that has gone before its batch began is forgotten; after that its command goes on without it.
    """

    def __init__(
        self, decide: Decide, decide_alone: DecideAlone, try_out: TryOut, most: int = MOST_AT_ONCE
    ) -> None:
        self._decide_alone, self._try_out = decide_alone, try_out
        self._gathering: Gathering[Command[Any], Answer] = Gathering(decide, "commands", most)

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
        return await self._gathering.ask(command)


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
