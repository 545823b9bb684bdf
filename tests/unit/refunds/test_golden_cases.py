"""The cases of refunds that were worked out by hand, as far as they are about what is built."""

from datetime import date, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.refunds.decisions.eligibility import eligibility
from services.refunds.policies.destinations import expected_payout, mask
from services.refunds.policies.holders import same_holder
from services.refunds.policies.holds import next_step
from services.refunds.policies.prepaid import usable_until
from shared.business_days import legal_refund_day
from shared.kst import KST, kst_date
from shared.late_interest import late_interest
from tests.support.guides import ROOT
from tests.unit.refunds.desk import ACCOUNT, Desk, line

CASES: dict[str, Any] = {
    case["id"]: case for case in orjson.loads((ROOT / "tests/golden/refunds.json").read_bytes())
}
LATER = {"N1", "N2"}
"""Rules of gift vouchers for consumers."""
ELSEWHERE = {"Q1", "Q2", "X1", "X2", "X3", "H2"}
"""Orders tells these: quarantine, withdrawals and the list of products; test_holder_check.py the last one."""
BALANCES = [f"F{number}" for number in range(1, 12)]
HERE = {
    *BALANCES,
    *("W1", "W2", "W3", "F12", "F13", "T1", "A1", "S1", "S2", "S3", "S4", "S5", "S6", "H1", "H3", "P1", "P2"),
}


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


def _prepaid(paid: int, paid_at: str) -> Desk:
    """A desk with so much prepaid cash, VAT in it."""
    desk = Desk()
    desk.paid(line("1", 1, paid, kind="prepaid"), paid_at=paid_at, vat_mode="inclusive")
    return desk


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T00:00:00+09:00")


def test_w3_unused_cash_goes_back_whole_for_seven_days_and_for_a_fee_after_them() -> None:
    given, expected = CASES["W3"]["given"], CASES["W3"]["expect"]
    last = datetime.fromisoformat(expected.pop("last_instant"))
    assert eligibility(_prepaid(10_000, given["paid_at"]).order, last).last_instant == last

    for asked, won in expected.items():
        desk = _prepaid(10_000, given["paid_at"])
        desk.now = datetime.fromisoformat(asked.removeprefix("asked "))
        desk.asked()
        desk.granted()
        assert {name: desk.last.data[name] for name in ("amount", "fee")} == won


@pytest.mark.parametrize("case", BALANCES)
def test_f1_to_f11_the_remaining_balance_goes_back_less_a_tenth_or_1000_won(case: str) -> None:
    balance, expected = CASES[case]["given"]["paid_balance"], CASES[case]["expect"]
    desk = _prepaid(balance + 1, "2026-03-01T09:00:00+09:00")
    desk.now = _midnight("2026-03-02")
    desk.used(1)

    desk.asked()

    if "refused" in expected:
        assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", expected["refused"])
    else:
        desk.granted()
        assert {name: desk.last.data[name] for name in ("amount", "fee")} == expected


@pytest.mark.parametrize("case", ["F12", "F13"])
def test_f12_f13_bonus_burns_first_unless_it_expired_and_is_never_refunded(case: str) -> None:
    given, expected = CASES[case]["given"], CASES[case]["expect"]
    desk, used = _prepaid(given["paid"], "2026-03-01T00:00:00+09:00"), 0
    desk.now = _midnight("2026-03-01")
    for bonus in given["bonus"]:
        desk.bonus(bonus["won"], expires_at=_midnight(bonus["expires"]))
    for spent in given["spend"]:
        used += spent["won"]
        desk.now = _midnight(spent["at"])
        desk.used(used)

    desk.asked()
    desk.granted()

    said = desk.last.data
    assert said["amount"] + said["fee"] == expected["after"]["paid"]
    assert (said["fee"], said["amount"]) == (expected["fee"], expected["amount"])


@pytest.mark.parametrize(("bought", "last"), pairs_of("T1", "bought", "usable_until"))
def test_t1_what_was_bought_with_cash_is_usable_for_five_years(bought: str, last: str) -> None:
    assert usable_until(_midnight(bought)).isoformat() == last


def test_a1_an_app_store_payment_is_pointed_to_its_store() -> None:
    case, desk = CASES["A1"], Desk()
    desk.paid(**case["given"])

    desk.asked(1)

    assert desk.last.type == "refund.rejected.v1"
    expected = case["expect"]
    assert (desk.last.data["reason"], desk.last.data["next"]) == (expected["rejected"], expected["next"])
    assert {"Apple App Store", "Google Play", "ONE store"} <= {
        each["store"] for each in desk.last.data["stores"]
    }
    assert all(each["link"].startswith("https://") for each in desk.last.data["stores"])
    assert desk.last.data["detail_ko"]
    assert next_step(desk.refund.state, desk.refund.why) == expected["next"]


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


def test_s5_the_legal_day_counts_from_the_request_and_the_expected_one_from_the_end_of_the_review() -> None:
    given, expected = CASES["S5"]["given"], CASES["S5"]["expect"]
    desk = Desk()
    desk.paid()
    desk.now = _midnight(given["requested"])
    assert str(eligibility(desk.order, desk.now).legal_on) == expected["legal_due"]
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    assert desk.last.data["deadline"] == f"{expected['legal_due']}T23:59:59.999999+09:00"

    desk.now = _midnight(given["held_until"])
    desk.proof_attached()
    desk.reviewed("approve")
    desk.granted()

    assert legal_refund_day(kst_date(desk.refund.requested_at)).isoformat() == expected["legal_due"]
    assert desk.last.data["expected_on"] == expected["expected_on"]
    assert [state for state, _, _ in desk.story()[:3]] == ["requested", "held", "in_review"]


def test_s6_a_refund_that_is_late_owes_interest_to_a_consumer() -> None:
    given, expected = CASES["S6"]["given"], CASES["S6"]["expect"]
    due, paid = date.fromisoformat(given["due"]), date.fromisoformat(given["paid"])

    late = late_interest(given["amount"], due, paid)

    assert late is not None
    assert (late.days, late.won) == (expected["days"], expected["interest"])


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
