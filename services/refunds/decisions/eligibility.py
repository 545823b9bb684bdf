"""What a refund would give, for anyone who only asks: judged as the request itself would be."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from services.refunds.decisions.judging import (
    Refundable,
    Refusal,
    answers_to,
    barred,
    judge_units,
    refundable,
)
from services.refunds.decisions.units import are_free, worth
from services.refunds.policies.destinations import destination_kind, expected_payout
from services.refunds.policies.rules import Answer
from services.refunds.state import DestinationKind, Line, Order
from shared.business_days import legal_refund_day
from shared.kst import kst_date
from shared.money import NOTHING, Money
from shared.tax_documents import IssuedInvoice, TaxEffect, effect_of_refund, evidence_of
from shared.units import LineUnits, with_given_up

_NO_ANSWER = Answer(0)


class LineEligibility(NamedTuple):
    """What may be refunded of one line; `reason` and `since` say why it is nothing.

    `asked` are the units that were named, None for all. `open` are those that nobody has claimed. `money` is
    its share of the refund of all lines here that can be refunded, `fee` what is kept of it, both in won.
    `last_instant` is when it can be refunded at the latest; None as long as it is not issued. `hold` is what
    its refund would wait for first (`HOLDS`).
    """

    line_id: str
    kind: str
    asked: int | None
    paid: int
    open: int
    refundable: int
    money: Money
    fee: int
    last_instant: datetime | None
    reason: str | None
    since: datetime | None
    hold: str | None = None


class Eligibility(NamedTuple):
    """What a refund of these units would give, in won: `amount` is `money` less the `fee`.

    `units` of named lines are all of them or 0. `given_up` are free units that go with the last priced ones.
    `last_instant` is the last one at which all of this can be refunded; None as long as it is not issued.
    `holds` are what it would wait for, in turn. The money is expected from `expected_on` to `expected_until`,
    and owed by law until `legal_on`, all as of now: what has to wait first is paid later.
    `needs_account`: a request has to name a bank account.
    """

    order_id: str
    lines: Sequence[LineEligibility]
    units: int
    given_up: Sequence[LineUnits]
    money: Money
    fee: int
    amount: int
    reason: str | None
    since: datetime | None
    holds: Sequence[str]
    last_instant: datetime | None
    destination: DestinationKind
    needs_account: bool
    expected_on: date | None
    expected_until: date | None
    legal_on: date


def eligibility(order: Order, now: datetime, asked: Sequence[LineUnits] | None = None) -> Eligibility:
    """What a refund of these units, None for everything, would give at `now`, and why a line gives nothing.

    Raises KeyError for a line that the order does not have.
    """
    answers = answers_to(order, asked, now)
    judged = judge_units(order, asked, now, now)
    refused = judged if isinstance(judged, Refusal) else None
    if refused is not None and not _is_of_a_line(order, asked, answers, now):
        answers = {line_id: answer._replace(units=0) for line_id, answer in answers.items()}
    found = Refundable((), 0, "") if isinstance(judged, Refusal) else judged
    money = worth(order, found.units, found.consumed_won) if found.units else NOTHING
    kind = destination_kind(order.payment_method)
    first, last = _expected(order, found, kind, now)
    reason = None if refused is None else refused.reason
    return Eligibility(
        order.order_id,
        list(_lines(order, asked, answers, reason)),
        units=sum(each.quantity for each in found.units),
        given_up=_given_up(order, found),
        money=money,
        fee=found.fee,
        amount=money.total - found.fee,
        reason=reason,
        since=None if refused is None or refused.at == now else refused.at,
        holds=found.holds,
        last_instant=_last_instant(answers),
        destination=kind,
        needs_account=bool(found.units) and kind == "bank_account" and not are_free(order, found.units),
        expected_on=first,
        expected_until=last,
        legal_on=legal_refund_day(kst_date(now)),
    )


def tax_effect(
    order: Order, given: Eligibility, issued: IssuedInvoice | None, *, card_is_slip: bool
) -> TaxEffect | None:
    """What the refund would do to the evidence of its payment when it is paid on the expected day.

    `issued` is the invoice that the payment stands on. None where the evidence is not known, since the order
    is older than that column and no invoice was told.
    """
    if given.expected_on is None:
        return TaxEffect("none")
    if order.evidence is None and issued is None:
        return None
    asked = order.evidence or "tax_invoice"
    evidence = evidence_of(asked, order.payment_method, card_is_slip=card_is_slip and issued is None)
    return effect_of_refund(evidence, issued, given.money, given.expected_on)


def _is_of_a_line(
    order: Order, asked: Sequence[LineUnits] | None, answers: Mapping[str, Answer], now: datetime
) -> bool:
    """Whether it is refused for some of the named lines alone; the others could be refunded."""
    return asked is not None and barred(order, now) is None and any(a.reason for a in answers.values())


def _expected(
    order: Order, found: Refundable, kind: DestinationKind, now: datetime
) -> tuple[date | None, date | None]:
    """What is worth nothing goes back at once."""
    if not found.units:
        return None, None
    if are_free(order, found.units):
        return kst_date(now), kst_date(now)
    return expected_payout(kind, now)


def _given_up(order: Order, found: Refundable) -> Sequence[LineUnits]:
    asked = set(found.units)
    return [each for each in with_given_up(order.lines, found.units) if each not in asked]


def _lines(
    order: Order,
    asked: Sequence[LineUnits] | None,
    answers: Mapping[str, Answer],
    reason: str | None,
) -> Iterator[LineEligibility]:
    """The lines with their shares, which come to the whole: each is what one more line adds to it."""
    named, found = dict(asked or ()), refundable(order, answers)
    shares, waits = _shares(order, found), not are_free(order, found.units)
    for line in order.lines.values():
        if asked is None or line.line_id in named:
            answer = answers.get(line.line_id, _NO_ANSWER)
            share = shares.get(line.line_id, NOTHING)
            yield _of_line(line, named.get(line.line_id), answer, share, reason, waits=waits)


def _shares(order: Order, found: Refundable) -> Mapping[str, Money]:
    shares: dict[str, Money] = {}
    so_far, consumed = NOTHING, 0
    for place, units in enumerate(found.units, start=1):
        consumed += found.consumed.get(units.line_id, 0)
        with_it = worth(order, found.units[:place], consumed)
        shares[units.line_id] = with_it.minus(so_far)
        so_far = with_it
    return shares


def _of_line(
    line: Line, asked: int | None, answer: Answer, money: Money, reason: str | None, *, waits: bool
) -> LineEligibility:
    return LineEligibility(
        line.line_id,
        line.kind,
        asked,
        line.paid,
        line.open,
        answer.units,
        money,
        fee=answer.fee if answer.units else 0,
        last_instant=answer.last_instant,
        reason=None if answer.units else answer.reason or reason,
        since=answer.since,
        hold=answer.hold if answer.units and waits else None,
    )


def _last_instant(answers: Mapping[str, Answer]) -> datetime | None:
    """The first of the last instants of what can be refunded; when nothing can, the one that went by last."""
    given = [answer for answer in answers.values() if answer.units]
    instants = [each.last_instant for each in given or answers.values() if each.last_instant is not None]
    return min(instants, default=None) if given else max(instants, default=None)
