"""What each operation may do to an order: every outcome that the rules allow, and the order after it.

Written from the rules (domain.md sections 2, 4 and 5), not from the services: it shares no line with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from ops.audit.history.model import (
    CANCELLED,
    EXPIRED,
    PAID,
    PENDING,
    UNKNOWN,
    UNPAID,
    WAITS_FOR_MONEY,
    Claim,
    Line,
    Operation,
    Order,
    Outcome,
    Units,
    Won,
    paid_won,
    price_of_all,
    refund_won,
    units_of,
)

Decisions: TypeAlias = Iterator[tuple[Order, Outcome]]


def decide(order: Order, operation: Operation) -> Decisions:
    """Every outcome that the operation may have now, with the order after it; none where it has to wait."""
    return OPERATIONS[operation.kind](order, operation.data)


# -- payments ------------------------------------------------------------------------------------------------


def _register(order: Order, data: Mapping[str, Any]) -> Decisions:
    if order.status not in (UNKNOWN, UNPAID):
        yield order, ()
        return
    deadline = datetime.fromisoformat(data["deposit_deadline"])
    yield replace(_with_snapshot(order, data), status=PENDING, deadline=deadline), (("order.registered",),)


def _with_snapshot(order: Order, data: Mapping[str, Any]) -> Order:
    lines = tuple(
        (
            line["line_id"],
            Line(line["kind"], line["unit_price"], line["quantity"], line.get("discount") or 0),
        )
        for line in data["lines"]
    )
    return replace(
        order,
        status=UNPAID,
        lines=lines,
        vat_mode=data["vat_mode"],
        automatic=data["issue_policy"] == "automatic",
        expected=paid_won(data["vat_mode"], price_of_all(data)).total,
        deadline=None,
    )


def _pay(order: Order, data: Mapping[str, Any]) -> Decisions:
    payment, amount = data["payment_id"], data["amount"]
    if payment == order.payment_id or payment in order.taken_back or payment in order.quarantined:
        yield order, ()
        return
    if order.status in (UNKNOWN, UNPAID):
        order = _with_snapshot(order, data)
    quarantining = replace(order, quarantined=order.quarantined | {payment})
    for reason, before, status in _reasons_for_quarantine(order, data):
        yield replace(quarantining, status=status), (*before, ("payment.quarantined", amount, reason))
    if _fits(order, data):
        yield _paid(order, payment)


def _fits(order: Order, data: Mapping[str, Any]) -> bool:
    return order.status in (UNPAID, PENDING) and not _late(order, data) and data["amount"] == order.expected


def _late(order: Order, data: Mapping[str, Any]) -> bool:
    return order.deadline is not None and datetime.fromisoformat(data["paid_at"]) > order.deadline


def _reasons_for_quarantine(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[str, Outcome, str]]:
    """Each possible reason, the events before the quarantine, and the status after it."""
    match order.status:
        case "paid":
            yield "second_payment", (), PAID
            if not any(line.open for _, line in order.lines):  # it may have been refunded as a whole
                yield "order_closed", (), PAID
        case "cancelled":
            yield "order_closed", (), CANCELLED
        case "expired":
            yield "late_deposit", (), EXPIRED
        case _:
            if data.get("withdrawn"):
                yield "order_closed", (), order.status
            if _late(order, data):
                pending = order.status == PENDING
                yield "late_deposit", (("order.expired",),) if pending else (), EXPIRED if pending else UNPAID
            elif data["amount"] != order.expected:
                yield "wrong_amount", (), order.status


def _paid(order: Order, payment: str) -> tuple[Order, Outcome]:
    lines = tuple((name, line._replace(open=line.quantity, left=line.quantity)) for name, line in order.lines)
    won = paid_won(order.vat_mode, sum(line.cost for _, line in lines))
    order = replace(order, status=PAID, lines=lines, payment_id=payment, amount=won.total, left=won)
    outcome: Outcome = (("order.paid", won.supply, won.vat, won.total),)
    if order.automatic:
        everything = tuple((name, line.open) for name, line in lines if line.kind == "serials")
        order, granted = _issue_each(order, everything)
        outcome += granted
    return order, outcome


def _cancel(order: Order, data: Mapping[str, Any]) -> Decisions:
    payment = data["payment_id"]
    if order.status == UNKNOWN:
        return
    if payment in order.taken_back:
        yield order, ()
        return
    without_payment = replace(order, taken_back=order.taken_back | {payment})
    if payment in order.quarantined:
        yield without_payment, ()
    elif order.status in (UNPAID, PENDING):
        yield replace(without_payment, status=CANCELLED), (("order.cancelled", (), 0, 0, 0),)
    elif order.payment_id is None:
        yield without_payment, ()
    elif order.payment_id == payment:
        yield _take_back_all(without_payment)


def _take_back_all(order: Order) -> tuple[Order, Outcome]:
    units = tuple((name, line.open) for name, line in order.lines if line.open)
    order, back, cancelled = _take_back(replace(order, status=CANCELLED), units)
    missing = order.amount - back.total
    if not missing:
        return order, (cancelled,)
    return order, (cancelled, ("payment.quarantined", -missing, "cancelled_after_issue"))


def _take_back(order: Order, units: Units) -> tuple[Order, Won, tuple[Any, ...]]:
    back = refund_won(order.vat_mode, order.left, order.refund_price(units))
    cancelled = ("order.cancelled", units, back.supply, back.vat, back.total)
    return replace(order.refunding(units), left=order.left.minus(back)), back, cancelled


def _expire(order: Order, data: Mapping[str, Any]) -> Decisions:
    if order.status == PENDING:
        yield replace(order, status=EXPIRED), (("order.expired",),)


# -- issuance ------------------------------------------------------------------------------------------------


def _issue(order: Order, data: Mapping[str, Any]) -> Decisions:
    if order.status in WAITS_FOR_MONEY:
        return
    if data["request_id"] in order.requests:
        yield order, ()
        return
    order = replace(order, requests=order.requests | {data["request_id"]})
    asked = units_of(data) if data.get("lines") else _all_serials(order)
    if any(order.line(line_id) is None for line_id, _ in asked):
        yield order, tuple(("issuance.denied", name, units, order.issuable(name)) for name, units in asked)
    else:
        yield _issue_each(order, asked)


def _issue_each(order: Order, asked: Units) -> tuple[Order, Outcome]:
    """All or nothing for each line."""
    outcome: list[tuple[Any, ...]] = []
    for line_id, quantity in asked:
        left = order.issuable(line_id)
        if 0 < quantity <= left:
            order = order.without(((line_id, quantity),))
            outcome.append(("issuance.granted", line_id, quantity))
        else:
            outcome.append(("issuance.denied", line_id, quantity, left))
    return order, tuple(outcome)


def _all_serials(order: Order) -> Units:
    serials = tuple((name, line.open) for name, line in order.lines if line.kind == "serials")
    names = [name for name, _ in serials] or [name for name, _ in order.lines]
    return tuple((name, units) for name, units in serials if units) or tuple((name, 0) for name in names)


# -- refunds -------------------------------------------------------------------------------------------------


def _claim(order: Order, data: Mapping[str, Any]) -> Decisions:
    """All or nothing for the request, with its won; of everything refundable what is left."""
    if order.status in WAITS_FOR_MONEY:
        return
    asked = units_of(data)
    remaining = tuple((name, min(units, order.open(name))) for name, units in asked if order.open(name))
    if data.get("everything") and remaining and (order.is_free(asked) or not order.is_free(remaining)):
        asked = remaining
    if any(order.open(line_id) < units for line_id, units in asked):
        left = tuple((line_id, units, order.open(line_id)) for line_id, units in asked)
        yield order, (("refund.denied", left),)
        return
    asked = _with_free_units(order, asked)
    won = refund_won(order.vat_mode, order.left, order.refund_price(asked))
    claims = (*order.claims, Claim(data["refund_id"], asked, won))
    after = replace(order.refunding(asked), left=order.left.minus(won), claims=claims)
    yield after, (("refund.granted", asked, won.supply, won.vat),)


def _with_free_units(order: Order, units: Units) -> Units:
    """With the last priced units of an order go its open free ones."""
    priced = [line for _, line in order.refunding(units).lines if line.cost]
    if not priced or any(line.left for line in priced):
        return units
    free = {name: line.open for name, line in order.lines if line.open and not line.cost}
    return tuple({**dict(units), **free}.items())


def _release(order: Order, data: Mapping[str, Any]) -> Decisions:
    """A claim is given up: its units are open again, or follow a payment that was taken back."""
    claim = next((c for c in order.claims if c.refund_id == data["refund_id"]), None)
    if claim is None:
        return
    others = tuple(c for c in order.claims if c is not claim)
    order = replace(order.reopening(claim.units), claims=others, left=order.left.plus(claim.won))
    if order.status != CANCELLED:
        yield order, ()
        return
    order, back, cancelled = _take_back(order, claim.units)
    missing = ("payment.quarantined", back.total, "cancelled_after_issue")
    yield order, (cancelled, missing) if back.total else (cancelled,)


STATUS_OF_REASON = {"order_expired": EXPIRED, "order_cancelled": CANCELLED}
REASONS_OF_UNITS = frozenset(
    ["issued", "already_refunded", "refund_in_progress", "more_than_paid", "nothing_left"]
)
"""Reasons to reject a refund that counts of units prove or contradict; of any other one they say nothing."""


def _reject(order: Order, data: Mapping[str, Any]) -> Decisions:
    """A refund request may be refused at once where its units are surely lost, or for a reason of its own."""
    reason = data["rejected"]
    if _may_reject(order, reason, data):
        yield order, (("refund.rejected", reason),)


def _may_reject(order: Order, reason: str, data: Mapping[str, Any]) -> bool:
    if reason in STATUS_OF_REASON:
        return order.status == STATUS_OF_REASON[reason]
    if reason not in REASONS_OF_UNITS:
        return order.status not in (UNKNOWN, PENDING)
    if data.get("lines"):
        return any(order.open(line_id) < units for line_id, units in units_of(data))
    asked = data["asked"]
    return all(line.open <= asked.get(name, 0) for name, line in order.lines if line.kind == "serials")


# -- events --------------------------------------------------------------------------------------------------


def outcome_of(events: Sequence[tuple[str, Mapping[str, Any]]]) -> Outcome:
    """These events (type and data, in their order) in the form in which `decide` gives an outcome."""
    return tuple(_decided(type_name.removesuffix(".v1"), data) for type_name, data in events)


def _decided(type_name: str, data: Mapping[str, Any]) -> tuple[Any, ...]:
    match type_name:
        case "order.paid":
            return type_name, data["supply"], data["vat"], data["amount"]
        case "issuance.granted":
            return type_name, data["line_id"], data["quantity"]
        case "issuance.denied":
            return type_name, data["line_id"], data["quantity"], data["left"]
        case "refund.granted":
            return type_name, units_of(data), data["supply"], data["vat"]
        case "refund.denied":
            return type_name, tuple((one["line_id"], one["quantity"], one["left"]) for one in data["lines"])
        case "payment.quarantined":
            return type_name, data["amount"], data["reason"]
        case "order.cancelled":
            return type_name, units_of(data), data["supply"], data["vat"], data["amount"]
        case "refund.rejected":
            return type_name, data["reason"]
        case _:
            return (type_name,)


OPERATIONS = {
    "payment.pending.v1": _register,
    "payment.completed.v1": _pay,
    "payment.cancelled.v1": _cancel,
    "issuance.requested.v1": _issue,
    "refund.accepted.v1": _claim,
    "refund.released.v1": _release,
    "refund.rejected.v1": _reject,
    "order.expired.v1": _expire,
}
"""Every operation of the model, by the type of the event that asks for it."""
