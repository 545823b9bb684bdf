"""Which payouts refunds has asked for, and which of them nobody has answered. Pure.

The fold of `refunds.events`, whose records of one refund come in their order.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ops.gateway.answers import PayoutRequest

ASKED: Final = "refund.payout_requested.v1"
ANSWERED: Final = frozenset(
    {"refund.completed.v1", "refund.repaid.v1", "refund.bounced.v1", "refund.released.v1"}
)
FAILED: Final = "refund.failed.v1"
UNANSWERED: Final = frozenset({"timeout", "unknown"})
"""Reasons of a failure after which the payout is still to be answered."""


class Requests:
    """Takes in the events of refunds in their order. `open` has the unanswered requests by refund."""

    def __init__(self) -> None:
        self.open: dict[str, PayoutRequest] = {}
        self._asked: dict[str, PayoutRequest] = {}

    def record(self, type_name: str, time: datetime, data: Mapping[str, Any]) -> PayoutRequest | None:
        """Takes in one event. Returns the request, if it is one."""
        if type_name == ASKED:
            return self._ask(time, data)
        surely_failed = type_name == FAILED and data["reason"] not in UNANSWERED
        if type_name in ANSWERED or surely_failed:
            self.open.pop(data["refund_id"], None)
        return None

    def _ask(self, time: datetime, data: Mapping[str, Any]) -> PayoutRequest:
        key = data["idempotency_key"]
        before = self._asked.get(key)
        asked = PayoutRequest(
            data["order_id"],
            data["refund_id"],
            key,
            data["amount"],
            since=before.since if before else time,
            at=time,
            attempt=before.attempt + 1 if before else 1,
        )
        self.open[asked.refund_id] = self._asked[key] = asked
        return asked
