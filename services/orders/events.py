"""The events of the orders service: the type and the document of each, and the numbers that they get."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from msgspec.structs import replace

from services.orders.state import Blocker, Case, Claim, Line, Order, Partner
from shared.kst import wire_time
from shared.money import Money
from shared.runtime.decisions import Decided, NewEvent
from shared.units import LineUnits, refunded_lines

Aggregate = TypeVar("Aggregate", Order, Partner)

MOST_BLOCKERS: Final = 1_000
"""So many are listed in one event."""


class UnnumberedEvent(NamedTuple):
    """An event of an order or partner before `decided` has given it its sequence."""

    type: str
    subject: str
    data: dict[str, Any]


def decided(aggregate: Aggregate, *events: UnnumberedEvent) -> Decided[Aggregate]:
    """The decision with its events, numbered in their order from the last event of the aggregate."""
    numbered = [
        NewEvent(event.type, event.subject, sequence, event.data)
        for sequence, event in enumerate(events, start=aggregate.sequence + 1)
    ]
    return Decided(replace(aggregate, sequence=aggregate.sequence + len(numbered)), numbered)


# Payments


def order_registered(order: Order) -> UnnumberedEvent:
    """The order waits for its deposit of `expected` won."""
    assert order.deposit_deadline is not None
    return _of_order(
        "order.registered.v1",
        order,
        {
            **snapshot(order),
            "amount": order.expected,
            "deposit_deadline": wire_time(order.deposit_deadline),
        },
    )


def order_paid(order: Order, differs: Sequence[str]) -> UnnumberedEvent:
    """The order's money is here. `differs`: where its snapshot is another than that of the pending order."""
    assert order.paid_at is not None
    several = {"payment_ids": list(order.payment_ids)} if order.payment_ids else {}
    differing = {"differs": list(differs)} if differs else {}
    return _of_order(
        "order.paid.v1",
        order,
        {
            "payment_id": order.payment_id,
            "amount": order.amount,
            **_money(order.paid),
            "paid_at": wire_time(order.paid_at),
            **several,
            **differing,
            **snapshot(order),
        },
    )


def order_expired(order: Order, at: datetime) -> UnnumberedEvent:
    """The deposit did not come in time."""
    return _of_order("order.expired.v1", order, {"expired_at": wire_time(at)})


def order_cancelled(
    order: Order, payment_id: str, at: datetime, units: Iterable[LineUnits], money: Money
) -> UnnumberedEvent:
    """The payment was taken back, and with it these units, worth so much."""
    data = {
        "payment_id": payment_id,
        "cancelled_at": wire_time(at),
        "lines": [each.document() for each in units],
        **_money(money),
        "amount": money.total,
    }
    return _of_order("order.cancelled.v1", order, data)


def payment_quarantined(order: Order, case: Case, refund: int, destination: str | None) -> UnnumberedEvent:
    """Money does not fit its order, or is missing; `refund` won are proposed to go back, and where to."""
    proposal: dict[str, Any] = {"refund": refund}
    if destination is not None:
        proposal["destination"] = destination
    data = {**_case(case), "proposal": proposal}
    return _of_order("payment.quarantined.v1", order, data)


def quarantine_settled(order: Order, case: Case) -> UnnumberedEvent:
    """A case of quarantine ended."""
    data = {**_case(case), "decision": case.decision}
    return _of_order("quarantine.settled.v1", order, data)


# Issuance


def issuance_granted(order: Order, request_id: str, grants: Iterable[Claim]) -> UnnumberedEvent:
    """The units of one decision are claimed to be issued: a grant for each line."""
    data = {
        "request_id": request_id,
        "partner_id": order.partner_id,
        "grants": [_grant(grant, order.lines[grant.line_id]) for grant in grants],
    }
    return _of_order("issuance.granted.v2", order, data)


def issuance_denied(
    order: Order, request_id: str, units: LineUnits | None, reason: str, left: int
) -> UnnumberedEvent:
    """These units cannot be issued; `left` units of the line could be. None: all, and nobody knows of which
    lines.
    """
    asked = {} if units is None else units.document()
    data = {"request_id": request_id, **asked, "reason": reason, "left": left}
    return _of_order("issuance.denied.v1", order, data)


# Refunds


def refund_granted(
    order: Order,
    refund_id: UUID,
    request_id: str,
    units: Iterable[LineUnits],
    money: Money,
    consumed: Mapping[str, int],
) -> UnnumberedEvent:
    """Units are claimed for a refund of so much; by line, so many won of their price were used up."""
    data = {
        "refund_id": refund_id,
        "refund_request_id": request_id,
        "lines": refunded_lines(units, consumed),
        **_money(money),
    }
    return _of_order("refund.granted.v1", order, data)


def refund_denied(
    order: Order,
    refund_id: UUID,
    request_id: str,
    lines: Sequence[tuple[LineUnits, int]],
    reason: str,
    lost_at: datetime,
) -> UnnumberedEvent:
    """The claim is refused. `lines` say what was asked for and what was left of the line."""
    data = {
        "refund_id": refund_id,
        "refund_request_id": request_id,
        "lines": [{**units.document(), "left": left} for units, left in lines],
        "reason": reason,
        "lost_at": wire_time(lost_at),
    }
    return _of_order("refund.denied.v1", order, data)


# Partners


def partner_withdrawn(partner: Partner, at: datetime) -> UnnumberedEvent:
    """The partner left."""
    return _of_partner("partner.withdrawn.v1", partner, {"withdrawn_at": wire_time(at)})


def partner_purged(partner: Partner, withdrawn_at: datetime, at: datetime) -> UnnumberedEvent:
    """The partner, which left at `withdrawn_at`, is named no more: who keeps its name erases it."""
    data = {"withdrawn_at": wire_time(withdrawn_at), "purged_at": wire_time(at)}
    return _of_partner("partner.purged.v1", partner, data)


def partner_withdrawal_refused(partner: Partner, blockers: Iterable[Blocker]) -> UnnumberedEvent:
    """The partner cannot leave yet; the first blockers are listed, and how many there are."""
    listed = [
        {name: value for name, value in blocker._asdict().items() if value is not None}
        for blocker in blockers
    ]
    data: dict[str, Any] = {"blockers": listed[:MOST_BLOCKERS]}
    if len(listed) > MOST_BLOCKERS:
        data |= {"count": len(listed), "more": True}
    return _of_partner("partner.withdrawal_refused.v1", partner, data)


def _of_order(type_name: str, order: Order, data: dict[str, Any]) -> UnnumberedEvent:
    return UnnumberedEvent(type_name, order.order_id, {"order_id": order.order_id, **data})


def _of_partner(type_name: str, partner: Partner, data: dict[str, Any]) -> UnnumberedEvent:
    return UnnumberedEvent(type_name, partner.partner_id, {"partner_id": partner.partner_id, **data})


def _grant(grant: Claim, line: Line) -> dict[str, Any]:
    return {
        "grant_id": grant.claim_id,
        "line_id": line.line_id,
        "quantity": grant.quantity,
        "kind": line.kind,
        "product_id": line.product_id,
        "product_name": line.product_name,
        "unit_price": line.unit_price,
        "usage_days": line.usage_days,
    }


def _case(case: Case) -> dict[str, Any]:
    return {"payment_id": case.payment_id, "amount": case.amount, "reason": case.reason}


def _money(money: Money) -> dict[str, int]:
    return {"supply": money.supply, "vat": money.vat}


def snapshot(order: Order) -> dict[str, Any]:
    """The order as it was bought, in the form of the published language."""
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
                **({"discount": line.discount} if line.discount else {}),
            }
            for line in order.lines.values()
        ],
    }
