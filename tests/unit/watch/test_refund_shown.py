"""What `pawl refund show` says of a refund that waits."""

from typing import Any

import pytest

from ops.watch.show.refund import _lines


def waiting(**changes: Any) -> dict[str, Any]:
    """Goods that were to be back by the 15th, as they are read."""
    return {
        "refund_id": "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01",
        "refund_request_id": "rr-77",
        "order_id": "A-1001",
        "requested_by": "P-17",
        "reason": "dissatisfied",
        "why": None,
        "mismatch": None,
        "steps": [],
        "deadline": None,
        "overdue": False,
        "approved_by": None,
        "lines": [],
        "supply": None,
        "destination_kind": "original_card",
        "destination_masked": None,
        "expected_on": None,
        "legal_on": "2026-11-11",
        "late": None,
        "payouts": [],
        "decisions": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("overdue", "told"), [(False, "2026-11-15 23:59"), (True, "2026-11-15 23:59, which is over")]
)
def test_a_return_that_is_never_confirmed_is_shown_overdue(*, overdue: bool, told: str) -> None:
    refund = waiting(deadline="2026-11-15T23:59:59.999999+09:00", overdue=overdue)

    assert dict(_lines(refund))["until"] == told
