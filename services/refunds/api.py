"""The HTTP routes of refunds: look at one, and decide about it."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel

from services.refunds.commands import PREFIX, ApprovalBody, DecisionBody, ProofBody
from services.refunds.forgetting import forgetting_routes
from services.refunds.paying_by_hand import payout_routes
from services.refunds.policies.app_stores import stores_document
from services.refunds.policies.holders import proof_of
from services.refunds.policies.holds import next_step
from services.refunds.store import SQL, Store
from shared.business_days import legal_refund_day
from shared.clock import now
from shared.kst import kst_date
from shared.late_interest import lateness
from shared.operators.deciding import CANNOT_DECIDE, RefundDecision, of_refund
from shared.runtime.surroundings import Surroundings
from shared.web.callers import Origin
from shared.web.fields import ToldEvent, WireInstant, WireWon
from shared.web.problems import NOT_FOUND, Problem
from shared.web.routes import Asking, HttpRoute, RequestedOnce, get, post

RefundId = Annotated[UUID, Path(description="the id of a refund")]


class Units(BaseModel):
    """Units of a line that the refund is for."""

    line_id: str
    quantity: int


class Step(BaseModel):
    """A change of the refund. Who made it, and their note, are not shown to its partner."""

    state: str
    at: WireInstant
    reason: str
    actor: str | None
    note: str | None


class ShownPayout(BaseModel):
    """Money that went out for it."""

    payout_id: str
    state: Literal["paid", "bounced", "twice", "returned"]
    amount: WireWon | None
    paid_out_at: WireInstant | None


class ShownProof(BaseModel):
    """The proof that a holder with another name needs: its kind, and what to hand in."""

    kind: str
    what_to_do: str
    what_to_do_ko: str


class ShownStore(BaseModel):
    """An app store, and the page from which it is asked for a refund."""

    store: str
    link: str


class ShownLateness(BaseModel):
    """So many days past the legal day, and the won of interest for them, if the buyer is a consumer."""

    days: int
    interest: WireWon


class ShownRefund(BaseModel):
    """A refund with every step of it. `decisions` are possible in its state; ungranted, its won are null.

    It is in its state for `why` since `since`. Where it waits for somebody outside, `next` is what has to
    come, and `deadline` by when; `proof` is which one where that is a proof, `stores` are the app stores to
    ask where only they can refund it. Past the legal day an operator sees the interest of a consumer,
    counted to the payout, else to today.
    """

    refund_id: UUID
    refund_request_id: str
    order_id: str
    partner_id: str
    state: str
    why: str | None
    since: WireInstant
    next: str | None
    deadline: WireInstant | None
    proof: ShownProof | None
    stores: list[ShownStore]
    reason: str
    requested_by: str
    requested_at: WireInstant
    everything: bool
    destination_kind: str
    destination_masked: str | None
    supply: WireWon | None
    vat: WireWon | None
    fee: WireWon
    amount: WireWon | None
    expected_on: date | None
    legal_on: date
    late: ShownLateness | None
    completed_at: WireInstant | None
    lines: list[Units]
    payouts: list[ShownPayout]
    steps: list[Step]
    decisions: list[RefundDecision]


class Standing(BaseModel):
    """The state of a refund, why it is in it, and the won that it pays; null while they are not known."""

    state: str
    why: str | None
    won: WireWon | None


class DecidedRefund(BaseModel):
    """What a decision changes; only shown unless `applied`."""

    refund_id: UUID
    refund_request_id: str
    order_id: str
    decision: RefundDecision
    applied: bool
    before: Standing
    after: Standing
    events: list[ToldEvent]


class Refunds:
    """The endpoints."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._pool, self._send = surroundings.pool, surroundings.send

    async def look(self, refund_id: RefundId, caller: Asking) -> Any:
        """A refund: its state and why, its units and won, its dates, every step, and what may be decided."""
        row = await self._pool.fetchrow(SQL.refund_to_show, refund_id)
        if row is None or not caller.may_see(row["partner_id"]):
            raise _no_such(refund_id)
        steps = [dict(step) for step in await self._pool.fetch(SQL.steps_of_refund, refund_id)]
        legal_on = legal_refund_day(kst_date(row["returned_at"] or row["requested_at"]))
        if caller.partner_id is not None:
            steps = [{**step, "actor": None, "note": None} for step in steps]
        return {
            **row,
            "legal_on": legal_on,
            "late": _lateness(row, legal_on) if caller.partner_id is None else None,
            "proof": proof_of(row["mismatch"])._asdict() if row["why"] == "holder_mismatch" else None,
            "stores": stores_document() if row["why"] == "app_store" else [],
            "lines": await self._rows(SQL.lines_of_refund, refund_id),
            "payouts": await self._rows(SQL.payouts_of_refund, refund_id),
            "steps": steps,
            "next": next_step(row["state"], row["why"]),
            "since": steps[-1]["at"],
            "decisions": of_refund(row["state"], row["why"]),
        }

    async def proof(self, refund_id: RefundId, body: ProofBody, origin: RequestedOnce) -> Any:
        """Attaches a proof that the account is the buyer's; only shows what that changes unless `apply`."""
        return await self._decide("proof", refund_id, body, origin)

    async def approve(self, refund_id: RefundId, body: ApprovalBody, origin: RequestedOnce) -> Any:
        """Approves what is in review; only shows what that changes unless `apply`."""
        return await self._decide("approve", refund_id, body, origin)

    async def reject(self, refund_id: RefundId, body: DecisionBody, origin: RequestedOnce) -> Any:
        """Rejects what is held or in review; only shows what that changes unless `apply`."""
        return await self._decide("reject", refund_id, body, origin)

    async def withdraw(self, refund_id: RefundId, body: DecisionBody, origin: RequestedOnce) -> Any:
        """Ends what its requester wants no more; only shows what that changes unless `apply`."""
        return await self._decide("withdraw", refund_id, body, origin)

    async def retry(self, refund_id: RefundId, body: DecisionBody, origin: RequestedOnce) -> Any:
        """Asks checkout to pay once more; only shows what that changes unless `apply`."""
        return await self._decide("retry", refund_id, body, origin)

    async def release(self, refund_id: RefundId, body: DecisionBody, origin: RequestedOnce) -> Any:
        """Gives a failed payout up; only shows what that changes unless `apply`."""
        return await self._decide("release", refund_id, body, origin)

    async def _decide(
        self, decision: RefundDecision, refund_id: UUID, body: DecisionBody, origin: Origin
    ) -> Any:
        order_id = await self._pool.fetchval(SQL.order_of_refund, refund_id)
        if order_id is None:
            raise _no_such(refund_id)
        said = {"reason": body.reason, "dry_run": not body.apply, "subject": str(refund_id)}
        return await self._send(f"{PREFIX}{decision}", order_id, body, origin, **said)

    async def _rows(self, query: str, refund_id: UUID) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._pool.fetch(query, refund_id)]


def _lateness(row: Any, legal_on: date) -> dict[str, int] | None:
    completed_on = kst_date(row["completed_at"]) if row["completed_at"] else None
    late = lateness(row["amount"], row["state"], legal_on, completed_on, kst_date(now()))
    return None if late is None else {"days": late.days, "interest": late.won}


def _no_such(refund_id: UUID) -> Problem:
    return Problem(NOT_FOUND, what=f"there is no refund {refund_id}; pawl find WORD looks for one")


def http_routes(surroundings: Surroundings, store: Store) -> Sequence[HttpRoute]:
    """The routes beside those of every service."""
    refunds, refund = Refunds(surroundings), "/v1/refunds/{refund_id}"
    decisions = (
        ("proof", refunds.proof),
        ("approve", refunds.approve),
        ("reject", refunds.reject),
        ("withdraw", refunds.withdraw),
        ("retry", refunds.retry),
        ("release", refunds.release),
    )
    return [
        get(refund, refunds.look, "refunds:read", answers=ShownRefund, partners=True),
        *(
            post(
                f"{refund}/{name}", decide, "refunds:manage", answers=DecidedRefund, problems=[CANNOT_DECIDE]
            )
            for name, decide in decisions
        ),
        *payout_routes(surroundings, store),
        *forgetting_routes(surroundings, store),
    ]
