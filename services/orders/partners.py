"""May a partner leave? Pure: every blocker is listed, and while one stands the answer is no."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.events.checkout import PartnerWithdrawalRequested
from shared.kst import wire_time
from shared.runtime.decisions import Applied, NewEvent, Reject

Blocker = dict[str, Any]


@dataclass(slots=True)
class Partner:
    """A partner that once asked to leave. Withdrawn is for good."""

    partner_id: str
    withdrawn_at: datetime | None = None
    sequence: int = 0
    requests: dict[str, bytes] = field(default_factory=dict)

    def fact(self, type_name: str, data: dict[str, Any]) -> NewEvent:
        """The next fact about this partner."""
        self.sequence += 1
        return NewEvent(type_name, self.partner_id, self.sequence, {"partner_id": self.partner_id, **data})


def withdraw(
    partner: Partner,
    data: PartnerWithdrawalRequested,
    content: bytes,
    at: datetime,
    blockers: Sequence[Blocker],
) -> tuple[Partner, Applied | Reject]:
    """Lets a partner leave unless something is unfinished (domain.md section 6)."""
    request_id = data.request_id
    if request_id is not None and request_id in partner.requests:
        if partner.requests[request_id] == content:
            return partner, Applied()
        return partner, Reject(
            "duplicate_request", "/request_id", f"request {request_id} was made before with other content"
        )
    if partner.withdrawn_at is not None:
        return partner, Applied()
    new = replace(partner, requests=dict(partner.requests))
    if request_id is not None:
        new.requests[request_id] = content
    if blockers:
        return new, Applied([new.fact("partner.withdrawal_refused.v1", {"blockers": list(blockers)})])
    new.withdrawn_at = data.requested_at or at
    return new, Applied([new.fact("partner.withdrawn.v1", {"withdrawn_at": wire_time(new.withdrawn_at)})])
