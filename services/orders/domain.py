"""What an order decides. Pure: state and event in, new state and new facts out.

One invariant carries everything: `issuing + issued + refunding + refunded <= paid` on every line, always.
Issuing and refunding both claim units here, under the order's row lock, and nowhere else; whoever comes
second is denied. The won of a refund are decided in the same breath: no two refunds count the same VAT.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from services.orders.state import Asked, Case, Claim, ClaimState, Line, Order, OrderState, Purpose
from shared.events.checkout import IssuanceRequested, PaymentCancelled, PaymentCompleted, PaymentPending
from shared.kst import wire_time
from shared.money import Money, payment_money, refund_money
from shared.runtime.decisions import Applied, NewEvent, Reject, Wait

AUTOMATIC = "automatic"
SERIALS = "serials"
LARGEST_AMOUNT = 10**15
_NEEDS_NO_MONEY = {
    OrderState.PAID: "second_payment",
    OrderState.CANCELLED: "order_closed",
    OrderState.REFUNDED: "order_closed",
    OrderState.EXPIRED: "late_deposit",
}
"""Why money for an order in one of these states goes to quarantine; the other states wait for money."""


class Decided(NamedTuple):
    """A new state and the answer that goes with it."""

    order: Order
    outcome: Applied


Decision = Decided | Wait | Reject


class Arrival(NamedTuple):
    """How a payment came: by which event and when, and what is known about it already.

    `refused`: its partner has withdrawn. `taken_back`: upstream said that it was taken back before it came.
    """

    event_id: str
    at: datetime
    refused: bool = False
    taken_back: bool = False


def register_order(
    order: Order | None, data: PaymentPending, event_id: str, at: datetime, refused: bool
) -> Decision:
    """A deposit is awaited. A known order is not registered twice, and stays what it is.

    `refused` says that the partner has withdrawn: it cannot order any more.
    """
    if order is not None and order.state is not OrderState.UNPAID:
        if _same_goods(order, data):
            return Decided(order, Applied())
        return Reject("inconsistent", "/lines", f"order {order.order_id} is already known with other lines")
    if refused:
        return Reject(
            "inconsistent", "/partner/partner_id", f"partner {data.partner.partner_id} has withdrawn"
        )
    money = payment_money(data.vat_mode, _price_sum(data.lines))
    if money.total > LARGEST_AMOUNT:
        return Reject(
            "out_of_range", "/lines", f"the order comes to {money.total} won; the most is {LARGEST_AMOUNT}"
        )
    new = _new_order(data, OrderState.PENDING_DEPOSIT, money.total, event_id, at, order)
    new.deposit_deadline = data.deposit_deadline
    deposit = {"amount": money.total, "deposit_deadline": wire_time(data.deposit_deadline)}
    registered = new.fact("order.registered.v1", {**_snapshot(new), **deposit})
    return Decided(new, Applied([registered]))


def record_payment(
    order: Order | None, data: PaymentCompleted, arrival: Arrival, new_ids: Iterable[UUID]
) -> Decision:
    """Money arrived: it pays the order, or goes to quarantine with the reason. It is never merely refused.

    With the policy `automatic` all units are claimed to issue, unless the payment is known to be taken back.
    """
    if order is not None and _knows_payment(order, data.payment_id):
        return Decided(order, Applied())
    if order is None or order.state is OrderState.UNPAID:
        expected = payment_money(data.vat_mode, _price_sum(data.lines)).total
        order = _new_order(data, OrderState.UNPAID, expected, arrival.event_id, arrival.at, order)
    else:
        order = order.copy()
    reason = _misfit(order, data, arrival.refused)
    if reason is not None:
        return Decided(order, Applied(_quarantine(order, data.payment_id, reason, data.amount, data.paid_at)))
    return Decided(order, Applied(_pay(order, data, arrival, new_ids)))


def cancel_payment(order: Order | None, data: PaymentCancelled) -> Decision:
    """Upstream took a payment back.

    Open units of a paid order count as refunded, without a payout. For units issued, being issued or being
    refunded the money is missing: a case holds the negative amount. A payment that never arrived is
    remembered, so that it changes nothing when it comes late.
    """
    if order is None:
        return Wait(f"order {data.order_id} to be known")
    if data.payment_id in order.cancelled_payments:
        return Decided(order, Applied())
    case = next((c for c in order.cases if c.payment_id == data.payment_id and not c.taken_back), None)
    if order.payment_id is not None and order.payment_id != data.payment_id and case is None:
        return Wait(f"payment {data.payment_id} of order {order.order_id} to arrive")
    new = order.copy()
    new.cancelled_payments = order.cancelled_payments | {data.payment_id}
    if case is not None:
        new.cases[new.cases.index(case)] = replace(case, taken_back=True)
        return Decided(new, Applied())
    if new.state in (OrderState.PENDING_DEPOSIT, OrderState.UNPAID):
        new.state, new.closed_at = OrderState.CANCELLED, data.cancelled_at
        return Decided(new, Applied([_cancelled(new, data.payment_id, data.cancelled_at, (), Money(0, 0))]))
    if new.payment_id != data.payment_id:
        return Decided(new, Applied())
    return Decided(new, Applied(_take_back(new, data.payment_id, data.cancelled_at)))


def request_issuance(
    order: Order | None, data: IssuanceRequested, content: bytes, at: datetime, new_ids: Iterable[UUID]
) -> Decision:
    """Claims units to be issued: all or nothing for each line asked for; without lines everything left."""
    if order is None or order.state in (OrderState.UNPAID, OrderState.PENDING_DEPOSIT):
        return Wait(f"order {data.order_id} to be paid")
    said_before = order.requests.get(data.request_id)
    if said_before is not None:
        if said_before == content:
            return Decided(order, Applied())
        return Reject(
            "duplicate_request",
            "/request_id",
            f"request {data.request_id} was made before with other content",
        )
    for index, asked in enumerate(data.lines or ()):
        if asked.line_id not in order.lines:
            return Reject(
                "inconsistent", f"/lines/{index}/line_id", f"order {order.order_id} has no such line"
            )
    new = order.copy()
    new.requests[data.request_id] = content
    return Decided(new, Applied(_claim_to_issue(new, _wanted(new, data), data.request_id, at, iter(new_ids))))


def deny_unknown_line(order: Order, data: IssuanceRequested, reason: str) -> Decided:
    """The late form of a rejected request to issue: it was accepted before its order was known."""
    new = order.copy()
    new.requests.setdefault(data.request_id, b"\0" * 16)
    denied = [
        _denied(new, data.request_id, asked.line_id, asked.quantity, reason) for asked in data.lines or ()
    ]
    return Decided(new, Applied(denied))


def confirm_issuance(order: Order | None, grant_id: UUID, quantity: int, at: datetime) -> Decision:
    """The units of a grant have their serials. Raises ValueError for a grant that was never made so."""
    if order is None:
        return Wait(f"grant {grant_id} to be known")
    claim = _claim(order, grant_id, Purpose.ISSUE)
    if claim.state is not ClaimState.CLAIMED:
        return Decided(order, Applied())
    (asked,) = claim.lines
    if asked.quantity != quantity:
        raise ValueError(f"grant {grant_id} is for {asked.quantity} units, serials says {quantity}")
    new = order.copy()
    line = new.lines[asked.line_id]
    new.lines[asked.line_id] = line.with_(issuing=line.issuing - quantity, issued=line.issued + quantity)
    new.claims[grant_id] = replace(claim, state=ClaimState.CONFIRMED, settled_at=at)
    return Decided(new, Applied())


def claim_refund(
    order: Order | None,
    refund_id: UUID,
    asked: Sequence[Asked],
    request_id: str,
    at: datetime,
    everything: bool = False,
) -> Decision:
    """Claims units for a refund and decides its won; or denies it and says what is left.

    All or nothing; but of `everything` whatever is still open, since refunds may have asked before it heard
    what was issued. Denied only when that is worth nothing.
    """
    if order is None or order.state in (OrderState.UNPAID, OrderState.PENDING_DEPOSIT):
        return Wait(f"order of refund {refund_id} to be paid")
    if refund_id in order.claims:
        return Decided(order, Applied())
    new = order.copy()
    short = [a for a in asked if _open(new, a.line_id) < a.quantity]
    if short:
        rest = _still_open(new, asked) if everything else []
        if not _worth(new, rest):
            return Decided(new, Applied([_refund_denied(new, refund_id, asked, short[0])]))
        asked = rest
    money = refund_money(new.vat_mode, new.remaining, _worth(new, asked))
    for a in asked:
        line = new.lines[a.line_id]
        new.lines[a.line_id] = line.with_(refunding=line.refunding + a.quantity, refund_claimed_at=at)
    new.remaining_supply -= money.supply
    new.remaining_vat -= money.vat
    new.claims[refund_id] = Claim(
        refund_id, Purpose.REFUND, tuple(asked), ClaimState.CLAIMED, request_id, money.supply, money.vat, at
    )
    lines = [{"line_id": a.line_id, "quantity": a.quantity} for a in asked]
    data = {"refund_id": refund_id, "lines": lines, "supply": money.supply, "vat": money.vat}
    return Decided(new, Applied([new.fact("refund.granted.v1", data)]))


def complete_refund(order: Order | None, refund_id: UUID, at: datetime) -> Decision:
    """The payout of a granted refund happened: its units are refunded for good."""
    if order is None:
        return Wait(f"refund {refund_id} to be known")
    claim = _claim(order, refund_id, Purpose.REFUND)
    if claim.state is not ClaimState.CLAIMED:
        return Decided(order, Applied())
    new = order.copy()
    for asked in claim.lines:
        line = new.lines[asked.line_id]
        new.lines[asked.line_id] = line.with_(
            refunding=line.refunding - asked.quantity, refunded=line.refunded + asked.quantity
        )
    new.claims[refund_id] = replace(claim, state=ClaimState.CONFIRMED, settled_at=at)
    if new.state is OrderState.PAID and all(line.refunded == line.paid for line in new.lines.values()):
        new.state, new.closed_at = OrderState.REFUNDED, at
    return Decided(new, Applied())


def release_refund(order: Order | None, refund_id: UUID, at: datetime) -> Decision:
    """A granted refund will not be paid out: its units are open again, or follow a cancelled payment."""
    if order is None:
        return Wait(f"refund {refund_id} to be known")
    claim = _claim(order, refund_id, Purpose.REFUND)
    if claim.state is not ClaimState.CLAIMED:
        return Decided(order, Applied())
    new = order.copy()
    for asked in claim.lines:
        line = new.lines[asked.line_id]
        new.lines[asked.line_id] = line.with_(refunding=line.refunding - asked.quantity)
    new.remaining_supply += claim.supply
    new.remaining_vat += claim.vat
    new.claims[refund_id] = replace(claim, state=ClaimState.VOID, settled_at=at)
    if new.state is OrderState.CANCELLED:
        assert new.payment_id is not None
        return Decided(new, Applied(_take_back_released(new, new.payment_id, claim, at)))
    return Decided(new, Applied())


def expire_deposit(order: Order, now: datetime) -> Decided | None:
    """The deposit did not come in time, or None while it still may."""
    if (
        order.state is not OrderState.PENDING_DEPOSIT
        or order.deposit_deadline is None
        or now <= order.deposit_deadline
    ):
        return None
    new = order.copy()
    return Decided(new, Applied([_expire(new)]))


def expired_at(deadline: datetime) -> datetime:
    """The first whole second after the deadline."""
    return deadline.replace(microsecond=0) + timedelta(seconds=1)


def order_paid_data(order: Order) -> dict[str, Any]:
    """The document of `order.paid`, validated by its own model in the contract tests."""
    assert order.paid_at is not None
    return {
        "payment_id": order.payment_id,
        "amount": order.amount,
        "supply": order.supply,
        "vat": order.vat,
        "paid_at": wire_time(order.paid_at),
        **_snapshot(order),
    }


def _misfit(order: Order, data: PaymentCompleted, refused: bool) -> str | None:
    if order.state in _NEEDS_NO_MONEY:
        return _NEEDS_NO_MONEY[order.state]
    if refused:
        return "order_closed"
    if order.deposit_deadline is not None and data.paid_at > order.deposit_deadline:
        return "late_deposit"
    return "wrong_amount" if data.amount != order.expected else None


def _pay(order: Order, data: PaymentCompleted, arrival: Arrival, new_ids: Iterable[UUID]) -> list[NewEvent]:
    money = payment_money(order.vat_mode, _price_sum(order.lines.values()))
    order.state, order.payment_id, order.paid_at = OrderState.PAID, data.payment_id, data.paid_at
    order.amount, order.supply, order.vat = money.total, money.supply, money.vat
    order.remaining_supply, order.remaining_vat = money.supply, money.vat
    order.lines = {line_id: line.with_(paid=line.quantity) for line_id, line in order.lines.items()}
    events = [order.fact("order.paid.v1", order_paid_data(order))]
    if order.issue_policy == AUTOMATIC and not arrival.taken_back:
        everything = [Asked(line.line_id, line.open) for line in order.lines.values() if line.kind == SERIALS]
        events += _claim_to_issue(order, everything, AUTOMATIC, arrival.at, new_ids)
    return events


def _quarantine(order: Order, payment_id: str, reason: str, amount: int, at: datetime) -> list[NewEvent]:
    events = []
    if reason == "late_deposit" and order.state is OrderState.PENDING_DEPOSIT:
        events.append(_expire(order))
    order.cases.append(Case(payment_id, reason, amount, at))
    events.append(
        order.fact("payment.quarantined.v1", {"payment_id": payment_id, "amount": amount, "reason": reason})
    )
    return events


def _expire(order: Order) -> NewEvent:
    assert order.deposit_deadline is not None
    at = expired_at(order.deposit_deadline)
    order.state, order.closed_at = OrderState.EXPIRED, at
    return order.fact("order.expired.v1", {"expired_at": wire_time(at)})


def _take_back(order: Order, payment_id: str, at: datetime) -> list[NewEvent]:
    back = tuple(Asked(line.line_id, line.open) for line in order.lines.values() if line.open)
    money = _refund_open(order, back, at)
    order.state, order.closed_at = OrderState.CANCELLED, at
    events = [_cancelled(order, payment_id, at, back, money)]
    missing = order.amount - money.total
    if missing:
        events += _quarantine(order, payment_id, "cancelled_after_issue", -missing, at)
    return events


def _take_back_released(order: Order, payment_id: str, claim: Claim, at: datetime) -> list[NewEvent]:
    """The units of a released refund follow the payment that was taken back; less is missing then."""
    money = _refund_open(order, claim.lines, at)
    events = [_cancelled(order, payment_id, at, claim.lines, money)]
    if money.total:
        events += _quarantine(order, payment_id, "cancelled_after_issue", money.total, at)
    return events


def _refund_open(order: Order, back: Sequence[Asked], at: datetime) -> Money:
    money = refund_money(order.vat_mode, order.remaining, _worth(order, back))
    for asked in back:
        line = order.lines[asked.line_id]
        order.lines[asked.line_id] = line.with_(refunded=line.refunded + asked.quantity, refund_claimed_at=at)
    order.remaining_supply -= money.supply
    order.remaining_vat -= money.vat
    return money


def _cancelled(order: Order, payment_id: str, at: datetime, back: Sequence[Asked], money: Money) -> NewEvent:
    data = {
        "payment_id": payment_id,
        "cancelled_at": wire_time(at),
        "lines": [{"line_id": asked.line_id, "quantity": asked.quantity} for asked in back],
        "supply": money.supply,
        "vat": money.vat,
        "amount": money.total,
    }
    return order.fact("order.cancelled.v1", data)


def _wanted(order: Order, data: IssuanceRequested) -> list[Asked]:
    if data.lines is not None:
        return [Asked(asked.line_id, asked.quantity) for asked in data.lines]
    serials = [line for line in order.lines.values() if line.kind == SERIALS]
    left = [Asked(line.line_id, line.open) for line in serials if line.open]
    return left or [Asked(line.line_id, 0) for line in serials or order.lines.values()]


def _claim_to_issue(
    order: Order, wanted: Iterable[Asked], request_id: str, at: datetime, new_ids: Iterable[UUID]
) -> list[NewEvent]:
    ids = iter(new_ids)
    events = []
    for asked in wanted:
        reason = _why_not_issuable(order, asked)
        if reason is not None:
            events.append(_denied(order, request_id, asked.line_id, asked.quantity, reason))
        else:
            events.append(_grant(order, asked, request_id, at, next(ids)))
    return events


def _why_not_issuable(order: Order, asked: Asked) -> str | None:
    line = order.lines[asked.line_id]
    if line.kind != SERIALS:
        return "not_issuable"
    if order.state is OrderState.EXPIRED:
        return "order_expired"
    if line.open == 0:
        return "order_cancelled" if order.state is OrderState.CANCELLED else "nothing_left"
    return "not_enough_left" if asked.quantity > line.open else None


def _grant(order: Order, asked: Asked, request_id: str, at: datetime, grant_id: UUID) -> NewEvent:
    line = order.lines[asked.line_id]
    order.lines[asked.line_id] = line.with_(issuing=line.issuing + asked.quantity, issue_claimed_at=at)
    order.claims[grant_id] = Claim(
        grant_id, Purpose.ISSUE, (asked,), ClaimState.CLAIMED, request_id, 0, 0, at
    )
    return order.fact(
        "issuance.granted.v1",
        {
            "grant_id": grant_id,
            "request_id": request_id,
            "quantity": asked.quantity,
            "partner_id": order.partner_id,
            "line_id": line.line_id,
            "kind": line.kind,
            "product_id": line.product_id,
            "product_name": line.product_name,
            "unit_price": line.unit_price,
            "usage_days": line.usage_days,
        },
    )


def _denied(order: Order, request_id: str, line_id: str, quantity: int, reason: str) -> NewEvent:
    line = order.lines.get(line_id)
    left = line.open if line is not None and line.kind == SERIALS else 0
    return order.fact(
        "issuance.denied.v1",
        {"request_id": request_id, "line_id": line_id, "quantity": quantity, "reason": reason, "left": left},
    )


def _refund_denied(order: Order, refund_id: UUID, asked: Sequence[Asked], short: Asked) -> NewEvent:
    reason, lost_at = _why_not_refundable(order, order.lines.get(short.line_id))
    lines = [{**a._asdict(), "left": _open(order, a.line_id)} for a in asked]
    data = {"refund_id": refund_id, "lines": lines, "reason": reason, "lost_at": wire_time(lost_at)}
    return order.fact("refund.denied.v1", data)


def _why_not_refundable(order: Order, line: Line | None) -> tuple[str, datetime]:
    if line is None:
        return "unknown_line", order.registered_at
    if order.is_closed and order.state is not OrderState.REFUNDED:
        return f"order_{order.state}", order.closed_at or order.registered_at
    if line.issue_claimed_at is not None and line.issuing + line.issued:
        return "issued", line.issue_claimed_at
    return "already_refunded", line.refund_claimed_at or order.registered_at


def _claim(order: Order, claim_id: UUID, purpose: Purpose) -> Claim:
    claim = order.claims.get(claim_id)
    if claim is None or claim.purpose is not purpose:
        raise ValueError(f"order {order.order_id} never granted {claim_id} to {purpose}")
    return claim


def _knows_payment(order: Order, payment_id: str) -> bool:
    return (
        payment_id == order.payment_id
        or payment_id in order.cancelled_payments
        or any(case.payment_id == payment_id for case in order.cases)
    )


def _new_order(
    data: PaymentPending | PaymentCompleted,
    state: OrderState,
    expected: int,
    event_id: str,
    at: datetime,
    known: Order | None,
) -> Order:
    order = Order(
        order_id=data.order_id,
        partner_id=data.partner.partner_id,
        state=state,
        payment_method=data.payment_method,
        evidence=data.evidence,
        issue_policy=data.issue_policy,
        vat_mode=data.vat_mode,
        partner=data.partner.model_dump(),
        expected=expected,
        registered_by=event_id,
        registered_at=at,
        lines={
            line.line_id: Line(
                line.line_id,
                position,
                line.kind,
                line.product_id,
                line.product_name,
                line.unit_price,
                line.usage_days,
                line.quantity,
            )
            for position, line in enumerate(data.lines)
        },
    )
    if known is not None:
        order.sequence, order.cases = known.sequence, list(known.cases)
        order.cancelled_payments, order.requests = known.cancelled_payments, dict(known.requests)
    return order


def _snapshot(order: Order) -> dict[str, Any]:
    return {
        "partner": order.partner,
        "payment_method": order.payment_method,
        "evidence": order.evidence,
        "issue_policy": order.issue_policy,
        "vat_mode": order.vat_mode,
        "lines": [
            {
                "line_id": line.line_id,
                "kind": line.kind,
                "product_id": line.product_id,
                "product_name": line.product_name,
                "unit_price": line.unit_price,
                "quantity": line.quantity,
                "usage_days": line.usage_days,
            }
            for line in order.lines.values()
        ],
    }


def _same_goods(order: Order, data: PaymentPending) -> bool:
    said = [(line.line_id, line.product_id, line.unit_price, line.quantity) for line in data.lines]
    known = [(line.line_id, line.product_id, line.unit_price, line.quantity) for line in order.lines.values()]
    return (order.partner_id, order.vat_mode, known) == (data.partner.partner_id, data.vat_mode, said)


def _price_sum(lines: Iterable[Any]) -> int:
    return sum(line.unit_price * line.quantity for line in lines)


def _open(order: Order, line_id: str) -> int:
    """Units of the line that nobody has claimed; none of a line that the order does not have."""
    line = order.lines.get(line_id)
    return 0 if line is None else line.open


def _still_open(order: Order, asked: Iterable[Asked]) -> list[Asked]:
    left = [Asked(a.line_id, min(a.quantity, _open(order, a.line_id))) for a in asked]
    return [a for a in left if a.quantity]


def _worth(order: Order, asked: Iterable[Asked]) -> int:
    return sum(order.lines[a.line_id].unit_price * a.quantity for a in asked)
