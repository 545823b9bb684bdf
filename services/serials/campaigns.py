"""What became of the serials of a partner or an order: registered, open, expired, dead."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

from services.serials.registering import Product
from services.serials.store import SQL
from shared.clock import now
from shared.events.fields import Id
from shared.kst import kst_date
from shared.runtime.surroundings import Surroundings
from shared.web.fields import WireInstant
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import WRONG_PARAMETER, Problem
from shared.web.routes import Asking, HttpRoute, get

FIRST_PAGE: Final = ("00000000-0000-0000-0000-000000000000",)


class CampaignGrant(BaseModel):
    """The serials of one grant: `live` are those that did not die, and each of them is in one state.

    `expired` will never be used. `days_left` are days in Seoul until the registration window ends, 0 on its
    last day, negative after it.
    """

    grant_id: UUID
    order_id: str
    partner_id: str
    line_id: str
    product: Product
    quantity: int
    issued: int
    live: int
    registered: int
    active: int
    expired: int
    revoked: int
    reissued: int
    registration_deadline: WireInstant
    days_left: int


class Campaigns:
    """The endpoint."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._pool = surroundings.pool

    async def list_grants(
        self,
        caller: Asking,
        partner: Annotated[Id | None, Query(description="the grants of this partner")] = None,
        order: Annotated[Id | None, Query(description="the grants of this order")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Any:
        """What became of the serials of a partner or of an order, a row for each grant."""
        if partner is None and order is None:
            rule = "name a partner, an order, or both"
            raise Problem(WRONG_PARAMETER, name="partner", place="query", rule=rule)
        whose = caller.partner_id if partner is None else partner
        (last,) = after(cursor, FIRST_PAGE)
        is_seen, at = caller.may_see(whose), now()
        rows = await self._pool.fetch(SQL.campaign, whose, order, _id_of(last), limit + 1) if is_seen else []
        shown = [campaign_document(row, at) for row in rows]
        return page_of(shown, limit, lambda row: (str(row["grant_id"]),))


def campaign_document(row: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The figures of a grant at an instant. What is neither registered nor dead is active, or has expired."""
    live = row["issued"] + row["reissued"] - row["revoked"]
    registered = row["registered"] if row["expired"] is None else live - row["expired"]
    is_over = at > row["registration_deadline"]
    return {
        **row,
        "product": {name: row[name] for name in Product.model_fields},
        "live": live,
        "registered": registered,
        "active": 0 if is_over else live - registered,
        "expired": live - registered if is_over else 0,
        "days_left": (kst_date(row["registration_deadline"]) - kst_date(at)).days,
    }


def _id_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        rule = "send `next` of the page before"
        raise Problem(WRONG_PARAMETER, name="cursor", place="query", rule=rule) from None


def campaign_routes(surroundings: Surroundings) -> Sequence[HttpRoute]:
    """The route of campaigns."""
    listed = Campaigns(surroundings).list_grants
    return [get("/v1/campaigns", listed, "serials:read", answers=Page[CampaignGrant], partners=True)]
