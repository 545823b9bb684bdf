"""The rule of prepaid cash: everything while it is unused, else the whole remaining paid balance for a fee.

The numbers are policies. Source: domain.md section 1. That unused cash is refunded whole within seven days,
and the fee afterwards, are lawful where the terms say so. A bonus is never refunded. The fee pays no supply:
no tax document belongs to it.
"""

from datetime import datetime
from typing import Final

from services.refunds.policies.balance import paid_spent
from services.refunds.policies.rules import Answer, Question
from services.refunds.policies.until_issued import until_issued
from shared.kst import end_of_day, kst_date, window_end
from shared.money import left_worth, payment_money

FREE_DAYS: Final = 7
"""KST days after the day of the payment in which unused cash goes back without a fee."""
USABLE_YEARS: Final = 5
"""Years after the day of the payment in which what was bought can be used."""
FEE_PERCENT: Final = 10
LEAST_FEE: Final = 1_000
"""Won; a balance that is not more than this is not refunded."""

WHOLE_ONLY: Final = "whole_balance_only"
"""Why a part of a balance is refused."""


def remaining_balance(question: Question) -> Answer:
    """All units of the line, with what is left of their price, less the fee; a part is never refunded."""
    line, paid_at = question.line, question.payment.paid_at
    left, free_until, last = until_issued(question), window_end(paid_at, FREE_DAYS), usable_until(paid_at)
    if left.reason is not None:
        return left._replace(last_instant=last)
    if question.at > last:
        return Answer(0, last_instant=last, reason="balance_expired", since=last)
    if left.units != line.open:
        return Answer(0, last_instant=last, reason=WHOLE_ONLY)
    if not question.usage.used and question.at <= free_until:
        return left._replace(last_instant=free_until)
    worth = left_worth(line, line.left) - left_worth(line, line.left - line.open)
    spent = min(paid_spent(line.readings, line.bonuses), worth)
    balance = payment_money(question.payment.vat_mode, worth - spent).total
    if worth and balance <= LEAST_FEE:
        return Answer(0, last_instant=last, reason="balance_too_small")
    return left._replace(fee=fee_of_balance(balance), last_instant=last, consumed=spent)


def fee_of_balance(balance: int) -> int:
    """What is kept of a remaining paid balance of so many won with VAT: a tenth, or the least fee."""
    return max(balance * FEE_PERCENT // 100, LEAST_FEE) if balance else 0


def usable_until(paid_at: datetime) -> datetime:
    """The end of the fifth year, the day of the payment not counted (민법 제157조, 제160조)."""
    day = kst_date(paid_at)
    is_leap_day = (day.month, day.day) == (2, 29)
    year = day.year + USABLE_YEARS
    return end_of_day(day.replace(year=year, day=28) if is_leap_day else day.replace(year=year))
