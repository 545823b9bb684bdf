"""The rule of goods: refundable within seven days of the delivery, once they are back.

Both numbers of days are policies. Source: domain.md section 1; 전자상거래법 제17조 제1항 (seven days from the
delivery).
"""

from typing import Final

from services.refunds.policies.rules import Answer, Question
from services.refunds.policies.until_issued import until_issued
from shared.kst import window_end

WINDOW_DAYS: Final = 7
"""KST days to ask for a refund, after the delivery, or after the payment where no delivery was told."""
RETURN_DAYS: Final = 7
"""KST days in which the goods are to be back, from when their return is awaited."""


def return_window(question: Question) -> Answer:
    """The units that are asked for, when they are back; none after the window."""
    left = until_issued(question)
    last = window_end(question.line.delivered_at or question.payment.paid_at, WINDOW_DAYS)
    if left.reason is not None:
        return left._replace(last_instant=last)
    if question.at > last:
        return Answer(0, last_instant=last, reason="window_over", since=last)
    return left._replace(last_instant=last, hold="return_awaited")
