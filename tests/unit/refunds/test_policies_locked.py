"""Why a refund of a locked line is refused: its units are issued, whatever else happened to some of them."""

from datetime import UTC, datetime

from services.refunds.policies import POLICIES, Units


def test_a_line_partly_issued_and_partly_refunded_is_refused_as_issued():
    issued_at = datetime(2026, 10, 23, tzinfo=UTC)
    units = Units(paid=32, granted=28, refunding=0, refunded=4, taken_back=0, last_granted_at=issued_at)

    verdict = POLICIES["serials"](units, 2)

    assert (verdict.quantity, verdict.reason, verdict.at) == (0, "issued", issued_at)
