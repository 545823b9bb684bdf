"""The cases of refunds that were worked out by hand, as far as they are about what is built."""

from datetime import date, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.refunds.decisions.eligibility import eligibility
from services.refunds.policies.destinations import expected_payout, mask
from services.refunds.policies.holders import same_holder
from shared.kst import KST
from tests.support.guides import ROOT
from tests.unit.refunds.desk import Desk, line

CASES: dict[str, Any] = {
    case["id"]: case for case in orjson.loads((ROOT / "tests/golden/refunds.json").read_bytes())
}
LATER = {
    *("W3", "T1", "N1", "N2", "S5", "S6", "H2"),
    *(f"F{number}" for number in range(1, 14)),
}
"""Rules of kinds that have none yet, the legal day, interest, and the bank's answer about an account."""
ELSEWHERE = {"Q1", "Q2", "X1", "X2", "X3"}
"""Orders tells these: quarantine, withdrawals and the list of products."""
HERE = {"W1", "W2", "A1", "S1", "S2", "S3", "S4", "H1", "H3", "P1", "P2"}


def pairs_of(case: str, given: str, *expected: str) -> list[Any]:
    """What is given, each beside what is expected of it."""
    found = CASES[case]
    return list(zip(found["given"][given], *(found["expect"][name] for name in expected), strict=True))


def test_every_case_is_told_here_or_said_to_be_told_elsewhere_or_later() -> None:
    assert set(CASES) == HERE | LATER | ELSEWHERE


def _metered(activated_at: str) -> Desk:
    """A desk at which a metered service was activated."""
    desk = Desk()
    desk.paid(line("1", 1, 30_000, kind="metered"), paid_at="2026-02-28T09:00:00+09:00")
    desk.activated(at=datetime.fromisoformat(activated_at))
    return desk


@pytest.mark.parametrize(("activated_at", "last_instant"), pairs_of("W1", "activated_at", "last_instant"))
def test_w1_a_metered_service_can_be_refunded_for_seven_days_with_that_of_its_activation(
    activated_at: str, last_instant: str
) -> None:
    in_time, late = _metered(activated_at), _metered(activated_at)
    last = datetime.fromisoformat(last_instant)
    assert eligibility(in_time.order, last).last_instant == last

    in_time.now = last
    in_time.asked(1)
    assert (in_time.last.type, in_time.refund.fee) == ("refund.accepted.v1", 0)

    late.now = last + timedelta(microseconds=1)
    assert late.now.isoformat() == "2026-03-08T00:00:00+09:00"
    late.asked(1)
    assert f"{late.refund.state}, {late.refund.why}" == CASES["W1"]["expect"][f"asked {late.now.isoformat()}"]


def test_w2_a_metered_service_that_was_used_once_is_reviewed_and_never_rejected() -> None:
    given, expected = CASES["W2"]["given"], CASES["W2"]["expect"]
    desk = _metered(given["activated_at"])
    desk.now = datetime.fromisoformat(given["asked"])
    desk.used(given["used"])

    desk.asked(1)

    assert (desk.refund.state, desk.refund.why) == (expected["state"], expected["reason"])
    assert (desk.last.type, desk.last.data["next"]) == ("refund.held.v1", "operator_review")


def test_a1_an_app_store_payment_is_pointed_to_its_store() -> None:
    case, desk = CASES["A1"], Desk()
    desk.paid(**case["given"])

    desk.asked(1)

    assert desk.last.type == "refund.rejected.v1"
    expected = case["expect"]
    assert (desk.last.data["reason"], desk.last.data["next"]) == (expected["rejected"], expected["next"])


def test_s1_the_units_that_are_not_issued_can_be_refunded() -> None:
    desk, expected = _desk("S1"), CASES["S1"]["expect"]

    desk.asked(CASES["S1"]["given"]["asked"])
    desk.granted()
    desk.paid_out()

    done = desk.last.data
    assert done["lines"] == [{"line_id": "1", "quantity": expected["granted"]}]
    assert {name: done[name] for name in ("supply", "vat", "amount")} == {
        name: expected[name] for name in ("supply", "vat", "amount")
    }


def test_s2_one_unit_more_is_refused_and_says_what_is_left() -> None:
    desk, expected = _desk("S2"), CASES["S2"]["expect"]

    desk.asked(CASES["S2"]["given"]["asked"])

    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", expected["rejected"])
    assert [row["left"] for row in desk.last.data["lines"]] == [expected["left"]]


def _desk(case: str) -> Desk:
    """A desk at which some units of an order are granted to be issued."""
    desk, given = Desk(), CASES[case]["given"]
    desk.paid(line("1", given["paid"], given.get("unit_price", 1_600)))
    desk.issuance_granted(given["issued"])
    return desk


@pytest.mark.parametrize(
    ("asked", "expected"),
    pairs_of("S3", "asked", "expected_on"),
)
def test_s3_money_is_expected_after_three_business_days(asked: str, expected: str) -> None:
    at = datetime.fromisoformat(asked)

    assert expected_payout("bank_account", at) == (date.fromisoformat(expected),) * 2


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    pairs_of("S4", "asked", "first", "last"),
)
def test_s4_own_cash_is_shown_as_three_to_seven_business_days(asked: str, first: str, last: str) -> None:
    at = datetime.fromisoformat(asked).replace(tzinfo=KST)

    assert expected_payout("mycash", at) == (date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(("pair", "same"), pairs_of("H1", "pairs", "same"))
def test_h1_whose_account_it_is(pair: list[str], same: bool) -> None:
    assert same_holder(*pair) is same


@pytest.mark.parametrize(("account", "masked"), pairs_of("H3", "account", "masked"))
def test_h3_how_an_account_is_shown(account: str, masked: str) -> None:
    assert mask("088", account) == masked


def test_p1_a_payout_that_timed_out_is_asked_again_with_the_same_key_and_counts_once() -> None:
    desk, expected = _paying(), CASES["P1"]["expect"]

    for answer in CASES["P1"]["given"]["answers"]:
        if answer == "timeout":
            desk.payout_failed("timeout", "try-1")
            desk.reviewed("retry")
        else:
            desk.paid_out(answer.removeprefix("paid "))

    keys = {event.data["idempotency_key"] for event in desk.published if "idempotency_key" in event.data}
    assert desk.refund.state == expected["state"]
    assert desk.types().count("refund.completed") == expected["payouts"] == len(desk.refund.payouts)
    assert len(keys) == expected["keys"]


def test_p2_a_second_payout_is_told_with_its_won() -> None:
    desk, expected = _paying(), CASES["P2"]["expect"]

    for answer in CASES["P2"]["given"]["answers"]:
        desk.paid_out(answer.removeprefix("paid "))

    assert desk.refund.state == expected["state"]
    assert (desk.last.type, desk.last.data["amount"]) == ("refund.paid_twice.v1", 176_000)


def _paying() -> Desk:
    desk = Desk()
    desk.paid()
    desk.asked()
    desk.granted()
    return desk
