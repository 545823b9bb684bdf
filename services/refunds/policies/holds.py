"""What a refund may wait for before orders is asked for its units, and what ends it (domain.md section 4)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from services.refunds.policies.app_stores import NEXT as ASK_APP_STORE
from services.refunds.policies.goods import RETURN_DAYS
from services.refunds.state import RefundState
from shared.business_days import legal_refund_day
from shared.kst import end_of_day, kst_date, window_end


class Hold(NamedTuple):
    """A wait: the state of the refund meanwhile, what has to come next, and how many KST days that may take.

    Without days of its own it may take until the legal day of the refund: a review does not stop the law.
    Past that it is shown as overdue; nothing ends by itself.
    """

    state: RefundState
    next: str
    days: int | None = None


HOLDS: Final[Mapping[str, Hold]] = {
    "holder_check": Hold("held", "bank_answer"),
    "holder_mismatch": Hold("held", "attach_proof"),
    "used": Hold("in_review", "operator_review"),
    "window_over": Hold("in_review", "operator_review"),
    "second_approval": Hold("in_review", "second_review"),
    "return_awaited": Hold("held", "confirm_return", RETURN_DAYS),
}
"""Every reason to wait, in the order in which a refund waits for them.

Goods are sent back last: whoever looks at the request first may still refuse it.
"""
REVIEWED: Final = frozenset(reason for reason, hold in HOLDS.items() if hold.next == "operator_review")
"""The reasons for which an operator decides what the rule of the kind does not give back by itself."""


def deadline_of(why: str, requested_at: datetime, returned_at: datetime | None, at: datetime) -> datetime:
    """The last instant in which what is awaited since `at` is in time."""
    days = HOLDS[why].days
    if days is not None:
        return window_end(at, days)
    return end_of_day(legal_refund_day(kst_date(returned_at or requested_at)))


def next_step(state: str, why: str | None) -> str | None:
    """What has to come next for a refund that waits; None where it waits for nobody outside.

    Who paid through an app store goes on there.
    """
    if (state, why) == ("rejected", "app_store"):
        return ASK_APP_STORE
    hold = HOLDS.get(why or "")
    if hold is None or state not in ("held", "in_review"):
        return None
    return hold.next if state == hold.state else "operator_review"
