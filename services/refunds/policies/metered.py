"""The rule of metered services: refundable within seven days as long as nothing was used; else reviewed.

The day of the activation is the first of the seven. Service fee and top-up are lines of one service, so the
use of either is the use of both. Source: domain.md section 1.
"""

from typing import Final

from services.refunds.policies.rules import Answer, Question
from services.refunds.policies.until_issued import until_issued
from shared.kst import window_end

WINDOW_DAYS: Final = 7
"""KST days, the day of the activation among them; of the payment where no activation was told."""


def unused_within_seven_days(question: Question) -> Answer:
    """The units that are asked for, without a fee. Used or late, an operator decides; it is no dead end."""
    left = until_issued(question)
    last = window_end(question.line.activated_at or question.payment.paid_at, WINDOW_DAYS - 1)
    if left.reason is not None:
        return left._replace(last_instant=last)
    if question.usage.used:
        return left._replace(last_instant=last, hold="used")
    return left._replace(last_instant=last, hold="window_over" if question.at > last else None)
