"""The HTTP routes of refunds: look at one, and decide about it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Path, Query
from pydantic import BaseModel

from services.refunds.asking import ShownStore, asking_routes
from services.refunds.commands import PREFIX, ApprovalBody, DecisionBody, ProofBody, ReviewBody
from services.refunds.forgetting import forgetting_routes
from services.refunds.paying_by_hand import payout_routes
from services.refunds.policies.app_stores import stores_to_ask
from services.refunds.policies.destinations import expected_payout, expected_until
from services.refunds.policies.explaining import NOTHING_NEXT, step_of, words_of
from services.refunds.policies.holders import proof_of
from services.refunds.state import RefundState
from services.refunds.store import SQL, Store
from services.refunds.todo import ON_THEIR_WAY, WAITING
from shared.business_days import last_overdue_day, legal_refund_day
from shared.clock import now
from shared.events.faults import Fault
from shared.events.fields import Id, Instant
from shared.kst import kst_date
from shared.late_interest import lateness
from shared.operators.deciding import CANNOT_DECIDE, RefundDecision, of_refund
from shared.runtime.surroundings import Surroundings
from shared.web.callers import Caller, Origin
from shared.web.fields import ToldEvent, WireInstant, WireWon
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, WRONG_PARAMETER, Problem, of_faults
from shared.web.routes import Asking, HttpRoute, RequestedOnce, get, post

NOT_ENDED: Final = [*WAITING, *ON_THEIR_WAY]
BEFORE_PAYOUT: Final = frozenset({"requested", "held", "in_review", "accepted", "granted"})
"""States in which nobody was asked yet to pay."""
EARLIEST: Final = -(2**51)
"""Microseconds from 1970 back to before all requests; as many on are after all of them."""
LISTS: Final = ("waiting", "overdue", *WAITING)
"""All that are not at their end, those whose day went by, and those of each state that waits for somebody."""
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


class ShownLateness(BaseModel):
    """So many days past the legal day, and the won of interest for them, if the buyer is a consumer."""

    days: int
    interest: WireWon


class ListedRefund(BaseModel):
    """A refund as it stands. Ungranted, its won are null.

    It is in its state for `why` since `since`. `next` is what has to come, by `deadline` where there is one,
    and `who` does it: null where it comes by itself. `why_text` is null for what only checkout knows.
    `proof` is which one it waits for, `stores` are the app stores to ask where only they can refund it. Past
    the legal day an operator sees the interest of a consumer (`late`), counted to the payout, else to today.
    The money is expected from `expected_on` to `expected_until`; as long as nobody was asked to pay, these
    are the days if that were done now. `overdue`: its deadline went by.
    """

    refund_id: UUID
    refund_request_id: str
    order_id: str
    partner_id: str
    state: str
    why: str | None
    why_text: str | None
    why_text_ko: str | None
    since: WireInstant
    next: str | None
    who: Literal["operator", "finance", "partner", "checkout"] | None
    what_to_do: str | None
    what_to_do_ko: str | None
    deadline: WireInstant | None
    overdue: bool
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
    expected_until: date | None
    legal_on: date
    late: ShownLateness | None
    completed_at: WireInstant | None


class ListOfRefunds(BaseModel):
    """How many refunds are on a list, and since when the oldest is in its state.

    `name` is waiting (all that are not at their end), overdue, or a state that somebody has to end. `won` are
    those that are granted; null where none is.
    """

    name: str
    count: int
    won: WireWon | None
    since: WireInstant | None


class ListsOfRefunds(BaseModel):
    """The lists, from the widest on."""

    items: list[ListOfRefunds]


class ShownRefund(ListedRefund):
    """A refund with every step of it. `decisions` are possible in its state."""

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

    async def page(
        self,
        caller: Asking,
        partner: Annotated[Id | None, Query(description="only those of this partner")] = None,
        partner_id: Annotated[Id | None, Query(description="another name of partner")] = None,
        state: Annotated[RefundState | None, Query(description="only those in this state")] = None,
        waiting: Annotated[bool, Query(description="only those that are not at their end")] = False,
        since: Annotated[Instant | None, Query(description="only those asked for since then")] = None,
        overdue: Annotated[bool, Query(description="only those that wait and whose day went by")] = False,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Any:
        """Refunds, the oldest request first; a partner sees its own."""
        if None not in (partner, partner_id) and partner != partner_id:
            raise of_faults([Fault("inconsistent", "/partner_id", "partner and partner_id are two partners")])
        partner = partner or partner_id
        if partner is not None and not caller.may_see(partner):
            return page_of([], limit, _place)
        partner = caller.partner_id or partner
        # The statement itself names the states that wait: told twice, Postgres would expect few rows.
        asked = (partner, [state] if state else None, since, *_behind(cursor), limit + 1)
        if overdue or state in NOT_ENDED or (waiting and state is None):
            late_at = _late_at() if overdue else (None, None)
            rows = await self._pool.fetch(SQL.waiting_refunds_in_turn, *asked, *late_at)
        else:
            rows = await self._pool.fetch(SQL.refunds_in_turn, *asked)
        return page_of([_shown(row, caller) for row in rows], limit, _place)

    async def lists(self) -> Any:
        """How many refunds wait, are overdue and are in each state that somebody has to end."""
        rows = await self._pool.fetch(SQL.count_waiting_refunds, *_late_at())
        return {"items": [_list(name, rows) for name in LISTS]}

    async def look(self, refund_id: RefundId, caller: Asking) -> Any:
        """A refund: its state and why, its units and won, its dates, every step, and what may be decided."""
        row = await self._pool.fetchrow(SQL.refund_to_show, refund_id)
        if row is None or not caller.may_see(row["partner_id"]):
            raise _no_such(refund_id)
        steps = [dict(step) for step in await self._pool.fetch(SQL.steps_of_refund, refund_id)]
        if caller.partner_id is not None:
            steps = [{**step, "actor": None, "note": None} for step in steps]
        return {
            **_shown(row, caller),
            "lines": await self._rows(SQL.lines_of_refund, refund_id),
            "payouts": await self._rows(SQL.payouts_of_refund, refund_id),
            "steps": steps,
            "decisions": of_refund(row["state"], row["why"]),
        }

    async def proof(self, refund_id: RefundId, body: ProofBody, origin: RequestedOnce) -> Any:
        """Attaches a proof that the account is the buyer's; only shows what that changes unless `apply`."""
        return await self._decide("proof", refund_id, body, origin)

    async def review(self, refund_id: RefundId, body: ReviewBody, origin: RequestedOnce) -> Any:
        """Approves, rejects or withdraws; only shows what that changes unless `apply`."""
        if body.decision == "approve":
            approval = ApprovalBody(reason=body.reason, apply=body.apply, amount=body.amount)
            return await self._decide("approve", refund_id, approval, origin)
        if body.amount is not None:
            detail = f"amount is for an approval, not to {body.decision}"
            raise of_faults([Fault("inconsistent", "/amount", detail)])
        decision = DecisionBody(reason=body.reason, apply=body.apply)
        return await self._decide(body.decision, refund_id, decision, origin)

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
        row = await self._pool.fetchrow(SQL.order_of_refund, refund_id)
        if row is None or not origin.caller.may_see(row["partner_id"]):
            raise _no_such(refund_id)
        said = {"reason": body.reason, "dry_run": not body.apply, "subject": str(refund_id)}
        return await self._send(f"{PREFIX}{decision}", row["order_id"], body, origin, **said)

    async def _rows(self, query: str, refund_id: UUID) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._pool.fetch(query, refund_id)]


def _late_at() -> tuple[datetime, date]:
    """The present instant, and the last Seoul day since which won are owed whose legal day is over."""
    at = now()
    return at, last_overdue_day(kst_date(at))


def _list(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A list with those of its refunds; `rows` are of `count_waiting_refunds`."""
    those = [
        row for row in rows if name in ("waiting", row["state"]) or (name == "overdue" and row["is_overdue"])
    ]
    won = [row["won"] for row in those if row["won"] is not None]
    return {
        "name": name,
        "count": sum(row["count"] for row in those),
        "won": sum(won) if won else None,
        "since": min((row["since"] for row in those), default=None),
    }


def _shown(row: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """A refund with its legal day, why in words, and what comes next."""
    words, step = words_of(row["why"]), step_of(row["state"], row["why"])
    legal_on = legal_refund_day(kst_date(row["returned_at"] or row["requested_at"]))
    first, last = _expected(row)
    return {
        **row,
        "overdue": row["deadline"] is not None and row["deadline"] < now(),
        "expected_on": first,
        "expected_until": last,
        "legal_on": legal_on,
        "late": _lateness(row, legal_on) if caller.partner_id is None else None,
        "proof": proof_of(row["mismatch"])._asdict() if row["why"] == "holder_mismatch" else None,
        "stores": stores_to_ask(row["why"]),
        "why_text": words and words.text,
        "why_text_ko": words and words.text_ko,
        **(NOTHING_NEXT if step is None else step.document()),
    }


def _place(refund: Mapping[str, Any]) -> tuple[int, str]:
    return refund["place"], str(refund["refund_id"])


def _behind(cursor: str | None) -> tuple[int, UUID]:
    """What the page begins behind. Raises Problem (400)."""
    place, refund_id = after(cursor, (EARLIEST, str(UUID(int=0))))
    try:
        return max(EARLIEST, min(place, -EARLIEST)), UUID(refund_id)
    except ValueError:
        rule = "send `next` of the page before"
        raise Problem(WRONG_PARAMETER, name="cursor", place="query", rule=rule) from None


def _expected(row: Mapping[str, Any]) -> tuple[date | None, date | None]:
    """The first and the last day on which the money is expected; None where none will be paid."""
    kind, told = row["destination_kind"], row["expected_on"]
    if told is None:
        return expected_payout(kind, now()) if row["state"] in BEFORE_PAYOUT else (None, None)
    return told, told if row["amount"] == 0 else expected_until(kind, told)


def _lateness(row: Mapping[str, Any], legal_on: date) -> dict[str, int] | None:
    completed_on = kst_date(row["completed_at"]) if row["completed_at"] else None
    late = lateness(row["amount"], row["state"], legal_on, completed_on, kst_date(now()))
    return None if late is None else {"days": late.days, "interest": late.won}


def _no_such(refund_id: UUID) -> Problem:
    return Problem(NOT_FOUND, what=f"there is no refund {refund_id}; pawl find WORD looks for one")


def http_routes(surroundings: Surroundings, store: Store, *, card_is_slip: bool) -> Sequence[HttpRoute]:
    """The routes beside those of every service. A card payment has no tax invoice where `card_is_slip`."""
    refunds, refund = Refunds(surroundings), "/v1/refunds/{refund_id}"
    decisions = (
        ("proof", refunds.proof),
        ("review", refunds.review),
        ("approve", refunds.approve),
        ("reject", refunds.reject),
        ("withdraw", refunds.withdraw),
        ("retry", refunds.retry),
        ("retry-payout", refunds.retry),
        ("release", refunds.release),
    )
    return [
        *asking_routes(surroundings, store, card_is_slip=card_is_slip),
        get("/v1/refunds", refunds.page, "refunds:read", answers=Page[ListedRefund], partners=True),
        get("/v1/refund-lists", refunds.lists, "refunds:read", answers=ListsOfRefunds),
        get(refund, refunds.look, "refunds:read", answers=ShownRefund, partners=True),
        *(
            post(
                f"{refund}/{name}", decide, "refunds:manage", answers=DecidedRefund, problems=[CANNOT_DECIDE]
            )
            for name, decide in decisions
        ),
        post(
            f"{refund}/proofs",
            refunds.proof,
            "refunds:request",
            answers=DecidedRefund,
            partners=True,
            problems=[CANNOT_DECIDE],
        ),
        *payout_routes(surroundings, store),
        *forgetting_routes(surroundings, store),
    ]
