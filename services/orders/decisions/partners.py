"""May a partner leave? Every blocker is listed, and while one stands the answer is no.

Years later it is purged: nothing names it any more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from services.orders.events import decided, partner_purged, partner_withdrawal_refused, partner_withdrawn
from services.orders.state import Blocker, Partner, WithdrawalRequest
from shared.events.checkout import PartnerWithdrawalRequested
from shared.kst import end_of_day, kst_date, months_before
from shared.runtime.decisions import Decided, Decision, Reject

WITHDRAW: Final = "partner.withdraw"
"""The command by which a partner leaves over HTTP."""
MONTHS_OF_YEAR: Final = 12


def withdraw(
    partner: Partner,
    data: PartnerWithdrawalRequested,
    content: bytes,
    at: datetime,
    blockers: Sequence[Blocker],
) -> Decision[Partner]:
    """Answers a request to leave; the same request again changes nothing."""
    answered = None if data.request_id is None else partner.requests.get(data.request_id)
    if answered is not None and answered.content != content:
        return Reject(
            "duplicate_request",
            "/request_id",
            f"request {data.request_id} was made before with other content",
        )
    if answered is not None or partner.withdrawn_at is not None:
        return Decided(partner)
    if data.request_id is not None:
        request = WithdrawalRequest(partner.partner_id, data.request_id, content)
        partner = replace(partner, requests={**partner.requests, request.request_id: request})
    return leave(partner, data.requested_at or at, blockers)


def leave(partner: Partner, at: datetime, blockers: Sequence[Blocker]) -> Decided[Partner]:
    """Lets a partner leave at this instant unless something is unfinished (domain.md section 6).

    One that has left stays away from the moment on at which it did.
    """
    if partner.withdrawn_at is not None:
        return Decided(partner)
    if blockers:
        return decided(partner, partner_withdrawal_refused(partner, blockers))
    return decided(replace(partner, withdrawn_at=at), partner_withdrawn(partner, at))


def purge(partner: Partner, at: datetime) -> Decided[Partner]:
    """Notes that a partner that left is named no more, and tells everybody. It happens once."""
    if partner.withdrawn_at is None or partner.purged_at is not None:
        return Decided(partner)
    purged = replace(partner, purged_at=at)
    return decided(purged, partner_purged(partner, partner.withdrawn_at, at))


def archived_until(withdrawn_at: datetime, years: int) -> datetime:
    """The last instant for which what names a partner is kept: the end of the same day in Seoul years later.

    The first day does not count, and a day that the last year lacks ends with its month (Civil Act 157, 160).
    """
    return end_of_day(months_before(kst_date(withdrawn_at), -years * MONTHS_OF_YEAR))
