"""May these units be refunded? Judged at the request and again at its approval, by the rule of each kind.

Refuses early only what is surely lost, by what is recorded; who gets a unit is decided by orders alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from services.refunds.decisions.units import NOT_CONSUMED, are_free, unanswered, worth
from services.refunds.decisions.usage import usage_of
from services.refunds.policies import POLICIES
from services.refunds.policies.app_stores import NEXT, SAYS, SAYS_KO, stores_document
from services.refunds.policies.destinations import destination_kind
from services.refunds.policies.holds import HOLDS, REVIEWED
from services.refunds.policies.prepaid import WHOLE_ONLY
from services.refunds.policies.reasons import TERMINATED_BY_OPERATOR
from services.refunds.policies.rules import Answer, Payment, Question
from services.refunds.state import Line, Order, Refund
from shared.units import LineUnits

_VAGUE: Final[Mapping[str | None, int]] = {"nothing_left": 1, "refund_in_progress": 2}
"""Reasons without a moment, the vaguest first; every other one says more."""


class Refusal(NamedTuple):
    """Why a request ends here: a business reason, since when, and what else the requester should know."""

    reason: str
    at: datetime
    more: Mapping[str, Any] = {}


class Refundable(NamedTuple):
    """Units to ask orders for, the won kept of their refund, and the names of the rules that allow it.

    `holds` are the reasons to wait before that, in the order of `HOLDS`. Free units wait for nothing.
    `consumed` are the won by line that were used up of the units, `reviewed` the lines of which an operator
    decides.
    """

    units: tuple[LineUnits, ...]
    fee: int
    rules: str
    holds: tuple[str, ...] = ()
    consumed: Mapping[str, int] = NOT_CONSUMED
    reviewed: tuple[str, ...] = ()

    @property
    def consumed_won(self) -> int:
        """What was used up of all units together."""
        return sum(self.consumed.values())


def judge(order: Order, refund: Refund, at: datetime) -> Refundable | Refusal:
    """What to ask orders for, or why nothing. Rules in the order in which a person would explain them.

    By the rule of each line's kind, as of the request: a review that takes its time closes no window. A
    refund of everything names its units from when only a part of its goods came back.
    """
    refused = barred(order, at) or _operator_only(refund, at)
    if refused is not None:
        return refused
    asked = None if refund.everything and not refund.lines else refund.lines
    found = judge_units(order, asked, refund.requested_at, at)
    if isinstance(found, Refusal) or are_free(order, found.units):
        return found
    if refund.destination.masked is None:
        return Refusal("destination_missing", at)
    return found


def judge_units(
    order: Order, asked: Sequence[LineUnits] | None, asked_at: datetime, at: datetime
) -> Refundable | Refusal:
    """What may be refunded of these units, None for everything, whoever asks and wherever the money goes."""
    found = barred(order, at) or _by_kind(order, asked, asked_at, at)
    if isinstance(found, Refusal):
        return found
    if are_free(order, found.units):
        return found._replace(holds=())
    if is_eaten(worth(order, found.units, found.consumed_won).total, found.fee):
        return Refusal("nothing_to_pay", at)
    return found


def barred(order: Order, at: datetime) -> Refusal | None:
    """Why nothing of the order can be refunded here, whatever it is."""
    if order.state == "registered":
        return Refusal("not_paid", at)
    if order.state in ("expired", "cancelled"):
        return Refusal(f"order_{order.state}", order.ended_at or at)
    if destination_kind(order.payment_method) == "app_store":
        more = {"next": NEXT, "detail": SAYS, "detail_ko": SAYS_KO, "stores": stores_document()}
        return Refusal("app_store", at, more)
    return None


def is_eaten(won: int, fee: int) -> bool:
    """Whether the fee leaves nothing of a refund of so many won. Units that are worth nothing have no fee."""
    return 0 < fee >= won


def answers_to(order: Order, asked: Sequence[LineUnits] | None, at: datetime) -> dict[str, Answer]:
    """What the rules say, by line, to somebody who asks for these units, None for everything.

    Nothing of an order that was never paid.
    """
    if order.paid_at is None:
        return {}
    if asked is None:
        return answers_for_everything(order, at)
    return {line_id: _ask(order, order.lines[line_id], quantity, at) for line_id, quantity in asked}


def answers_for_everything(order: Order, at: datetime) -> dict[str, Answer]:
    """What the rules say, by line, to somebody who asks for all units that no other refund has asked for.

    Nothing of an order that was never paid.
    """
    if order.paid_at is None:
        return {}
    asked = unanswered(order)
    return {
        line.line_id: _ask(order, _with_asked(line, asked.get(line.line_id, 0)), None, at)
        for line in order.lines.values()
    }


def refundable(order: Order, answers: Mapping[str, Answer]) -> Refundable:
    """What these answers allow together."""
    given = {line_id: answer for line_id, answer in answers.items() if answer.units}
    return Refundable(
        tuple(LineUnits(line_id, answer.units) for line_id, answer in given.items()),
        sum(answer.fee for answer in given.values()),
        ", ".join(dict.fromkeys(POLICIES[order.lines[line_id].kind].__name__ for line_id in given)),
        tuple(reason for reason in HOLDS if any(answer.hold == reason for answer in given.values())),
        {line_id: answer.consumed for line_id, answer in given.items() if answer.consumed},
        tuple(line_id for line_id, answer in given.items() if answer.hold in REVIEWED),
    )


def why_nothing(answers: Iterable[Answer], at: datetime) -> Refusal:
    """The reason that says most: that of the last loss, where the moment of one is known."""
    answers = list(answers)
    lost = [(answer.since, answer.reason) for answer in answers if answer.since is not None]
    if lost:
        since, reason = max(lost, key=lambda loss: loss[0])
        return Refusal(reason or "nothing_left", since)
    reasons = [answer.reason or "nothing_left" for answer in answers]
    return Refusal(max(reasons, key=lambda reason: _VAGUE.get(reason, 3), default="nothing_left"), at)


def fee_of(order: Order, units: Iterable[LineUnits], at: datetime) -> int:
    """What the rules keep of a refund of exactly these units, in won."""
    return sum(_ask(order, order.lines[line_id], quantity, at).fee for line_id, quantity in units)


def _operator_only(refund: Refund, at: datetime) -> Refusal | None:
    if refund.reason == TERMINATED_BY_OPERATOR and refund.role != "operator":
        return Refusal("operator_only", at)
    return None


def _by_kind(
    order: Order, asked: Sequence[LineUnits] | None, asked_at: datetime, at: datetime
) -> Refundable | Refusal:
    answers = answers_to(order, asked, asked_at)
    if asked is None:
        found = refundable(order, answers)
        return found if found.units else why_nothing(answers.values(), at)
    for answer in answers.values():
        if answer.reason is not None:
            more = {"lines": _what_is_left(order, asked, answers, asked_at)}
            return Refusal(answer.reason, answer.since or at, more)
    return refundable(order, answers)


def _ask(order: Order, line: Line, quantity: int | None, at: datetime) -> Answer:
    assert order.paid_at is not None, "only what was paid can be refunded"
    payment = Payment(order.payment_method, order.vat_mode, order.paid_at)
    return POLICIES[line.kind](Question(line, payment, usage_of(order, line), quantity, at))


def _with_asked(line: Line, asked: int) -> Line:
    """Units asked of orders count as taken, though not more of them than are open: orders may deny some."""
    return replace(line, refunding=line.refunding + min(asked, line.open)) if asked else line


def _what_is_left(
    order: Order, asked: Sequence[LineUnits], answers: Mapping[str, Answer], asked_at: datetime
) -> list[dict[str, Any]]:
    """What was asked for, each line with what could be: units, and won where only all of them could be."""
    return [
        {
            **each.document(),
            "left": order.lines[each.line_id].open,
            **(_whole(order, each.line_id, asked_at) if answers[each.line_id].reason == WHOLE_ONLY else {}),
        }
        for each in asked
    ]


def _whole(order: Order, line_id: str, asked_at: datetime) -> dict[str, int]:
    """What a refund of the whole balance of a line would pay and keep, in won, if there is one."""
    line = order.lines[line_id]
    whole = _ask(order, line, None, asked_at)
    if not whole.units:
        return {}
    total = worth(order, [LineUnits(line.line_id, whole.units)], whole.consumed).total
    return {"amount": total - whole.fee, "fee": whole.fee}
