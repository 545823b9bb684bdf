"""Which payouts still need an answer, as the events of refunds say it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from ops.gateway.requests import ASKED, Requests
from shared.kst import KST

AT = datetime(2026, 10, 21, 14, 3, tzinfo=KST)
PAYOUT = {"order_id": "A-1", "refund_id": "r1", "amount": 55_000, "idempotency_key": "r1"}


def asked(requests: Requests, minutes: int = 0, **other: Any) -> Any:
    return requests.record(ASKED, AT + timedelta(minutes=minutes), PAYOUT | other)


def test_a_payout_is_open_from_the_moment_that_it_is_asked_for() -> None:
    requests = Requests()

    first = asked(requests)

    assert requests.open == {"r1": first}
    assert (first.attempt, first.since, first.at) == (1, AT, AT)


@pytest.mark.parametrize("word", ["completed", "repaid", "bounced", "released"])
def test_what_became_of_it_closes_it(word: str) -> None:
    requests = Requests()
    asked(requests)

    assert requests.record(f"refund.{word}.v1", AT, {"refund_id": "r1"}) is None
    assert requests.open == {}


@pytest.mark.parametrize(
    ("reason", "is_open"), [("account_closed", False), ("timeout", True), ("unknown", True)]
)
def test_a_failure_closes_it_unless_nobody_knows(reason: str, is_open: bool) -> None:
    requests = Requests()
    asked(requests)

    requests.record("refund.failed.v1", AT, {"refund_id": "r1", "reason": reason})

    assert bool(requests.open) is is_open


def test_a_retry_under_the_same_key_counts_on_and_one_under_a_new_key_begins_anew() -> None:
    requests = Requests()
    asked(requests)

    again = asked(requests, minutes=5)
    after_a_bounce = asked(requests, minutes=9, idempotency_key="r1-2")

    assert (again.attempt, again.since, again.at) == (2, AT, AT + timedelta(minutes=5))
    assert (after_a_bounce.attempt, after_a_bounce.since) == (1, AT + timedelta(minutes=9))
    assert requests.open == {"r1": after_a_bounce}


def test_other_events_of_refunds_say_nothing_about_payouts() -> None:
    requests = Requests()
    asked(requests)

    requests.record("refund.locked.v2", AT, {"order_id": "A-1", "lines": []})
    requests.record("refund.paid_twice.v1", AT, {"refund_id": "r1"})

    assert list(requests.open) == ["r1"]
