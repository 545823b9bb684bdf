"""The rule of serials: refundable until issued, by unit, without a fee and without a last day."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.refunds.policies import POLICIES
from services.refunds.policies.rules import NOT_USED, Answer, Payment, Question
from services.refunds.state import Line

PAID_AT = datetime(2026, 10, 21, tzinfo=UTC)
ISSUED_AT = datetime(2026, 10, 23, tzinfo=UTC)
YEARS_LATER = datetime(2031, 10, 21, tzinfo=UTC)


def ask(quantity: int | None, **counts: int) -> Answer:
    """What the rule says about a line of 32 units with these counts."""
    issued: dict[str, Any] = {"last_granted_at": ISSUED_AT} if counts.get("granted") else {}
    line = Line("A-1", "1", 0, "serials", 1_600, 32, **counts, **issued)
    payment = Payment("card", "exclusive", PAID_AT)
    return POLICIES["serials"](Question(line, payment, NOT_USED, quantity, YEARS_LATER))


def test_units_that_nobody_has_claimed_can_be_refunded_at_any_time_without_a_fee() -> None:
    assert ask(4, granted=28) == Answer(4, fee=0, last_instant=None)
    assert ask(None, granted=20, refunding=2) == Answer(10)


def test_a_line_partly_issued_and_partly_refunded_is_refused_as_issued() -> None:
    assert ask(2, granted=28, refunded=4) == Answer(0, reason="issued", since=ISSUED_AT)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"granted": 32}, "issued"),
        ({"granted": 2, "refunded": 30}, "issued"),
        ({"refunding": 2, "refunded": 30}, "refund_in_progress"),
        ({"refunded": 32}, "nothing_left"),
        ({"taken_back": 32}, "nothing_left"),
    ],
)
def test_of_everything_it_says_why_nothing_is_left(counts: dict[str, int], reason: str) -> None:
    answer = ask(None, **counts)

    assert (answer.units, answer.reason) == (0, reason)
    assert (answer.since is not None) == (reason == "issued")


@pytest.mark.parametrize(
    ("quantity", "counts", "reason"),
    [
        (33, {}, "more_than_paid"),
        (32, {"refunding": 1}, "refund_in_progress"),
        (22, {"granted": 10, "refunding": 1}, "refund_in_progress"),
        (23, {"granted": 10, "refunding": 1}, "issued"),
        (16, {"granted": 10, "refunding": 2, "refunded": 5}, "refund_in_progress"),
        (17, {"granted": 10, "refunding": 2, "refunded": 5}, "refund_in_progress"),
        (18, {"granted": 10, "refunding": 2, "refunded": 5}, "already_refunded"),
        (28, {"refunding": 1, "taken_back": 5}, "already_refunded"),
        (27, {"refunding": 1, "taken_back": 5}, "refund_in_progress"),
        (1, {"refunded": 32}, "already_refunded"),
        (1, {"refunding": 32}, "refund_in_progress"),
        (1, {"granted": 1, "refunding": 31}, "issued"),
        (2, {"granted": 1, "refunding": 30}, "refund_in_progress"),
    ],
)
def test_what_took_them_is_the_first_claim_without_which_they_would_be_there(
    quantity: int, counts: dict[str, int], reason: str
) -> None:
    since = ISSUED_AT if reason == "issued" else None

    assert ask(quantity, **counts) == Answer(0, reason=reason, since=since)


def test_the_last_unit_that_is_left_can_be_refunded_and_not_one_more() -> None:
    assert ask(32) == Answer(32)
    assert ask(4, granted=10, refunding=10, refunded=8) == Answer(4)
    assert ask(5, granted=10, refunding=10, refunded=8).units == 0
