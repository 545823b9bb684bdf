"""The HTTP routes of orders: money in quarantine and what is decided about it, partners that leave."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import orjson
from fastapi import Path, Query
from pydantic import BaseModel

from services.orders.commands import DECIDE, CaseBody
from services.orders.partner_routes import partner_routes
from services.orders.store import SQL, Store
from shared.events.fields import Id, Instant
from shared.operators.deciding import CANNOT_DECIDE, CaseDecision, of_case
from shared.runtime.surroundings import Surroundings
from shared.web.fields import ToldEvent, WireInstant, WireWon
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, Kind, Problem
from shared.web.routes import HttpRoute, RequestedOnce, get, post

PaymentId = Annotated[Id, Path(description="the id of a payment")]

SEVERAL_ORDERS: Final = Kind(
    "several_orders",
    409,
    "Several orders have cases of this payment",
    "the orders {orders} have open cases of it: name one in order_id; nothing was changed",
    "여러 주문에 이 결제의 격리 건이 있습니다",
    "변경된 것은 없습니다. 주문 {orders} 중 하나를 order_id로 지정하십시오",
)


class Proposal(BaseModel):
    """What the case proposes: won to give back, and where to. Null where its event is forgotten."""

    refund: WireWon
    destination: str | None = None


class ShownCase(BaseModel):
    """A case of quarantine. `amount` is negative where money is missing; `decisions` are possible now."""

    order_id: str
    number: int
    payment_id: str
    partner_id: str | None
    reason: str
    amount: WireWon
    opened_at: WireInstant
    order_state: str
    expected: WireWon
    proposal: Proposal | None
    decision: str | None
    settled_at: WireInstant | None
    decisions: list[CaseDecision]


class CasesOfPayment(BaseModel):
    """Every case of a payment, the ended ones too."""

    payment_id: str
    cases: list[ShownCase]


class EndedCase(BaseModel):
    """A case that the decision ends."""

    payment_id: str
    reason: str
    won: WireWon
    decision: str


class Standing(BaseModel):
    """The state of the order, and what waits with the payment: open cases and their won."""

    order: str
    open_cases: int
    won: WireWon


class StandingAfter(Standing):
    """The same after the decision, with the cases that it ends."""

    ruling: CaseDecision
    ended: list[EndedCase]


class DecidedCase(BaseModel):
    """What a decision changes; only shown unless `applied`."""

    order_id: str
    payment_id: str
    decision: CaseDecision
    applied: bool
    before: Standing
    after: StandingAfter
    events: list[ToldEvent]


class Quarantine:
    """The endpoints."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._pool, self._send = surroundings.pool, surroundings.send

    async def list_open(
        self,
        reason: Annotated[Id | None, Query(description="only cases of this reason")] = None,
        partner: Annotated[Id | None, Query(description="only money of this partner")] = None,
        opened_before: Annotated[Instant | None, Query(description="only cases that are older")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Any:
        """Cases that nobody has decided about, the oldest first."""
        last = after(cursor, (-(2**62), "", -1))
        rows = await self._pool.fetch(SQL.open_cases, reason, partner, opened_before, *last, limit + 1)
        shown = [_shown(row) for row in rows]
        return page_of(shown, limit, lambda case: (case["place"], case["order_id"], case["number"]))

    async def look(self, payment_id: PaymentId) -> Any:
        """Every case of a payment: what it holds, what it proposes, and how it ended."""
        rows = await self._pool.fetch(SQL.cases_named, payment_id, None)
        if not rows:
            raise Problem(NOT_FOUND, what=f"payment {payment_id} has no case; see /v1/quarantine")
        return {"payment_id": payment_id, "cases": [_shown(row) for row in rows]}

    async def decide(self, payment_id: PaymentId, body: CaseBody, origin: RequestedOnce) -> Any:
        """Ends the open cases of a payment; only shows what that changes unless `apply`."""
        order_id = body.order_id or await self._order_of(payment_id)
        said = {"reason": body.reason, "dry_run": not body.apply, "subject": payment_id}
        return await self._send(DECIDE, order_id, body, origin, **said)

    async def _order_of(self, payment_id: str) -> str:
        """The one order with open cases of the payment; where all have ended, that of the last one."""
        rows = await self._pool.fetch(SQL.orders_with_cases, payment_id)
        if not rows:
            raise Problem(NOT_FOUND, what=f"payment {payment_id} has no case; see /v1/quarantine")
        still_open = [row["order_id"] for row in rows if row["is_open"]]
        if len(still_open) > 1:
            raise Problem(SEVERAL_ORDERS, orders=", ".join(still_open))
        return str(still_open[0] if still_open else rows[0]["order_id"])


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    case = dict(row)
    case["proposal"] = None if row["proposal"] is None else orjson.loads(row["proposal"])
    is_open = row["decision"] is None
    case["decisions"] = of_case(row["reason"], row["needs_money"]) if is_open else ()
    return case


def http_routes(surroundings: Surroundings, store: Store, archive_years: int) -> Sequence[HttpRoute]:
    """The routes beside those of every service."""
    quarantine, case = Quarantine(surroundings), "/v1/quarantine/{payment_id:path}"
    return [
        get("/v1/quarantine", quarantine.list_open, "ops:read", answers=Page[ShownCase]),
        get(case, quarantine.look, "ops:read", answers=CasesOfPayment),
        post(
            f"{case}/decide",
            quarantine.decide,
            "ops:write",
            answers=DecidedCase,
            problems=[SEVERAL_ORDERS, CANNOT_DECIDE],
        ),
        *partner_routes(surroundings, store, archive_years),
    ]
