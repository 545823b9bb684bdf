"""Money that does not fit, or is missing: a case opens with a proposal, and ends once, by somebody's word."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from services.orders.decisions.claims import pay_lines
from services.orders.decisions.issuance import claim_by_policy
from services.orders.events import (
    UnnumberedEvent,
    decided,
    order_paid,
    payment_quarantined,
    quarantine_settled,
)
from services.orders.state import Case, Order, OrderState
from shared.events.refunds import RefundOverpaid, RefundPaidTwice, RefundUnderpaid
from shared.operators.deciding import of_case
from shared.runtime.decisions import Decided, Decision, Reject, Wait

GATEWAY: Final = frozenset({"card", "mycash"})
"""Methods whose refunds go back through the payment gateway, which then tells of a cancellation."""
MISSING: Final = frozenset(
    {
        "cancelled_after_issue",
        "cancelled_after_refund",
        "partly_cancelled",
        "payout_twice",
        "used_after_refund",
    }
)
"""The reasons of cases about money that is missing; the others hold money that is here."""
OF_REFUNDS: Final = frozenset({"payout_twice", "used_after_refund", "bonus_after_refund"})
"""The reasons of cases about what refunds paid out, too much or too little: no payment brings it back."""
MOST_TOGETHER: Final = 1_000
"""So many payments pay an order together at most: `order.paid` names all of them."""

_DESTINATIONS: Final = {
    "card": "original_card",
    "mycash": "mycash",
    "bank_transfer": "bank_account",
    "virtual_account": "bank_account",
    "app_store": "app_store",
}


class Ruling(NamedTuple):
    """What an operator decided about the money of a payment that came for an order: a `CaseDecision`."""

    order_id: str
    payment_id: str
    decision: str
    decided_at: datetime


def open_case(
    order: Order,
    payment_id: str,
    reason: str,
    amount: int,
    at: datetime,
    *,
    method: str | None = None,
    partner_id: str | None = None,
    content: bytes | None = None,
) -> tuple[Order, UnnumberedEvent]:
    """A case of so many won (negative where they are missing) that came or went at this instant.

    Money that is here is proposed to go back the way it came, by the payment `method` of its payment.
    """
    number = len(order.cases)
    case = Case(
        order.order_id, number, payment_id, reason, amount, at, partner_id or order.partner_id, content
    )
    refund = 0 if reason in MISSING else amount
    destination = _DESTINATIONS.get(method or order.payment_method) if refund else None
    quarantined = payment_quarantined(order, case, refund, destination)
    return replace(order, cases={**order.cases, number: case}), quarantined


def open_cases(order: Order, payment_id: str) -> Iterator[Case]:
    """The open cases of a payment, oldest first."""
    return (case for case in order.cases.values() if case.payment_id == payment_id and case.is_open)


def holds_money(case: Case) -> bool:
    """Whether a case is about money of its payment that is here, or was."""
    return case.reason not in MISSING and case.reason not in OF_REFUNDS


def settle_cases(
    order: Order, cases: Iterable[Case], decision: str, at: datetime
) -> tuple[Order, list[UnnumberedEvent]]:
    """Ends these cases, each with its event."""
    settled = [replace(case, decision=decision, settled_at=at) for case in cases]
    kept = {**order.cases, **{case.number: case for case in settled}}
    return replace(order, cases=kept), [quarantine_settled(order, case) for case in settled]


def record_paid_twice(order: Order | None, data: RefundPaidTwice) -> Decision[Order]:
    """Money of a refund left that nobody was owed. It is missing: a case holds it as a negative amount."""
    if order is None:
        return Wait(f"order {data.order_id} to be known")
    order, quarantined = open_case(order, data.payment_id, "payout_twice", -data.amount, data.paid_out_at)
    return decided(order, quarantined)


def record_overpaid(order: Order | None, data: RefundOverpaid) -> Decision[Order]:
    """A refund gave back what had been used. It is missing: a case holds it as a negative amount."""
    if order is None:
        return Wait(f"order {data.order_id} to be known")
    order, quarantined = open_case(order, data.payment_id, "used_after_refund", -data.amount, data.used_at)
    return decided(order, quarantined)


def record_underpaid(order: Order | None, data: RefundUnderpaid) -> Decision[Order]:
    """A refund would have given back more: a case proposes to give the rest back, by the way it came."""
    if order is None:
        return Wait(f"order {data.order_id} to be known")
    order, quarantined = open_case(order, data.payment_id, "bonus_after_refund", data.amount, data.told_at)
    return decided(order, quarantined)


def decide_quarantine(
    order: Order | None, ruling: Ruling, at: datetime, new_ids: Iterable[UUID]
) -> Decision[Order]:
    """An operator decided about the money of a payment: every open case of it ends.

    `applied` pays the order with all its open cases `wrong_amount`, when they come to what it costs. The same
    decision again changes nothing.
    """
    if order is None:
        return Wait(f"order {ruling.order_id} to be known")
    cases = list(open_cases(order, ruling.payment_id))
    if not cases:
        return _decide_again(order, ruling)
    if ruling.decision == "applied":
        return _apply(order, ruling, at, new_ids)
    order, events = settle_cases(order, cases, ruling.decision, ruling.decided_at)
    return decided(order, *events)


def possible(order: Order, payment_id: str) -> list[str]:
    """What may be decided about the open cases of a payment."""
    named = (of_case(case.reason, order.needs_money) for case in open_cases(order, payment_id))
    return list(dict.fromkeys(decision for of_one in named for decision in of_one))


def changes(before: Order, after: Order, ruling: Ruling) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a decision about a payment has changed: the order, and the won that wait with this payment."""
    payment_id = ruling.payment_id
    ended = [
        {"reason": case.reason, "won": case.amount, "decision": case.decision, "payment_id": case.payment_id}
        for number, case in after.cases.items()
        if case is not before.cases.get(number)
    ]
    now = {**_standing(after, payment_id), "ruling": ruling.decision, "ended": ended}
    return _standing(before, payment_id), now


def _standing(order: Order, payment_id: str) -> dict[str, Any]:
    cases = list(open_cases(order, payment_id))
    return {"order": str(order.state), "open_cases": len(cases), "won": sum(case.amount for case in cases)}


def _decide_again(order: Order, ruling: Ruling) -> Decision[Order]:
    ended = [case for case in order.cases.values() if case.payment_id == ruling.payment_id]
    if any(case.decision == ruling.decision for case in ended):
        return Decided(order)
    why = f"it ended as {ended[-1].decision}" if ended else f"order {order.order_id} never had one"
    detail = f"payment {ruling.payment_id} has no open case: {why}; decide only about a case that is open"
    return Reject("inconsistent", "/payment_id", detail)


def _apply(order: Order, ruling: Ruling, at: datetime, new_ids: Iterable[UUID]) -> Decision[Order]:
    fitting = [case for case in order.cases.values() if case.is_open and case.reason == "wrong_amount"]
    own = [case for case in fitting if case.payment_id == ruling.payment_id]
    chosen = own if sum(case.amount for case in own) == order.expected else fitting
    come_to = sum(case.amount for case in chosen)
    if not own:
        return _not_applicable(f"the case of payment {ruling.payment_id} is no wrong_amount")
    if not order.needs_money:
        return _not_applicable(f"order {order.order_id} is {order.state}")
    if come_to != order.expected:
        return _not_applicable(
            f"the open cases wrong_amount come to {come_to} won, the order costs {order.expected}"
        )
    if len(chosen) > MOST_TOGETHER:
        return _not_applicable(f"{len(chosen):,} payments pay it, and {MOST_TOGETHER:,} are the most")
    chosen.sort(key=lambda case: (case.opened_at, case.number))
    order, settled = settle_cases(order, chosen, "applied", ruling.decided_at)
    last = chosen[-1]
    ids = tuple(case.payment_id for case in chosen)
    order = pay_lines(
        replace(
            order,
            state=OrderState.PAID,
            payment_id=last.payment_id,
            payment_ids=ids if len(ids) > 1 else (),
            paid_at=last.opened_at,
        )
    )
    paid = order_paid(order, differs=())
    order, granted = claim_by_policy(order, at, new_ids)
    return decided(order, *settled, paid, *granted)


def _not_applicable(why: str) -> Reject:
    return Reject("inconsistent", "/decision", f"cannot be applied: {why}; decide returned or kept")
