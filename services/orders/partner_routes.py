"""Partners over HTTP: what keeps one from leaving, that it leaves, and what partners buy most."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import BaseModel

from services.orders.blockers import document_of
from services.orders.commands import PARTNER_BUSY, WithdrawalBody
from services.orders.decisions.partners import WITHDRAW
from services.orders.decisions.ranking import window_start
from services.orders.purging import PURGE, PurgeBody, purge_partners
from services.orders.store import SQL, Store
from shared.clock import now
from shared.events.fields import Id
from shared.operators.todo import Who
from shared.runtime.surroundings import Surroundings
from shared.web.callers import Caller
from shared.web.fields import ToldEvent, WireInstant
from shared.web.problems import NOT_FOUND, Problem
from shared.web.routes import Asking, HttpRoute, Requested, RequestedOnce, get, post

PartnerId = Annotated[Id, Path(description="the id of a partner")]

MOST: Final = 100
"""So many products are ranked at most."""
Window = Annotated[str, Query(pattern=r"^(?:[1-9]|1[0-2])m$", description="months up to now: 1m to 12m")]


class ShownBlocker(BaseModel):
    """Something unfinished that keeps a partner from leaving.

    `quantity` are units of the line; both are null where it is not about units. `who` ends it, `command`
    shows it, `link` explains it.
    """

    kind: str
    order_id: str
    line_id: str | None
    quantity: int | None
    who: Who
    what_to_do: str
    what_to_do_ko: str
    command: str
    link: str


class Preflight(BaseModel):
    """Whether a partner may leave now. `withdrawn_at` is null unless it has left."""

    partner_id: str
    can_withdraw: bool
    withdrawn_at: WireInstant | None
    blockers: list[ShownBlocker]


class Withdrawal(BaseModel):
    """What became of a withdrawal; only shown unless `applied`. Refused while there are `blockers`."""

    partner_id: str
    applied: bool
    withdrawn_at: str | None
    blockers: list[ShownBlocker]
    events: list[ToldEvent]


class PurgedPartner(BaseModel):
    """A partner whose archive is over; nothing names it any more."""

    partner_id: str
    orders: int
    withdrawn_at: str
    archived_until: str


class UnfinishedPartner(BaseModel):
    """A partner whose archive is over, and that is named until these are over."""

    partner_id: str
    blockers: list[ShownBlocker]


class Purge(BaseModel):
    """Who was purged; only shown unless `applied`. `left` are due too, and for another request."""

    applied: bool
    partners: list[PurgedPartner]
    left: int
    unfinished: list[UnfinishedPartner]
    events: list[ToldEvent]


class RankedProduct(BaseModel):
    """A product, by the number of its paid orders; its name is that of the latest one, `last_sold_at`."""

    rank: int
    product_id: str
    product_name: str
    orders: int
    last_sold_at: WireInstant


class Ranking(BaseModel):
    """The products that sell most since an instant; orders whose money is back do not count."""

    window: str
    since: WireInstant
    items: list[RankedProduct]


class Partners:
    """The endpoints. A token that is limited to a partner may ask for that partner."""

    def __init__(self, surroundings: Surroundings, store: Store, archive_years: int) -> None:
        self._pool, self._send, self._store = surroundings.pool, surroundings.send, store
        self._send_alone, self._archive_years = surroundings.send_alone, archive_years

    async def preflight(self, partner_id: PartnerId, caller: Asking) -> Any:
        """Everything that keeps a partner from leaving, with what to do about it."""
        _require_own(caller, partner_id)
        standing = await self._standing(partner_id)
        async with self._pool.acquire() as connection:
            found = await self._store.blockers_of(connection, [partner_id])
        blockers = [] if standing["withdrawn_at"] else found.get(partner_id, [])
        return {
            "partner_id": partner_id,
            "can_withdraw": not blockers and standing["withdrawn_at"] is None,
            "withdrawn_at": standing["withdrawn_at"],
            "blockers": [document_of(blocker) for blocker in blockers],
        }

    async def withdraw(self, partner_id: PartnerId, body: WithdrawalBody, origin: RequestedOnce) -> Any:
        """Has a partner leave for good, or lists what keeps it; only shows which unless `apply`."""
        _require_own(origin.caller, partner_id)
        await self._standing(partner_id)
        said = {"reason": body.reason, "dry_run": not body.apply}
        return await self._send(WITHDRAW, partner_id, body, origin, **said)

    async def purge(self, body: PurgeBody, origin: Requested) -> Any:
        """Erases what names partners whose archive is over; only shows whom unless `apply`."""
        said = {"reason": body.reason}
        work = partial(purge_partners, self._store, self._archive_years)
        return await self._send_alone(PURGE, "partners", body, origin, work, **said, dry_run=not body.apply)

    async def rank(
        self,
        window: Window = "3m",
        limit: Annotated[int, Query(ge=1, le=MOST, description="how many at most")] = 10,
    ) -> Any:
        """The products with most orders; ties by the latest sale, then by id."""
        since = window_start(now(), int(window.removesuffix("m")))
        rows = await self._pool.fetch(SQL.ranking, since, limit)
        items = [{"rank": number, **dict(row)} for number, row in enumerate(rows, start=1)]
        return {"window": window, "since": since, "items": items}

    async def _standing(self, partner_id: str) -> Any:
        standing = await self._pool.fetchrow(SQL.standing_of_partner, partner_id)
        if not standing["is_known"]:
            raise _unknown(partner_id)
        return standing


def _require_own(caller: Caller, partner_id: str) -> None:
    if not caller.may_see(partner_id):
        raise _unknown(partner_id)


def _unknown(partner_id: str) -> Problem:
    return Problem(NOT_FOUND, what=f"there is no partner {partner_id}; pawl find WORD looks for one")


def partner_routes(surroundings: Surroundings, store: Store, archive_years: int) -> Sequence[HttpRoute]:
    """The routes about partners; one that left is named on its orders for `archive_years`."""
    partners, partner = Partners(surroundings, store, archive_years), "/v1/partners/{partner_id:path}"
    return [
        post("/v1/partners/purge", partners.purge, "partners:manage", answers=Purge),
        get("/v1/rankings", partners.rank, "partners:read", answers=Ranking),
        get(
            f"{partner}/withdrawal-preflight",
            partners.preflight,
            "partners:read",
            answers=Preflight,
            partners=True,
            after_leaving=True,
        ),
        post(
            f"{partner}/withdrawal",
            partners.withdraw,
            "partners:manage",
            answers=Withdrawal,
            partners=True,
            after_leaving=True,
            problems=[PARTNER_BUSY],
        ),
    ]
