"""May these units be refunded? Judged at the request, again at its approval, and for anyone who only asks.

Refuses early only what is surely lost, by facts; who gets a unit is decided by orders alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, NamedTuple

from services.refunds import policies
from services.refunds.policies import POLICIES, Units, Verdict
from services.refunds.refund_order import Line, Refund, RefundOrder, Share
from shared.money import Money


class Refusal(NamedTuple):
    """Why a request ends here: a business reason, since when, and what else the requester should know."""

    reason: str
    at: datetime
    more: Mapping[str, Any] = {}


def judge(order: RefundOrder, refund: Refund, at: datetime) -> tuple[Share, ...] | Refusal:
    """The units to ask orders for, or why none. Rules in the order in which a person would explain them."""
    barred = _barred(order, refund, at)
    if barred is not None:
        return barred
    shares = _everything(order, at) if refund.everything else _all_or_nothing(order, refund.lines, at)
    if isinstance(shares, Refusal):
        return shares
    if order.worth(shares).total <= 0:
        return Refusal("nothing_to_pay", at)
    if refund.destination.masked is None:
        return Refusal("destination_missing", at)
    return shares


def _barred(order: RefundOrder, refund: Refund, at: datetime) -> Refusal | None:
    payment = order.payment
    if payment.state in ("expired", "cancelled"):
        return Refusal(f"order_{payment.state}", payment.ended_at or at)
    if refund.destination.kind == "app_store":
        text = "This payment was made through an app store: ask that store for the refund."
        return Refusal("app_store", at, {"next": "ask_app_store", "detail": text})
    if refund.reason == policies.TERMINATED_BY_OPERATOR and refund.role != "operator":
        return Refusal("operator_only", at)
    return None


def _all_or_nothing(
    order: RefundOrder, shares: tuple[Share, ...], at: datetime
) -> tuple[Share, ...] | Refusal:
    for share in shares:
        verdict = _verdict(order.lines[share.line_id], share.quantity)
        if verdict.reason is not None:
            return Refusal(verdict.reason, verdict.at or at, {"lines": _what_is_left(order, shares)})
    return shares


def _everything(order: RefundOrder, at: datetime) -> tuple[Share, ...] | Refusal:
    """All open units that no other refund has asked for."""
    verdicts = verdicts_of(order)
    shares = shares_of(verdicts)
    return shares or why_nothing(verdicts.values(), at)


def verdicts_of(order: RefundOrder) -> dict[str, Verdict]:
    asked = order.asked()
    return {
        line.line_id: POLICIES[line.kind](_with_asked(line.units, asked.get(line.line_id, 0)), None)
        for line in order.lines.values()
        if line.kind in POLICIES
    }


def shares_of(verdicts: Mapping[str, Verdict]) -> tuple[Share, ...]:
    return tuple(Share(line_id, v.quantity) for line_id, v in verdicts.items() if v.quantity)


def why_nothing(verdicts: Iterable[Verdict], at: datetime) -> Refusal:
    """The reason that says most; for issued units the moment the last one was lost."""
    verdicts = list(verdicts)
    lost = [verdict.at for verdict in verdicts if verdict.reason == "issued" and verdict.at is not None]
    if lost:
        return Refusal("issued", max(lost))
    in_progress = any(verdict.reason == "refund_in_progress" for verdict in verdicts)
    return Refusal("refund_in_progress" if in_progress else "nothing_left", at)


def _verdict(line: Line, quantity: int) -> Verdict:
    return POLICIES[line.kind](line.units, quantity)


def _with_asked(units: Units, asked: int) -> Units:
    """Units asked of orders count as taken, though not more of them than are open: orders may deny some."""
    return replace(units, refunding=units.refunding + min(asked, units.open)) if asked else units


def _what_is_left(order: RefundOrder, shares: Iterable[Share]) -> list[dict[str, Any]]:
    return [{**share._asdict(), "left": order.lines[share.line_id].units.open} for share in shares]


@dataclass(slots=True, frozen=True)
class LineEligibility:
    """What may be refunded of one line; `reason` and `since` say why it is nothing."""

    line_id: str
    kind: str
    paid: int
    refundable: int
    reason: str | None
    since: datetime | None


@dataclass(slots=True, frozen=True)
class Eligibility:
    """What a refund of everything refundable would give, in won; `last_instant` None: until issued."""

    order_id: str
    lines: Sequence[LineEligibility]
    units: int
    money: Money
    fee: int
    amount: int
    reason: str | None
    last_instant: datetime | None
    destination: policies.DestinationKind
    expected_on: date | None


def eligibility(order: RefundOrder, now: datetime) -> Eligibility:
    """What a refund of everything would give at `now`, and why a line gives nothing."""
    verdicts = verdicts_of(order)
    shares = shares_of(verdicts)
    kind = policies.destination_kind(order.payment.method)
    reason = _why_not(order, kind, verdicts, now)
    if reason is not None:
        shares = ()
    money = order.worth(shares) if shares else Money(0, 0)
    open_units = {share.line_id: share.quantity for share in shares}
    return Eligibility(
        order.order_id,
        [_line_eligibility(line, open_units, verdicts, reason) for line in order.lines.values()],
        units=sum(open_units.values()),
        money=money,
        fee=0,
        amount=money.total,
        reason=reason,
        last_instant=None,
        destination=kind,
        expected_on=policies.expected_payout(kind, now)[0] if shares else None,
    )


def _why_not(
    order: RefundOrder, kind: policies.DestinationKind, verdicts: Mapping[str, Verdict], now: datetime
) -> str | None:
    if order.payment.state != "paid":
        return "not_paid" if order.payment.state == "registered" else f"order_{order.payment.state}"
    if kind == "app_store":
        return "app_store"
    if not verdicts:
        return "not_supported"
    if not any(verdict.quantity for verdict in verdicts.values()):
        return why_nothing(verdicts.values(), now).reason
    if not order.price_of(shares_of(verdicts)):
        return "nothing_to_pay"
    return None


def _line_eligibility(
    line: Line, open_units: Mapping[str, int], verdicts: Mapping[str, Verdict], reason: str | None
) -> LineEligibility:
    refundable = open_units.get(line.line_id, 0)
    verdict = verdicts.get(line.line_id, Verdict(0, "not_supported"))
    why = None if refundable else verdict.reason or reason
    return LineEligibility(line.line_id, line.kind, line.units.paid, refundable, why, verdict.at)
