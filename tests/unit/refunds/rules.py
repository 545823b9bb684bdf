"""A refund rule for another kind, and how it is planted. It is no rule of the business."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from unittest.mock import patch

from services.refunds.policies import POLICIES
from services.refunds.policies.rules import Answer, Policy, Question
from shared.kst import window_end
from shared.money import payment_money


def seven_days_less_a_tenth(question: Question) -> Answer:
    """Refundable for seven days after the payment, less a fee of 10 % of what the units cost with VAT."""
    wanted = question.line.open if question.quantity is None else question.quantity
    last = window_end(question.payment.paid_at, 7)
    if question.at > last:
        return Answer(0, last_instant=last, reason="window_closed", since=last)
    if not 0 < wanted <= question.line.open:
        return Answer(0, last_instant=last, reason="nothing_left")
    price = payment_money(question.payment.vat_mode, wanted * question.line.unit_price).total
    return Answer(wanted, fee=price // 10, last_instant=last)


@contextmanager
def planted(kind: str, rule: Policy) -> Iterator[None]:
    """The kind has this rule while this is open."""
    with patch.dict(cast(dict[str, Policy], POLICIES), {kind: rule}):
        yield
