"""Is a business still active? The port to who knows (휴폐업 조회), and its HTTP adapter.

The contract of the adapter (docs/tax-agent.md):

    POST URL   {"business_numbers": ["1168200276"]}
    200        {"businesses": [{"business_number": "1168200276", "state": "active"}]}

with `active`, `suspended` (휴업), `closed` (폐업) or `unregistered`. What is not in the answer, and all of it
when there is none, is `unavailable`: it stands in nobody's way.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, get_args

import structlog

from services.invoices.posting import NoAnswer, Poster, RateLimited

BusinessState = Literal["active", "suspended", "closed", "unregistered", "unavailable"]
STATES: Final[tuple[BusinessState, ...]] = get_args(BusinessState)

log = structlog.get_logger("pawl.invoices.business_registry")


class BusinessRegistry(Protocol):
    """Says how businesses stand. It never raises for a registry that is down."""

    async def look_up(self, numbers: Sequence[str]) -> Mapping[str, BusinessState]:
        """The state of each of at most 100 business numbers; what is missing is `unavailable`."""


class NoRegistry:
    """Nobody is asked."""

    async def look_up(self, numbers: Sequence[str]) -> Mapping[str, BusinessState]:
        """Nothing is known of them."""
        return {}


class HttpBusinessRegistry:
    """Asks over HTTP."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def look_up(self, numbers: Sequence[str]) -> Mapping[str, BusinessState]:
        """Asks once."""
        try:
            answer = await self._poster.post("", {"business_numbers": list(numbers)})
            rows = answer["businesses"]
            return {row["business_number"]: row["state"] for row in rows if row["state"] in STATES}
        except (NoAnswer, RateLimited, KeyError, TypeError) as trouble:
            log.warning("the registry of businesses does not answer", why=type(trouble).__name__)
            return {}
