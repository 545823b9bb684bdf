"""May these units be refunded? Judged at the request and again at its approval, by the rule of each kind.

Refuses early only what is surely lost, by what is recorded; who gets a unit is decided by orders alone.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from services.refunds.decisions.units import NOT_CONSUMED, are_free, unanswered, worth
from services.refunds.decisions.usage import usage_of
from services.refunds.policies import POLICIES
from services.refunds.policies.app_stores import NEXT, SAYS, SAYS_KO, stores_document
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
    """What to ask orders for, or why nothing. Rules in the order in which a person would explain them."""
    found = _barred(order, refund, at) or _by_kind(order, refund, at)
    if isinstance(found, Refusal):
        return found
    if are_free(order, found.units):
        return found._replace(holds=())
    if is_eaten(worth(order, found.units, found.consumed_won).total, found.fee):
        return Refusal("nothing_to_pay", at)
    if refund.destination.masked is None:
        return Refusal("destination_missing", at)
    return found


def is_eaten(won: int, fee: int) -> bool:
    """Whether the fee leaves nothing of a refund of so many won. Units that are worth nothing have no fee."""
    return 0 < fee >= won


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


def _barred(order: Order, refund: Refund, at: datetime) -> Refusal | None:
    if order.state in ("expired", "cancelled"):
        return Refusal(f"order_{order.state}", order.ended_at or at)
    if refund.destination.kind == "app_store":
        more = {"next": NEXT, "detail": SAYS, "detail_ko": SAYS_KO, "stores": stores_document()}
        return Refusal("app_store", at, more)
    if refund.reason == TERMINATED_BY_OPERATOR and refund.role != "operator":
        return Refusal("operator_only", at)
    return None


def _by_kind(order: Order, refund: Refund, at: datetime) -> Refundable | Refusal:
    """By the rule of each line's kind, as of the request: a review that takes its time closes no window.

    A refund of everything names its units from when only a part of its goods came back.
    """
    if refund.everything and not refund.lines:
        answers = answers_for_everything(order, refund.requested_at)
        found = refundable(order, answers)
        return found if found.units else why_nothing(answers.values(), at)
    answers = {
        line_id: _ask(order, order.lines[line_id], quantity, refund.requested_at)
        for line_id, quantity in refund.lines
    }
    for answer in answers.values():
        if answer.reason is not None:
            more = {"lines": _what_is_left(order, refund, answers)}
            return Refusal(answer.reason, answer.since or at, more)
    return refundable(order, answers)


def _ask(order: Order, line: Line, quantity: int | None, at: datetime) -> Answer:
    assert order.paid_at is not None, "only what was paid can be refunded"
    payment = Payment(order.payment_method, order.vat_mode, order.paid_at)
    return POLICIES[line.kind](Question(line, payment, usage_of(order, line), quantity, at))


def _with_asked(line: Line, asked: int) -> Line:
    """Units asked of orders count as taken, though not more of them than are open: orders may deny some."""
    return replace(line, refunding=line.refunding + min(asked, line.open)) if asked else line


def _what_is_left(order: Order, refund: Refund, answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """What was asked for, each line with what could be: units, and won where only all of them could be."""
    return [
        {
            **each.document(),
            "left": order.lines[each.line_id].open,
            **(_whole(order, refund, each.line_id) if answers[each.line_id].reason == WHOLE_ONLY else {}),
        }
        for each in refund.lines
    ]


def _whole(order: Order, refund: Refund, line_id: str) -> dict[str, int]:
    """What a refund of the whole balance of a line would pay and keep, in won, if there is one."""
    line = order.lines[line_id]
    whole = _ask(order, line, None, refund.requested_at)
    if not whole.units:
        return {}
    total = worth(order, [LineUnits(line.line_id, whole.units)], whole.consumed).total
    return {"amount": total - whole.fee, "fee": whole.fee}
