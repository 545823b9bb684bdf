"""What a refund of everything would give, for anyone who only asks."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from services.refunds.decisions.judging import answers_for_everything, is_eaten, refundable, why_nothing
from services.refunds.decisions.units import worth
from services.refunds.policies.destinations import destination_kind, expected_payout
from services.refunds.policies.rules import Answer
from services.refunds.state import DestinationKind, Line, Order
from shared.kst import kst_date
from shared.money import NOTHING, Money

_NO_ANSWER = Answer(0)


class LineEligibility(NamedTuple):
    """What may be refunded of one line; `reason` and `since` say why it is nothing.

    `fee` is what is kept of it, in won. `last_instant` is when it can be refunded at the latest; None as long
    as it is not issued. `hold` is what its refund would wait for first (`HOLDS`).
    """

    line_id: str
    kind: str
    paid: int
    refundable: int
    fee: int
    last_instant: datetime | None
    reason: str | None
    since: datetime | None
    hold: str | None = None


class Eligibility(NamedTuple):
    """What a refund of everything refundable would give, in won: `amount` is `money` less the `fee`.

    `last_instant` is the last one at which all of this can be refunded; None as long as it is not issued.
    """

    order_id: str
    lines: Sequence[LineEligibility]
    units: int
    money: Money
    fee: int
    amount: int
    reason: str | None
    last_instant: datetime | None
    destination: DestinationKind
    expected_on: date | None


def eligibility(order: Order, now: datetime) -> Eligibility:
    """What a refund of everything would give at `now`, and why a line gives nothing."""
    answers = answers_for_everything(order, now)
    reason = _why_not(order, answers, now)
    if reason is not None:
        answers = {line_id: answer._replace(units=0) for line_id, answer in answers.items()}
    found = refundable(order, answers)
    units, fee = found.units, found.fee
    money = worth(order, units, found.consumed_won) if units else NOTHING
    kind = destination_kind(order.payment_method)
    return Eligibility(
        order.order_id,
        [_of_line(line, answers.get(line.line_id, _NO_ANSWER), reason) for line in order.lines.values()],
        units=sum(each.quantity for each in units),
        money=money,
        fee=fee,
        amount=money.total - fee,
        reason=reason,
        last_instant=_last_instant(answers),
        destination=kind,
        expected_on=_expected_on(kind, money, now) if units else None,
    )


def _expected_on(kind: DestinationKind, money: Money, now: datetime) -> date:
    """What is worth nothing goes back at once."""
    return expected_payout(kind, now)[0] if money.total else kst_date(now)


def _why_not(order: Order, answers: Mapping[str, Answer], now: datetime) -> str | None:
    if order.state != "paid":
        return "not_paid" if order.state == "registered" else f"order_{order.state}"
    if destination_kind(order.payment_method) == "app_store":
        return "app_store"
    found = refundable(order, answers)
    if not found.units:
        return why_nothing(answers.values(), now).reason
    if is_eaten(worth(order, found.units, found.consumed_won).total, found.fee):
        return "nothing_to_pay"
    return None


def _of_line(line: Line, answer: Answer, reason: str | None) -> LineEligibility:
    return LineEligibility(
        line.line_id,
        line.kind,
        line.paid,
        answer.units,
        fee=answer.fee if answer.units else 0,
        last_instant=answer.last_instant,
        reason=None if answer.units else answer.reason or reason,
        since=answer.since,
        hold=answer.hold if answer.units else None,
    )


def _last_instant(answers: Mapping[str, Answer]) -> datetime | None:
    """The first of the last instants of what can be refunded; when nothing can, the one that went by last."""
    given = [answer for answer in answers.values() if answer.units]
    instants = [each.last_instant for each in given or answers.values() if each.last_instant is not None]
    return min(instants, default=None) if given else max(instants, default=None)
