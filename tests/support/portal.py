"""What a partner's portal asks of the running refunds service over HTTP, many requests at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from ops.local.running import RunningSystem
from ops.shell.tokens import token_of
from tests.support.patience import PATIENCE

AT_ONCE = 100


class Portal:
    """Asks for refunds with a token of its own. An answer is the refund as it stands then."""

    def __init__(self, refunds: httpx.AsyncClient) -> None:
        self._refunds = refunds

    async def asks_refund(self, document: dict[str, Any]) -> dict[str, Any]:
        """Asks by the document of `refund.requested`; a service that refuses it fails the test."""
        answer = await self._refunds.post("/v1/refunds", json=document)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said


@asynccontextmanager
async def portal_of(system: RunningSystem) -> AsyncIterator[Portal]:
    """A portal with as many connections as it may ask at once."""
    token = token_of(system.system, "refunds:request")
    async with httpx.AsyncClient(
        base_url=system.system.service("refunds").base_url,
        headers={"authorization": f"Bearer {token}"},
        limits=httpx.Limits(max_connections=AT_ONCE),
        timeout=PATIENCE,
    ) as refunds:
        yield Portal(refunds)
