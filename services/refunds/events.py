"""The events of the refunds service: the type and the document of each, and the numbers that they get."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.refunds.state import Destination, Line, Order, Refund
from shared.kst import wire_time
from shared.runtime.decisions import Decided, NewEvent
from shared.units import LineUnits, refunded_lines


def decided(order: Order, refund: Refund, event: NewEvent) -> Decided[Order]:
    """The decision about a refund of the order, with the next event of that refund."""
    refund = replace(refund, sequence=event.sequence)
    return Decided(replace(order, refunds={**order.refunds, refund.refund_id: refund}), [event])


# What becomes of a request


def refund_accepted(refund: Refund, *, everything: bool) -> NewEvent:
    """Orders is asked for the units: all of them or none; of `everything` refundable at most these."""
    data: dict[str, Any] = {"lines": refunded_lines(refund.lines, refund.consumed)}
    if everything:
        data["everything"] = True
    return _of_refund("refund.accepted.v1", refund, data)


def refund_held(refund: Refund, following: str, since: datetime, more: Mapping[str, Any]) -> NewEvent:
    """The refund waits for what has to come next, and by when. `more` says what that has to be."""
    data = {"reason": refund.why, "next": following, "since": wire_time(since)}
    if refund.deadline is not None:
        data["deadline"] = wire_time(refund.deadline)
    return _of_refund("refund.held.v1", refund, {**data, **more})


def refund_rejected(refund: Refund, at: datetime, more: Mapping[str, Any]) -> NewEvent:
    """The request ends here; its reason came to be `at`. `more` is what else the requester should know."""
    return _of_refund("refund.rejected.v1", refund, {"reason": refund.why, "at": wire_time(at), **more})


def request_cancelled(order_id: str, request_id: str, refund_id: UUID, at: datetime) -> NewEvent:
    """A request ends that waited for its payment: an operator cancelled it."""
    data = {
        "order_id": order_id,
        "refund_id": str(refund_id),
        "refund_request_id": request_id,
        "reason": "cancelled_by_operator",
        "at": wire_time(at),
    }
    return NewEvent("refund.rejected.v1", str(refund_id), 1, data)


# Payouts


def payout_key(refund_id: UUID, bounces: int) -> str:
    """The idempotency key of a payout of a refund that has bounced so often."""
    return f"{refund_id}-{bounces + 1}" if bounces else str(refund_id)


def refund_payout_requested(refund: Refund, payment_id: str | None, first: date, last: date) -> NewEvent:
    """Checkout is asked to pay; the money is expected from the first to the last day.

    The idempotency key is the refund id: asking again can never pay twice. After a bounce the gateway has
    answered that key with a payout that was made, so the next payout has a key of its own.
    """
    data = {
        "amount": refund.amount,
        "fee": refund.fee,
        "payment_id": payment_id,
        "destination": _destination(refund.destination),
        "idempotency_key": payout_key(refund.refund_id, refund.bounces),
        "expected_on": first.isoformat(),
    }
    if last != first:
        data["expected_until"] = last.isoformat()
    return _of_refund("refund.payout_requested.v1", refund, data)


def refund_completed(refund: Refund, payment_id: str | None, payout_id: str, at: datetime) -> NewEvent:
    """The money is out. A refund of 0 won has no payout, and its own id in the place of one."""
    assert refund.money is not None, "a refund is granted before it is paid out"
    data = {
        "payment_id": payment_id,
        "lines": refunded_lines(refund.lines, refund.consumed),
        "supply": refund.money.supply,
        "vat": refund.money.vat,
        "fee": refund.fee,
        "amount": refund.amount,
        "payout_id": payout_id,
        "completed_at": wire_time(at),
    }
    return _of_refund("refund.completed.v1", refund, data)


def refund_failed(refund: Refund, payout_id: str) -> NewEvent:
    """The payout failed; `next` says what can be done.

    One that checkout knows nothing of, and one of a refund that bounced, can be tried again only.
    """
    following = "retry_or_release" if refund.state == "failed" else "retry"
    data = {"reason": refund.why, "next": following, "payout_id": payout_id}
    return _of_refund("refund.failed.v1", refund, data)


def refund_bounced(refund: Refund, payout_id: str) -> NewEvent:
    """The money was out and came back. It is owed again; units and documents stay as they are."""
    data = {"payout_id": payout_id, "amount": refund.amount, "reason": refund.why, "next": "retry"}
    return _of_refund("refund.bounced.v1", refund, data)


def refund_repaid(refund: Refund, payout_id: str, at: datetime) -> NewEvent:
    """The money of a refund that had bounced is out again."""
    data = {"payout_id": payout_id, "amount": refund.amount, "paid_out_at": wire_time(at)}
    return _of_refund("refund.repaid.v1", refund, data)


def refund_paid_twice(
    refund: Refund, payment_id: str | None, payout_id: str, amount: int, at: datetime
) -> NewEvent:
    """So many won left that nobody was owed: the refund was paid out before, or given up."""
    data = {
        "payment_id": payment_id,
        "payout_id": payout_id,
        "amount": amount,
        "paid_out_at": wire_time(at),
    }
    return _of_refund("refund.paid_twice.v1", refund, data)


def refund_overpaid(
    refund: Refund, payment_id: str | None, line_id: str, amount: int, used_at: datetime
) -> NewEvent:
    """So many won that went back of a line had been used; the use was heard of later."""
    data = {
        "payment_id": payment_id,
        "line_id": line_id,
        "amount": amount,
        "used_at": wire_time(used_at),
    }
    return _of_refund("refund.overpaid.v1", refund, data)


def refund_underpaid(
    refund: Refund, payment_id: str | None, line_id: str, amount: int, at: datetime
) -> NewEvent:
    """So many won more of a line would have gone back: a bonus was told later."""
    data = {"payment_id": payment_id, "line_id": line_id, "amount": amount, "told_at": wire_time(at)}
    return _of_refund("refund.underpaid.v1", refund, data)


def refund_released(refund: Refund, actor: str) -> NewEvent:
    """An operator gave the units back to the order."""
    data = {"lines": _lines(refund.lines), "actor": actor, "reason": refund.why}
    return _of_refund("refund.released.v1", refund, data)


# Lines


def refund_locked(order: Order, lines: Iterable[Line], at: datetime) -> NewEvent:
    """Nothing of these lines of the order can be refunded any more."""
    locked = {"locked_at": wire_time(at), "reason": "issued"}
    data = {"order_id": order.order_id, "lines": [{"line_id": line.line_id, **locked} for line in lines]}
    return NewEvent("refund.locked.v2", order.order_id, order.sequence + 1, data)


def _of_refund(type_name: str, refund: Refund, data: Mapping[str, Any]) -> NewEvent:
    refund_id = str(refund.refund_id)
    head = {
        "order_id": refund.order_id,
        "refund_id": refund_id,
        "refund_request_id": refund.refund_request_id,
    }
    return NewEvent(type_name, refund_id, refund.sequence + 1, {**head, **data})


def _lines(units: Iterable[LineUnits]) -> list[dict[str, Any]]:
    return [each.document() for each in units]


def _destination(destination: Destination) -> dict[str, Any]:
    """The destination as a reference: the account itself is never in an event."""
    return {
        "method": destination.kind,
        "reference": str(destination.reference),
        "masked": destination.masked,
    }
