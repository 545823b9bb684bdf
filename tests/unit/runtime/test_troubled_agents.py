"""An agent that the database lets do too little says so in the health of its process, until it can go on."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from services.orders import expiry
from services.refunds import asking_again, asking_banks
from services.serials import issuing, rotating
from shared.clock import monotonic
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from shared.runtime.tasks import end_all
from shared.runtime.troubles import PATIENCE_SECONDS

STORE = cast(
    Any, SimpleNamespace(policy=SimpleNamespace(chunk=10), writer=None, large_granted=asyncio.Event())
)


class Pool:
    """A pool of a role that may not even read, until somebody grants it that; then there is nothing to do."""

    def __init__(self) -> None:
        self.refuses = True

    def _answer(self, answer: Any) -> Any:
        if self.refuses:
            raise asyncpg.InsufficientPrivilegeError("permission denied for table grants")
        return answer

    def acquire(self) -> Any:
        return self._answer(None)

    async def fetch(self, *_: Any) -> Any:
        return self._answer([])


async def nothing(*_: Any, **__: Any) -> int:
    """Looks, and finds nothing to do."""
    return 0


async def expire(surroundings: Surroundings) -> None:
    settings = SimpleNamespace(orders_expiry_grace_seconds=1, orders_expiry_poll_seconds=0.001)
    await expiry.expire_deposits(surroundings, STORE, cast(Any, settings))


async def ask(surroundings: Surroundings) -> None:
    settings = SimpleNamespace(refunds_ask_again_seconds=1)
    await asking_again.ask_for_answers(surroundings, STORE, cast(Any, settings))


async def check(surroundings: Surroundings) -> None:
    await asking_banks.check_holders(surroundings, STORE, cast(Any, None))


async def issue(surroundings: Surroundings) -> None:
    await issuing.Issuer(surroundings, STORE, 0.001).run()


async def rotate(surroundings: Surroundings) -> None:
    vault = SimpleNamespace(key_ids={1}, current_id=1)
    await rotating.Rotator(surroundings, cast(Any, vault)).run()


@pytest.mark.parametrize(
    ("agent", "part"),
    [
        (expire, "the expiry of deposits"),
        (ask, "asking again for payouts"),
        (check, "asking the bank"),
        (issue, "the issuing of serials"),
        (rotate, "the rotation of keys"),
    ],
)
async def test_an_agent_that_may_not_read_is_told_with_what_to_do_until_it_may(
    agent: Callable[[Surroundings], Awaitable[None]], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking_again, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(asking_banks, "LOOK_SECONDS", 0.001)
    pool = Pool()
    surroundings = Surroundings(cast(Any, pool), Outbox("orders", {}))

    def lasting() -> list[str]:
        found = surroundings.troubles.lasting(monotonic() + PATIENCE_SECONDS)
        assert all("pawl migrate" in trouble.todo for trouble in found)
        return [trouble.part for trouble in found]

    working = asyncio.create_task(cast(Any, agent(surroundings)))
    try:
        async with asyncio.timeout(5):
            while lasting() != [part]:
                await asyncio.sleep(0.001)
            for owner, name in (
                (expiry, "expire_some"),
                (asking_again, "ask_some"),
                (issuing.Issuer, "_transaction"),
                (rotating.Rotator, "step"),
            ):
                monkeypatch.setattr(owner, name, nothing)
            pool.refuses = False
            while lasting():
                await asyncio.sleep(0.001)
    finally:
        await end_all([working])
