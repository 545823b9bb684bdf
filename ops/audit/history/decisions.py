"""What each operation may do to an order: every outcome that the rules allow, and the order after it.

Written from the rules (domain.md sections 2, 4 and 5), not from the services: it shares no line with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from ops.audit.history.entries import CASE_DECIDED, REQUEST_CANCELLED
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
    consumed_of,
    paid_won,
    price_of_all,
    refund_won,
    units_of,
)

Decisions: TypeAlias = Iterator[tuple[Order, Outcome]]
GRANTED, DENIED = "issuance.granted", "issuance.denied"


def decide(order: Order, operation: Operation) -> Decisions:
    """Every outcome that the operation may have now, with the order after it; none where it has to wait."""
    return OPERATIONS[operation.kind](order, operation.data)


# -- payments ------------------------------------------------------------------------------------------------


def _register(order: Order, data: Mapping[str, Any]) -> Decisions:
    """A newer pending order replaces an older one; which is newer, the event's own time says."""
    if order.status not in (UNKNOWN, UNPAID):
        yield order, ()
    if order.status in (UNKNOWN, UNPAID, PENDING):
        deadline = datetime.fromisoformat(data["deposit_deadline"])
        yield (
            replace(_with_snapshot(order, data), status=PENDING, deadline=deadline),
            (("order.registered",),),
        )


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
    content = (payment, amount, data["vat_mode"], price_of_all(data), data["partner"]["partner_id"])
    is_known = payment == order.payment_id or payment in order.taken_back or payment in order.quarantined
    told = replace(order, told=order.told | {content})
    if is_known:
        yield from _pay_again(order, told, data)
        if payment not in order.taken_back:
            return
    if order.status == UNKNOWN or (order.status == UNPAID and not order.lines):
        told = _with_snapshot(told, data)
    quarantining = replace(told, quarantined=told.quarantined | {payment})
    for reason, before, status in _reasons_for_quarantine(order, data):
        after = replace(quarantining, status=status)
        if reason == "wrong_amount":
            after = replace(after, wrong=(*after.wrong, (payment, amount)))
            if order.status == UNPAID:
                yield _with_snapshot(after, data), (*before, ("payment.quarantined", amount, reason))
        yield after, (*before, ("payment.quarantined", amount, reason))
    if not amount and price_of_all(data) == 0 and order.status not in WAITS_FOR_MONEY:
        yield order, ()
    if _fits(order, data):
        paying = replace(_with_snapshot(told, data), deadline=order.deadline)
        yield _paid(paying, payment)
        if data.get(
            "cancelled"
        ):  # the news may have waited for its payment: then nothing is issued by itself
            after, outcome = _paid(replace(paying, automatic=False), payment)
            yield replace(after, automatic=paying.automatic), outcome


def _pay_again(order: Order, told: Order, data: Mapping[str, Any]) -> Decisions:
    """A known payment changes nothing, or contradicts itself; what was taken back may be new money."""
    yield order, ()
    if told.told != order.told:
        yield told, (("payment.quarantined", data["amount"], "payment_conflict"),)


def _fits(order: Order, data: Mapping[str, Any]) -> bool:
    return order.status in WAITS_FOR_MONEY and not _late(order, data) and data["amount"] == _cost(data)


def _cost(data: Mapping[str, Any]) -> int:
    return paid_won(data["vat_mode"], price_of_all(data)).total


def _late(order: Order, data: Mapping[str, Any]) -> bool:
    return order.deadline is not None and datetime.fromisoformat(data["paid_at"]) > order.deadline


def _reasons_for_quarantine(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[str, Outcome, str]]:
    """Each possible reason, the events before the quarantine, and the status after it."""
    status = UNPAID if order.status == UNKNOWN else order.status
    yield "payment_used", (), status
    match order.status:
        case "paid":
            yield "second_payment", (), PAID
            if not any(line.open for _, line in order.lines):  # it may have been refunded as a whole
                yield "order_closed", (), PAID
        case "cancelled":
            yield "order_closed", (), CANCELLED
        case "expired":
            yield "late_deposit" if _late(order, data) else "told_late", (), EXPIRED
        case _:
            if data.get("withdrawn"):
                yield "order_closed", (), status
            if _late(order, data):
                pending = order.status == PENDING
                yield "late_deposit", (("order.expired",),) if pending else (), EXPIRED if pending else UNPAID
            elif data["amount"] != _cost(data):
                yield "wrong_amount", (), status


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
    payment, part = data["payment_id"], data.get("amount")
    if data.get("refund_id") is not None:
        yield order, ()
        return
    if order.status == UNKNOWN:
        return
    if data.get("entangled"):
        yield from _cancel_entangled(order, payment)
        return
    if payment in order.taken_back or payment in order.quarantined:
        yield from _cancel_known(order, data)
    without_payment = replace(order, taken_back=order.taken_back | {payment})
    if order.payment_id != payment:
        if part is None or part >= order.expected:
            yield without_payment, ()
    elif order.status == PAID:
        yield from _take_back_own(order, part)


def _cancel_entangled(order: Order, payment: str) -> Decisions:
    """Of a payment that came or went several times the units are followed, and not what is missing of it."""
    order = replace(order, taken_back=order.taken_back | {payment})
    yield order, ()
    if order.payment_id == payment and order.status == PAID:
        units = tuple((name, line.open) for name, line in order.lines if line.open)
        after, _, cancelled = _take_back(replace(order, status=CANCELLED), units)
        yield after, (cancelled,)


def _cancel_known(order: Order, data: Mapping[str, Any]) -> Decisions:
    """What it ends is told by `quarantine.settled`; what is left of a case is a new one."""
    payment, part = data["payment_id"], data.get("amount")
    yield replace(order, taken_back=order.taken_back | {payment}), ()
    told = sorted({won for each, won, *_ in order.told if each == payment})
    if part is not None and payment in order.quarantined:
        for reason in REASONS_OF_CASES:
            yield from ((order, (("payment.quarantined", won - part, reason),)) for won in told)


def _take_back_own(order: Order, part: int | None) -> Decisions:
    """The payment of the order went back, or a part of it, which leaves the order as it is."""
    payment = order.payment_id or ""
    without_payment = replace(order, taken_back=order.taken_back | {payment})
    left = order.left.total - order.parts
    if part is not None and (part < left or left <= 0):
        gone = min(part, order.amount - order.parts)
        yield replace(order, parts=order.parts + gone), (("payment.quarantined", -gone, "partly_cancelled"),)
    if not any(line.open for _, line in order.lines) and not order.left.total:
        yield order, ()  # the gateway's echo of refunds that went back through it
        gone = order.amount - order.parts if part is None else min(part, order.amount - order.parts)
        missing = ("payment.quarantined", -gone, "cancelled_after_refund")
        yield replace(without_payment, parts=order.parts + gone), (missing,)
    if part is None or part >= left:
        yield from _take_back_all(without_payment, part)


def _take_back_all(order: Order, part: int | None) -> Decisions:
    """What refunds paid out through the gateway is not missing; which of them did, nothing here says."""
    units = tuple((name, line.open) for name, line in order.lines if line.open)
    after, back, cancelled = _take_back(replace(order, status=CANCELLED), units)
    refunded = {0}
    for claim in order.claims:
        refunded |= {won + claim.won.total for won in refunded}
    told = {order.amount - won for won in refunded} if part is None else {order.parts + part}
    for gone in sorted(told, reverse=True):
        missing = gone - back.total
        if missing:
            yield after, (cancelled, ("payment.quarantined", -missing, "cancelled_after_issue"))
        else:
            yield after, (cancelled,)


def _decide(order: Order, data: Mapping[str, Any]) -> Decisions:
    """An operator ends cases; `applied` pays the order with all that are of a wrong amount."""
    if order.status == UNKNOWN:
        return
    yield order, ()
    chosen = [wrong for wrong in order.wrong if wrong[0] == data["payment_id"]]
    for payments in (chosen, list(order.wrong)):
        if data["decision"] == "applied" and sum(won for _, won in payments) == order.expected:
            for payment, _ in payments:
                yield _paid(replace(order, wrong=()), payment)


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
        yield order, _deny_each(order, units_of(data) if data.get("lines") else _all_serials(order))
        return
    order = replace(order, requests=order.requests | {data["request_id"]})
    asked = units_of(data) if data.get("lines") else _all_serials(order)
    if any(order.line(line_id) is None for line_id, _ in asked):
        yield order, _deny_each(order, asked)
    else:
        yield _issue_each(order, asked)


def _cancel_request(order: Order, data: Mapping[str, Any]) -> Decisions:
    """An operator cancels a request that waits for its order: each line of it is denied, if any is known."""
    if order.status not in WAITS_FOR_MONEY:
        return
    asked = units_of(data) if data.get("lines") else _all_serials(order)
    denied = _deny_each(order, asked) or ((DENIED, None, None, 0),)
    yield replace(order, requests=order.requests | {data["request_id"]}), denied


def _deny_each(order: Order, asked: Units) -> Outcome:
    return tuple((DENIED, name, units, order.issuable(name)) for name, units in asked)


def _issue_each(order: Order, asked: Units) -> tuple[Order, Outcome]:
    """All or nothing for each line; what is granted is told first."""
    granted: list[tuple[Any, ...]] = []
    denied: list[tuple[Any, ...]] = []
    for line_id, quantity in asked:
        left = order.issuable(line_id)
        if 0 < quantity <= left:
            order = order.without(((line_id, quantity),))
            granted.append((GRANTED, line_id, quantity))
        else:
            denied.append((DENIED, line_id, quantity, left))
    return order, (*granted, *denied)


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
    consumed = consumed_of(data)
    remaining = tuple(
        (name, min(units, order.open(name)))
        for name, units in asked
        if order.open(name) and (order.open(name) >= units or name not in consumed)
    )
    if data.get("everything") and remaining and (order.is_free(asked) or not order.is_free(remaining)):
        asked = remaining
    if any(order.open(line_id) < units for line_id, units in asked):
        left = tuple((line_id, units, order.open(line_id)) for line_id, units in asked)
        yield order, (("refund.denied", left),)
        return
    asked = _with_free_units(order, asked)
    consumed = {name: won for name, won in consumed.items() if name in dict(asked)}
    won = refund_won(order.vat_mode, order.left, order.refund_price(asked, sum(consumed.values())))
    claims = (*order.claims, Claim(data["refund_id"], asked, won, tuple(consumed.items())))
    after = order.refunding(asked).consuming(consumed)
    after = replace(after, left=order.left.minus(won), claims=claims)
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
    order = order.reopening(claim.units).consuming(dict(claim.consumed), -1)
    order = replace(order, claims=others, left=order.left.plus(claim.won))
    if order.status != CANCELLED:
        yield order, ()
        return
    order, back, cancelled = _take_back(order, claim.units)
    missing = ("payment.quarantined", back.total, "cancelled_after_issue")
    yield order, (cancelled, missing) if back.total else (cancelled,)


def _pay_twice(order: Order, data: Mapping[str, Any]) -> Decisions:
    """Money that nobody was owed is out: no unit moves, and its won are missing."""
    yield order, (("payment.quarantined", -data["amount"], "payout_twice"),)


def _overpay(order: Order, data: Mapping[str, Any]) -> Decisions:
    """What a refund gave back had been used: no unit moves, and its won are missing."""
    yield order, (("payment.quarantined", -data["amount"], "used_after_refund"),)


def _underpay(order: Order, data: Mapping[str, Any]) -> Decisions:
    """A refund would have given back more: no unit moves, and its won are proposed to go."""
    yield order, (("payment.quarantined", data["amount"], "bonus_after_refund"),)


REASONS_OF_CASES = ("second_payment", "wrong_amount", "late_deposit", "told_late", "order_closed")
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
    if reason == "cancelled_by_operator":  # while it waited for its payment
        return order.status in WAITS_FOR_MONEY
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
    """These events (type and data, in their order) in the form in which `decide` gives an outcome.

    Denials of lines stand last: they stood among the grants as long as each grant was an event of its own.
    That a case of quarantine ended follows from what ended it.
    """
    outcome = [
        each
        for name, data in events
        if name != "quarantine.settled.v1"
        for each in _each_decided(name.rpartition(".v")[0], data)
    ]
    return tuple(sorted(outcome, key=lambda each: each[0] == DENIED))


def _each_decided(type_name: str, data: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    if type_name == GRANTED:
        return [(GRANTED, grant["line_id"], grant["quantity"]) for grant in data["grants"]]
    return [_decided(type_name, data)]


def _decided(type_name: str, data: Mapping[str, Any]) -> tuple[Any, ...]:
    match type_name:
        case "order.paid":
            return type_name, data["supply"], data["vat"], data["amount"]
        case "issuance.denied":
            return type_name, data.get("line_id"), data.get("quantity"), data["left"]
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
    "payment.failed.v1": lambda order, data: iter([(order, ())]),
    "payment.cancelled.v1": _cancel,
    "quarantine.decided.v1": _decide,
    CASE_DECIDED: _decide,
    REQUEST_CANCELLED: _cancel_request,
    "issuance.requested.v1": _issue,
    "refund.accepted.v1": _claim,
    "refund.released.v1": _release,
    "refund.paid_twice.v1": _pay_twice,
    "refund.overpaid.v1": _overpay,
    "refund.underpaid.v1": _underpay,
    "refund.rejected.v1": _reject,
    "order.expired.v1": _expire,
}
"""Every operation of the model, by the type of the event that asks for it."""
