"""Asking once for many: what comes while one question is answered is the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

MOST_AT_ONCE = 500

A = TypeVar("A")
B = TypeVar("B")


class Gathering(Generic[A, B]):
    """Takes questions of one process. The first one is asked at once, those that come meanwhile together.

    `ask_all` answers questions in their order. Whoever has gone before its question was asked is forgotten;
    after that it is answered without him. Trouble is told to all whom it met.
    """

    def __init__(
        self,
        ask_all: Callable[[Sequence[A]], Awaitable[Sequence[B]]],
        name: str,
        most: int = MOST_AT_ONCE,
    ) -> None:
        self._ask_all, self._name, self._most = ask_all, name, most
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: A) -> B:
        """The answer to one question."""
        answered: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answered))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name=self._name)
        return await answered

    async def _work(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            together = [(question, answered) for question, answered in taken if not answered.done()]
            if together:
                await self._settle(together)

    async def _settle(self, together: "list[tuple[A, asyncio.Future[B]]]") -> None:
        try:
            answers = await self._ask_all([question for question, _ in together])
        except Exception as failure:  # each is told; the next ones have their own chance
            for _, answered in together:
                if not answered.done():
                    answered.set_exception(failure)
        else:
            for (_, answered), answer in zip(together, answers, strict=True):
                if not answered.done():
                    answered.set_result(answer)
        finally:  # broken off, so that nobody will answer
            for _, answered in together:
                answered.cancel()
